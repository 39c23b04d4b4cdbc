"""Many small logistic regressions at once, each in the span of its own few samples: the solver of few-shot episodes."""

import warnings

import torch
from torch import Tensor

TOLERANCE = 1e-10  # relative to the objective; see `fit_in_span`
MAX_ITERATIONS = 100
MAX_HALVINGS = 30  # of one step
_TOGETHER = 2**19  # numbers in the largest tensor, (E, K, n, n): 4 MiB, which stays in a CPU's cache


def fit_in_span(
    gram: Tensor, y: Tensor, c: float, *, num_classes: int, tolerance: float = TOLERANCE
) -> tuple[Tensor, Tensor]:
    """Minimise c * (sum of cross-entropies) + 0.5 * ||W||^2, the intercept free, for each of E sets of n samples.

    gram: (E, n, n) float64, the inner products of each set's samples x. y: (n,) int64 in 0 ... num_classes-1, every
    class present, the same in all sets. The optimum lies in the span of the samples: W = x^T a, and a sample q has the
    logits (q x^T) a + b. Returns a (E, n, K) and b (E, K), whose sums over the classes are 0. scikit-learn's
    objective, with two classes as well (see `logistic.fit_logistic`). Damped Newton steps go on until half the squared
    decrement, which is what a step is expected to gain, is at most `tolerance` times the objective; that step is still
    taken, so what remains is of the order of rounding. A warning comes where that was not reached.
    """
    weight = c / 2 if num_classes == 2 else c
    target = torch.nn.functional.one_hot(y, num_classes).to(gram)
    parts = gram.split(max(1, _TOGETHER // (num_classes * len(y) ** 2)))
    fits = [_fit(part, target, weight, tolerance) for part in parts]
    gap = float(torch.cat([gap for _, _, gap in fits]).max())
    if not gap <= tolerance:  # NaN as well
        what = f"logistic regression stopped with a relative gap of about {gap:.1e}, not {tolerance:.1e}"
        warnings.warn(f"{what}: lower c (now {c})", RuntimeWarning, stacklevel=2)
    return torch.cat([a for a, _, _ in fits]), torch.cat([b[:, 0] for _, b, _ in fits])


def _fit(gram: Tensor, target: Tensor, weight: float, tolerance: float) -> tuple[Tensor, Tensor, Tensor]:
    """a (E, n, K), b (E, 1, K), and the relative gap (E,) before the last step."""
    a = gram.new_zeros(len(gram), *target.shape)
    b = gram.new_zeros(len(gram), 1, target.shape[1])
    for _ in range(MAX_ITERATIONS):
        objective, residual = _objective(gram, a, b, target, weight)
        next_a, next_b = _newton_point(gram, gram @ a + b, target, weight)
        step_a, step_b = next_a - a, next_b - b
        # minus the slope along the step; the gradients are gram (a + residual) and the sum of the residuals
        decrement = -((gram @ (a + residual)) * step_a + residual * step_b).sum((1, 2))
        length = torch.ones_like(decrement)
        for _ in range(MAX_HALVINGS):
            reached, _ = _objective(gram, a + _each(length) * step_a, b + _each(length) * step_b, target, weight)
            # Armijo's condition; near the optimum the gain is below the rounding of the objective
            short = reached > objective - 1e-4 * length * decrement + 1e-13 * objective
            if not bool(short.any()):
                break
            length = torch.where(short, length / 2, length)
        a, b = a + _each(length) * step_a, b + _each(length) * step_b
        gap = 0.5 * decrement / objective
        if float(gap.max()) <= tolerance:
            break
    return a, b, gap


def _newton_point(gram: Tensor, logits: Tensor, target: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Where the quadratic model of the objective at these logits has its minimum: (a, b).

    With f the logits, H = weight (diag p - p p^T) their Hessian, r = weight (p - target) their gradient and
    v = H f - r, the minimum has a = v - H f' with f' = gram a + b, and each class's a sums to 0, which is the
    intercept's equation. So a = v - B (gram v + b) with B = (gram + H^-1)^-1. As H couples the classes only through
    p p^T, B has the blocks B_cd = [c = d] E_c - E_c M^-1 E_d with E_c = (gram + diag(weight p_c)^-1)^-1 and
    M = sum_c E_c: K + 1 Cholesky factors of n x n matrices in place of one of nK x nK (Rasmussen and Williams 2006,
    algorithm 3.3, here with an intercept).
    """
    p = torch.softmax(logits, 2)
    v = weight * (p * (logits - (p * logits).sum(2, keepdim=True)) - p + target)
    root = (weight * p).sqrt().transpose(1, 2)  # (E, K, n)
    scale = root[..., :, None] * root[..., None, :]
    identity = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    own_factors = torch.linalg.cholesky(identity + scale * gram[:, None])
    blocks = scale * torch.cholesky_inverse(own_factors)  # E_c: (E, K, n, n)
    factor = torch.linalg.cholesky(blocks.sum(1))

    def times_b(columns: Tensor) -> Tensor:
        """B times (E, n, K), one column a class."""
        own = (blocks @ columns.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
        shared = torch.cholesky_solve(own.sum(2, keepdim=True), factor)
        return own - (blocks @ shared[:, None])[..., 0].transpose(1, 2)

    constant = blocks.sum(3).transpose(1, 2)  # E_c 1: (E, n, K)
    schur = torch.diag_embed(constant.sum(1)) - constant.transpose(1, 2) @ torch.cholesky_solve(constant, factor)
    start = v - times_b(gram @ v)
    # a shift of all intercepts changes nothing, so 1 1^T may be added: it makes their sum 0
    b = torch.linalg.solve(schur + _each(constant.sum((1, 2))), start.sum(1))[:, None]
    return start - times_b(b.expand_as(v)), b


def _objective(gram: Tensor, a: Tensor, b: Tensor, target: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """(E,), and the gradient of its losses by the logits (E, n, K)."""
    values = gram @ a
    log_p = torch.log_softmax(values + b, 2)
    objective = -weight * (target * log_p).sum((1, 2)) + 0.5 * (a * values).sum((1, 2))
    return objective, weight * (log_p.exp() - target)


def _each(numbers: Tensor) -> Tensor:
    """(E,) as (E, 1, 1), one for each set."""
    return numbers[:, None, None]
