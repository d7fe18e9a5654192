"""The folder of checkpoints: listing, metadata, checksums and quarantine; without Orbax."""

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.io.pytrees import dtype_and_shape

DAMAGED = "damaged"  # folder that damaged checkpoints are moved to


def list_checkpoints(directory: str | os.PathLike) -> list[int]:
    """Returns the steps of all checkpoints, damaged ones included, in ascending order; [] without the folder."""
    path = Path(directory)
    names = [child.name for child in path.iterdir() if child.is_dir()] if path.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)


def read_latest_metadata(directory: str | os.PathLike) -> dict[str, Any] | None:
    """Reads the metadata of the newest checkpoint whose metadata is readable; None if there is no checkpoint.

    Raises:
      ValueError: there are checkpoints, and the metadata of each is damaged.
    """
    steps = list_checkpoints(directory)
    for step in reversed(steps):
        if meta := read_metadata(Path(directory) / str(step)):
            return meta
    if steps:
        raise ValueError(
            f"every checkpoint in {directory} is damaged: no metadata can be read; steps: {format_steps(steps)}; "
            "the files are left as they are. Restore them from a copy, or train again in another folder: --workdir=DIR"
        )
    return None


def read_metadata(path: Path) -> dict[str, Any]:
    """Reads the metadata of the checkpoint in a folder; {} if it cannot be read."""
    try:
        meta = json.loads((path / "meta" / "metadata").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return meta if isinstance(meta, dict) and isinstance(meta.get("metrics"), dict) else {}


def quarantine_checkpoint(path: Path) -> None:
    """Moves checkpoints/STEP to checkpoints/damaged/STEP, or to the first free name STEP-1, STEP-2 and so on."""
    folder = path.parent / DAMAGED
    folder.mkdir(exist_ok=True)
    taken = {child.name for child in folder.iterdir()}
    names = [path.name, *(f"{path.name}-{count}" for count in range(1, len(taken) + 1))]
    path.rename(folder / next(name for name in names if name not in taken))


def format_steps(steps: Sequence[int]) -> str:
    """Returns the steps as text, such as "100, 200"."""
    return ", ".join(map(str, steps))


def checksum(leaves: dict[str, np.ndarray], meta: dict[str, Any]) -> str:
    """Returns the CRC-32 over the metadata and over every leaf's path, dtype, shape and bytes, sorted by path.

    The entry "checksum" of the metadata is excluded.
    """
    hashed = {key: value for key, value in meta.items() if key != "checksum"}
    crc = zlib.crc32(json.dumps(hashed, sort_keys=True).encode())
    for path, leaf in sorted(leaves.items()):
        crc = zlib.crc32(f"{path} {dtype_and_shape(leaf)}".encode(), crc)
        crc = zlib.crc32(np.asarray(leaf).tobytes(), crc)
    return f"{crc:08x}"
