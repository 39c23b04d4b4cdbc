import numpy as np
import pytest
import torch

from workbook.probes.quasi_newton import MEMORY, Blocks, Diagonal, Memory, centred


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blocks_invert_each_class(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(3, 6, 6, generator=generator, dtype=torch.float64) * torch.logspace(0, 3, 6)
    matrices = roots.mT @ roots
    vectors = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    expected = torch.stack([torch.linalg.solve(matrices[c], vectors[:, :, c].T).T for c in range(3)], dim=-1)
    solved = Blocks(matrices.to(dtype)).solve(vectors.to(dtype))
    torch.testing.assert_close(solved.double(), expected, rtol=1e-2 if dtype == torch.float32 else 1e-8, atol=1e-6)


def test_one_block_serves_every_class() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    matrix, vectors = root.T @ root, torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    expected = Blocks(matrix.repeat(3, 1, 1)).solve(vectors)
    torch.testing.assert_close(Blocks(matrix[None].clone()).solve(vectors), expected)


def test_blocks_take_matrices_that_rounding_made_indefinite() -> None:
    matrices = torch.ones(1, 5, 5)
    matrices[0, 0, 1] = matrices[0, 1, 0] = 1 + 1e-4
    assert Blocks(matrices).solve(torch.ones(1, 5, 1)).isfinite().all()


def test_a_full_memory_solves_a_quadratic() -> None:
    """With as many independent pairs as there are dimensions the estimate is Newton's step."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    # of one class and three channels with an intercept; the direction keeps the sum over classes at 0, so two classes
    half = root @ root.T
    hessian = torch.kron(half, torch.tensor([[0.5, -0.5], [-0.5, 0.5]], dtype=torch.float64))  # (channel, class)
    memory = Memory(8, torch.device("cpu"), torch.float64)
    ridge = torch.zeros(4, 1, dtype=torch.float64)
    memory.begin(1.0, ridge, Diagonal(torch.ones(4, 2, dtype=torch.float64)))
    for _ in range(MEMORY + 3):  # the oldest are forgotten
        step = centred(torch.randn(4, 2, generator=generator, dtype=torch.float64))
        memory.add(step, (hessian @ step.flatten()).view(4, 2))
    assert len(memory.order) == MEMORY
    wanted = centred(torch.randn(4, 2, generator=generator, dtype=torch.float64))
    gradient = (hessian @ wanted.flatten()).view(4, 2)
    torch.testing.assert_close(memory.direction(gradient), -wanted, rtol=1e-2, atol=1e-2)


def test_a_pair_whose_curvature_is_lost_is_not_remembered() -> None:
    memory = Memory(4, torch.device("cpu"), torch.float64)
    memory.begin(1.0, torch.zeros(2, 1, dtype=torch.float64), Diagonal(torch.ones(2, 2, dtype=torch.float64)))
    step = torch.tensor([[1.0, -1.0], [0.0, 0.0]], dtype=torch.float64)
    memory.add(step, -step)
    assert memory.order == []
    assert torch.equal(memory.direction(step), -step), "the model alone"


def test_the_sum_over_classes_is_nothing() -> None:
    theta = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 4)))
    torch.testing.assert_close(centred(theta).sum(1), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(centred(theta).softmax(1), theta.softmax(1))
