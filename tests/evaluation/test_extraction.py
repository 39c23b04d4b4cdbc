from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from tests.conftest import make_images
from tests.pretraining.small import DIGITS
from workbook.data.sources import load_images
from workbook.errors import NotStoredError, StoreError
from workbook.evaluation.extraction import (
    CUT_POINTS,
    LAYERS,
    POOLED,
    Extraction,
    Features,
    _write_layers,
    extract,
    head_accuracy,
    over_epochs,
    read_stages,
)
from workbook.evaluation.layers import Network
from workbook.files import write_array
from workbook.keys import key_of
from workbook.lab import Lab
from workbook.pretraining.recipe import Projector, with_method
from workbook.pretraining.runs import Run, load_run, train
from workbook.store import Artefact, Store

RECIPE = replace(DIGITS, epochs=2)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module", params=["SL", "SL-MLP"])
def run(request, lab) -> Run:
    return train(with_method(RECIPE, request.param), lab)


def test_every_layer_is_what_the_modules_give(run, lab):
    images = make_images(40, size=8)
    features = extract(run, images, Extraction(stage_budget=64 * 16, dtype="float32"), lab)
    model = run.model()
    pixels = images.tensor(8).float() / 255
    with torch.inference_mode():
        maps, pooled = model.backbone.stages(pixels)
        expected = {"stage1": maps[0].flatten(1), "stage5": maps[4].mean((2, 3)), "pooled": pooled}
        if run.recipe.method == "SL-MLP":
            expected["projector"] = model.projector(pooled)
    assert set(features.layers) == {"stage2", "stage3", "stage4", *expected}
    for name, value in expected.items():
        np.testing.assert_allclose(features.layer(name), value.numpy(), rtol=1e-4, atol=1e-5)
    assert np.array_equal(features.labels, images.labels)


def test_features_are_made_once_and_depend_on_epoch_data_and_extraction(run, lab):
    images, extraction = make_images(40, size=8), Extraction(stage_budget=1024)
    keys = {
        extract(run, images, extraction, lab).key,
        extract(run, images, extraction, lab, epoch=2).key,
        extract(run, images, extraction, lab, epoch=0).key,
        extract(run, make_images(40, size=8, digest="other"), extraction, lab).key,
        extract(run, images, replace(extraction, stage_budget=2048), lab).key,
    }
    assert len(keys) == 4


def test_cut_points_are_what_stands_after_every_component(run, lab):
    images = make_images(40, size=8)
    layers = ("projector", CUT_POINTS, "pooled")
    features = extract(run, images, Extraction(layers=layers), lab)
    if run.recipe.method == "SL":
        assert features.layers == ("pooled",)
        return
    within = ("projector.1.fc", "projector.2.norm", "projector.3.relu", "projector.4.fc")
    assert features.layers == ("pooled", *within, "projector")
    model = run.model()
    with torch.inference_mode():
        x = model.backbone(images.tensor(8).float() / 255)
        for name, layer in zip(within, model.projector.layers, strict=True):
            x = layer(x.clone())
            np.testing.assert_allclose(features.layer(name), x.numpy(), rtol=1e-4, atol=1e-5)
    assert features.layer("projector.2.norm").min() < 0 <= features.layer("projector.3.relu").min()
    assert np.array_equal(features.layer("projector"), features.layer("projector.4.fc"))


def test_cut_points_of_many_projectors_stay_in_order(lab):
    recipe = replace(RECIPE, epochs=1, checkpoint_epochs=(), projector=Projector(hidden_dim=8, out_dim=8, count=3))
    run = train(recipe, lab)
    features = extract(run, make_images(10, size=8), Extraction(layers=(CUT_POINTS,)), lab)
    assert [int(name.split(".")[1]) for name in features.layers] == list(range(1, 13))


# --- every layer lies in the store once


@pytest.fixture
def extracted(monkeypatch) -> list[set[str]]:
    """The layers of every pass over images that the test makes."""
    passes = []

    def write(network, images, folders, fabric):
        passes.append(set(network.extraction.layers))
        _write_layers(network, images, folders, fabric)

    monkeypatch.setattr("workbook.evaluation.extraction._write_layers", write)
    return passes


def test_a_layer_is_extracted_once_whatever_it_is_asked_for_with(run, lab, extracted):
    images = make_images(12, size=8, digest="asked for twice")
    has = set(LAYERS) if run.recipe.projector else set(LAYERS) - {"projector"}
    extract(run, images, POOLED, lab)
    every = extract(run, images, Extraction(), lab)
    assert extracted == [{"pooled"}, has - {"pooled"}]
    stages = extract(run, images, Extraction(layers=("stage2", "pooled")), lab)
    np.testing.assert_array_equal(stages.layer("stage2"), every.layer("stage2"))
    extract(run, images, Extraction(layers=("pooled",), stage_budget=7, reading="averaged"), lab)
    assert len(extracted) == 2
    extract(run, images, Extraction(layers=("stage2", "pooled"), stage_budget=64), lab)
    assert extracted[2:] == [{"stage2"}]


def test_layers_that_were_stored_together_are_read_where_they_lie(run, lab, extracted):
    images = make_images(12, size=8, digest="of an earlier version")
    extraction = Extraction(layers=("stage4", "pooled"))
    numbers = np.arange(24.0, dtype=np.float32).reshape(12, 2)

    def make(folder):
        for name in ("stage4", "pooled", "labels"):
            write_array(folder / f"{name}.npy", numbers)

    whole = asdict(extraction) | {"layers": ["stage4", "pooled"]}
    del whole["reading"]
    spec = {"run": run.key, "epoch": 2, "data": images.digest, "extraction": whole}
    lab.store.get_or_make("features", spec | {"precision": "32-true", "version": 1}, make)
    features = Features(run, images, extraction, lab, kept=())
    np.testing.assert_array_equal(features.layer("stage4"), numbers)
    features.drop()
    np.testing.assert_array_equal(features.layer("pooled"), numbers)
    assert extracted == []


def test_what_was_dropped_is_made_anew(run, lab, extracted):
    images, extraction = make_images(12, size=8, digest="dropped"), Extraction(layers=("stage2", "stage4", "pooled"))
    features = Features(run, images, extraction, lab, kept=())
    before = features.layer("stage4")
    features.drop()
    stored = [found.spec for found in lab.store.artefacts() if found.kind in ("features", "probed")]
    assert not [spec for spec in stored if (spec["run"], spec["data"]) == (run.key, "dropped")]
    first = np.array(before)  # whoever had opened it reads on
    assert features.layers == ("stage2", "stage4", "pooled")
    np.testing.assert_array_equal(features.layer("stage4"), first)
    features.layer("pooled")
    assert extracted == [{"stage2", "stage4", "pooled"}] * 2, "all in one pass"


def test_a_layer_that_another_process_drops_while_it_is_read_is_made_anew(run, lab, monkeypatch):
    images = make_images(12, size=8, digest="dropped under the hand")
    features = Features(run, images, Extraction(layers=("stage4",)), lab, kept=())
    features.make()
    found, calls = Artefact.file, []

    def file(artefact, name):
        calls.append(name)
        if len(calls) == 1:
            features.drop()
        return found(artefact, name)

    monkeypatch.setattr(Artefact, "file", file)
    assert features.layer("stage4").shape[0] == 12
    assert len(calls) > 1


def test_nothing_is_made_or_dropped_where_the_store_is_read_only(run, lab):
    images, extraction = make_images(12, size=8, digest="read only"), Extraction(layers=("stage4", "pooled"))
    with pytest.raises(NotStoredError):
        extract(run, images, extraction, lab.reading())
    expected = extract(run, images, extraction, lab).layer("stage4")
    passing = Features(run, images, Extraction(layers=("stage3",)), lab, kept=())
    passing.make()
    reading = replace(passing, lab=lab.reading())
    reading.drop()
    assert reading.layer("stage3").shape[0] == 12
    reading = extract(run, images, extraction, lab.reading())
    reading.drop()
    np.testing.assert_array_equal(reading.layer("stage4"), expected)


def test_a_layer_that_the_model_has_not_is_refused(run, lab):
    features = extract(run, make_images(12, size=8), POOLED, lab)
    with pytest.raises(StoreError, match=r"have no layer 'stage4'; they have pooled"):
        features.layer("stage4")


def test_an_interrupted_extraction_leaves_nothing_half_made(run, lab, monkeypatch):
    images, extraction = make_images(300, size=8, digest="interrupted"), Extraction(layers=("stage4", "pooled"))

    def stop(network, batch):
        if len(batch) < 256:
            raise KeyboardInterrupt
        return Network.layers(network, batch)

    monkeypatch.setattr("workbook.evaluation.extraction.Network", type("Stopping", (Network,), {"layers": stop}))
    with pytest.raises(KeyboardInterrupt):
        extract(run, images, extraction, lab)
    monkeypatch.undo()
    with pytest.raises(NotStoredError):
        extract(run, images, POOLED, lab.reading())
    features = extract(run, images, extraction, lab)
    assert len(features.layer("stage4")) == len(features.layer("pooled")) == 300


def test_features_beyond_half_precision_are_refused(run, lab, monkeypatch):
    model = run.model()
    model.backbone.model.layer3.register_forward_hook(lambda module, inputs, output: output + 1e5)
    monkeypatch.setattr(type(run), "model", lambda run, epoch=None: model)
    images = make_images(12, size=8, digest="large")
    with pytest.raises(ValueError, match=r"stage4 has features up to 1e\+05, and float16 ends at 65,504: .*float32"):
        extract(run, images, Extraction(layers=("stage4",), dtype="float16"), lab)
    assert extract(run, images, Extraction(layers=("stage4",), dtype="float32"), lab).layer("stage4").max() > 65504


def test_half_precision_is_of_the_stages_alone(run, lab):
    features = extract(run, make_images(10, size=8), Extraction(stage_budget=1024, dtype="float16"), lab)
    assert features.layer("stage4").dtype == np.float16
    assert features.layer("pooled").dtype == np.float32, "the same numbers as where the pooled features are kept alone"


# --- how the maps of the stages are read

MAPS = [torch.arange(float(2 * c * side * side)).view(2, c, side, side) for c, side in ((3, 8), (5, 4), (32, 2))]


def test_whole_maps_are_flattened():
    for vectors, stage in zip(read_stages(MAPS, Extraction()), MAPS, strict=True):
        assert torch.equal(vectors, stage.flatten(1))


def test_a_map_beyond_the_budget_is_averaged_to_the_largest_square_grid_within():
    first, *others = read_stages(MAPS, Extraction(stage_budget=128))
    assert first.shape == (2, 3 * 6 * 6)
    assert [vectors.shape[1] for vectors in others] == [5 * 4 * 4, 32 * 2 * 2]
    *_, wide = read_stages(MAPS, Extraction(stage_budget=31))  # 32 channels are kept, each averaged
    torch.testing.assert_close(wide, MAPS[-1].mean((2, 3)))


@pytest.mark.parametrize(
    ("reading", "grids"),
    [
        ("whole maps", (8, 4, 2)),
        ("equal numbers", (5, 4, 1)),  # no more than the 5 x 4 x 4 = 80 of the smallest: 3 x 5 x 5, 5 x 4 x 4, 32
        ("equal grids", (2, 2, 2)),  # the last stage's
        ("averaged", (1, 1, 1)),
    ],
)
def test_each_reading_leaves_every_stage_a_grid(reading, grids):
    found = read_stages(MAPS, Extraction(reading=reading))
    for vectors, stage, grid in zip(found, MAPS, grids, strict=True):
        torch.testing.assert_close(vectors, torch.nn.functional.adaptive_avg_pool2d(stage, grid).flatten(1))


def test_equal_numbers_leave_room_for_every_channel():
    """A last stage of more channels than another stage has numbers is averaged to one number a channel."""
    small, wide = read_stages([torch.rand(2, 4, 2, 2), torch.rand(2, 20, 2, 2)], Extraction(reading="equal numbers"))
    assert (small.shape[1], wide.shape[1]) == (16, 20)


def test_averaged_maps_of_the_last_stage_are_the_pooled_features_of_a_resnet(run, lab):
    features = extract(run, make_images(10, size=8), Extraction(reading="averaged", dtype="float32"), lab)
    np.testing.assert_allclose(features.layer("stage5"), features.layer("pooled"), rtol=1e-5, atol=1e-6)


def test_a_reading_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="reading: 'flat' is unknown; known: whole maps, equal numbers"):
        Extraction(reading="flat")


def test_features_from_before_there_were_readings_are_found_again(run, lab):
    """What is read whole within its budget is what every extraction was, under the key that it had."""
    images = make_images(10, size=8)
    how = {"stage_budget": 4096, "layers": ["pooled"], "dtype": "float32"}
    spec = {"run": run.key, "epoch": 2, "data": images.digest, "extraction": how, "precision": "32-true", "version": 1}
    assert extract(run, images, POOLED, lab).key == key_of(spec)
    assert lab.store.find("features", spec)
    spec["extraction"] = {"stage_budget": 1024, "layers": list(LAYERS), "dtype": "float16"}
    assert Features(run, images, Extraction(stage_budget=1024, dtype="float16"), lab).key == key_of(spec)


def test_an_epoch_without_checkpoint_is_refused(run, lab):
    with pytest.raises(ValueError, match=r"no checkpoint of epoch 1; it has \(0, 2\)"):
        extract(run, make_images(10, size=8), Extraction(), lab, epoch=1)


def test_the_head_s_accuracy_is_that_of_its_predictions_and_is_stored(run, lab, monkeypatch):
    images = load_images("digits", "test").per_class(5)
    with torch.inference_mode():
        expected = {
            epoch: run.model(epoch).classify(images.tensor(8).float() / 255).argmax(1).numpy() == images.labels
            for epoch in (0, 2)
        }
    for epoch, right in expected.items():
        assert head_accuracy(run, images, lab, epoch=epoch) == pytest.approx(100 * right.mean())
    assert head_accuracy(run, images, lab) == head_accuracy(run, images, lab, epoch=2)
    monkeypatch.setattr("workbook.evaluation.extraction._of_head", None)
    assert head_accuracy(run, images, lab.reading(), epoch=0) == pytest.approx(100 * expected[0].mean())


def test_a_head_needs_the_run_s_classes(run, lab):
    with pytest.raises(ValueError, match="the run's 10 classes"):
        head_accuracy(run, make_images(10, size=8), lab)


def test_a_run_that_was_opened_by_its_key_is_tested_on_any_classes(run, lab):
    images = load_images("digits", "test").per_class(5)
    assert head_accuracy(load_run(run.key, lab.store), images, lab) == head_accuracy(run, images, lab)


def test_over_epochs_every_checkpoint_of_every_run_or_its_last(run, lab):
    images = make_images(10, size=8)
    found = list(over_epochs([run, run], images, POOLED, lab))
    assert [(one.key, epoch) for one, epoch, _ in found] == [(run.key, 0), (run.key, 2)] * 2
    assert found[0][2].key == extract(run, images, POOLED, lab, epoch=0).key
    (last,) = over_epochs([run], images, POOLED, lab, every_epoch=False)
    assert (*last[:2], last[2].key) == (run, 2, extract(run, images, POOLED, lab).key)


@pytest.mark.parametrize(
    ("shape", "budget", "dims"),
    [
        ((16, 32, 32), 1024, 16 * 8 * 8),
        ((16, 32, 32), 100, 16 * 2 * 2),
        ((64, 8, 8), 10**9, 64 * 8 * 8),
        ((2048, 7, 7), 2048, 2048),
    ],
)
def test_pooling_keeps_to_its_budget(shape, budget, dims):
    (vectors,) = read_stages([torch.rand(2, *shape)], Extraction(stage_budget=budget))
    assert vectors.shape == (2, dims)


def test_pooling_is_the_mean_of_equal_squares():
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    expected = [(0 + 1 + 4 + 5) / 4, (2 + 3 + 6 + 7) / 4, (8 + 9 + 12 + 13) / 4, (10 + 11 + 14 + 15) / 4]
    assert read_stages([maps], Extraction(stage_budget=4))[0].tolist() == [expected]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"layers": ("stage6",)}, r"layers\[0\]: 'stage6' is unknown"),
        ({"layers": ()}, "layers must have at least 1 item"),
        ({"dtype": "bfloat16"}, "dtype must be 'float32' or 'float16', got 'bfloat16'"),
    ],
)
def test_refusals(choices, message):
    with pytest.raises(ValueError, match=message):
        Extraction(**choices)


def test_of_one_pass_some_layers_may_be_kept(run, lab, monkeypatch):
    images = make_images(12, size=8)
    extraction = Extraction(stage_budget=48, layers=("stage5", "pooled"))
    some = Features(run, images, extraction, lab, kept=("pooled",))
    stage = np.array(some.layer("stage5"))
    monkeypatch.setattr("workbook.evaluation.extraction._write_layers", None)  # no other pass
    assert np.array_equal(some.layer("pooled"), extract(run, images, POOLED, lab).layer("pooled"))
    some.drop()
    assert not extract(run, images, POOLED, lab).missing() and some.missing() == ["stage5"]
    assert len(stage) == len(images)
