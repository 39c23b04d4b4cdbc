"""Logistic regression with an L2 penalty, solved to its optimum: the one solver of all probes.

Multinomial, or one of two classes for each of many labels; these share the data, its eigenbasis and all products with
it.
"""

import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workbook.probes.quasi_newton import Blocks, Diagonal, Memory, centred

TOLERANCE = 5e-5  # relative to the objective; see `fit_logistic`
MAX_ITERATIONS = 10_000
PATIENCE = 30  # iterations without a gain before float32 is held to be at its noise
REFRESH = 40  # iterations before the curvature is modelled anew by blocks
LARGEST_BLOCKS = 2**28  # numbers in the model by blocks: 1 GiB in float32
GRAM_BLOCKS = 8  # strips of rows: with more of them the products are too narrow to be fast
LARGEST_EIGENBASIS = 2_500  # vectors; more take longer than what they spare the descent
SMALLEST_PIVOT = 1e-4  # of the largest: rows that nearly repeat each other leave Cholesky's basis askew
# Probabilities below exp(-60) change no sum, but as denormal numbers they slow a product tenfold.
SMALLEST_LOG_PROBABILITY = -60.0


def fit_logistic(
    x: Tensor,
    y: Tensor,
    c: float,
    *,
    num_classes: int,
    start: Tensor | None = None,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Tensor:
    """Minimise c * (sum of cross-entropies) + 0.5 * ||W||^2, the intercept free: scikit-learn's objective.

    x: (N, D), y: (N,) int in 0 ... num_classes-1. Returns (D+1, K) float64 whose last row is the
    intercept; `start` has the same form. With two classes scikit-learn fits one vector w = W_1 - W_0;
    so does this, as W_1 = w/2 = -W_0. The returned objective is above the optimum by at most
    `tolerance` times its gain over W = 0 or times itself, whichever is less; a warning comes where
    that was not reached.

    Why that holds: the objective is 1-strongly convex in W, so it lies at most 0.5 ||gradient||^2
    above its optimum (the softmax of the current logits, as a dual point, has exactly this duality
    gap). The intercept has no ridge; its share is the Newton decrement. This is checked in float64.
    """
    return _fit(_OneOfMany(x, y, num_classes), c, start, tolerance, max_iterations)


def fit_labels(x: Tensor, y: Tensor, c: float, *, start: Tensor | None = None, tolerance: float = TOLERANCE) -> Tensor:
    """`fit_logistic` for each of K labels by itself: c * (sum of binary cross-entropies) + 0.5 * ||w||^2, summed over
    them.

    x: (N, D), y: (N, K) bool, each label on one image at least and on not all. Returns (D+1, K) float64 as there. The
    tolerance is of the sum over all labels.
    """
    return _fit(_EachOfMany(x, y), c, start, tolerance, MAX_ITERATIONS)


def _fit(problem: "_Problem", c: float, start: Tensor | None, tolerance: float, max_iterations: int) -> Tensor:
    theta = problem.zeros() if start is None else problem.from_weights(start)
    memory = problem.memory(torch.float32)
    theta = _minimise(problem, _Goal(problem.loss_weight(c), tolerance, max_iterations), theta, memory)
    return problem.to_weights(theta)


def regularisation_path(
    x: Tensor,
    y: Tensor,
    c_values: Sequence[float],
    *,
    num_classes: int,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Iterator[Tensor]:
    """`fit_logistic` for each of the ascending `c_values`, each started from those before it."""
    return _path(_OneOfMany(x, y, num_classes), c_values, tolerance, max_iterations)


def labels_path(x: Tensor, y: Tensor, c_values: Sequence[float], *, tolerance: float = TOLERANCE) -> Iterator[Tensor]:
    """`fit_labels` for each of the ascending `c_values`, each started from those before it."""
    return _path(_EachOfMany(x, y), c_values, tolerance, MAX_ITERATIONS)


def _path(problem: "_Problem", c_values: Sequence[float], tolerance: float, max_iterations: int) -> Iterator[Tensor]:
    c = np.asarray(c_values, dtype=np.float64)
    if c.ndim != 1 or not len(c) or not np.isfinite(c).all() or c[0] <= 0 or (np.diff(c) <= 0).any():
        raise ValueError(f"c_values must be positive and ascend, got {tuple(c_values)}")
    previous, theta = problem.zeros(), problem.zeros()
    memory = problem.memory(torch.float32)
    for i, value in enumerate(c):
        weight = problem.loss_weight(value)
        guess = theta
        if i > 1:  # the optimum moves smoothly with log C: go on along the last step where that is lower
            ratio = np.log(value / c[i - 1]) / np.log(c[i - 1] / c[i - 2])
            ahead = theta + ratio * (theta - previous)
            guess = min((theta, ahead), key=lambda t: problem.objective(t.float(), weight))
        previous, theta = theta, _minimise(problem, _Goal(weight, tolerance, max_iterations), guess, memory)
        yield problem.to_weights(theta)


class _Goal(NamedTuple):
    """What is minimised, `weight` times the loss and the ridge, and how far."""

    weight: float
    tolerance: float
    max_iterations: int


class _Problem:
    """Data in an orthonormal basis, mostly the eigenbasis of X^T X, where the curvature is nearly diagonal.

    Weights live there as `theta` (R+1, K), the intercept last. The features are centred, which only
    moves the intercept, and with D > N they are replaced by at most N coordinates in the row space,
    where the optimum lies. `basis` are the factors of the matrix (D, R) whose columns are the basis.
    Each child says what its labels cost.
    """

    shared: bool  # whether one vector may be added to every class, see `centred`
    prior_loss: float  # of the best intercepts alone

    def __init__(self, x: Tensor, num_classes: int) -> None:
        x = x.double()
        self.mean = x.mean(dim=0)
        x = x - self.mean
        self.basis, coordinates, eigenvalues = _in_a_basis(x)
        ones = x.new_ones(len(x), 1)  # the intercept's channel
        z = torch.cat([coordinates, ones], dim=1)
        self.z = {torch.float64: z, torch.float32: z.float()}
        self.ridge = x.new_ones(z.shape[1], 1)
        self.ridge[-1] = 0
        # Z^T Z, or in the eigenbasis its diagonal: of models of the curvature alone, so float32 will do
        self.products = _inner_products(z.float().T) if eigenvalues is None else torch.cat([eigenvalues, ones.sum(0)])
        self.kept: tuple[float, torch.dtype, Blocks] | None = None
        self.num_classes = num_classes

    def loss_weight(self, c: float) -> float:
        return float(c)

    def loss_and_residual(self, logits: Tensor) -> tuple[float, Tensor]:
        """Sum of the cross-entropies, and (N, K) probabilities minus targets; both exact when tiny."""
        raise NotImplementedError

    def zeros(self) -> Tensor:
        return torch.zeros(len(self.ridge), self.num_classes, dtype=torch.float64, device=self.mean.device)

    def memory(self, dtype: torch.dtype) -> Memory:
        return Memory(len(self.ridge) * self.num_classes, self.mean.device, dtype, shared=self.shared)

    def from_weights(self, weights: Tensor) -> Tensor:
        weights = weights.to(self.mean)
        inner = weights[:-1]
        for factor in self.basis:
            inner = factor.T @ inner
        theta = torch.cat([inner, weights[-1:] + self.mean @ weights[:-1]])
        return centred(theta) if self.shared else theta

    def to_weights(self, theta: Tensor) -> Tensor:
        weights = theta[:-1]
        for factor in reversed(self.basis):
            weights = factor @ weights
        return torch.cat([weights, theta[-1:] - self.mean @ weights])

    def logits(self, theta: Tensor) -> Tensor:
        return self.z[theta.dtype] @ theta

    def objective(self, theta: Tensor, weight: float) -> float:
        loss, _ = self.loss_and_residual(self.logits(theta))
        return weight * loss + 0.5 * float(theta[:-1].square().sum(dtype=torch.float64))

    def scale(self, objective: float, weight: float) -> float:
        """What a gap is compared with: the gain over W = 0, at most the objective itself.

        With a small C the objective hardly leaves its value at W = 0, and a small part of *it* could
        be all that the features tell. The floor is for features that tell nothing.
        """
        return min(objective, max(weight * self.prior_loss - objective, 1e-5 * objective))

    def loss_gradient(self, residual: Tensor) -> Tensor:
        return self.z[residual.dtype].T @ residual

    def simple_model(self, variances: Tensor, weight: float, dtype: torch.dtype) -> Diagonal | Blocks:
        """As if all samples had a class's mean p(1-p): in the eigenbasis nothing is left but the diagonal.

        In another basis as if the classes had one mean, too: the one block, of n^3 / 3 operations, is kept for as long
        as the weight and the precision are. Where a class is a hundred times as frequent as another, that takes about
        twice the iterations.
        """
        means = variances.double().mean(dim=0).clamp_min(1e-20)
        if self.products.ndim == 1:
            return Diagonal((weight * self.products[:, None] * means + self.ridge).to(dtype))
        if self.kept is None or self.kept[:2] != (weight, dtype):
            matrix = (float(weight * means.mean()) * self.products).to(dtype)
            matrix.diagonal().add_(self.ridge[:, 0])
            self.kept = weight, dtype, Blocks(matrix[None])
        return self.kept[2]

    def blocks(self, variances: Tensor, weight: float, dtype: torch.dtype) -> Blocks | None:
        """The Hessian's block of each class; None where they cost more than the iterations since the last.

        With a large C most samples are classified surely and have no curvature, and the few others may
        have a spectrum far from that of all. Only they are summed; those below a tenth of the class's
        mean p(1-p) are taken together, as in `simple_model`.
        """
        (n, k), r = variances.shape, len(self.ridge)
        unsure = variances > 0.1 * variances.mean(dim=0)
        # 2 r^2 operations a sample and class, against 4 r in an iteration
        if float(unsure.sum()) * r > 2 * REFRESH * n * k or k * r * r > LARGEST_BLOCKS:
            return None
        rest = torch.where(unsure, 0.0, variances).double().mean(dim=0).clamp_min(1e-20)
        roots = (weight * variances).sqrt().to(dtype)
        matrices = torch.empty(k, r, r, dtype=dtype, device=variances.device)
        for c in range(k):
            rows = unsure[:, c].nonzero()[:, 0]
            part = self.z[dtype][rows] * roots[rows, c, None]
            torch.mm(part.T, part, out=matrices[c])
            if self.products.ndim == 2:
                matrices[c] += (weight * rest[c] * self.products).to(dtype)
        own = weight * rest[:, None] * self.products if self.products.ndim == 1 else 0.0
        matrices.diagonal(dim1=1, dim2=2).add_(self.ridge[:, 0] + own)
        return Blocks(matrices)


class _OneOfMany(_Problem):
    """Multinomial: a sample is of one class, y (N,) int."""

    shared = True

    def __init__(self, x: Tensor, y: Tensor, num_classes: int) -> None:
        present = torch.unique(y)
        if num_classes < 2 or not torch.equal(present.cpu(), torch.arange(num_classes)):
            raise ValueError(
                f"labels must hold each of 0 ... {num_classes - 1}, at least two classes, "
                f"got {len(present)} classes: {present.tolist()[:5]} ..."
            )
        super().__init__(x, num_classes)
        self.y = y[:, None]
        shares = torch.bincount(y, minlength=num_classes).double() / len(y)
        self.prior_loss = -len(y) * float((shares * shares.log()).sum())

    def loss_weight(self, c: float) -> float:
        # Two classes: 0.5 ||w||^2 with w = W_1 - W_0 is ||W||^2, twice the ridge used here.
        return float(c) / 2 if self.num_classes == 2 else float(c)

    def loss_and_residual(self, logits: Tensor) -> tuple[float, Tensor]:
        log_p = torch.log_softmax(logits, dim=1)
        own = log_p.gather(1, self.y)
        log_p.clamp_(min=SMALLEST_LOG_PROBABILITY)
        residual = log_p.exp_().scatter_(1, self.y, 0.0)
        others = residual.sum(dim=1, keepdim=True)
        residual.scatter_(1, self.y, -others)
        loss = torch.where(others < 0.5, -torch.log1p(-others), -own)
        return float(loss.sum(dtype=torch.float64)), residual


class _EachOfMany(_Problem):
    """Two classes for each of K labels: a sample has it or lacks it, y (N, K) bool."""

    shared = False

    def __init__(self, x: Tensor, y: Tensor) -> None:
        shares = y.double().mean(dim=0)
        if strange := ((shares == 0) | (shares == 1)).nonzero().flatten().tolist():
            raise ValueError(f"every label must be on some samples and not on all, got {strange[:5]} otherwise")
        super().__init__(x, y.shape[1])
        self.signs = {dtype: torch.where(y, 1.0, -1.0).to(dtype) for dtype in self.z}
        self.prior_loss = -len(y) * float((shares * shares.log() + (1 - shares) * (1 - shares).log()).sum())

    def loss_and_residual(self, logits: Tensor) -> tuple[float, Tensor]:
        signs = self.signs[logits.dtype]
        wrong = (-signs * logits).clamp_(min=SMALLEST_LOG_PROBABILITY)  # the logit of the other answer
        return float(F.softplus(wrong).sum(dtype=torch.float64)), -signs * wrong.sigmoid()


def _minimise(problem: _Problem, goal: _Goal, theta: Tensor, memory: Memory) -> Tensor:
    """Descend in float32, check in float64, and go on with more of float64 where that was not enough.

    At a large C some logits are in the hundreds, and rounding them to float32 can hide the gradient.
    Mostly it suffices to sum them in float64, while the products with the data stay in float32.
    """
    tolerance = goal.tolerance
    if tolerance >= 1e-6:
        first, closer = (goal._replace(tolerance=share * tolerance) for share in (0.8, 0.9))
        theta = _descend(problem, first, theta.float(), memory)[0].double()
        for _ in range(3):
            theta, gap, iterations = _descend(problem, closer, theta, memory)
            if iterations == 0 and gap <= tolerance:
                return theta
    exact = problem.memory(torch.float64)
    theta, gap, _ = _descend(problem, goal, theta, exact)
    if gap > tolerance:
        warnings.warn(
            f"logistic regression stopped with a relative gap of at most {gap:.1e}, "
            f"not {tolerance:.1e}: raise max_iterations (now {goal.max_iterations}) or the tolerance",
            RuntimeWarning,
            stacklevel=3,
        )
    return theta


def _descend(problem: _Problem, goal: _Goal, theta: Tensor, memory: Memory) -> tuple[Tensor, float, int]:
    """L-BFGS from `theta`: the last point, the bound on its relative gap, and the iterations made.

    Points and logits are summed in theta's precision, which the first gradient has too; the other
    products with the data have that of the memory.
    """
    weight, tolerance, max_iterations = goal
    logits = problem.logits(theta)
    loss, residual = problem.loss_and_residual(logits)
    loss_gradient = problem.loss_gradient(residual)
    variances = _variances(residual)
    intercepts = (weight * variances.sum(dim=0)).clamp_min(1e-20)
    model = memory.blocks or problem.simple_model(variances, weight, memory.dtype)
    memory.begin(weight, problem.ridge, model)
    smallest, lowest, stalled = float("inf"), float("inf"), 0
    for iteration in range(max_iterations + 1):
        gradient = weight * loss_gradient + problem.ridge * theta
        objective = weight * loss + 0.5 * float(theta[:-1].square().sum(dtype=torch.float64))
        scale = problem.scale(objective, weight)
        bound = gradient[:-1].square().sum() + (gradient[-1].square() / intercepts).sum()
        gap = 0.5 * float(bound) / scale
        fell = lowest - objective > 0.01 * tolerance * scale
        stalled = 0 if gap < smallest or fell else stalled + 1
        smallest, lowest = min(gap, smallest), objective if fell else lowest
        # At float32's noise nothing shrinks any more; float64 has the patience of max_iterations.
        noise = stalled > PATIENCE and memory.dtype == torch.float32
        if gap <= tolerance or iteration == max_iterations or noise:
            break
        if memory.age >= REFRESH:
            memory.blocks = problem.blocks(_variances(residual), weight, memory.dtype) or memory.blocks
            memory.begin(weight, problem.ridge, memory.blocks or model)
            memory.age = 0
        direction = memory.direction(gradient.to(memory.dtype))
        found = _line_search(problem, weight, theta, logits, gradient, direction)
        if found is None:
            break
        length, logits, loss, residual = found
        step, before = length * direction, loss_gradient
        theta, loss_gradient = theta + step, problem.loss_gradient(residual.to(memory.dtype))
        memory.add(step, loss_gradient - before)
    return theta, gap, iteration


def _line_search(
    problem: _Problem, weight: float, theta: Tensor, logits: Tensor, gradient: Tensor, direction: Tensor
) -> tuple[float, Tensor, float, Tensor] | None:
    """Step length with its logits, loss and residual; None if rounding hides the descent.

    Only slopes are compared (approximate Wolfe conditions, Hager and Zhang 2005): near the optimum
    the objective's own decrease is below its rounding. A trial needs no product with the data.
    """
    along = problem.logits(direction)
    first = float((gradient * direction).sum())
    ridge = float((theta[:-1] * direction[:-1]).sum()), float(direction[:-1].square().sum())
    low, high, length = 0.0, float("inf"), 1.0
    for _ in range(30 if first < 0 else 0):
        trial = logits + length * along
        loss, residual = problem.loss_and_residual(trial)
        slope = weight * float((residual * along).sum()) + ridge[0] + length * ridge[1]
        if 0.9 * first <= slope <= -0.5 * first:
            return length, trial, loss, residual
        low, high = (low, length) if slope > 0 else (length, high)
        length = 2 * length if high == float("inf") else (low + high) / 2
    return None


def _in_a_basis(x: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
    """Factors of the matrix (D, R) of a basis of the row space of centred features (N, D), coordinates in it (N, R),
    and the eigenvalues (R,) of X^T X where it is the eigenbasis.
    """
    rows, width = x.shape
    if width <= rows:
        if width > LARGEST_EIGENBASIS:
            return (), x, None
        eigenvalues, rotation = torch.linalg.eigh(_inner_products(x.T))
        return (rotation,), x @ rotation, eigenvalues.clamp_min(0)
    products = _inner_products(x)
    if rows > LARGEST_EIGENBASIS:
        # centred rows sum to 0, so all but one span them: these are L V^T, and V = X^T L^-T stays two factors
        triangle, failed = torch.linalg.cholesky_ex(products[:-1, :-1])
        pivots = triangle.diagonal()
        if not failed and pivots.min() > SMALLEST_PIVOT * pivots.max():
            own = torch.eye(rows - 1, dtype=x.dtype, device=x.device)
            inverse = torch.linalg.solve_triangular(triangle, own, upper=False)
            return (x[:-1].T, inverse.T), torch.cat([triangle, -triangle.sum(dim=0, keepdim=True)]), None
    # X X^T = U S U^T has the eigenvalues, and X = U sqrt(S) V^T: V = X^T U / sqrt(S) stays two factors
    eigenvalues, rotation = torch.linalg.eigh(products)
    roots = eigenvalues.clamp_min(0).sqrt()
    # centred rows sum to 0: a direction without variation is one that the data do not have
    seen = eigenvalues > eigenvalues[-1] * rows * torch.finfo(x.dtype).eps
    factors = x.T, rotation * torch.where(seen, 1 / roots, 0.0)
    return factors, rotation * torch.where(seen, roots, 0.0), eigenvalues.clamp_min(0)


def _inner_products(rows: Tensor) -> Tensor:
    """`rows @ rows.T` for little more than half the work: the matrix is symmetric, and one half of it is copied."""
    products = rows.new_empty(len(rows), len(rows))
    edges = [len(rows) * i // GRAM_BLOCKS for i in range(GRAM_BLOCKS + 1)]
    for first, last in itertools.pairwise(edges):
        products[first:last, :last] = rows[first:last] @ rows[:last].T
        products[:first, first:last] = products[first:last, :first].T
    return products


def _variances(residual: Tensor) -> Tensor:
    """(N, K) p(1-p), the curvature of a class's own logit; Boehning's bound on the Hessian has 1/2 for it."""
    size = residual.abs()
    return size * (1 - size)
