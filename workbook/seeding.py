"""Randomness without global seeds: a seed for every purpose, and torch's global state left as it was."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.utils.data


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) for what `parts` name, such as (seed, "epoch", 7): unrelated for different parts."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


@contextmanager
def seeded(*parts: int | str) -> Iterator[torch.Generator]:
    """Inside, torch's global generators start from `derive_seed(*parts)`; outside they go on as before.

    Layers and libraries that draw from the global state (initialisation, dropout, kornia) are reproducible
    this way. The generator that comes back is a separate one on the CPU with the same seed.
    """
    seed = derive_seed(*parts)
    # a process that was forked off for decoding cannot touch the GPU, nor need it
    on_gpu = torch.cuda.is_available() and torch.utils.data.get_worker_info() is None
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count())) if on_gpu else []):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)
