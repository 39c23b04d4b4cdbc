"""L-BFGS for `logistic`: its memory of steps, and the models of the curvature that it starts from."""

import numpy as np
import torch
from torch import Tensor

MEMORY = 20  # pairs of steps and gradient changes that L-BFGS remembers


class Diagonal:
    """A Hessian that is diagonal; `slopes` (R, K)."""

    def __init__(self, slopes: Tensor) -> None:
        self.slopes = slopes

    def solve(self, vectors: Tensor) -> Tensor:
        """The inverse times each of (M, R, K)."""
        return vectors / self.slopes


class Blocks:
    """A Hessian of one block (R, R) a class, or of one for all; `matrices` (K or 1, R, R) positive definite,
    overwritten."""

    def __init__(self, matrices: Tensor) -> None:
        diagonal = matrices.diagonal(dim1=1, dim2=2)
        self.scale = diagonal.rsqrt()[:, :, None]
        matrices *= self.scale
        matrices *= self.scale.mT
        jitter = 1e-6 if matrices.dtype == torch.float32 else 1e-13
        diagonal.fill_(1 + jitter)
        self.factor, info = torch.linalg.cholesky_ex(matrices)
        while bool(info.any()) and jitter < 1:  # rounding took the smallest eigenvalues below zero
            jitter *= 10
            diagonal.fill_(1 + jitter)
            self.factor, info = torch.linalg.cholesky_ex(matrices)

    def solve(self, vectors: Tensor) -> Tensor:
        """The inverse times each of (M, R, K)."""
        many, size, _ = vectors.shape
        # those of one block side by side
        columns = self.scale * vectors.permute(2, 0, 1).reshape(len(self.factor), -1, size).mT
        half = torch.linalg.solve_triangular(self.factor, columns, upper=False)
        solved = self.scale * torch.linalg.solve_triangular(self.factor.mT, half, upper=True)
        return solved.mT.reshape(-1, many, size).permute(1, 2, 0)


class Memory:
    """L-BFGS in its compact form (Byrd, Nocedal and Schnabel 1994), kept along a regularisation path.

    A pair is a step and the change of the *loss* gradient, without C and without the ridge, so it
    gives the exact change of the objective's gradient for any C. That saves learning the curvature
    anew at each C. shared: whether one vector may be added to every class, see `centred`.
    """

    def __init__(self, size: int, device: torch.device, dtype: torch.dtype, *, shared: bool = True) -> None:
        self.steps, self.changes, self.scaled = torch.zeros(3, MEMORY, size, dtype=dtype, device=device)
        # step_change[i, j] = step i . change j of the objective; change_change the same in the metric
        self.step_change, self.change_change = np.zeros((2, MEMORY, MEMORY))
        self.order: list[int] = []  # slots in use, the oldest first
        self.dtype, self.shared = dtype, shared
        self.blocks: Blocks | None = None  # kept along the path, as they are dear to build
        self.weight = 0.0
        self.model: Diagonal | Blocks = Diagonal(self.steps.new_ones(()))
        self.age = 0  # pairs since their last building was tried

    def begin(self, weight: float, ridge: Tensor, model: Diagonal | Blocks) -> None:
        """Set C, the ridge of each row of the weights (R, 1), and the model for the directions to come."""
        if (weight, model) == (self.weight, self.model):
            return
        self.weight, self.ridge, self.model = weight, ridge, model
        changes = self._objective_changes(self.steps, self.changes)
        self.scaled = self._precondition(changes)
        self.step_change = _numpy(self.steps @ changes.T)
        self.change_change = _numpy(changes @ self.scaled.T)

    def add(self, step: Tensor, loss_change: Tensor) -> None:
        self.age += 1
        step, loss_change = step.flatten(), loss_change.flatten().to(step)
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
        ridges = self.ridge.to(steps) * steps.view(len(steps), len(self.ridge), -1)
        return self.weight * loss_changes + ridges.flatten(start_dim=1)

    def _precondition(self, vectors: Tensor) -> Tensor:
        scaled = self.model.solve(vectors.view(len(vectors), len(self.ridge), -1))
        return (centred(scaled) if self.shared else scaled).flatten(start_dim=1)


def centred(theta: Tensor) -> Tensor:
    """Adding one vector to every class changes no probability: keep the sum over classes at zero."""
    return theta - theta.mean(dim=-1, keepdim=True)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.double().cpu().numpy()
