"""The folder that checkpoints lie in, as far as names and JSON tell: no array is read, and no Orbax needed."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DAMAGED = "damaged"  # the folder that damaged checkpoints are moved to


def list_checkpoints(directory: str | os.PathLike) -> list[int]:
    """The steps of the checkpoints in a folder in ascending order, good or not; [] if there is no such folder."""
    path = Path(directory)
    names = [child.name for child in path.iterdir() if child.is_dir()] if path.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)


def read_latest_metadata(directory: str | os.PathLike) -> dict[str, Any] | None:
    """The meta of the newest checkpoint that has one, its arrays unread; None if there is no checkpoint.

    Raises:
      ValueError: there are checkpoints, and none has a meta that can be read.
    """
    steps = list_checkpoints(directory)
    for step in reversed(steps):
        if meta := read_metadata(Path(directory) / str(step)):
            return meta
    if steps:
        raise ValueError(
            f"every checkpoint in {directory} is damaged: no meta can be read; steps: {format_steps(steps)}; "
            "remove that folder to start anew, or choose another --workdir"
        )
    return None


def read_metadata(path: Path) -> dict[str, Any]:
    """Meta as it lies on the disk; {} if it cannot be read."""
    try:
        meta = json.loads((path / "meta" / "metadata").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return meta if isinstance(meta, dict) and isinstance(meta.get("metrics"), dict) else {}


def quarantine_checkpoint(path: Path) -> None:
    """Moves checkpoints/STEP to checkpoints/damaged/STEP, or STEP-1, … where that is taken."""
    folder = path.parent / DAMAGED
    folder.mkdir(exist_ok=True)
    taken = {child.name for child in folder.iterdir()}
    names = [path.name, *(f"{path.name}-{count}" for count in range(1, len(taken) + 1))]
    path.rename(folder / next(name for name in names if name not in taken))


def format_steps(steps: Sequence[int]) -> str:
    """As a line has them."""
    return ", ".join(map(str, steps))
