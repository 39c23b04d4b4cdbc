from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import make_images
from tests.pretraining.small import DIGITS
from workbook.evaluation.embedding import Embedding, embed, turned_onto
from workbook.explorers.features.atlas import Atlas, draw_classes
from workbook.lab import Lab
from workbook.metrics import discriminative_ratio
from workbook.pretraining.recipe import sweep
from workbook.pretraining.runs import train_all
from workbook.store import Store

SIDES = {f"class{i}": "pre" if i < 3 else "eval" for i in range(5)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, fabric):
    store = Store(tmp_path_factory.mktemp("runs"))
    return train_all(sweep(replace(DIGITS, epochs=2), ["SL", "SL-MLP"], [0]), Lab(store, fabric))


@pytest.fixture(scope="module")
def atlas(runs, tmp_path_factory, fabric):
    images = make_images(60, classes=5, size=8)
    return Atlas(runs, images, SIDES, Lab(Store(tmp_path_factory.mktemp("maps")), fabric), perplexity=5)


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def test_turning_keeps_distances_and_finds_the_turn():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(30, 2))
    mirrored = reference @ np.array([[0.6, 0.8], [0.8, -0.6]]) + 7
    turned = turned_onto(mirrored, reference)
    np.testing.assert_allclose(turned, reference - reference.mean(axis=0), atol=1e-12)
    other = rng.normal(size=(30, 2))
    np.testing.assert_allclose(distances(turned_onto(other, reference)), distances(other), atol=1e-12)


@pytest.mark.parametrize("kind", ["t-SNE", "PCA"])
def test_every_epoch_has_a_map_that_fills_the_panel(atlas, kind):
    maps = atlas.maps("SL", 0, kind)
    assert tuple(maps) == atlas.epochs == (0, 2)
    for place in maps.values():
        assert place.shape == (60, 2)
        assert np.abs(place).max() == pytest.approx(1)


def test_a_map_is_turned_and_scaled_and_never_bent(atlas):
    shown = distances(atlas.maps("SL", 0, "PCA")[2])
    own = distances(embed(atlas.features("SL", 0, 2), Embedding(kind="PCA")))
    np.testing.assert_allclose(shown / shown.max(), own / own.max(), atol=1e-5)


def test_principal_components_do_not_flip_between_epochs_and_methods(atlas):
    last = atlas.maps("SL", 0, "PCA")[2]
    for other in (atlas.maps("SL", 0, "PCA")[0], atlas.maps("SL-MLP", 0, "PCA")[2]):
        left, _, right = np.linalg.svd(other.T @ last)
        assert np.trace(left @ right) > 0  # a half turn has -2, a mirror 0


def test_the_table_has_the_same_images_in_every_epoch_by_class(atlas):
    table = atlas.table(["SL", "SL-MLP"], 0)
    assert list(dict.fromkeys(table["class_name"])) == list(SIDES)
    groups = [list(rows["image"]) for _, rows in table.groupby(["method", "epoch"])]
    assert len(groups) == 4
    assert all(images == groups[0] for images in groups)
    rows = table.query("method == 'SL' and epoch == 2").set_index("image")
    np.testing.assert_array_equal(rows.loc[7, ["x", "y"]].astype("float32"), atlas.maps("SL", 0)[2][7])


def test_measures_are_those_of_the_features(atlas):
    measures = atlas.measures(0)
    expected = discriminative_ratio(atlas.features("SL", 0, 2), atlas.images.labels)
    assert measures.loc[("SL", 2), "φ"] == expected
    assert measures.index.to_list() == [("SL", 0), ("SL", 2), ("SL-MLP", 0), ("SL-MLP", 2)]


@pytest.mark.parametrize("lost", [[("SL", 0)], [("SL", 2)], [("SL", 0), ("SL", 2)], "all"])
def test_a_collapsed_checkpoint_hides_no_other(runs, store, fabric, lost):
    class Collapsing(Atlas):
        def _of_run(self, method, seed):
            return {epoch: still(found, (method, epoch)) for epoch, found in super()._of_run(method, seed).items()}

    def still(found, whose):
        collapsed = lost == "all" or whose in lost
        layer = (lambda name: np.ones_like(found.layer(name))) if collapsed else found.layer
        return SimpleNamespace(key=found.key, labels=found.labels, layer=layer)

    atlas = Collapsing(runs, make_images(60, classes=5, size=8), SIDES, Lab(store, fabric), perplexity=5)
    for method in atlas.methods:
        for epoch, place in atlas.maps(method, 0, "PCA").items():
            collapsed = lost == "all" or (method, epoch) in lost
            assert np.isnan(place).all() if collapsed else np.abs(place).max() == pytest.approx(1)


def of_seed(run, seed):
    return replace(run, recipe=replace(run.recipe, seed=seed))


def test_methods_are_compared_on_the_seeds_that_all_have(runs, store, fabric):
    found = Atlas([*runs, of_seed(runs[1], 1)], make_images(60, classes=5, size=8), SIDES, Lab(store, fabric))
    assert found.seeds == (0,)


def test_refusals(runs, store, fabric):
    images = make_images(60, classes=5, size=8)
    with pytest.raises(ValueError, match="every method needs a run of the same seed, got no runs"):
        Atlas([], images, SIDES, Lab(store, fabric))
    with pytest.raises(ValueError, match=r"of the same seed, got \[\('SL', 0\), \('SL-MLP', 1\)\]"):
        Atlas([runs[0], of_seed(runs[1], 1)], images, SIDES, Lab(store, fabric))
    longer = replace(runs[1], recipe=replace(runs[1].recipe, epochs=5, checkpoint_epochs=(1,)))
    with pytest.raises(ValueError, match="no checkpoint of the same epoch"):
        Atlas([runs[0], longer], images, SIDES, Lab(store, fabric))


def test_as_many_classes_of_each_side_are_drawn_the_same_every_time():
    sides = {f"c{i}": "pre" if i < 7 else "eval" for i in range(10)}
    drawn = draw_classes(sides, 4)
    assert drawn == draw_classes(sides, 4) != sorted(drawn)
    assert [sides[name] for name in drawn] == ["pre"] * 4 + ["eval"] * 3
    assert len(set(drawn)) == 7
    with pytest.raises(ValueError, match="at least 1 class of each side, got 0"):
        draw_classes(sides, 0)
