"""The device and the precision, chosen once and carried by a Fabric."""

import os

import torch
from lightning_fabric import Fabric


def make_fabric(device: str = "auto") -> Fabric:
    """A launched Fabric: "auto", "cpu", "cuda" or "mps".

    CUDA computes in bfloat16 where it may (mixed precision), CPU and MPS in float32. Under torchrun every process
    takes its own device and gradients are averaged; elsewhere one device is used.
    """
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise ValueError(f'device must be "auto", "cpu", "cuda" or "mps", got {device!r}')
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    processes = int(os.environ.get("WORLD_SIZE", 1))
    fabric = Fabric(
        accelerator=device,
        precision="bf16-mixed" if device == "cuda" else "32-true",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
        num_nodes=processes // int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
        strategy="ddp" if processes > 1 else "auto",
    )
    fabric.launch()
    return fabric
