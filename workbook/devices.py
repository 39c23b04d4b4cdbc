"""The device and the precision, chosen once and carried by a Fabric."""

import atexit
import logging
import os
import time
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric

from workbook.errors import WorkbookError

DEVICES = ("auto", "cpu", "cuda", "mps")
_NAMES: dict[str, Literal["32-true", "bf16-mixed"]] = {"float32": "32-true", "bfloat16": "bf16-mixed"}
PRECISIONS = ("auto", *_NAMES)
_CPU = Path("/proc/cpuinfo")
_GIVE_BACK = 0.5  # seconds


def choose_device(device: str = "auto") -> str:
    """The device itself: for "auto" CUDA where there is one, else MPS, else the CPU."""
    if device not in DEVICES:
        raise ValueError(f'device must be "auto", "cpu", "cuda" or "mps", got {device!r}')
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def precision_of(fabric: Fabric) -> str:
    """The precision that a Fabric computes in, as keys say it: "32-true" or "bf16-mixed"."""
    return fabric._precision.precision  # it has no public name


def precision_name(fabric: Fabric) -> str:
    """The same as `make_fabric` takes it: "float32" or "bfloat16"."""
    return next(name for name, own in _NAMES.items() if own == precision_of(fabric))


def _multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for it: AMX, as Intel's from 2023 on, or AVX-512's, as AMD's; Linux tells."""
    return _CPU.exists() and not {"amx_bf16", "avx512_bf16"}.isdisjoint(_CPU.read_text().split())


def _leave() -> None:
    """Leave the group of processes, if this one is in it.

    gloo's threads may still hold tensors of the last exchange, and abort the process if they give them back while the
    interpreter ends (pytorch's pull request 179291): they get the time to do so before.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        time.sleep(_GIVE_BACK)


def _check_restarts() -> None:
    """Raises WorkbookError where processes that torchrun starts again would look for those that died.

    torchrun keeps their addresses in the store that it shares with all that it starts (pytorch's issue 135712).
    """
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if shared and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0:
        variable = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"
        raise WorkbookError(f"torchrun cannot start processes again as it is: give it {variable}, or no --max-restarts")


def make_fabric(device: str = "auto", precision: str = "auto") -> Fabric:
    """A launched Fabric on a device: "auto", "cpu", "cuda" or "mps".

    precision: "bfloat16" (mixed: parameters, and sums within an operation, stay in float32), "float32", or "auto":
    bfloat16 on CUDA and on CPUs with instructions for it, which train up to twice as fast in it, and float32 on MPS and
    on other CPUs, of which many are far slower in bfloat16. Under torchrun every process takes its own device and
    gradients are averaged; elsewhere one device is used. Raises ValueError for an unknown device or precision, and
    WorkbookError where torchrun may start processes again and is not set up to.
    """
    if precision not in PRECISIONS:
        raise ValueError(f'precision must be "auto", "float32" or "bfloat16", got {precision!r}')
    device = choose_device(device)
    if precision == "auto":
        precision = "bfloat16" if device == "cuda" or (device == "cpu" and _multiplies_bfloat16()) else "float32"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # a report says the precision itself
    processes = int(os.environ.get("WORLD_SIZE", 1))
    fabric = Fabric(
        accelerator=device,
        precision=_NAMES[precision],
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
        num_nodes=processes // int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
        # label injection leaves the backbone out of most steps
        strategy="ddp_find_unused_parameters_true" if processes > 1 else "auto",
    )
    _check_restarts()
    fabric.launch()
    if processes > 1:
        # without it a process may abort while it ends, and torchrun calls the whole work failed
        atexit.register(_leave)
    return fabric
