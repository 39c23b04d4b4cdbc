from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from tests.conftest import make_images
from tests.pretraining.small import DIGITS
from tests.threads import one_thread
from workbook.evaluation.embedding import KINDS, Embedding, embed, embed_epochs, turned_onto
from workbook.evaluation.extraction import POOLED, over_epochs
from workbook.pretraining.runs import train


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    centres = 8 * rng.normal(size=(4, 20))
    labels = np.arange(120) % 4
    return centres[labels] + rng.normal(size=(120, 20)), labels


@pytest.mark.parametrize("kind", KINDS)
def test_classes_that_are_apart_stay_apart(blobs, kind):
    features, labels = blobs
    points = embed(features, Embedding(kind=kind, perplexity=15))
    assert points.shape == (120, 2)
    nearest = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(return_distance=False)
    assert (labels[nearest] == labels[:, None]).mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_every_time(blobs, kind):
    features, _ = blobs
    embedding = Embedding(kind=kind, perplexity=15)
    assert np.array_equal(embed(features, embedding), embed(features, embedding))


def test_a_start_keeps_the_points_near_their_places(blobs):
    features, labels = blobs
    embedding = Embedding(perplexity=15)
    first = embed(features, embedding)
    moved = embed(features + 0.01, embedding, start=first[:, ::-1].copy())
    centres = [np.array([m[labels == c].mean(axis=0) for c in range(4)]) for m in (first[:, ::-1], moved)]
    nearest = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2).argmin(axis=1)
    assert list(nearest) == [0, 1, 2, 3]


def test_refusals(blobs):
    features, _ = blobs
    with pytest.raises(ValueError, match="kind must be one of t-SNE, UMAP, PCA, got 'tsne'"):
        Embedding(kind="tsne")
    with pytest.raises(ValueError, match="perplexity must be at least 2"):
        Embedding(perplexity=1)
    with pytest.raises(ValueError, match="takes more than 50 points"):
        embed(features[:50], Embedding())


def test_checkpoints_share_a_start_and_are_laid_out_once(lab, monkeypatch):
    run = train(replace(DIGITS, epochs=1), lab)
    images, embedding = make_images(40, size=8), Embedding(kind="UMAP", perplexity=5)
    epochs = [(epoch, features) for _, epoch, features in over_epochs([run], images, POOLED, lab)]
    table = embed_epochs(epochs, embedding, lab.store)
    assert list(table.columns) == ["epoch", "image", "label", "x", "y"]
    assert table[["epoch", "image"]].values.tolist() == [[epoch, image] for epoch in (0, 1) for image in range(40)]
    assert table["label"].tolist() == 2 * images.labels.tolist()
    last = embed(epochs[1][1].layer("pooled"), embedding)
    np.testing.assert_array_equal(table.loc[table["epoch"] == 1, ["x", "y"]], last)
    first = embed(epochs[0][1].layer("pooled"), embedding, last)
    np.testing.assert_array_equal(table.loc[table["epoch"] == 0, ["x", "y"]], first)
    monkeypatch.setattr("workbook.evaluation.embedding.embed", None)
    monkeypatch.setattr("workbook.evaluation.extraction.Features.layer", lambda *_: pytest.fail("features are read"))
    assert embed_epochs(epochs, embedding, lab.reading().store).equals(table)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", [np.zeros((120, 5)), np.full((120, 5), 0.1), 1 + 1e-9 * np.eye(120, 5)])
def test_features_that_are_all_the_same_have_no_map(features, kind):
    with pytest.raises(ValueError, match="the features of all 120 images are the same, and have no map"):
        embed(features, Embedding(kind=kind, perplexity=15))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_map_has_values_that_are_not_finite(blobs):
    features, _ = blobs
    with pytest.raises(ValueError, match="must be finite, got 1 values"):
        embed(np.where(np.arange(features.size).reshape(features.shape) == 7, np.nan, features), Embedding())
    with pytest.raises(ValueError, match=r"features of up to 2e\+21 have no finite map: scale them"):
        embed(1e20 * features, Embedding(perplexity=15))


class _Epoch:
    """Features of one epoch as `embed_epochs` takes them."""

    def __init__(self, key: str, pooled: np.ndarray) -> None:
        self.key, self.labels, self.pooled = key, np.arange(len(pooled)) % 4, pooled

    def layer(self, name: str) -> np.ndarray:
        return {"pooled": self.pooled}[name]


def test_a_collapsed_epoch_has_no_map_and_spoils_no_other(blobs, store):
    features, _ = blobs
    good = [(0, _Epoch("a", features)), (2, _Epoch("c", 1.1 * features))]
    collapsed = (1, _Epoch("b", np.ones_like(features)))
    embedding = Embedding(perplexity=15)
    expected = embed_epochs(good, embedding, store)
    stored = len(list((store.root / "maps").iterdir()))
    found = embed_epochs([good[0], collapsed, good[1]], embedding, store)
    assert found["epoch"].unique().tolist() == [0, 1, 2] and len(list((store.root / "maps").iterdir())) == stored
    assert found.loc[found["epoch"] == 1, ["x", "y"]].isna().all(axis=None)
    others = found[found["epoch"] != 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, expected)
    alone = embed_epochs([collapsed], embedding, store)
    assert alone["x"].isna().all() and len(alone) == 120


def test_a_map_is_turned_and_mirrored_but_not_bent():
    points = np.random.default_rng(0).normal(size=(30, 2))
    turn = np.array([[0.0, -1.0], [-1.0, 0.0]])  # a quarter turn and a mirror
    np.testing.assert_allclose(turned_onto(points @ turn + 5, points), points - points.mean(0), atol=1e-12)
    other = turned_onto(3 * points, points)
    np.testing.assert_allclose(np.linalg.norm(other, axis=1), np.linalg.norm(3 * (points - points.mean(0)), axis=1))


def test_a_map_leaves_the_number_of_threads_as_it_was():
    with one_thread():
        for kind in KINDS:
            embed(np.random.default_rng(0).normal(size=(120, 5)), Embedding(kind=kind, perplexity=5.0))
            assert torch.get_num_threads() == 1
