"""A network of the user's own: `path/to/file.py:function`."""

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbook.errors import CheckpointError
from workbook.files import file_digest, user_path
from workbook.models.backbones import Backbone
from workbook.models.preprocessing import Usual, reading_of
from workbook.models.pretrained import Pretrained, Untrained, no_vectors
from workbook.models.weight_files import some


def is_own(text: str) -> bool:
    """Whether this is the name of a function in a file: `path/to/file.py:function`."""
    return re.fullmatch(r".+\.py:\w+", text) is not None


def from_function(text: str, **how: Any) -> Pretrained:
    """The network that a function of the user's makes, with the weights that it has then; see `own_network`."""
    note = "weights as the function gives them: whether they are trained is not known"
    return own_network(text, **how).finished((note,), name=text.rpartition(":")[2])


def own_network(text: str, **how: Any) -> Untrained:
    """What `function` in `path/to/file.py` returns, text being "path/to/file.py:function".

    The file is the user's own code and is run on purpose, as `python path/to/file.py` would run it. The function takes
    no argument and returns a module that maps normalised images (N, 3, H, W) to features (N, D). Its attribute `stages`
    may name up to five of its submodules, from the first stage to the last, that give maps (N, C, H, W) or tokens
    (N, prefix + H * W, C). how: image_size, mean and std, see `reading_of`; None: 224 pixels, ImageNet's.
    Features are known by the weights and this file's content; what it imports is not part of their key.
    Raises CheckpointError where there is no such function, and with the file's line for what goes wrong within it.
    """
    given, _, function = text.rpartition(":")
    path = user_path(given)
    reading, told = reading_of(Usual(), **how)
    module = _module(path, function)
    side = reading.image_size
    with _told(path, f"{function}() cannot read images of {side} pixels"), torch.inference_mode():
        features = module.eval()(torch.zeros(1, 3, side, side))
    if got := no_vectors(features):
        raise CheckpointError(f"{path}: {function}() must give a vector of each image, (N, D), got {got}: pool it")
    shape: dict[str, Any] = {"num_features": features.shape[1], "mean": reading.mean, "std": reading.std}
    what: dict[str, Any] = {"architecture": f"{path.name}:{function}", "code": file_digest(path).hex()}
    what |= {"features": f"features as {function}() gives them", "reading": reading, "told": told}
    return Untrained(backbone=Backbone(module, _stages(module, path), **shape), **what)


def _module(path: Path, function: str) -> nn.Module:
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}: name one as path/to/file.py:function")
    with torch.random.fork_rng(devices=[]), _beside(path):
        torch.manual_seed(0)  # weights that it draws are the same each time
        with _told(path, "it cannot be run"):
            defined = _run(path)
        if not callable(defined.get(function)):
            there = some(n for n, value in defined.items() if callable(value) and not n.startswith("_"))
            raise CheckpointError(f"{path} has no function {function!r}; it has {there or 'none'}")
        with _told(path, f"{function}() makes no model"):
            module = defined[function]()
    if not isinstance(module, nn.Module):
        raise CheckpointError(f"{path}: {function}() must return a torch.nn.Module, got a {type(module).__name__}")
    return module


def _run(path: Path) -> dict[str, Any]:
    """What the file defines; it is a module of its own, so that its dataclasses and pickles find it."""
    spec = spec_from_file_location(f"own_{file_digest(path).hex()}", path)
    assert spec and spec.loader, "a file that ends in .py has a loader"
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Imports find what lies beside the file, as when Python runs it."""
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.path.remove(str(path.parent))


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    """Whatever the user's code raises inside is told with the last line of the file that led to it."""
    try:
        yield
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        said = f"{path}{f', line {line}' if line else ''}: {what} ({type(error).__name__}: {error})"
        raise CheckpointError(f"{said}: mend the file") from error


def _stages(module: nn.Module, path: Path) -> tuple[str, ...]:
    stages, known = tuple(getattr(module, "stages", ())), dict(module.named_modules())
    unknown = [stage for stage in stages if stage not in known]
    if unknown or len(stages) > 5:
        raise CheckpointError(
            f"{path}: stages are the names of up to five submodules, got {some(map(repr, unknown or stages))}; it has "
            f"{some(name for name in known if name)}"
        )
    return stages
