"""Domain classifier: how well a linear classifier tells two sets of frozen features apart."""

import numpy as np
import torch

from workbook.probes.linear import ProbeRecipe, linear_probe
from workbook.probes.parts import Array


def domain_accuracy(
    features: Array,
    others: Array,
    recipe: ProbeRecipe | None = None,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> float:
    """Held-out accuracy (percent) of a linear classifier of two sets of features, such as pre-D against eval-D.

    features: (N, D) float, others: (M, D) float, each at least four rows. As many rows of both are drawn by `seed`, one
    half of them to fit and the other to test. In [0, 100]; 50 = not told apart, 100 = a hyperplane parts them. With
    accuracy a in shares the proxy A-distance is 2 (2 a - 1) (Ben-David et al. 2006; Blitzer et al. 2007).

    Not in the paper, which cites that distance and does not measure it: images are held out, and their classes are not.
    """
    half, generator = min(len(features), len(others)) // 2, np.random.default_rng(seed)
    if half < 2:
        raise ValueError(f"both sets must have at least four rows, got {len(features)} and {len(others)}")
    rows = [generator.permutation(len(part)) for part in (features, others)]
    drawn = [
        [part[np.sort(order[where])] for part, order in zip((features, others), rows, strict=True)]
        for where in (slice(half), slice(half, 2 * half))
    ]
    fitted, tested = (torch.cat([torch.as_tensor(part) for part in both]) for both in drawn)
    labels = torch.arange(2).repeat_interleave(half)
    return linear_probe(fitted, labels, tested, labels, recipe, device=device).accuracy
