"""A model as ONNX: images in [0, 1] in, pooled features out."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbook.errors import SharingError, first_line
from workbook.files import told, user_path, write_atomically
from workbook.models.pretrained import Pretrained

IMAGES, FEATURES = "images", "features"  # what the file calls its input and its output
_CLOSE = 1e-4  # of the largest feature, or of 1: what other kernels add up in another order
_NEEDED = ("onnx", "onnxscript")
_EXTRA = "pip install 'transferability-workbook[onnx]'"


def export_onnx(model: Pretrained, path: Path) -> str:
    """Write the backbone as an ONNX file; one sentence on how its features were compared.

    Its input "images" is float32 (N, 3, S, S) in [0, 1], N free, S the model's size: the file normalises. Its output
    "features" is (N, D). Where onnxruntime is there, the file's features of random images are held against ours, for
    another N than it was made with, and none is left where they differ by more than 1e-4.
    Raises SharingError where the libraries are missing, the network cannot be put into ONNX, or its features differ.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise SharingError(f"ONNX needs {' and '.join(missing)}: {_EXTRA}")
    path = user_path(path)
    with TemporaryDirectory() as folder, _quiet():
        file = Path(folder, "model.onnx")
        try:
            _write(model, file)
            said = _compare(model, file)
        except SharingError:
            raise
        except Exception as error:  # whatever torch's tracing, its translation or the runtime stumbles over
            raise SharingError(
                f"{model.name} cannot be put into ONNX ({type(error).__name__}: {first_line(error)}): its network does "
                "what ONNX has no words for, or not for every batch size; name another architecture"
            ) from error
        with told(SharingError, "written", path):
            write_atomically(path, file.read_bytes())
    return said


def _write(model: Pretrained, file: Path) -> None:
    free: Any = ({0: torch.export.Dim("batch")},)
    names: dict[str, Any] = {"input_names": [IMAGES], "output_names": [FEATURES]}
    program = torch.onnx.export(
        model.backbone.eval(), (_images(model, 2),), dynamic_shapes=free, dynamo=True, verbose=False, **names
    )
    assert program is not None, "torch's newer exporter gives the program"
    program.save(file, external_data=False)


def _compare(model: Pretrained, file: Path) -> str:
    try:
        import onnxruntime
    except ImportError:
        return f"not compared with ours, as there is no onnxruntime: {_EXTRA}"
    images = _images(model, 5)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (theirs,) = session.run([FEATURES], {IMAGES: images.numpy()})
    with torch.inference_mode():
        ours = model.backbone(images).numpy()
    off = float(np.abs(theirs - ours).max())
    if not off <= _CLOSE * max(1.0, float(np.abs(ours).max())):
        raise SharingError(
            f"{model.name} in ONNX gives other features, up to {off:.2g} away: name another architecture"
        )
    return f"its features of {len(images)} images agree to {off:.1g}, by onnxruntime {onnxruntime.__version__}"


def _images(model: Pretrained, count: int) -> Tensor:
    """Noise in [0, 1], always the same."""
    size = model.image_size
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporter tells of its own deprecations, and of what it optimises."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
