"""What claims are judged by, on tables whose numbers are done by hand."""

import numpy as np
import pandas as pd
import pytest

from workbook.papers import differences
from workbook.papers.claims import CLAIMS
from workbook.papers.differences import (
    at_end,
    beyond_threshold,
    if_learned,
    of_distances,
    of_kept,
    of_mixture,
    of_redundancy,
    of_scales,
    of_stages,
    of_variation,
    over_factors,
    still_rising,
    turning_in_range,
)
from workbook.papers.statistics import STATISTICS

# method -> accuracy of stages 1 to 5 and pooled, of seed 5; that of seed 6 is one higher where there is one
ACCURACY = {
    "SL": (10, 20, 30, 40, 36, 35),
    "SL-MLP": (11, 21, 32, 44, 47, 48),
    "BYOL": (5, 6, 7, 8, 10, 11),
    "BYOL w/o MLP": (5, 6, 7, 8, 7, 6),
    "MoCo v1": (4, 5, 6, 9, 8, 7),
    "MoCo v1 w/ MLP": (4, 5, 6, 9, 9.5, 7),
    "MoCo v2": (3, 4, 5, 6, 9, 9),
    "MoCo v2 w/o MLP": (3, 4, 5, 6, 5, 5),
}
LAYERS = ("stage1", "stage2", "stage3", "stage4", "stage5", "pooled")
SUPERVISED = ("SL", "SL-MLP")


def stages(*methods: str, layers: tuple[str, ...] = LAYERS) -> pd.DataFrame:
    """Two seeds of SL and SL-MLP, one of every other method."""
    rows = []
    for method in methods:
        for seed in (5, 6) if method in SUPERVISED else (5,):
            found = zip(LAYERS, ACCURACY[method], strict=True)
            rows += [(method, seed, layer, value + seed - 5) for layer, value in found if layer in layers]
    return pd.DataFrame(rows, columns=["method", "seed", "layer", "accuracy"])


def curves(**of_method: dict[int, tuple[float, ...]]) -> pd.DataFrame:
    """method=epoch -> phi_pre, phi_eval, accuracy, pi, R_pre; two seeds, the second of which has one more of each."""
    names = ["phi_pre", "phi_eval", "accuracy", "pi", "R_pre"]
    rows = [
        {"method": method, "seed": seed, "epoch": epoch} | {n: v + seed for n, v in zip(names, values, strict=True)}
        for method, epochs in of_method.items()
        for seed in (0, 1)
        for epoch, values in epochs.items()
    ]
    return pd.DataFrame(rows)


SL = {0: (1, 1, 10, 0.9, 0.1), 4: (3, 5, 30, 0.7, 0.2), 12: (8, 4, 25, 0.4, 0.3)}
MLP = {0: (1, 1, 10, 0.9, 0.1), 4: (2, 5, 31, 0.8, 0.1), 12: (5, 6, 35, 0.75, 0.15)}
BYOL = {0: (1, 1, 10, 0.9, 0.1), 2: (1, 2, 12, 0.95, 0.2), 6: (2, 3, 20, 0.85, 0.05)}
PLAIN = {0: (1, 1, 10, 0.9, 0.1), 6: (7, 1, 15, 0.5, 0.45)}
TABLE = curves(**{"SL": SL, "SL-MLP": MLP, "BYOL": BYOL, "BYOL w/o MLP": PLAIN})


def test_stages_of_every_method():
    found = of_stages(stages(*ACCURACY))
    flat = {name: values.iloc[0].tolist() if values.ndim == 2 else values.iloc[0] for name, values in found.items()}
    assert flat == {
        "A.stages.sl-drops": 40 - 36,
        "A.stages.slmlp-rises": 47 - 44,
        "A.pooled.slmlp-above": 48 - 35,
        "A.stages.byol-rises": 10 - 8,
        "A.stages.mocov1-drops": 9 - 8,
        "A.stages.mocov2-rises": 9 - 6,
        "A.stages.mlp-byol": (10 - 8) - (7 - 8),
        "A.stages.mlp-mocov1": (9.5 - 9) - (8 - 9),
        "A.stages.mlp-mocov2": (9 - 6) - (5 - 6),
        "A.stages.slmlp-monotone": [21 - 11, 32 - 21, 44 - 32],
        "A.stages.sl-above-byol": [10 - 5, 20 - 6, 30 - 7, 40 - 8],
        "A.stages.sl-above-mocov1": [10 - 4, 20 - 5, 30 - 6, 40 - 9],
        "A.stages.sl-above-mocov2": [10 - 3, 20 - 4, 30 - 5, 40 - 6],
        "A.stages.slmlp-above-byol": [11 - 5, 21 - 6, 32 - 7, 44 - 8],
    }
    assert list(found["A.stages.sl-drops"].index) == [5, 6]
    assert list(found["A.stages.sl-above-byol"].index) == [5], "only the seeds that both methods have"


def test_what_the_table_lacks_is_left_out():
    late = stages(*SUPERVISED, layers=("stage4", "stage5", "pooled"))
    assert [*of_stages(late)] == ["A.stages.sl-drops", "A.stages.slmlp-rises", "A.pooled.slmlp-above"]
    end = TABLE[(TABLE["epoch"] == 12) & TABLE["method"].isin(SUPERVISED)]
    assert [*of_variation(end)] == ["A.variation.phi"]
    assert [*of_mixture(end)] == ["A.mixture.pi"]
    assert [*of_redundancy(end)] == ["A.redundancy.sl"]


def test_variation_at_the_end():
    found = of_variation(TABLE)
    assert found.pop("A.variation.sl-descends").loc[0].tolist() == [10, 30, 25]
    assert {name: values[0] for name, values in found.items()} == {
        "A.variation.phi": 8 - 5,
        "A.variation.phi-eval": 6 - 4,
        "A.variation.phi-byol": 7 - 2,
        "A.variation.sl-phi-byol": 8 - 2,
        "A.variation.byol-accuracy": 20 - 25,
    }
    # SL's phi on eval-D is highest at epoch 4, where its phi on pre-D is 3
    assert beyond_threshold(TABLE).tolist() == [5 - 3, 5 - 3]


# phi on pre-D of three epochs of SL, and phi on eval-D of each distance: that of the last turns at 2, 2 and 1
RATIOS = {"near": (1.0, 5.0, 4.0), "middle": (1.0, 3.0, 2.0), "far": (4.0, 2.0, 1.0)}
DISTANCES = pd.DataFrame(
    [
        {"distance": name, "method": "SL", "seed": seed, "epoch": epoch, "phi_pre": pre + seed, "phi_eval": ratio}
        for name, ratios in RATIOS.items()
        for seed in (0, 1)
        for epoch, pre, ratio in zip((0, 1, 3), (1.0, 2.0, 4.0), ratios, strict=True)
    ]
)


def test_distances_by_their_turning_points_and_falls():
    found = of_distances(DISTANCES)
    assert found["A.theorem.threshold"].tolist() == [2 - 1] * 2
    assert found["A.theorem.order"].values.tolist() == [[2 - 2, 2 - 1]] * 2
    assert found["A.theorem.falls"].values.tolist() == [list(RATIOS["far"])] * 2
    assert found["A.theorem.falls-more"].tolist() == pytest.approx([np.log(2 / 1) - np.log(5 / 4)] * 2)
    assert still_rising(DISTANCES).tolist() == [4 - 2] * 2
    assert turning_in_range(DISTANCES).tolist() == [4 - 1] * 2
    never = DISTANCES.assign(phi_eval=DISTANCES["phi_pre"])
    assert turning_in_range(never).tolist() == [0.0] * 2, "no turn is seen"
    assert [*of_distances(DISTANCES[DISTANCES["epoch"] == 3])] == ["A.theorem.threshold", "A.theorem.order"]


def test_mixture_at_the_end_and_from_a_third_on():
    found = of_mixture(TABLE)
    assert found.pop("A.mixture.sl-falls").loc[0].tolist() == [0.9, 0.7, 0.4]
    assert {name: values[0] for name, values in found.items()} == pytest.approx(
        {
            "A.mixture.pi": 0.75 - 0.4,
            "A.mixture.slmlp-stays": (0.7 - 0.4) - (0.8 - 0.75),
            "A.mixture.byol": 0.85 - 0.4,
            "A.mixture.byol-stays": (0.7 - 0.4) - (0.95 - 0.85),
        }
    )


def test_redundancy_at_the_end():
    found = {name: values[1] for name, values in of_redundancy(TABLE).items()}
    assert found == pytest.approx({"A.redundancy.sl": 0.3 - 0.15, "A.redundancy.byol": 0.45 - 0.05})
    assert at_end(TABLE).loc[("BYOL", 1), "epoch"] == 6


DETECTED = pd.DataFrame(
    [
        (method, seed, step, target, value + seed + step / 100 + (target == "mask"))
        for method, value in {"SL": 30.0, "SL-MLP": 32.0, "BYOL": 31.5}.items()
        for seed in (0, 1)[: 1 if method == "BYOL" else 2]
        for step in (50, 100)
        for target in ("box", "mask")
    ],
    columns=["method", "seed", "step", "target", "AP"],
)


def test_detection_by_the_boxes_of_the_last_step():
    found = differences.of_detection(DETECTED)
    assert {name: values.to_dict() for name, values in found.items()} == {
        "A.detection.ap": {0: 2.0, 1: 2.0},
        "A.detection.byol": {0: 0.5},
    }
    assert list(differences.of_detection(DETECTED[DETECTED["method"] != "BYOL"])) == ["A.detection.ap"]
    assert differences.of_detection(DETECTED[DETECTED["method"] != "SL-MLP"]) == {}, "models of others"


# method -> R2 within classes of stage 5, pooled, projector, and accuracy, of seed 5; that of seed 6 is a tenth higher
KEPT = {"SL": (0.3, 0.2, None, 30), "SL-MLP": (0.5, 0.4, 0.25, 40), "BYOL": (0.6, 0.5, 0.1, 20)}


def test_what_is_kept():
    layers = ("stage5", "pooled", "projector")
    rows = [
        (method, seed, layer, value + (seed - 5) / 10)
        for method, values in KEPT.items()
        for seed in ((5, 6, 7) if method in SUPERVISED else (5, 6))
        for layer, value in zip(layers, values[:3], strict=True)
        if value is not None
    ]
    kept = pd.DataFrame(rows, columns=["method", "seed", "layer", "within"])
    accuracy = {(method, seed): values[3] for method, values in KEPT.items() for seed in (5, 6, 7)}
    found = of_kept(kept, pd.Series(accuracy).rename_axis(["method", "seed"]))
    assert found["W.kept.stage5"].to_dict() == pytest.approx({5: 0.5 - 0.3, 6: 0.5 - 0.3, 7: 0.5 - 0.3})
    assert found["W.kept.projector"].to_dict() == pytest.approx({5: 0.4 - 0.25, 6: 0.4 - 0.25, 7: 0.4 - 0.25})
    # of three pairs SL and SL-MLP stand in one order, and each with BYOL in the other; BYOL has no seed 7
    assert found["W.kept.accuracy"].to_dict() == pytest.approx({5: (1 - 2) / 3, 6: (1 - 2) / 3})
    assert all(CLAIMS[claim].notebooks == ("14_what_is_kept",) for claim in found)


def test_what_must_have_learned_is_held_to_its_untrained_backbone():
    rows = [("BYOL", seed, epoch, 20.0 + seed + epoch / 10) for seed in (5, 6) for epoch in (0, 20, 60)]
    rows += [("MoCo v2", 5, epoch, 30.0) for epoch in (20, 60)]
    table = pd.DataFrame(rows, columns=["method", "seed", "epoch", "accuracy"])
    found = if_learned(
        ["A.stages.sl-drops", "A.stages.byol-rises", "A.mlp.byol", "A.mlp.mocov2", "A.mlp.supcon"], table
    )
    assert list(found) == ["A.stages.byol-rises", "A.mlp.byol"], "of the others nothing untrained was measured"
    assert found["A.mlp.byol"].to_dict() == {5: 6.0, 6: 6.0}
    assert found["A.mlp.byol"].name == "BYOL on eval-D above its untrained backbone"
    assert if_learned(["A.mlp.byol"], table.iloc[:0]) == {}
    rows = {("BYOL", 5): 6.0, ("BYOL", 6): 5.0, ("SwAV", 5): -1.0, ("SwAV", 6): 9.0, ("BYOL", 7): 3.0}
    every = pd.DataFrame(
        [(*run, epoch, 20.0 + rise * (epoch > 0)) for run, rise in rows.items() for epoch in (0, 60)],
        columns=["method", "seed", "epoch", "accuracy"],
    )
    assert differences.all_learned(every).to_dict() == {5: -1.0, 6: 5.0}, "the least of a seed that all methods have"
    assert len(differences.all_learned(every.iloc[:0])) == 0


def test_how_the_gain_scales():
    gains = {"channels": {256: 1.0, 1024: 2.0, 4096: 6.0}, "epochs": {20: 3.0, 60: 1.0}}
    rows = [
        (scale, step, seed, gain + seed)
        for scale, steps in gains.items()
        for step, gain in steps.items()
        for seed in (5, 6)
    ]
    table = pd.DataFrame([*rows, ("epochs", 20, 7, 0.0)], columns=["scale", "step", "seed", "gain"])
    found = of_scales(table)
    # through (8, 1), (10, 2), (12, 6): sum of (x - 10) y over sum of (x - 10)^2 = (12 - 2) / 8
    assert found["W.gain.channels"].to_dict() == pytest.approx({5: 10 / 8, 6: 10 / 8})
    # one gain alone has no slope
    assert found["W.gain.epochs"].to_dict() == pytest.approx({5: -2 / np.log2(3), 6: -2 / np.log2(3)})
    assert all(CLAIMS[claim].notebooks == ("17_when_does_it_help",) for claim in found)


def test_factors_one_by_one():
    rows = [
        (method, seed, layer, factor, seed * (1 + (method == "SL-MLP")))
        for method in SUPERVISED
        for seed in (1, 2, 3)
        for layer in ("stage5", *(["projector"] if method == "SL-MLP" else []))
        for factor in ("y", "hue")
    ]
    found = over_factors(pd.DataFrame(rows, columns=["method", "seed", "layer", "factor", "within"]), "within")
    assert found[["factor", "layer", "measured"]].values.tolist() == [["y", "stage5", 2.0], ["hue", "stage5", 2.0]]
    half = 4.302653 * 1 / 3**0.5  # Student's t with two degrees of freedom; 1, 2 and 3 have the deviation 1
    assert found[["low", "high"]].values.tolist() == [pytest.approx([2 - half, 2 + half], rel=1e-5)] * 2


def test_what_is_not_finite_stays_to_be_refused():
    table = TABLE.assign(R_pre=TABLE["R_pre"].where(TABLE["seed"] == 0))
    values = of_redundancy(table)["A.redundancy.sl"]
    with pytest.raises(ValueError, match="finite"):
        STATISTICS[CLAIMS["A.redundancy.sl"].statistic].estimate(values)


def test_every_difference_is_of_a_claim_of_its_notebook():
    found = {"01": of_stages(stages(*ACCURACY)), "03": of_variation(TABLE), "04": of_mixture(TABLE)}
    found |= {"05": differences.of_redundancy(TABLE), "09": differences.of_detection(DETECTED)}
    found["15"] = of_distances(DISTANCES)
    for number, of_claims in found.items():
        assert all(any(name.startswith(number) for name in CLAIMS[claim].notebooks) for claim in of_claims)
