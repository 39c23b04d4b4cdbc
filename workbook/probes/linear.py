"""Linear probe: multinomial logistic regression on frozen features (B App. H.1)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import MinLen
from torch import Tensor

from workbook.fields import ASCENDING, Positive, Share, Whole, check_fields
from workbook.keys import added
from workbook.probes.logistic import fit_logistic, regularisation_path
from workbook.probes.parts import Array, other_part, standardisation, top1, training_part
from workbook.progress import progress_bar


@dataclass(frozen=True, kw_only=True)
class ProbeRecipe:
    """Every choice of one linear probe; `c_values` ascend and mean scikit-learn's C."""

    c_values: Annotated[tuple[Positive, ...], MinLen(1), ASCENDING] = tuple(float(c) for c in np.logspace(-6, 5, 45))
    # not in the paper: the size of the validation part where a data set brings none, and its draw
    validation_fraction: Share = 0.2
    seed: Whole = 0
    # not in the paper, which tries all (None): the path over C ends where the accuracy on the validation part has not
    # risen for so many decades of C while the loss of the training part at least halved. Most of the time goes into
    # values above the one that is chosen
    patience: Positive | None = added(None)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """`accuracy`: percent on the test part; `c`: the chosen value; `largest_c`: the last that was tried."""

    accuracy: float
    c: float
    largest_c: float


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`c`: the chosen value; `weights` (D+1, K): those of it, on standardised channels; `accuracy`: percent of each c
    that was tried.
    """

    c: float
    weights: Tensor
    accuracy: tuple[float, ...]


def linear_probe(
    train_x: Array,
    train_y: Array,
    test_x: Array,
    test_y: Array,
    recipe: ProbeRecipe | None = None,
    *,
    device: torch.device | str | None = None,
    validation: tuple[Array, Array] | None = None,
) -> ProbeResult:
    """Accuracy of a linear classifier on frozen features (B App. H.1).

    train_x, test_x: (N, D) float of any precision, memory maps included; train_y, test_y: (N,) int from
    0. The labels that occur in training are the classes, gaps between them do not matter, and others are
    refused in the other parts. `validation` is a pair (x, y); without it, a stratified part of the
    training data is set aside. C is chosen there (ties: the smaller), then the classifier is fitted again
    on both parts and tested once. Each fit standardises the channels by its own training data; a constant
    channel becomes 0. Holds the features in float64, several times over. Runs on `device` (CPU or CUDA),
    by default that of `train_x`.
    """
    recipe = recipe or ProbeRecipe()
    device = torch.device(device or (train_x.device if isinstance(train_x, Tensor) else "cpu"))
    x, y, labels = training_part(train_x, train_y, device)
    test = other_part(test_x, test_y, "test", x, labels)
    chooser = None if validation is None else other_part(*validation, "validation", x, labels)
    choice = choose_c(x, y, recipe, validation=chooser)
    if chooser is not None:
        x, y = torch.cat([x, chooser[0]]), torch.cat([y, chooser[1]])
    centre, scale = standardisation(x)
    weights = fit_logistic((x - centre) / scale, y, choice.c, num_classes=len(labels), start=choice.weights)
    accuracy = top1((test[0] - centre) / scale, test[1], weights)
    return ProbeResult(accuracy=accuracy, c=choice.c, largest_c=recipe.c_values[len(choice.accuracy) - 1])


def choose_c(x: Tensor, y: Tensor, recipe: ProbeRecipe, *, validation: tuple[Tensor, Tensor] | None = None) -> Choice:
    """The C of `recipe.c_values` whose classifier is right most often on the validation part (ties: the smaller).

    x: (N, D) float64; y: (N,) int64 in 0 ... K-1, each of which occurs. validation: such a pair; None = a stratified
    part of the training data, which the classifiers are then not fitted to.
    """
    if validation is None:
        held_out = _stratified_part(y, recipe.validation_fraction, recipe.seed)
        x, y, validation = x[~held_out], y[~held_out], (x[held_out], y[held_out])
    centre, scale = standardisation(x)
    x, tried, answers = (x - centre) / scale, (validation[0] - centre) / scale, validation[1]
    path = regularisation_path(x, y, recipe.c_values, num_classes=int(y.max()) + 1)
    best, weights, scores = best_on(
        path, recipe, lambda weights: top1(tried, answers, weights), lambda weights: _loss(x, y, weights)
    )
    return Choice(c=best, weights=weights, accuracy=scores)


def best_on(
    path: Iterator[Tensor], recipe: ProbeRecipe, score: Callable[[Tensor], float], loss: Callable[[Tensor], float]
) -> tuple[float, Tensor, tuple[float, ...]]:
    """The C whose weights (D+1, K) score best on the validation part (ties: the smaller), these weights, and the score
    of each C that was tried. loss: of the training part, see `ProbeRecipe.patience`.
    """
    scores: list[float] = []
    with progress_bar("probe", len(recipe.c_values), unit="fits") as bar:
        for c, weights in zip(recipe.c_values, path, strict=True):
            bar.set_description_str(f"probe of {len(weights) - 1:,} channels", refresh=False)
            scores.append(score(weights))
            own = 0.0 if recipe.patience is None else loss(weights)
            if scores[-1] > max(scores[:-1], default=-1.0):
                best = c, weights, own
            bar.update()
            # at a small C the weights only grow in proportion to it: no label changes, and that is no peak
            if _is_over(c / best[0], recipe.patience) and own <= best[2] / 2:
                break
    return best[0], best[1], tuple(scores)


def _is_over(ratio: float, patience: float | None) -> bool:
    """Whether C has grown by that many decades since its best value; rounding aside, as C is a power of ten mostly."""
    return patience is not None and math.log10(ratio) >= patience - 1e-9


def _loss(x: Tensor, y: Tensor, weights: Tensor) -> float:
    """Mean cross-entropy."""
    return float(F.cross_entropy(x @ weights[:-1] + weights[-1], y))


def _stratified_part(y: Tensor, fraction: float, seed: int) -> Tensor:
    """(N,) bool: `fraction` of each class, at least one image, but never a class's last one."""
    labels, generator = y.cpu().numpy(), np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in range(int(labels.max()) + 1):
        rows = generator.permutation(np.flatnonzero(labels == label))
        held_out[rows[: min(len(rows) - 1, max(1, round(fraction * len(rows))))]] = True
    if not held_out.any():
        raise ValueError("every class has one training image, which leaves none to choose C on: pass `validation`")
    return torch.from_numpy(held_out).to(y.device)
