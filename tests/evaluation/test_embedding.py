import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from workbook.evaluation.embedding import METHODS, Embedding, embed


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    centres = 8 * rng.normal(size=(4, 20))
    labels = np.arange(120) % 4
    return centres[labels] + rng.normal(size=(120, 20)), labels


@pytest.mark.parametrize("kind", METHODS)
def test_classes_that_are_apart_stay_apart(blobs, kind):
    features, labels = blobs
    points = embed(features, Embedding(kind=kind, perplexity=15))
    assert points.shape == (120, 2)
    nearest = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(return_distance=False)
    assert (labels[nearest] == labels[:, None]).mean() > 0.9


@pytest.mark.parametrize("kind", METHODS)
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
