import numpy as np
import pytest
import torch

from tests.metrics import brute_force
from tests.metrics.brute_force import KINDS, as_kind
from workbook.metrics import blocks, linear_cka, minibatch_cka, minibatch_cka_matrix, self_cka, similarity

# (N, D1, D2): the Gram matrices of the channels are the smaller ones, those of the samples, and about as large
SHAPES = [(40, 3, 5), (9, 30, 50), (20, 30, 10), (20, 30, 9), (200, 190, 4)]


def related(n: int, dim_x: int, dim_y: int, seed: int = 0, offset: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy views of the same few latent variables."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, 3))
    x, y = (latent @ rng.normal(size=(3, dim)) + rng.normal(size=(n, dim)) + offset for dim in (dim_x, dim_y))
    return x, y


def pairs(seeds: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    return [related(8 + seed, 6, 4, seed) for seed in range(seeds)]


def test_the_cka_score_by_hand():
    """Table 6's "CKA": what is beside the diagonal, averaged."""
    cka = np.array([[1.0, 0.9, 0.2], [0.9, 1.0, 0.4], [0.2, 0.4, 1.0]])
    assert self_cka(cka) == pytest.approx((0.9 + 0.2 + 0.4) / 3)
    assert self_cka(np.where(np.eye(3), np.nan, cka)) == self_cka(cka), "the diagonal is not read"
    with pytest.raises(ValueError, match=r"shape \(L, L\) with at least two layers, got \(1, 1\)"):
        self_cka(np.ones((1, 1)))


def test_linear_cka_by_hand():
    # centred: x = (-1, 0, 1), y = (-1, 1, 0): of single channels it is the squared correlation, (1 / 2)^2
    x, y = torch.tensor([[4.0], [5.0], [6.0]]), torch.tensor([[0.0], [2.0], [1.0]])
    assert linear_cka(x, y) == pytest.approx((1 / 2) ** 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block_size", [1, 40, 2**19])
def test_linear_cka_as_meant(shape, block_size, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", block_size)
    monkeypatch.setattr(similarity, "BLOCK_SIZE", block_size)
    x, y = related(*shape)
    assert linear_cka(x, y) == pytest.approx(brute_force.linear_cka(x, y), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES[:2])
def test_linear_cka_of_every_kind(kind, shape):
    (x, exact_x), (y, exact_y) = (as_kind(side, kind) for side in related(*shape))
    assert linear_cka(x, y) == pytest.approx(brute_force.linear_cka(exact_x, exact_y), rel=1e-6)
    expected = brute_force.minibatch_cka([(exact_x, exact_y)])
    assert minibatch_cka([(x, y)]) == pytest.approx(expected, rel=1e-6)


def test_minibatch_cka_as_estimated_pair_by_pair():
    assert minibatch_cka(pairs()) == pytest.approx(brute_force.minibatch_cka(pairs()), rel=1e-6)


def test_all_pairs_of_layers_are_those_one_by_one():
    rng = np.random.default_rng(0)
    batches = [
        ([rng.normal(size=(n, 3, 2, 2)), rng.normal(size=(n, 5))], [rng.normal(size=(n, d)) for d in (1, 4, 400)])
        for n in (6, 9, 4)
    ]
    matrix = minibatch_cka_matrix(batches)
    assert matrix.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            alone = [(xs[i].reshape(len(xs[i]), -1), ys[j]) for xs, ys in batches]
            assert matrix[i, j] == pytest.approx(brute_force.minibatch_cka(alone), rel=1e-6)
            assert matrix[i, j] == pytest.approx(minibatch_cka(alone), rel=1e-9)


def test_within_one_model():
    layers = [torch.from_numpy(side) for side in related(12, 5, 7)]
    matrix = minibatch_cka_matrix([(layers, layers)])
    np.testing.assert_allclose(matrix, minibatch_cka_matrix([(layers, list(layers))]), rtol=1e-12)
    np.testing.assert_allclose(np.diag(matrix), 1)
    np.testing.assert_allclose(matrix, matrix.T)


def minibatched(x: np.ndarray, y: np.ndarray) -> float:
    return minibatch_cka([(x[:7], y[:7]), (x[7:], y[7:])])


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("scale", True),
        ("rotation", True),
        ("offset", True),
        ("permuted rows", True),
        ("scale of each channel", False),
        ("scale of each sample", False),
    ],
)
@pytest.mark.parametrize("metric", [linear_cka, minibatched])
@pytest.mark.parametrize("dim", [4, 40])
def test_invariances(metric, change, same, dim):
    x, y = related(15, dim, 6)
    rng = np.random.default_rng(1)
    order = np.concatenate([rng.permutation(7), 7 + rng.permutation(8)])
    after = {
        "scale": (300 * x, y),
        "rotation": (x @ np.linalg.qr(rng.normal(size=(dim, dim)))[0], y),
        "offset": (x + 1e4 * rng.normal(size=dim), y),
        "permuted rows": (x[order], y[order]),
        "scale of each channel": (x * np.linspace(0.1, 9, dim), y),
        "scale of each sample": (x * rng.uniform(0.1, 9, (15, 1)), y),
    }[change]
    assert (metric(*after) == pytest.approx(metric(x, y), rel=1e-7)) == same
    assert metric(y, x) == pytest.approx(metric(x, y), rel=1e-9)


def test_of_itself_it_is_one():
    for shape in SHAPES:
        x, _ = related(*shape)
        assert 1 - 1e-12 < linear_cka(x, -3 * x + 1) <= 1
        assert minibatch_cka([(x, -3 * x + 1)]) == pytest.approx(1)


def test_unrelated_features_seem_alike_only_to_the_biased_one():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 60, 500))
    assert linear_cka(x, y) > 0.8
    assert abs(minibatch_cka([(x, y)])) < 0.1


def test_without_variation_there_is_no_cka():
    x, _ = related(9, 4, 4)
    constant = np.full((9, 4), 0.1)
    for wide in (1, 30):
        with pytest.raises(ValueError, match="every sample of y is the same"):
            linear_cka(x, np.tile(constant, wide))
    with pytest.raises(ValueError, match="layer 1 of layers_y is the same for every sample"):
        minibatch_cka_matrix([([x], [x, constant])])


def test_rows_must_match():
    with pytest.raises(ValueError, match="the same two or more samples, got 5 and 6 rows"):
        linear_cka(torch.rand(5, 2), torch.rand(6, 2))
    with pytest.raises(ValueError, match="got 1 and 1 rows"):
        linear_cka(torch.rand(1, 2), torch.rand(1, 2))
    with pytest.raises(ValueError, match=r"^y must have shape"):
        linear_cka(torch.rand(5, 2), torch.rand(5))


REFUSED = {
    "no minibatch": ([], "there is no minibatch"),
    "no layer": ([([], [torch.rand(5, 2)])], "layers_x must hold at least one layer"),
    "three samples": ([([torch.rand(3, 2)], [torch.rand(3, 2)])], r"layer 0 of layers_x .* n >= 4, got \(3, 2\)"),
    "one axis": ([([torch.rand(5, 2)], [torch.rand(5)])], r"layer 0 of layers_y .* got \(5,\)"),
    "other samples": ([([torch.rand(5, 2)], [torch.rand(6, 2)])], "of the same samples, got 5 and 6"),
    "uneven layers": ([([torch.rand(5, 2), torch.rand(6, 2)], [torch.rand(5, 2)])], "5 samples like layer 0, got 6"),
    "integers": (
        [([torch.ones(5, 2, dtype=torch.int32)], [torch.rand(5, 2)])],
        "floating-point numbers, got torch.int32",
    ),
    "a layer less": (
        [([torch.rand(5, 2)] * 2, [torch.rand(5, 2)]), ([torch.rand(5, 2)], [torch.rand(5, 2)])],
        r"every minibatch must have the layers \(2, 1\), got \(1, 1\)",
    ),
}


@pytest.mark.parametrize(("batches", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_minibatches(batches, message):
    with pytest.raises(ValueError, match=message):
        minibatch_cka_matrix(batches)
