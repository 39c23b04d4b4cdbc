"""How well labels follow from the classes of the source, or of clusters in their place: NCE, LEEP, NLEEP."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from workbook.metrics.blocks import Array, Classes, check_classes, drawn, read, row_blocks
from workbook.metrics.moments import feature_moments, projected

_NOT_ONE = 1e-2  # how far from 1 probabilities in half precision may add up to


def nce(probabilities: Array, labels: Any) -> float:
    """NCE, minus the conditional entropy of the labels given the source class of each sample (Tran et al. 2019).

    The source class is the one that the model's own head gives the largest probability.

    probabilities: (N, Z) float, the head's softmax over its Z classes. labels: (N,) int, at least two classes. In nats,
    in [-log C, 0]; higher = the labels follow better; 0 = they follow exactly. ValueError for rows that are not
    probabilities.
    """
    classes = check_classes(probabilities, labels)
    joint = classes.sizes(probabilities).new_zeros(len(classes), probabilities.shape[1])
    for rows, block in _probabilities(probabilities):
        own = classes.of(rows, block.device)
        joint.index_put_((own, block.argmax(1)), torch.ones_like(block[:, 0]), accumulate=True)
    joint /= len(probabilities)
    return min(0.0, float(torch.special.entr(joint.sum(0)).sum() - torch.special.entr(joint).sum()))


def leep(probabilities: Array, labels: Any) -> float:
    """LEEP, the mean log probability of the labels by the source's probabilities (Nguyen et al. 2020).

    The mean over samples of log sum_z P(y | z) theta(z), P(y | z) the share of label y in the probability that the
    samples give the source class z.

    probabilities: theta, (N, Z) float, the softmax of the model's own head over its Z classes. labels: (N,) int, at
    least two classes. In nats, in (-inf, 0], above NCE + the mean log of the largest probability; higher = the labels
    follow better. ValueError for rows that are not probabilities. Two passes.
    """
    classes = check_classes(probabilities, labels)
    joint = _joint(probabilities, classes)
    given = joint / joint.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    total = 0.0
    for rows, block in _probabilities(probabilities):
        total += float((block * given[classes.of(rows, block.device)]).sum(1).log().sum())
    return total / len(probabilities)


def nleep(features: Array, labels: Any, *, components: int | None = None, rows: int = 5000, seed: int = 0) -> float:
    """NLEEP: LEEP with the components of a Gaussian mixture for source classes, which needs no head (Li et al. 2021).

    The principal components that hold 80 % of the variance, a mixture of Gaussians with full covariances fitted to
    them, and `leep` of its probabilities. The mixture is scikit-learn's, from `seed` (the authors' is not seeded:
    expect the third digit to differ), and of more than `rows` samples so many are drawn from it.

    features: (N, D) float. labels: (N,) int, at least two classes. components: None = five a class, as the paper's; at
    least ten samples each, else ValueError. In nats, in (-inf, 0]; higher = the labels follow better. Unchanged, but
    for rounding, by rotation, offset and scale.
    """
    from sklearn.mixture import GaussianMixture  # seconds to load

    classes = check_classes(features, labels)
    numbers = drawn(features, rows, seed)
    components = 5 * len(classes) if components is None else components
    if components < 1 or len(numbers) < 10 * components:
        raise ValueError(f"{components} components need {10 * components} samples, got {len(numbers)}")
    chosen = read(features, numbers)
    moments = feature_moments(chosen)
    values, axes = moments.spread
    dims = int((values.cumsum(0) / values.sum() <= 0.8).sum()) + 1
    reduced = projected(chosen, moments.mean, axes[:, :dims]).cpu().numpy()
    # not in the paper: the scale is taken out, which the floor under scikit-learn's variances, 1e-6, is set against
    reduced /= float(values[0] / len(chosen)) ** 0.5
    mixture = GaussianMixture(components, random_state=seed).fit(reduced)
    return leep(mixture.predict_proba(reduced), classes.index[numbers])


def _joint(probabilities: Array, classes: Classes) -> Tensor:
    """(C, Z): the mean over samples of the probability of each source class, by the sample's own class."""
    joint = classes.sizes(probabilities).new_zeros(len(classes), probabilities.shape[1])
    for rows, block in _probabilities(probabilities):
        joint.index_add_(0, classes.of(rows, block.device), block)
    return joint / len(probabilities)


def _probabilities(probabilities: Array) -> Iterator[tuple[slice, Tensor]]:
    for rows, block in row_blocks(probabilities, name="probabilities"):
        sums = block.sum(1)
        wrong = (block < 0).any(1) | ((sums - 1).abs() > _NOT_ONE)
        if bool(wrong.any()):
            row = rows.start + int(wrong.nonzero()[0])
            raise ValueError(f"probabilities must be at least 0 and add up to 1, got other ones in row {row}")
        yield rows, block / sums[:, None]
