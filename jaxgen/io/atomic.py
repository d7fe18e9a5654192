"""Files that are whole or not there, and the place of caches. Knows nothing of what is in them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

TEMPORARY = ".*.tmp"  # what a file is called while it is written


def write_bytes_atomic(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file in one move, made durable first: a reader finds the old one or the new one, never half of one."""
    with _in_one_move(path) as file:
        file.write(content)


def write_npz_atomic(path: str | os.PathLike, **arrays: np.ndarray) -> None:
    """Writes an npz file in one move."""
    with _in_one_move(path) as file:
        np.savez(file, **arrays)


@contextlib.contextmanager
def _in_one_move(path: str | os.PathLike) -> Iterator[BinaryIO]:
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


def cache_dir(*parts: str) -> Path:
    """A folder below $XDG_CACHE_HOME/jaxgen, by default ~/.cache/jaxgen; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxgen" / Path(*parts)
