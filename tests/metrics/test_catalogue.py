"""All measures of features: the table of digits, the references, what leaves them unchanged, what they refuse."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from tests.metrics.brute_force import KINDS, as_kind, clusters
from tests.metrics.references import REFERENCES, rankme
from workbook import metrics
from workbook.metrics import MEASURES, blocks, feature_moments, leep, measure_all, merit

SIZES = {3: 60, -8: 50, 101: 71, 0: 55}
OF_LABELS = [name for name, measure in MEASURES.items() if measure.needs == "labels"]
OF_FEATURES = [name for name, measure in MEASURES.items() if measure.needs == "features"]
OF_MOMENTS = [name for name, measure in MEASURES.items() if measure.reads == "moments" and measure.needs != "head"]


def data(dim: int = 8, sizes: dict[int, int] = SIZES) -> tuple[np.ndarray, np.ndarray]:
    """Features that lie aside of 0, as those of a backbone do."""
    x, y = clusters(dim, sizes)
    return x + np.linspace(0.2, 1.5, dim), y


def value(name: str, x, y):
    return MEASURES[name].function(x, *(() if name in OF_FEATURES else (y,)))


def numbers(*features, **more) -> dict[str, float]:
    """What `measure_all` finds, without the reasons."""
    return {name: found for name, found in measure_all(*features, **more).items() if isinstance(found, float)}


def of_digits(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(4 * x[:, 10:40], dim=1)


def of_channels(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, dim=1)


# Computed independently, most of it by the authors' code
DIGITS = {
    "RankMe": 29.629946,
    "effective rank": 20.553251,  # 20.553995 with RankMe's eps, which Roy & Vetterli do not have
    "participation ratio": 13.168511,
    "NESum": 6.715649,
    "alpha-ReQ": 1.569213,
    "LiDAR": 6.743582,
    "uniformity": -1.163522,
    "alignment": 0.358463,
    "phi": 1.612022,
    "NC1": 0.926349,
    "NC2 equinorm": 0.171448,
    "NC2 cos": 0.194894,
    "NC2 ETF error": 0.669620,
    "class-mean accuracy": 0.904841,
    "CDNV": 0.715283,
    "directional CDNV": 0.036651,
    "LogME": 0.270278,
    "H-score": 5.917909,
    "regularised H-score": 5.851433,
    "TransRate": 29.839885,
    "SFDA": 0.803241,
    "NCTI SELI": 666.484325,
    "NCTI NCC": 0.959918,
    "NCTI VC": 5.107707,
    "LEEP": -2.006496,
    "NCE": -1.772457,
    "PARC": 39.330203,  # 39.45 where rounding breaks the ties between classes
    "GBC": -0.736706,
    "diagonal GBC": -2.276242,
}


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    loaded = load_digits()
    return loaded.data / 16, loaded.target


def test_the_table_of_digits(digits):
    x, y = digits
    found = measure_all(x, y, source=of_digits)
    assert {name: found[name] for name in DIGITS} == pytest.approx(DIGITS, abs=1e-6)


def test_what_else_is_in_the_table(digits):
    x, _ = digits
    assert metrics.alpha_req(x, weighted=False) == pytest.approx(1.830937, abs=1e-6)
    assert metrics.ledoit_wolf_shrinkage(x) == pytest.approx(0.008928, abs=1e-6)
    assert metrics.rankme(x - x.mean(0)) == pytest.approx(39.708510, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in REFERENCES if name not in ("LEEP", "NCE")])
@pytest.mark.parametrize("block_size", [1, 100, 2**19])
def test_the_reference(name, block_size, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", block_size)
    x, y = data()
    assert value(name, x, y) == pytest.approx(REFERENCES[name](x, y), rel=1e-6)


WIDE = [name for name in REFERENCES if name not in ("LEEP", "NCE", "NLEEP", "diagonal GBC", "LogME", "SFDA")]


@pytest.mark.parametrize("name", WIDE)
def test_the_reference_with_fewer_samples_than_channels(name):
    x, y = data(dim=90, sizes={0: 12, 1: 9, 2: 14})
    assert value(name, x, y) == pytest.approx(REFERENCES[name](x, y), rel=1e-6)


@pytest.mark.parametrize("name", OF_MOMENTS)
def test_moments_take_the_place_of_features_and_labels(name):
    x, y = data()
    moments = feature_moments(x, y)
    assert MEASURES[name].function(moments) == pytest.approx(value(name, x, y), rel=1e-12)
    if name in OF_LABELS:
        with pytest.raises(ValueError, match="leave out `labels`"):
            MEASURES[name].function(moments, y)
        with pytest.raises(ValueError, match=r"at least two classes, got \[0\]"):
            MEASURES[name].function(feature_moments(x))
    else:
        assert MEASURES[name].function(feature_moments(x)) == pytest.approx(value(name, x, y), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_features(kind):
    features, exact = as_kind(data()[0], kind)
    labels = data()[1]
    assert metrics.rankme(features) == pytest.approx(rankme(exact, labels), rel=1e-6)
    assert numbers(features, labels) == pytest.approx(numbers(exact, labels), rel=1e-6)


# what leaves a measure unchanged: all but these
CHANGES = {
    "scale": {"LogME", "LiDAR", "TransRate", "SFDA", "NCTI"},
    "rotation": {"R", "SFDA", "PARC"},
    "offset": {"RankMe", "uniformity", "V_intra", "S_inter", "MSC", "alignment", "LogME"},
    "permuted rows": {"NLEEP"},
    "renamed labels": set(),
    "other order of the classes": set(),
}


def changed(change: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    order = rng.permutation(len(x))
    index = np.unique(y, return_inverse=True)[1]
    return {
        "scale": (30 * x, y),
        "rotation": (x @ np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))[0], y),
        "offset": (x + 3.0, y),
        "permuted rows": (x[order], y[order]),
        "renamed labels": (x, np.array([-7, -3, 2, 90])[index]),
        "other order of the classes": (x, np.array([5, -3, 2, 90])[index]),
    }[change]


@pytest.mark.parametrize("name", [*OF_FEATURES, *OF_LABELS])
@pytest.mark.parametrize("change", CHANGES)
def test_invariances(name, change):
    x, y = data()
    same = value(name, *changed(change, x, y)) == pytest.approx(value(name, x, y), rel=1e-7)
    assert same == (name not in CHANGES[change])


@pytest.mark.parametrize("name", [*OF_FEATURES, *OF_LABELS])
def test_a_large_offset_cancels_nothing(name):
    if name in CHANGES["offset"]:
        pytest.skip("an offset changes it")
    x, y = data()
    x = np.round(x * 2**20) / 2**20  # so that adding the offset is exact
    assert value(name, x + 2.0**26, y) == pytest.approx(value(name, x, y), rel=1e-6)


def degenerate() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    x, y = data(sizes={0: 12, 1: 9, 2: 14})
    points = np.array([[0.1, 0.7, 0.2], [0.3, 0.2, 0.9], [0.5, 0.4, 0.1]])
    return {
        "one point": (np.full((30, 5), 0.1), np.arange(30) % 3),
        "zeros": (np.zeros((30, 5)), np.arange(30) % 3),
        "classes that are points": (np.tile(points, (10, 1)), np.arange(30) % 3),
        "classes alike": (np.tile(x, (2, 1)), np.repeat([0, 1], len(x))),
        "a class of one sample": (x, np.where(np.arange(len(x)) == 3, 9, y)),
        "two samples": (x[:2], np.array([0, 1])),
        "one channel": (x[:, :1], y),
        "a constant channel": (np.concatenate([x, np.full((len(x), 1), 0.1)], axis=1), y),
        "a channel twice": (np.concatenate([x, x], axis=1), y),
        "a zero vector": (np.where(np.arange(len(x))[:, None] == 3, 0.0, x), y),
        "zeros in one class": (np.where(y[:, None] == 1, 0.0, x), y),
        "wide": data(dim=60, sizes={0: 12, 1: 9, 2: 14}),
        "large": (1e60 * x, y),
        "small": (1e-60 * x, y),
        "one line": (np.outer(np.arange(1.0, 36), [1.0, 2, 3]), y),
    }


@pytest.mark.parametrize("case", degenerate())
def test_a_number_or_the_reason_never_nan(case):
    for name, found in measure_all(*degenerate()[case]).items():
        assert (isinstance(found, float) and math.isfinite(found)) or (isinstance(found, str) and found), name


def test_one_dead_image_leaves_every_measure_a_number():
    x, y = data()
    dead = np.where(np.arange(len(x))[:, None] == 3, 0.0, x)
    assert set(numbers(dead, y, source=of_channels)) == set(numbers(x, y, source=of_channels))


def test_a_source_head_reads_the_rows_that_are_drawn():
    x, y = data(sizes={0: 40, 1: 40})
    seen = []
    found = measure_all(x, y, source=lambda part: seen.append(len(part)) or of_channels(part), rows=30, seed=3)
    rows = blocks.drawn(x, 30, 3)
    assert seen == [30]
    assert found["LEEP"] == pytest.approx(leep(of_channels(torch.from_numpy(x[rows])), y[rows]))


def test_reasons():
    x, y = data()
    found = measure_all(x, y)
    assert found["NC3"] == found["NC4"] == "needs a linear head over these classes"
    assert found["LEEP"] == found["NCE"] == "needs a source head"
    assert measure_all(x)["phi"] == "needs labels"
    assert measure_all(x, source=of_channels)["NCE"] == "needs labels"
    few = measure_all(*degenerate()["a class of one sample"])
    assert str(few["CDNV"]).startswith("every class must have at least 2 samples, got 1 of class 9")
    assert measure_all(*degenerate()["classes that are points"])["phi"] == "is inf here"


def test_a_head_is_measured_too():
    x, y = data()
    means = np.stack([x[y == label].mean(0) for label in np.unique(y)])
    found = measure_all(x, y, head=(means, -(means**2).sum(1) / 2))
    assert found["NC4"] == 1
    assert 0 < found["NC3"] < 4


def test_what_reads_rows_takes_a_seeded_sample():
    x, y = data()
    first, again, other = (measure_all(x, y, rows=120, seed=seed) for seed in (3, 3, 4))
    assert first == again
    rows = np.sort(np.random.default_rng(3).choice(len(x), 120, replace=False))
    assert first["TransRate"] == metrics.transrate(x[rows], y[rows]) != other["TransRate"]
    assert first["LogME"] == metrics.logme(x, y) == other["LogME"]


def test_features_that_no_measure_takes_are_refused():
    x, y = data()
    with pytest.raises(ValueError, match=r"labels must have shape \(236,\)"):
        measure_all(x, y[1:])
    with pytest.raises(ValueError, match="features must be floating-point numbers"):
        measure_all(x.astype(int), y)
    with pytest.raises(ValueError, match="a sample must have at least two rows, got 1"):
        measure_all(x, y, rows=1)


@pytest.mark.parametrize("name", MEASURES)
def test_titles_say_the_direction(name):
    assert MEASURES[name].name == name
    assert any(word in MEASURES[name].title for word in ("higher = ", "lower = ", "0 = ", "1 = "))


def test_a_measure_loads_no_library_that_it_does_not_need():
    told = "import sys, workbook.metrics as m; m.rankme; print('scipy' in sys.modules, 'sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu():
    x, y = data()
    on_cpu = numbers(x, y, source=of_channels)
    on_cuda = numbers(torch.from_numpy(x).cuda(), torch.from_numpy(y).cuda(), source=of_channels)
    assert on_cuda == pytest.approx(on_cpu, rel=1e-7)


def test_merit_turns_every_measure_the_way_its_title_says():
    x, y = data()
    found = measure_all(x, y, source=of_channels)
    for name in found:
        title = (MEASURES.get(name) or MEASURES[name.partition(" ")[0]]).title
        up = merit(name, 3.0) > merit(name, 2.0)
        if name.startswith("NCTI"):
            assert up == (name != "NCTI VC")
        elif name == "alpha-ReQ":
            assert merit(name, 1.0) > merit(name, 0.5) == merit(name, 1.5)
        else:
            assert up == ("(lower" not in title and "(0 =" not in title), name
    with pytest.raises(KeyError):
        merit("anything", 1.0)
