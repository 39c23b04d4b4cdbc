"""Where a number comes from: code, libraries, machine, date."""

import hashlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from workbook import __version__
from workbook.files import CHECKOUT, PACKAGE, file_digest

_LIBRARIES = ("torch", "torchvision", "timm", "lightning-fabric", "numpy", "kornia", "lightly", "scikit-learn")


def provenance() -> dict[str, object]:
    """What is recorded with every artefact and every verdict; plain values."""
    import torch  # here, because a store is listed without it

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": _code_version(),
        "python": platform.python_version(),
        "libraries": dict(_versions()),
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "devices": torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1,  # used together
    }


def other_versions(found: Sequence[Mapping[str, Any]]) -> str:
    """One line on what was made by other code, or with another torch, than this is; empty where nothing was.

    found: the provenance of each stored thing. Numbers may then differ for another reason than the one in question.
    """
    now = _made_with(provenance())
    others = [made for made in map(_made_with, found) if made != now]
    if not others:
        return ""
    versions = ", ".join(f"{name} {' and '.join(sorted({made[name] for made in others}))}" for name in now)
    this = ", ".join(f"{name} {version}" for name, version in now.items())
    return f"{len(others)} of {len(found)} were made by another version: {versions}. This is {this}."


def _made_with(provenance: Mapping[str, Any]) -> dict[str, str]:
    libraries = provenance.get("libraries") or {}
    return {"code": str(provenance.get("code", "unknown")), "torch": str(libraries.get("torch", "unknown"))}


@cache
def versions_here() -> dict[str, str]:
    """The commit, and what must be the same wherever jobs of a sweep are done: the package's files, since a notebook
    that is saved makes another commit and no other numbers, and torch."""
    blake = hashlib.blake2b(digest_size=4)
    for path in sorted(PACKAGE.rglob("*.py")):
        blake.update(f"{path.relative_to(PACKAGE)} {file_digest(path).hex()}\n".encode())
    return {"commit": _code_version(), "files": blake.hexdigest(), "torch": _versions()["torch"]}


@cache
def _versions() -> dict[str, str]:
    return {name: _version(name) for name in _LIBRARIES}


def _version(library: str) -> str:
    """That of its module where another distribution brought it along, as `lightning` does lightning-fabric."""
    try:
        return version(library)
    except PackageNotFoundError:
        with suppress(ImportError):
            return str(getattr(import_module(library.replace("-", "_")), "__version__", "unknown"))
        return "unknown"


@cache
def hardware() -> str:
    """One line a reader understands: processor, cores, and how many of them are used; or the GPU."""
    import torch
    from joblib import cpu_count

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    cores, used = cpu_count(), torch.get_num_threads()
    text = f"{_processor()}, {cores} core{'s' * (cores > 1)}"
    return text if used >= cores else f"{text}, {used} used"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


@cache
def _code_version() -> str:
    """The checkout's commit, `+` where it was changed since; the package's version outside a checkout.

    Never that of a repository around an installed package.
    """
    if not (CHECKOUT / ".git").exists():
        return __version__
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return __version__
