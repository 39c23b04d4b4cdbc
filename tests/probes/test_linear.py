"""The protocol of the linear probe; its solver is tested in test_logistic.py."""

import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.probes.cases import blobs, sklearn_weights
from workbook.probes.linear import ProbeRecipe, ProbeResult, choose_c, linear_probe

SHORT = ProbeRecipe(c_values=(1e-4, 1e-2, 1.0, 100.0))


class Outcome(NamedTuple):
    result: ProbeResult
    scores: tuple[float, ...]  # of every C on the validation part


def probe(x: Tensor, y: Tensor, recipe: ProbeRecipe = SHORT) -> Outcome:
    """Of a probe fitted to the first half and tested on the second."""
    n = len(x) // 2
    result = linear_probe(x[:n], y[:n], x[n:], y[n:], recipe)
    choice = choose_c(x[:n].double(), torch.unique(y[:n], return_inverse=True)[1], recipe)
    assert result.c == choice.c
    return Outcome(result, choice.accuracy)


def test_default_path_is_that_of_the_paper() -> None:
    c = ProbeRecipe().c_values
    assert len(c) == 45
    assert (c[0], c[-1]) == pytest.approx((1e-6, 1e5))
    np.testing.assert_allclose(np.diff(np.log10(c)), 0.25)


def test_separable_data_are_solved() -> None:
    assert probe(*blobs(200, 15, 4, separation=8.0)).result.accuracy == 100.0


def test_ties_take_the_smaller_c() -> None:
    result, scores = probe(*blobs(200, 15, 4, separation=8.0))
    assert result.c == SHORT.c_values[scores.index(max(scores))]
    assert scores.count(max(scores)) > 1


def test_the_choice_brings_the_weights_that_were_best() -> None:
    x, y = blobs(300, 10, 4)
    choice = choose_c(x[:200], y[:200], SHORT, validation=(x[200:], y[200:]))
    scaled = (x[200:] - x[:200].mean(0)) / x[:200].std(0, correction=0)
    right = (scaled @ choice.weights[:-1] + choice.weights[-1]).argmax(1) == y[200:]
    assert 100 * float(right.double().mean()) == max(choice.accuracy) == choice.accuracy[SHORT.c_values.index(choice.c)]


def test_test_labels_do_not_change_the_choice() -> None:
    x, y = blobs(300, 10, 4)
    first, scores = probe(x, y)
    other, same_scores = probe(x, torch.cat([y[:150], y[150:].roll(7)]))
    assert (first.c, scores) == (other.c, same_scores)
    assert first.accuracy != other.accuracy


def test_the_probe_is_the_protocol_done_by_hand() -> None:
    x, y = blobs(300, 10, 4)
    train, chooser, test = slice(0, 120), slice(120, 200), slice(200, 300)

    def standardised(part: slice, by: slice) -> Tensor:
        return (x[part] - x[by].mean(0)) / x[by].std(0, correction=0)

    def percent(part: slice, by: slice, c: float) -> float:
        weights = sklearn_weights(standardised(by, by), y[by], c)
        predicted = (standardised(part, by) @ weights[:-1] + weights[-1]).argmax(1)
        return 100 * float((predicted == y[part]).double().mean())

    scores = [percent(chooser, train, c) for c in SHORT.c_values]
    c = SHORT.c_values[int(np.argmax(scores))]
    result = linear_probe(x[train], y[train], x[test], y[test], SHORT, validation=(x[chooser], y[chooser]))
    assert result.c == c
    # one image of 80, of 100: the closest margin here is 4e-4, within the solver's tolerance
    choice = choose_c(x[train], y[train], SHORT, validation=(x[chooser], y[chooser]))
    assert choice.accuracy == pytest.approx(scores, abs=1.26)
    assert result.accuracy == pytest.approx(percent(test, slice(0, 200), c), abs=1.01)


def test_channel_scale_and_offset_do_not_matter() -> None:
    x, y = blobs(300, 10, 4)
    assert probe(x * torch.logspace(-3, 3, 10, dtype=torch.float64) + 5, y) == probe(x, y)


def test_names_of_the_labels_do_not_matter() -> None:
    x, y = blobs(300, 10, 4)
    n, order = 200, torch.tensor([2, 0, 3, 1])
    parts = (x[:100], x[200:], (x[100:n], y[100:n]))
    first = linear_probe(parts[0], y[:100], parts[1], y[200:], SHORT, validation=parts[2])
    renamed = (x[100:n], order[y[100:n]])
    other = linear_probe(parts[0], order[y[:100]], parts[1], order[y[200:]], SHORT, validation=renamed)
    assert first == other


# --- the path over C ends early

PATIENT = ProbeRecipe(c_values=tuple(10.0**power for power in range(-8, 5)), patience=2.0)


def overlapping(n: int, dim: int, classes: int, *, separation: float) -> tuple[Tensor, Tensor]:
    """Classes of unequal size: at a small C the most frequent one is the answer to everything."""
    x, y = blobs(n, dim, classes, separation=separation)
    kept = (y > 0) | (torch.arange(n) % 2 == 0)
    return x[kept], y[kept]


@pytest.mark.parametrize(
    ("n", "dim", "classes", "separation"),
    [(300, 10, 4, 0.5), (240, 200, 6, 0.3), (600, 40, 3, 0.1), (90, 5, 3, 1.0), (400, 80, 20, 0.6), (200, 15, 4, 8.0)],
)
def test_a_path_that_ends_early_chooses_as_one_that_tries_all(n, dim, classes, separation) -> None:
    x, y = overlapping(n, dim, classes, separation=separation)
    patient, all_tried = (probe(x, y, recipe) for recipe in (PATIENT, replace(PATIENT, patience=None)))
    assert patient.result.c == all_tried.result.c and patient.result.accuracy == all_tried.result.accuracy
    tried = len(patient.scores)
    assert patient.scores == all_tried.scores[:tried]
    assert patient.result.largest_c == PATIENT.c_values[tried - 1] and all_tried.result.largest_c == 1e4


def test_the_path_ends_two_decades_above_the_best() -> None:
    result, scores = probe(*blobs(240, 200, 6, separation=0.3), PATIENT)
    assert result.largest_c == pytest.approx(100 * result.c)
    assert len(scores) < len(PATIENT.c_values) - 1
    # a grid of steps wider than that: one more value is tried
    coarse = replace(PATIENT, c_values=(1e-7, 1e-4, 1e-1, 1e2))
    result, scores = probe(*blobs(240, 200, 6, separation=0.3), coarse)
    assert len(scores) == 2 + coarse.c_values.index(result.c)


def test_a_plateau_at_small_c_is_no_peak() -> None:
    """There the weights are in proportion to C, and what is classified does not change over many decades."""
    recipe = replace(PATIENT, c_values=tuple(10.0**power for power in range(-12, 3)))
    result, scores = probe(*overlapping(90, 5, 3, separation=1.0), recipe)
    assert len(set(scores[:4])) == 1, "three decades without a rise"
    assert result.c > 1e-9 and max(scores) > scores[0]


def test_the_patience_of_a_recipe_is_more_than_nothing() -> None:
    with pytest.raises(ValueError, match="patience must be greater than 0, got 0"):
        ProbeRecipe(patience=0.0)


def test_the_split_is_seeded() -> None:
    x, y = blobs(300, 10, 4)
    assert probe(x, y) == probe(x, y)
    seeds = [probe(x, y, replace(SHORT, seed=seed)).scores for seed in range(4)]
    assert len(set(seeds)) > 1


def test_a_constant_channel_changes_nothing() -> None:
    x, y = blobs(300, 10, 4)
    constant = torch.full((300, 1), 0.1, dtype=torch.float64)
    assert probe(torch.cat([x, constant], dim=1), y) == probe(x, y)


def test_only_constant_channels_give_the_most_frequent_class() -> None:
    y = torch.tensor([0, 1, 1, 1, 1, 0] * 10)
    result = probe(torch.ones(60, 3), y).result
    assert result.accuracy == pytest.approx(100 * 4 / 6)


def test_the_same_numbers_in_float32_and_float64_are_the_same() -> None:
    x, y = blobs(400, 10, 4)
    assert probe(x.float(), y) == probe(x.float().double(), y)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_precision_of_the_features_hardly_matters(dtype: torch.dtype) -> None:
    x, y = blobs(400, 10, 4)
    # one of the 200 test images is 0.5 percent: at most two may change sides
    assert probe(x.to(dtype), y).result.accuracy == pytest.approx(probe(x, y).result.accuracy, abs=1.0)


def test_memory_maps_and_arrays_equal_tensors(tmp_path) -> None:
    x, y = blobs(300, 10, 4)
    np.save(tmp_path / "x.npy", x.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    labels = y.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = linear_probe(mapped[:150], labels[:150], mapped[150:], labels[150:], SHORT)
    assert result == probe(x, y).result


def test_a_class_missing_in_validation_is_fine() -> None:
    x, y = blobs(300, 10, 4)
    some = y[100:150] != 2
    result = linear_probe(x[:100], y[:100], x[150:], y[150:], SHORT, validation=(x[100:150][some], y[100:150][some]))
    assert result.accuracy > 50


def test_a_class_with_one_image_stays_in_training() -> None:
    x, y = blobs(150, 10, 3, separation=8.0)
    x[-1], y[-1] = -40.0, 3
    recipe = replace(SHORT, c_values=(100.0,))
    for seed in range(3):  # set aside, it would be an error of the validation part, for nothing could learn it
        assert choose_c(x, y, replace(recipe, seed=seed)).accuracy == (100.0,)


def test_one_image_a_class_is_enough_where_validation_is_given() -> None:
    y = torch.arange(40) % 4
    x = torch.eye(4, dtype=torch.float64)[y] + 0.01 * torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    result = linear_probe(x[:4], y[:4], x[20:], y[20:], SHORT, validation=(x[4:20], y[4:20]))
    assert result.accuracy == 100.0


def test_more_channels_than_images() -> None:
    x, y = blobs(300, 400, 3, separation=0.15)
    centre, scale = x[:60].mean(0), x[:60].std(0, correction=0)
    weights = sklearn_weights((x[:60] - centre) / scale, y[:60], 1.0)
    predicted = ((x[60:] - centre) / scale @ weights[:-1] + weights[-1]).argmax(1)
    expected = 100 * float((predicted == y[60:]).double().mean())
    recipe = replace(SHORT, c_values=(1.0,))
    result = linear_probe(x[:30], y[:30], x[60:], y[60:], recipe, validation=(x[30:60], y[30:60]))
    assert 50 < expected < 95
    assert result.accuracy == pytest.approx(expected, abs=0.42)  # one image of 240


def test_gaps_in_the_labels_do_not_matter() -> None:
    x, y = blobs(300, 10, 4)
    assert probe(x, 3 * y + 5) == probe(x, y)
    first = linear_probe(x[:100], y[:100], x[200:], y[200:], SHORT, validation=(x[100:200], y[100:200]))
    y = 3 * y + 5
    assert linear_probe(x[:100], y[:100], x[200:], y[200:], SHORT, validation=(x[100:200], y[100:200])) == first


X, Y = blobs(40, 5, 3)
REFUSED = {
    "NaN": (X.index_fill(1, torch.tensor([2]), float("nan")), Y, "train features must be finite, got 40"),
    "shape of features": (X[:, 0], Y, r"train features must have shape \(N, D\), got \(40,\)"),
    "shape of labels": (X, Y[:-1], r"train labels must have shape \(40,\), got \(39,\)"),
    "float labels": (X, Y.double(), "train labels must be integers, got torch.float64"),
    "one class": (X, Y * 0, "at least two classes, got"),
    "negative": (X, Y - 1, "training labels must not be negative, got -1"),
    "one image a class": (X[:3], Y[:3], "pass `validation`"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    x, y, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        linear_probe(x, y, X, Y, SHORT)


def test_refusals_of_the_other_parts() -> None:
    with pytest.raises(ValueError, match=r"test labels must be among the 3 of training, 0 ... 2, got \[3\]"):
        linear_probe(X, Y, X, Y + 1, SHORT)
    with pytest.raises(ValueError, match=r"validation labels .* 0 ... 4, got \[1\]: number all parts alike"):
        linear_probe(X, 2 * Y, X, 2 * Y, SHORT, validation=(X, Y))
    with pytest.raises(ValueError, match=r"test features must have shape \(N, 5\), got \(40, 4\)"):
        linear_probe(X, Y, X[:, :4], Y, SHORT)
    with pytest.raises(ValueError, match="validation features must be finite"):
        linear_probe(X, Y, X, Y, SHORT, validation=(X / 0, Y))
    with pytest.raises(ValueError, match="validation_fraction must be less than 1, got 1.5"):
        linear_probe(X, Y, X, Y, replace(SHORT, validation_fraction=1.5))
    with pytest.raises(ValueError, match="c_values: must ascend"):
        linear_probe(X, Y, X, Y, replace(SHORT, c_values=(1.0, 0.1)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree() -> None:
    x, y = blobs(300, 10, 4)
    on_gpu = linear_probe(x[:150], y[:150], x[150:], y[150:], SHORT, device="cuda")
    assert on_gpu.accuracy == pytest.approx(probe(x, y).result.accuracy, abs=1.0)
