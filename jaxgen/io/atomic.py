"""Atomic writes, which leave either a complete file or the previous one, and the location of the user's cache."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

TEMPORARY = ".*.tmp"  # pattern of a file's name while it is being written


def write_bytes_atomic(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file by renaming a synced temporary file: a reader finds the old content or the new, never a part."""
    with _open_atomic(path) as file:
        file.write(content)


def write_npz_atomic(path: str | os.PathLike, **arrays: np.ndarray) -> None:
    """Writes arrays to an npz file, as atomically as `write_bytes_atomic`."""
    with _open_atomic(path) as file:
        np.savez(file, **arrays)


@contextlib.contextmanager
def _open_atomic(path: str | os.PathLike) -> Iterator[BinaryIO]:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def to_file_name(text: str, most: int = 120) -> str:
    """Returns text as a file name: other characters than letters, digits, ".", "_" and "-" become "-".

    Args:
      text: any text.
      most: maximum length; the last characters are kept.
    """
    return re.sub(r"[^\w.-]+", "-", text)[-most:].lstrip(".")


def cache_dir(*parts: str) -> Path:
    """Returns a folder below $XDG_CACHE_HOME/jaxgen, by default ~/.cache/jaxgen; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxgen" / Path(*parts)
