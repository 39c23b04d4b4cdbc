"""Few-shot episodes: how they are drawn, and scikit-learn as oracle for what each gives."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from workbook.probes.few_shot import FewShotRecipe, draw_episodes, few_shot

SHORT = FewShotRecipe(episodes=12)
CENTROID = replace(SHORT, classifier="centroid")


def blobs(classes: int = 8, each: int = 25, dim: int = 40, *, separation: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian classes, not of length 1 and not around the origin, in a mixed order."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(classes * each) % classes)
    return 0.5 + rng.normal(size=(len(y), dim)) + separation * rng.normal(size=(classes, dim))[y], y


X, Y = blobs()
UNIT = X / np.linalg.norm(X, axis=1, keepdims=True)


def by_scikit_learn(x: np.ndarray, y: np.ndarray, c: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=c, tol=1e-9, max_iter=20_000).fit(x, y)


@pytest.mark.parametrize("c", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize(("ways", "shots"), [(5, 5), (2, 5), (5, 1), (8, 3)])
def test_every_episode_is_that_of_scikit_learn(ways: int, shots: int, c: float) -> None:
    recipe = replace(SHORT, ways=ways, shots=shots, c=c)
    episodes = draw_episodes(X, Y, recipe)
    support, query = np.repeat(np.arange(ways), shots), np.repeat(np.arange(ways), recipe.queries)
    expected = []
    for rows in episodes:
        fitted = by_scikit_learn(UNIT[rows[:, :shots].ravel()], support, c)
        expected.append(100 * fitted.score(UNIT[rows[:, shots:].ravel()], query))
    assert few_shot(X, Y, recipe).episodes == pytest.approx(expected)
    assert 100 / ways < np.mean(expected) < 98


def test_centroids_by_hand() -> None:
    """Class 0 lies at 0, 90 and 120 degrees, class 1 at 180; two images of each are the support, one is the query.

    Query 0: the mean of class 0 is at 105, nearer than 180. Query 90: at 60, nearer. Query 120: at 45, which is 75
    away, and class 1 only 60. (With the lengths left in, the mean would be at 84 and the answer another.)
    """
    angles = np.deg2rad([0, 90, 120, 180, 180, 180])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[1], [10], [3], [1], [1], [1]]
    y = np.array([0, 0, 0, 1, 1, 1])
    recipe = FewShotRecipe(ways=2, shots=2, queries=1, episodes=30, classifier="centroid")
    wrong = (draw_episodes(x, y, recipe)[:, :, 2] == 2).any(1)
    assert 0 < wrong.sum() < 30
    assert few_shot(x, y, recipe).episodes == tuple(np.where(wrong, 50.0, 100.0))


def test_centroids_are_the_means_of_unit_vectors() -> None:
    expected = []
    for rows in draw_episodes(X, Y, CENTROID):
        means = UNIT[rows[:, :5]].mean(1)
        cosine = UNIT[rows[:, 5:].ravel()] @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
        expected.append(100 * np.mean(cosine.argmax(1) == np.repeat(np.arange(5), 15)))
    assert few_shot(X, Y, CENTROID).episodes == pytest.approx(expected)


def test_interval_by_hand() -> None:
    result = few_shot(X, Y, replace(SHORT, episodes=2))
    first, second = result.episodes
    assert result.accuracy == pytest.approx((first + second) / 2)
    # the standard error of two numbers is half their distance
    assert result.half_width == pytest.approx(1.96 * abs(first - second) / 2)


@pytest.mark.parametrize("recipe", [SHORT, CENTROID], ids=["logistic", "centroid"])
class TestBothClassifiers:
    def test_random_labels_are_at_chance(self, recipe: FewShotRecipe) -> None:
        x = np.random.default_rng(1).normal(size=(4000, 30))
        result = few_shot(x, np.arange(4000) % 20, replace(recipe, episodes=200))
        assert abs(result.accuracy - 20) < result.half_width
        assert 0 < result.half_width < 1

    def test_separable_data_are_solved(self, recipe: FewShotRecipe) -> None:
        result = few_shot(*blobs(separation=10), recipe)
        assert (result.accuracy, result.half_width) == (100.0, 0.0)

    def test_the_length_of_a_feature_does_not_matter(self, recipe: FewShotRecipe) -> None:
        lengths = np.random.default_rng(2).uniform(1e-3, 1e3, size=(len(X), 1))
        assert few_shot(lengths * X, Y, recipe) == few_shot(X, Y, recipe)

    def test_a_rotation_does_not_matter(self, recipe: FewShotRecipe) -> None:
        rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(X.shape[1], X.shape[1])))[0]
        assert few_shot(X @ rotation, Y, recipe) == few_shot(X, Y, recipe)

    def test_gaps_in_the_labels_do_not_matter(self, recipe: FewShotRecipe) -> None:
        assert few_shot(X, 7 * Y + 100, recipe) == few_shot(X, Y, recipe)

    def test_kinds_of_arrays_do_not_matter(self, recipe: FewShotRecipe, tmp_path) -> None:
        np.save(tmp_path / "x.npy", X.astype(np.float32))
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        expected = few_shot(X.astype(np.float32).astype(np.float64), Y, recipe)
        assert few_shot(mapped, Y, recipe) == expected
        assert few_shot(torch.from_numpy(X).float(), torch.from_numpy(Y), recipe) == expected


def test_blocks_do_not_matter(monkeypatch) -> None:
    expected = few_shot(X, Y, SHORT)
    monkeypatch.setattr("workbook.probes.few_shot._GATHERED", 1)
    monkeypatch.setattr("workbook.probes.span_logistic._TOGETHER", 1)
    assert few_shot(X, Y, SHORT) == expected


def test_episodes_come_from_the_seed_and_the_labels_alone() -> None:
    first = draw_episodes(X, Y, SHORT)
    np.testing.assert_array_equal(first, draw_episodes(X[:, :3] ** 2, Y, replace(SHORT, classifier="centroid", c=9.0)))
    assert (first != draw_episodes(X, Y, replace(SHORT, seed=1))).any()


def test_episodes_are_what_they_should_be() -> None:
    rows = draw_episodes(X, Y, replace(SHORT, episodes=300))
    assert rows.shape == (300, 5, 20)
    assert all(len(np.unique(episode)) == 5 * 20 for episode in rows)  # no image twice: support and query are apart
    assert (Y[rows] == Y[rows][:, :, :1]).all()
    assert all(len(np.unique(Y[episode[:, 0]])) == 5 for episode in rows)
    # every class is drawn in about 5 of 8 episodes, every image is drawn, and is a support image sometimes
    drawn = np.bincount(Y[rows[:, :, 0]].ravel(), minlength=8) / 300
    assert drawn == pytest.approx(np.full(8, 5 / 8), abs=0.1)
    assert len(np.unique(rows)) == len(np.unique(rows[:, :, :5])) == len(Y)


NAN = X.copy()
NAN[17, 2] = np.nan
ZERO = X.copy()
ZERO[23] = 0
FEW = np.where(Y >= 6, 5, Y)  # classes 0 ... 4 have 25 images, class 5 has 75
FEW[np.flatnonzero(Y == 1)[:10]] = 0
REFUSED = {
    "NaN": (NAN, Y, "features must be finite, got nan in row 17"),
    "zero vectors": (0 * X, Y, "every row of the features is the zero vector"),
    "shape of features": (X[:, 0], Y, r"features must have shape \(N, D\)"),
    "shape of labels": (X, Y[1:], r"labels must have shape \(200,\), got \(199,\)"),
    "float labels": (X, Y.astype(float), "labels must be integers"),
    "too few classes": (X, Y % 4, "5 ways need as many classes, got 4"),
    "too few images": (
        X,
        FEW,
        r"1 of 6 classes have fewer than the 20 images .*: class 1 has 15\. Lower `queries`, or",
    ),
}


@pytest.mark.parametrize("classifier", ["logistic", "centroid"])
def test_a_single_zero_vector_stops_nothing(classifier):
    recipe = replace(SHORT, classifier=classifier)
    whole, one_dead = (few_shot(x, Y, recipe) for x in (X, ZERO))
    drawn = (draw_episodes(X, Y, recipe) == 23).any(axis=(1, 2))
    same = np.array(whole.episodes) == np.array(one_dead.episodes)
    assert np.isfinite(one_dead.accuracy) and same[~drawn].all() and drawn.any()


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    x, y, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        few_shot(x, y, SHORT)


@pytest.mark.parametrize(
    ("field", "value"), [("ways", 1), ("shots", 0), ("queries", 0), ("episodes", 1), ("c", 0.0), ("classifier", "svm")]
)
def test_a_recipe_refuses_what_makes_no_sense(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field}( must be|: .svm. is unknown)"):
        replace(SHORT, **{field: value})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree() -> None:
    assert few_shot(X, Y, SHORT, device="cuda").episodes == pytest.approx(few_shot(X, Y, SHORT).episodes)
