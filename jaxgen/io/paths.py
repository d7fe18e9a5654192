"""Interprets the paths that users give: of run folders, of images and of outputs."""

import os
import re
from pathlib import Path

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # "gs://…"; a path that lost one of its slashes too
UNSAFE = "*?[]\\"  # Orbax and tensorstore take these for patterns when they save a checkpoint


def resolve_path(path: str | os.PathLike, option: str) -> Path:
    """Returns the absolute path, with "~" for the home directory.

    Args:
      path: the path as the user gave it.
      option: name of the flag or config key, for the message.

    Raises:
      ValueError: the path is empty, a URL, or contains a character that no path can have.
    """
    text = os.fspath(path)
    if URL.match(text):
        raise ValueError(f"{option}={text} is a URL; jaxgen reads and writes local disks only: {option}=DIR")
    if not text or "\0" in text:
        raise ValueError(f"{option}={text!r} is not a path; try {option}=DIR")
    return Path(os.path.abspath(os.path.expanduser(text)))


def require_safe_for_checkpoints(path: Path, option: str) -> None:
    """Refuses a folder whose path makes Orbax save checkpoints that it cannot read.

    Raises:
      ValueError: the absolute path contains one of the characters in `UNSAFE`.
    """
    if found := sorted(set(os.fspath(path)) & set(UNSAFE)):
        raise ValueError(
            f"{option}={path} contains {' '.join(found)}, so that its checkpoints could not be read back; "
            f"name a folder without {' '.join(UNSAFE)} in its path: {option}=DIR"
        )


def find_moved_folder(folder: str | os.PathLike, neighbor: Path, option: str) -> Path:
    """Returns a folder that another run's config names, or its new place beside `neighbor` if both were moved.

    Args:
      folder: the folder as the config names it.
      neighbor: folder of the run whose config it is.
      option: name of the config key, for the message.

    Returns:
      The first of these that exists: the folder itself, and the folder of its name beside `neighbor`; the folder
      itself if neither exists.
    """
    named = resolve_path(folder, option)
    beside = neighbor.parent / named.name
    return beside if not named.is_dir() and beside.is_dir() else named
