"""Few-shot classification on frozen features (A Table 4): a classifier from five images of each of five classes."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from workbook.fields import AtLeastTwo, Count, Positive, Whole, check_fields, one_of
from workbook.metrics.blocks import Array, check_classes, check_directions, device_of, read, row_blocks
from workbook.probes.span_logistic import fit_in_span
from workbook.progress import progress_bar

CLASSIFIERS = ("logistic", "centroid")
# Numbers of features that are gathered at once, 32 MiB in float64.
_GATHERED = 2**22


@dataclass(frozen=True, kw_only=True)
class FewShotRecipe:
    """Every choice of one few-shot evaluation.

    A gives the ways and shots and refers to Islam et al. (2021), who fit a logistic regression to normalised
    features over 600 episodes; the 15 queries a class are those of Guo et al. (2020), whom they follow.
    """

    ways: AtLeastTwo = 5
    shots: Count = 5
    queries: Count = 15  # a class
    episodes: AtLeastTwo = 600
    # or, not in the paper: "centroid", the nearest class mean by cosine
    classifier: Annotated[str, one_of(CLASSIFIERS)] = "logistic"
    c: Positive = 1.0  # not in the paper: scikit-learn's default; the centroids have none
    seed: Whole = 0  # not in the paper: which episodes are drawn

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class FewShotResult:
    """`accuracy`: percent, the mean over episodes; `half_width`: of its 95 % interval; `episodes`: percent of each."""

    accuracy: float
    half_width: float
    episodes: tuple[float, ...]


def few_shot(
    features: Array, labels: Any, recipe: FewShotRecipe | None = None, *, device: torch.device | str | None = None
) -> FewShotResult:
    """Accuracy of a classifier fitted to a few images of a few classes, over many such episodes (A Table 4).

    features: (N, D) float of any precision, memory maps included; labels: (N,) int, gaps allowed. An
    episode draws `ways` classes, then `shots` support and `queries` query images of each, no image twice, from
    `recipe.seed` and the labels alone: two models are compared on the same episodes, pair by pair. Features are scaled
    to length 1. "logistic" is the optimum of scikit-learn's LogisticRegression(C=c) on the support images; "centroid"
    takes the class whose mean has the largest cosine. Computed in float64 on `device` (CPU or CUDA), by default that
    of the features. In [0, 100]; chance is 100 / ways. The interval is 1.96 standard errors of the episodes.
    Raises ValueError for shapes that do not fit, features that are not finite, too few classes, and classes with
    fewer images than an episode takes.
    """
    recipe = recipe or FewShotRecipe()
    episodes = draw_episodes(features, labels, recipe)
    lengths = torch.cat([torch.linalg.vector_norm(block, dim=1, keepdim=True) for _, block in row_blocks(features)])
    check_directions(lengths)
    lengths[lengths == 0] = 1  # not in the paper: a zero vector stays one, and its cosines are 0
    device = torch.device(device or device_of(features))
    within, across = _inner_products(features, lengths, episodes, recipe.shots, device)
    y = torch.arange(recipe.ways, device=device)
    weights, intercepts = _classifier(within, y.repeat_interleave(recipe.shots), recipe)
    predicted = (across @ weights + intercepts[:, None]).argmax(2)
    correct = predicted == y.repeat_interleave(recipe.queries)
    accuracies = (100 * correct.double().mean(1)).tolist()
    half_width = 1.96 * float(np.std(accuracies, ddof=1)) / len(accuracies) ** 0.5
    return FewShotResult(accuracy=float(np.mean(accuracies)), half_width=half_width, episodes=tuple(accuracies))


def draw_episodes(features: Array, labels: Any, recipe: FewShotRecipe) -> np.ndarray:
    """Rows of the images of every episode, (episodes, ways, shots + queries) int64: the support images come first.

    Only the labels decide, and the number of rows of `features` is compared with theirs. The arguments and refusals
    are those of `few_shot`.
    """
    classes = check_classes(features, labels)
    if recipe.ways > len(classes):
        raise ValueError(f"{recipe.ways} ways need as many classes, got {len(classes)}: lower `ways`")
    needed = recipe.shots + recipe.queries
    few = np.flatnonzero(classes.counts < needed)
    if len(few):
        shown = ", ".join(f"class {classes.ids[i]} has {classes.counts[i]}" for i in few[:5])
        shown += ", ..." if len(few) > 5 else ""
        raise ValueError(
            f"{len(few)} of {len(classes)} classes have fewer than the {needed} images that an episode takes "
            f"of a class ({recipe.shots} shots and {recipe.queries} queries): {shown}. "
            "Lower `queries`, or leave these classes out"
        )
    rows = np.split(np.argsort(classes.index, kind="stable"), np.cumsum(classes.counts)[:-1])
    generator = np.random.default_rng(recipe.seed)
    chosen = (generator.choice(len(classes), recipe.ways, replace=False) for _ in range(recipe.episodes))
    return np.stack([[generator.choice(rows[label], needed, replace=False) for label in episode] for episode in chosen])


def _inner_products(
    features: Array, lengths: Tensor, episodes: np.ndarray, shots: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosines of the support images with one another (E, n, n) and of the queries with them (E, m, n), class by class.

    They are all that both classifiers need of the features.
    """
    dim = features.shape[1]
    together = max(1, _GATHERED // (episodes[0].size * dim))
    within, across = [], []
    with progress_bar(f"few-shot, {dim:,} channels", len(episodes), unit="episodes") as bar:
        for start in range(0, len(episodes), together):
            part = episodes[start : start + together]
            rows = part.ravel()
            block = (read(features, rows) / lengths[rows]).to(device).view(*part.shape, dim)
            support, query = block[:, :, :shots].flatten(1, 2), block[:, :, shots:].flatten(1, 2)
            within.append(support @ support.mT)
            across.append(query @ support.mT)
            bar.update(len(part))
    return torch.cat(within), torch.cat(across)


def _classifier(gram: Tensor, y: Tensor, recipe: FewShotRecipe) -> tuple[Tensor, Tensor]:
    """Weights of the support images (E, n, ways), to be multiplied with a query's cosines, and intercepts (E, ways)."""
    if recipe.classifier == "logistic":
        return fit_in_span(gram, y, recipe.c, num_classes=recipe.ways)
    # cos(q, m_k) = q . m_k / |m_k| up to |q|, with m_k the sum of the class's images and |m_k|^2 = 1^T G_kk 1
    own = torch.nn.functional.one_hot(y, recipe.ways).to(gram)
    squares = ((gram @ own) * own).sum(1, keepdim=True)
    # images that cancel out leave rounding, or a negative number, in place of 0
    return own / squares.clamp_min(1e-24).sqrt(), gram.new_zeros(len(gram), recipe.ways)
