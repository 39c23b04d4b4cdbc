"""Where things lie, paths as users give them, files that nobody meets half-written, what the file system says."""

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from workbook.errors import PathError, WorkbookError

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
IN_CHECKOUT = (CHECKOUT / "data_manifests").is_dir()
# holds data, store and reports where nobody says otherwise: an installed package lies where nobody looks for them
HOME = CHECKOUT if IN_CHECKOUT else Path("~/transferability-workbook").expanduser()


def shipped(folder: str) -> Path:
    """A folder of files that come with the package: at the top of a checkout, within the package in a wheel."""
    return (CHECKOUT if IN_CHECKOUT else PACKAGE) / folder


_PERMISSION = ("this account has no permission", "give it permission")
_NO_SPACE = ("no space left", "free some")
_NO_LOCKS = ("its file system cannot lock files", "take a folder on a local disk")
# what the operating system says -> the cause, and what to do next
_SAID = {
    errno.ENOENT: ("it is not there", "correct its name"),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "correct its path, or move that file away"),
    errno.EISDIR: ("it is a folder, not a file", "move the folder away, or name a file"),
    errno.EEXIST: ("something else lies there", "move that away"),
    errno.ENOTEMPTY: ("something else lies there", "move that away"),
    errno.ELOOP: ("its links lead in a circle", "make the link anew"),
    errno.ENAMETOOLONG: ("its name is too long for the file system", "choose a shorter one"),
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: ("its file system is read-only", "take a folder that can be written"),
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.ENOSYS: _NO_LOCKS,
}
FULL = (errno.ENOSPC, errno.EDQUOT)


def said(error: OSError, path: Path | str) -> tuple[str, str]:
    """What the operating system said of a path, in words: the cause, and what to do next."""
    if error.errno == errno.ENOENT and os.path.islink(path):
        return f"it is a link to {os.readlink(path)}, which is not there", "make the link anew, or remove it"
    return _SAID.get(error.errno or 0, (error.strerror or str(error), "check the disk and the path"))


@contextmanager
def told(kind: type[WorkbookError], what: str, path: Path | str) -> Iterator[None]:
    """An OSError inside becomes this kind of error: what cannot be done to the path, why, and what to do next."""
    try:
        yield
    except OSError as error:
        cause, advice = said(error, path)
        raise kind(f"{path} cannot be {what} ({cause}): {advice}") from error


def user_path(given: Path | str, base: Path | None = None) -> Path:
    """A path as a user gives it, absolute: `~` is a home folder, and a relative one starts from `base`, None = the
    current folder. Links on the way are followed; one at its end stays, so that its name is told.

    Raises PathError for a home folder that there is not, and for what can be no path.
    """
    try:
        path = Path(base or "") / Path(given).expanduser()
        whole = os.path.realpath(path)
        return Path(os.path.realpath(path.parent), path.name) if os.path.islink(path) else Path(whole)
    except (RuntimeError, ValueError) as error:  # no such user; a NUL
        raise PathError(f"{str(given)!r} is no path on this machine ({error}): write it out in full") from error


def folder_of(variable: str, otherwise: str) -> Path:
    """The folder that an environment variable names, else this one in the checkout.

    Raises PathError for a relative one: notebooks run in folders of their own, and each would mean another by it.
    """
    given = os.environ.get(variable)
    if not given:
        return HOME / otherwise
    path = user_path(given)
    if not Path(given).expanduser().is_absolute():
        raise PathError(f"{variable}={given} depends on the folder that a notebook runs in: set it to {path}")
    return path


def named_file(text: str) -> str:
    """A text that names a manifest's or another file, or a folder with config.json, absolute; anything else as it is.

    A manifest may have a side, "mine.yaml:eval", and a file of code a function, "mine.py:network".
    """
    found = re.fullmatch(r"(.+\.(?:ya?ml|py))(:\w+)?", text)
    if found and os.path.lexists(path := user_path(found[1])):
        return f"{path}{found[2] or ''}"
    is_file = os.path.isfile(text) or os.path.isfile(os.path.join(text, "config.json"))
    named = is_file or text.startswith("~") or (os.sep in text and os.path.exists(text))
    return str(user_path(text)) if named else text


def file_name(*parts: str) -> str:
    """Of a folder: the parts that there are, without what a file system may take ill."""
    return re.sub(r"[^\w.-]+", "-", "-".join(filter(None, parts)))


def without_home(value: Any) -> Any:
    """Plain values, of which every text has `~` for this account's home folder: what is shared says not whose it is."""
    if isinstance(value, Mapping):
        return cast(Any, type(value))({name: without_home(item) for name, item in value.items()})
    if isinstance(value, list | tuple):
        return type(value)(without_home(item) for item in value)
    home = os.path.expanduser("~").rstrip("/")
    if not home or not isinstance(value, str) or home not in value:
        return value
    # as a whole path or its beginning; a terminal's colours may stand before it
    return re.sub(rf"(\x1b\[[\d;]*m|file://|(?<![\w.~/-])){re.escape(home)}(?![\w.-])", r"\1~", value)


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """The file, opened to be written; at the end what was written lies on the disk."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


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


def write_array(path: Path, array: np.ndarray) -> None:
    """As .npy, atomically. NumPy itself neither waits for the disk nor says why it stopped where that is full."""
    buffer = BytesIO()
    np.save(buffer, array)
    write_atomically(path, buffer.getvalue())


def file_digest(path: Path) -> bytes:
    """16 bytes that name the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
