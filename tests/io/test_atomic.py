"""Atomic writes leave the old file or the new one, complete."""

import numpy as np
import pytest

from jaxgen.io.atomic import to_file_name, write_bytes_atomic, write_npz_atomic


def test_a_failed_write_of_arrays_leaves_the_old_file_and_no_temporary_file(tmp_path, monkeypatch):
    def fail(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left")

    path = tmp_path / "folder" / "arrays.npz"
    write_npz_atomic(path, codes=np.arange(3))
    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="no space left"):
        write_npz_atomic(path, codes=np.arange(4))
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["codes"], [0, 1, 2])
    assert [child.name for child in path.parent.iterdir()] == ["arrays.npz"]


def test_bytes_replace_a_longer_file(tmp_path):
    write_bytes_atomic(tmp_path / "file", b"old and long")
    write_bytes_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_any_name_of_a_data_set_is_a_file_name():
    assert to_file_name("digits, dynamic binarization-3f") == "digits-dynamic-binarization-3f"
    assert to_file_name("../été 日本/a,b") == "-été-日本-a-b"
    assert to_file_name("x" * 500 + "-3f") == "x" * 117 + "-3f"
