"""Theorem 1 of paper A (4.3) in a model where everything can be computed: unseen classes as mixtures of seen ones.

The idea is that of Liu et al. 2020 ("Negative margin matters"), whom the paper names: a sample of an unseen class falls
near the centre of some seen class, and a class that falls on several is torn apart. Not in the paper: the model and all
that follows from it here, as the supplement with its own model and proof is not available.

C seen classes have centres at one mutual squared distance D and the within-class variance s2 (the mean squared distance
to the centre), so that phi on pre-D is D / s2. Of unseen class i the share p_ij falls on seen class j, with the same
variance about its centre; row i of `p` (n, C) is p_i. u = phi_pre / 2 throughout.
"""

import math

import numpy as np


def separation(p: np.ndarray) -> float:
    """A: the mean of |p_i - p_k|^2 over pairs of different unseen classes, in [0, 2]; 0 = all fall alike."""
    classes = _checked(p)
    # sum_ik |p_i - p_k|^2 = 2 n sum_i |p_i - mean p|^2, as in `discriminative_ratio`
    return float(2 * ((classes - classes.mean(axis=0)) ** 2).sum() / (len(classes) - 1))


def scatter(p: np.ndarray) -> float:
    """B: the mean of 1 - |p_i|^2 over unseen classes, in [0, 1 - 1 / C]; 0 = each falls on one seen class."""
    return float(1 - (_checked(p) ** 2).sum(axis=1).mean())


def phi_eval(phi_pre: np.ndarray | float, p: np.ndarray, shared: np.ndarray | float = 0.0) -> np.ndarray:
    """phi on eval-D, of unseen classes that are mixtures p, at phi on pre-D: (u A + shared) / (1 + u B).

    phi_pre: any shape, each in [0, inf). shared: what the classes would have for a phi in the directions that seen
    classes share, in units of s2; see `squeeze_turn`. Of the shape of phi_pre.
    With fixed p and shared it moves from `shared` to A / B in one direction. B = 0: it grows without end.
    """
    u = np.asarray(phi_pre) / 2
    return np.asarray((u * separation(p) + shared) / (1 + u * scatter(p)))


def blurred(p: np.ndarray, share: float) -> np.ndarray:
    """p drawn towards its mean over the unseen classes: `share` of each p_i is its own, in [0, 1]."""
    classes = _checked(p)
    return share * classes + (1 - share) * classes.mean(axis=0)


def blur_share(phi_pre: float, start: float, rate: float) -> float:
    """The own share of p_i whose square falls as phi_pre to the power -rate beyond `start`, and is 1 up to there."""
    return max(phi_pre / start, 1.0) ** (-rate / 2)


def blur_turn(p: np.ndarray, start: float, rate: float) -> float:
    """phi on pre-D beyond which phi on eval-D falls where assignments blur as `blur_share` says.

    rate: in (0, inf); from 1 on the fall begins with the blur. inf where every sample falls on one seen class.
    """
    # d log phi_eval / d log u = 1 - rate (1 + u B1) / (1 + u B1 + ...) comes down to rate (1 + u B1) > 1, with
    # B1 = 1 - |mean p|^2, in which how far the classes lie apart has cancelled: notebook 15 derives it line by line
    spread = 1 - float((_checked(p).mean(axis=0) ** 2).sum())
    return max(start, 2 * (1 / rate - 1) / spread) if spread > 0 else math.inf


def squeezed(phi_pre: np.ndarray | float, shared: float, end: float) -> np.ndarray:
    """What the shared directions give at phi_pre where training squeezes them faster and faster: 0 from `end` on."""
    return np.asarray(shared * np.clip(1 - (np.asarray(phi_pre) / end) ** 2, 0, None))


def squeeze_turn(p: np.ndarray, shared: float, end: float) -> float:
    """phi on pre-D beyond which phi on eval-D falls where the shared directions are `squeezed`.

    shared, end: both in (0, inf). 0 where it falls from the start, inf where it does not before `end`.
    """
    if not (shared > 0 and end > 0):
        raise ValueError(f"shared and end must be above 0, got {shared} and {end}")
    a, b, limit = separation(p), scatter(p), end / 2
    # phi_eval = (u A + e (1 - u^2 / l^2)) / (1 + u B) falls where e (B u^2 + 2 u) / l^2 > A - e B
    excess = limit**2 * (a / shared - b)
    if excess <= 0:
        return 0.0
    u = (math.sqrt(1 + b * excess) - 1) / b if b > 0 else excess / 2
    return 2 * u if u < limit else math.inf


def draw(
    phi_pre: float, p: np.ndarray, samples: int, generator: np.random.Generator, *, shared: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Features (n samples, C + n) of n unseen classes and their labels: the model of `phi_eval`, with s2 = 1.

    The first C channels hold the seen centres, the others the shared directions, in each of which one unseen class is
    off. Of a class's samples the share p_ij lies about centre j, rounded; the noise is spread evenly over all channels.
    """
    classes = _checked(p)
    count, seen = classes.shape
    places = (np.arange(samples) + 0.5) / samples
    near = [np.searchsorted(np.cumsum(row)[:-1], places) for row in classes]
    # centres sqrt(D / 2) e_j are at the squared distance D from each other; so are offsets of sqrt(shared / 2)
    centres = math.sqrt(phi_pre / 2) * np.eye(seen)[np.concatenate(near)]
    labels = np.repeat(np.arange(count), samples)
    offsets = math.sqrt(shared / 2) * np.eye(count)[labels]
    noise = generator.normal(scale=1 / math.sqrt(seen + count), size=(len(labels), seen + count))
    return np.hstack([centres, offsets]) + noise, labels


def _checked(p: np.ndarray) -> np.ndarray:
    classes = np.asarray(p, dtype=np.float64)
    if classes.ndim != 2 or len(classes) < 2:
        raise ValueError(f"p must have shape (n, C) with at least two unseen classes, got {classes.shape}")
    if not (classes >= 0).all() or not np.allclose(classes.sum(axis=1), 1):
        raise ValueError(f"every row of p must be shares that add up to 1, got sums {classes.sum(axis=1).tolist()}")
    return classes
