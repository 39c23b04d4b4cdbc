import io
import zipfile

import numpy as np
import pytest

from workbook.data.arrays import open_array
from workbook.errors import CorruptDataError, ManifestError, MissingDataError


def _read(base, place):
    with open_array(base, place) as found:
        return found.read()


@pytest.mark.parametrize("array", [np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.zeros((0, 3))])
def test_arrays_come_back_from_both_kinds_of_files(tmp_path, array):
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    np.savez_compressed(tmp_path / "a.npz", x=array)
    for place in ("a.npy", "a.npz:x"):
        assert np.array_equal(_read(tmp_path, place), array), place


def _header(shape: str, kind: str = "|u1") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_header("(63771674411008,)") + b"\0" * 8, "claims .*63,771,674,411,008 bytes, but 8 are there"),
        (_header("(-1,)") + b"\0" * 8, "claims"),
        (_header(f"({2**70},)") + b"\0" * 8, "claims"),
        (_header("(1,)", "|O") + b"\0" * 8, "Python objects"),
        (_header("(1,)", "nonsense") + b"\0" * 8, "no readable NumPy array"),
        (_header("(") + b"\0" * 8, "no readable NumPy array"),
        (b"\x93NUMPY\x09\x00", "no readable NumPy array"),
        (b"PK", "no readable NumPy array"),
        (b"", "no readable NumPy array"),
    ],
    ids=range(9),
)
def test_a_header_is_held_against_the_file_before_anything_is_read(tmp_path, content, message):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(CorruptDataError, match=message):
        _read(tmp_path, "a.npy")


def test_a_bomb_is_refused_by_what_it_claims(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        file.write(_header(f"({80 * 2**20},)"))
        for _ in range(80):
            file.write(bytes(2**20))
    with pytest.raises(CorruptDataError, match="x unpacks from .* to 83,886,20. bytes.*save them unpacked as .npy"):
        _read(tmp_path, "a.npz:x")


def test_what_is_not_there(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(MissingDataError, match="b.npy"):
        _read(tmp_path, "b.npy")
    for place in ("a.npz:y", "a.npz"):
        with pytest.raises(ManifestError, match=r"holds \['x'\]"):
            _read(tmp_path, place)


def test_a_member_that_lies_about_its_size_is_corrupt(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(100, np.uint8))
    (tmp_path / "a.npz").write_bytes(buffer.getvalue().replace(b"'shape': (100,)", b"'shape': (900,)"))
    with pytest.raises(CorruptDataError, match="no readable NumPy array"):
        _read(tmp_path, "a.npz:x")
