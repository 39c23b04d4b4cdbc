import pytest
import torch
import torch.utils.data

from workbook.seeding import derive_seed, seeded


def test_seeds_differ_by_purpose_and_are_stable():
    assert derive_seed(0, "epoch", 1) == derive_seed(0, "epoch", 1)
    assert len({derive_seed(s, p, e) for s in range(3) for p in ("order", "views") for e in range(3)}) == 18
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_seeded_repeats_and_restores():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    draws = []
    for _ in range(2):
        with seeded(1, "x") as generator:
            draws.append((torch.rand(3), torch.rand(3, generator=generator)))
    assert torch.equal(draws[0][0], draws[1][0]) and torch.equal(draws[0][1], draws[1][1])
    assert torch.equal(torch.rand(2), expected)


def test_a_process_that_decodes_leaves_the_gpu_alone(monkeypatch):
    def refuse(*_):
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_rng_state", refuse)
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: object())
    with seeded(1):
        pass
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: None)
    with pytest.raises(RuntimeError, match="re-initialize"), seeded(1):
        pass
