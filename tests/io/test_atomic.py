"""Files that are whole or not there."""

import numpy as np
import pytest

from jaxgen.io.atomic import write_bytes_atomic, write_npz_atomic


def test_arrays_that_cannot_be_written_leave_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left")

    path = tmp_path / "folder" / "arrays.npz"
    write_npz_atomic(path, codes=np.arange(3))
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space left"):
        write_npz_atomic(path, codes=np.arange(4))
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["codes"], [0, 1, 2])
    assert [each.name for each in path.parent.iterdir()] == ["arrays.npz"]


def test_bytes_take_the_place_of_what_was_there(tmp_path):
    write_bytes_atomic(tmp_path / "file", b"old and long")
    write_bytes_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
