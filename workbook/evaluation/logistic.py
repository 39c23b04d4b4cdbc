"""Multinomial logistic regression with an L2 penalty, solved to its optimum: the one solver of all probes."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

TOLERANCE = 5e-5  # relative to the objective; see `fit_logistic`
MAX_ITERATIONS = 10_000
MEMORY = 20  # pairs of steps and gradient changes that L-BFGS remembers
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
    problem = _Problem(x, y, num_classes)
    theta = problem.zeros() if start is None else problem.from_weights(start)
    memory = _Memory(theta.numel(), theta.device)
    theta = _minimise(problem, problem.loss_weight(c), theta, memory, tolerance, max_iterations)
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
    c = np.asarray(c_values, dtype=np.float64)
    if c.ndim != 1 or not len(c) or not np.isfinite(c).all() or c[0] <= 0 or (np.diff(c) <= 0).any():
        raise ValueError(f"c_values must be positive and ascend, got {tuple(c_values)}")
    problem = _Problem(x, y, num_classes)
    previous, theta = problem.zeros(), problem.zeros()
    memory = _Memory(theta.numel(), theta.device)
    for i, value in enumerate(c):
        weight = problem.loss_weight(value)
        guess = theta
        if i > 1:  # the optimum moves smoothly with log C: go on along the last step where that is lower
            ratio = np.log(value / c[i - 1]) / np.log(c[i - 1] / c[i - 2])
            ahead = theta + ratio * (theta - previous)
            guess = min((theta, ahead), key=lambda t: problem.objective(t.float(), weight))
        previous, theta = theta, _minimise(problem, weight, guess, memory, tolerance, max_iterations)
        yield problem.to_weights(theta)


class _Problem:
    """Data in the eigenbasis of X^T X, where the curvature is nearly diagonal.

    Weights live there as `theta` (R+1, K), the intercept last. The features are centred, which only
    moves the intercept, and with D > N they are replaced by their N coordinates in the row space,
    where the optimum lies.
    """

    def __init__(self, x: Tensor, y: Tensor, num_classes: int) -> None:
        present = torch.unique(y)
        if num_classes < 2 or not torch.equal(present.cpu(), torch.arange(num_classes)):
            raise ValueError(
                f"labels must hold each of 0 ... {num_classes - 1}, at least two classes, "
                f"got {len(present)} classes: {present.tolist()[:5]} ..."
            )
        x = x.double()
        self.mean = x.mean(dim=0)
        x = x - self.mean
        basis = None
        if x.shape[1] > x.shape[0]:
            basis, triangle = torch.linalg.qr(x.T)
            x = triangle.T
        eigenvalues, rotation = torch.linalg.eigh(x.T @ x)
        self.basis = rotation if basis is None else basis @ rotation
        self.eigenvalues = eigenvalues.clamp_min(0)
        z = x @ rotation
        self.z = {torch.float64: z, torch.float32: z.float()}
        self.y = y[:, None]
        self.num_classes = num_classes
        shares = torch.bincount(y, minlength=num_classes).double() / len(y)
        self.prior_loss = -len(y) * float((shares * shares.log()).sum())

    def loss_weight(self, c: float) -> float:
        # Two classes: 0.5 ||w||^2 with w = W_1 - W_0 is ||W||^2, twice the ridge used here.
        return float(c) / 2 if self.num_classes == 2 else float(c)

    def zeros(self) -> Tensor:
        return torch.zeros(self.basis.shape[1] + 1, self.num_classes, dtype=torch.float64, device=self.y.device)

    def from_weights(self, weights: Tensor) -> Tensor:
        weights = weights.to(self.basis)
        return _centred(torch.cat([self.basis.T @ weights[:-1], weights[-1:] + self.mean @ weights[:-1]]))

    def to_weights(self, theta: Tensor) -> Tensor:
        weights = self.basis @ theta[:-1]
        return torch.cat([weights, theta[-1:] - self.mean @ weights])

    def logits(self, theta: Tensor) -> Tensor:
        return torch.addmm(theta[-1], self.z[theta.dtype], theta[:-1])

    def loss_and_residual(self, logits: Tensor) -> tuple[float, Tensor]:
        """Sum of the cross-entropies, and (N, K) probabilities minus targets; both exact when tiny."""
        log_p = torch.log_softmax(logits, dim=1)
        own = log_p.gather(1, self.y)
        log_p.clamp_(min=SMALLEST_LOG_PROBABILITY)
        residual = log_p.exp_().scatter_(1, self.y, 0.0)
        others = residual.sum(dim=1, keepdim=True)
        residual.scatter_(1, self.y, -others)
        loss = torch.where(others < 0.5, -torch.log1p(-others), -own)
        return float(loss.sum(dtype=torch.float64)), residual

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
        return torch.cat([self.z[residual.dtype].T @ residual, residual.sum(dim=0, keepdim=True)])

    def curvature(self, residual: Tensor, weight: float) -> Tensor:
        """Diagonal model of the Hessian, (R+1, K): weight * mean p(1-p) per class * eigenvalue + ridge.

        Boehning's bound has 1/2 where this has p(1-p) at the present probabilities.
        """
        n, size = len(residual), residual.abs()
        mean_variance = (size * (1 - size)).mean(dim=0).clamp_min(1e-20)
        eigenvalues = self.eigenvalues.to(residual.dtype)
        slopes = weight * eigenvalues[:, None] * mean_variance + 1
        return torch.cat([slopes, weight * n * mean_variance[None]])


class _Memory:
    """L-BFGS in its compact form (Byrd, Nocedal and Schnabel 1994), kept along a regularisation path.

    A pair is a step and the change of the *loss* gradient, without C and without the ridge, so it
    gives the exact change of the objective's gradient for any C. That saves learning the curvature
    anew at each C.
    """

    def __init__(self, size: int, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.steps, self.changes, self.scaled = torch.zeros(3, MEMORY, size, dtype=dtype, device=device)
        # step_change[i, j] = step i . change j of the objective; change_change the same in the metric
        self.step_change, self.change_change = np.zeros((2, MEMORY, MEMORY))
        self.order: list[int] = []  # slots in use, the oldest first

    def begin(self, weight: float, curvature: Tensor) -> None:
        """Set C and the diagonal model for the directions to come."""
        self.weight, self.curvature = weight, curvature
        changes = self._objective_changes(self.steps, self.changes)
        self.scaled = self._precondition(changes)
        self.step_change = _numpy(self.steps @ changes.T)
        self.change_change = _numpy(changes @ self.scaled.T)

    def add(self, step: Tensor, loss_change: Tensor) -> None:
        step, loss_change = step.flatten(), loss_change.flatten()
        change = self._objective_changes(step[None], loss_change[None])
        scaled = self._precondition(change)[0]
        if not float(step @ change[0]) > 0:  # lost to rounding
            return
        slot = self.order.pop(0) if len(self.order) == MEMORY else len(self.order)
        self.order.append(slot)
        self.steps[slot], self.changes[slot], self.scaled[slot] = step, loss_change, scaled
        self.step_change[:, slot] = _numpy(self.steps @ change[0])
        self.change_change[:, slot] = self.change_change[slot] = _numpy(self.scaled @ change[0])

    def direction(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessian's estimate times the gradient."""
        flat = gradient.flatten()
        newton = self._precondition(flat[None])[0]
        if not self.order:
            return -newton.view_as(gradient)
        slots = np.ix_(self.order, self.order)
        last = self.order[-1]
        gamma = self.step_change[last, last] / self.change_change[last, last]
        upper = np.triu(self.step_change[slots])
        a = np.linalg.solve(upper, _numpy(self.steps @ flat)[self.order])
        inner = np.diag(np.diag(upper)) + gamma * self.change_change[slots]
        b = np.linalg.solve(upper.T, inner @ a - gamma * _numpy(self.scaled @ flat)[self.order])
        on_steps, on_scaled = np.zeros((2, MEMORY))
        on_steps[self.order], on_scaled[self.order] = b, gamma * a
        mix = torch.from_numpy(np.stack([on_steps, on_scaled])).to(flat)
        return (self.scaled.T @ mix[1] - self.steps.T @ mix[0] - gamma * newton).view_as(gradient)

    def _objective_changes(self, steps: Tensor, loss_changes: Tensor) -> Tensor:
        changes = self.weight * loss_changes + steps
        intercepts = slice(steps.shape[1] - self.curvature.shape[1], None)
        changes[:, intercepts] -= steps[:, intercepts]
        return changes

    def _precondition(self, vectors: Tensor) -> Tensor:
        scaled = vectors.view(-1, *self.curvature.shape) / self.curvature
        return _centred(scaled).flatten(start_dim=1)


def _minimise(
    problem: _Problem, weight: float, theta: Tensor, memory: _Memory, tolerance: float, max_iterations: int
) -> Tensor:
    """Descend in float32, check in float64, and go on in float64 where float32 was not enough."""
    if tolerance >= 1e-6:
        theta = _descend(problem, weight, theta.float(), memory, 0.8 * tolerance, max_iterations)[0].double()
    exact = _Memory(theta.numel(), theta.device, torch.float64)
    theta, gap = _descend(problem, weight, theta, exact, tolerance, max_iterations)
    if gap > tolerance:
        warnings.warn(
            f"logistic regression stopped with a relative gap of at most {gap:.1e}, "
            f"not {tolerance:.1e}: raise max_iterations (now {max_iterations}) or the tolerance",
            RuntimeWarning,
            stacklevel=3,
        )
    return theta


def _descend(
    problem: _Problem, weight: float, theta: Tensor, memory: _Memory, tolerance: float, max_iterations: int
) -> tuple[Tensor, float]:
    """L-BFGS from `theta`, in its precision: the last point and the bound on its relative gap."""
    logits = problem.logits(theta)
    loss, residual = problem.loss_and_residual(logits)
    loss_gradient = problem.loss_gradient(residual)
    curvature = problem.curvature(residual, weight)
    memory.begin(weight, curvature)
    smallest, stalled = float("inf"), 0
    for iteration in range(max_iterations + 1):
        gradient = weight * loss_gradient
        gradient[:-1] += theta[:-1]
        objective = weight * loss + 0.5 * float(theta[:-1].square().sum(dtype=torch.float64))
        bound = gradient[:-1].square().sum() + (gradient[-1].square() / curvature[-1]).sum()
        gap = 0.5 * float(bound) / problem.scale(objective, weight)
        stalled = 0 if gap < smallest else stalled + 1
        smallest = min(gap, smallest)
        # At float32's noise the gradient shrinks no more; float64 has the patience of max_iterations.
        if gap <= tolerance or iteration == max_iterations or (stalled > 100 and theta.dtype == torch.float32):
            break
        direction = memory.direction(gradient)
        found = _line_search(problem, weight, theta, logits, gradient, direction)
        if found is None:
            break
        length, logits, loss, residual = found
        step, before = length * direction, loss_gradient
        theta, loss_gradient = theta + step, problem.loss_gradient(residual)
        memory.add(step, loss_gradient - before)
    return theta, gap


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


def _centred(theta: Tensor) -> Tensor:
    """Adding one vector to every class changes no probability: keep the sum over classes at zero."""
    return theta - theta.mean(dim=-1, keepdim=True)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.double().cpu().numpy()
