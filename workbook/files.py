"""The checkout, and files that nobody meets half-written."""

import os
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def write_atomically(path: Path, data: bytes) -> None:
    """Write under a temporary name, then rename: whoever reads `path` sees all of it or nothing."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
