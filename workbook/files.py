"""Where things lie in a checkout and beside an installed package, and files that nobody meets half-written."""

import hashlib
import os
import tempfile
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
CHECKOUT = _PACKAGE.parent
IN_CHECKOUT = (CHECKOUT / "data_manifests").is_dir()
# holds data, store and reports where nobody says otherwise: an installed package lies where nobody looks for them
HOME = CHECKOUT if IN_CHECKOUT else Path("~/transferability-workbook").expanduser()


def shipped(folder: str) -> Path:
    """A folder of files that come with the package: at the top of a checkout, within the package in a wheel."""
    return (CHECKOUT if IN_CHECKOUT else _PACKAGE) / folder


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write under a temporary name, then rename: whoever reads `path` sees all of it or nothing."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def file_digest(path: Path) -> bytes:
    """16 bytes that name the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
