"""Finds image files: one rule for training folders and for a user's images, and one report of unusable files."""

import collections
import itertools
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".jpe", ".avif", ".apng", ".dib"),
    *(".jp2", ".j2k", ".jpx", ".jpf", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".pcx", ".sgi", ".ras", ".qoi"),
    *(".mpo", ".psd", ".ico", ".icns", ".dds", ".xpm", ".xbm", ".im"),
)
# Suffixes of pictures that Pillow does not decode by itself.
UNREADABLE_SUFFIXES = (
    *(".heic", ".heif", ".hif", ".jxl", ".svg", ".xcf", ".exr", ".hdr", ".eps", ".raw", ".cr2", ".cr3"),
    *(".nef", ".arw", ".dng", ".orf", ".rw2", ".raf"),
)
MAX_NAMED = 3  # files that a message names for each reason
MAX_SUFFIXES = 5  # suffixes that a message counts

logger = logging.getLogger(__name__)


class FoundFiles(NamedTuple):
    """The files of a folder and of everything nested in it, without hidden files.

    Attributes:
      names: paths of the image files relative to the folder, with /, sorted.
      unreadable: the same for pictures in formats that are not read, with the reason of each.
      other_suffixes: the number of other files by suffix.
    """

    names: list[str]
    unreadable: dict[str, str]
    other_suffixes: dict[str, int]


def find_image_files(root: Path) -> FoundFiles:
    """Finds the image files in a folder; links to folders are followed."""
    names, unreadable, others = [], {}, collections.Counter()
    for name in list_files(root):
        suffix = Path(name).suffix.lower()
        if suffix in SUFFIXES:
            names.append(name)
        elif suffix in UNREADABLE_SUFFIXES:
            unreadable[name] = f"{suffix}, a format that is not read"
        else:
            others[suffix or "without suffix"] += 1
    return FoundFiles(sorted(names), unreadable, dict(others))


def list_files(root: Path) -> list[str]:
    """Returns the paths of all files relative to `root`, with /; hidden files and folders are left out."""
    names, visited = [], set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in visited:  # a cycle of links
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        names += [Path(folder, name).relative_to(root).as_posix() for name in files if not name.startswith(".")]
    return names


def require_images(root: Path, found: FoundFiles, flag: str) -> None:
    """Raises a ValueError if a folder has no image file.

    Args:
      root: the folder.
      found: its files.
      flag: the flag that names another folder.
    """
    if found.names:
        return
    counts = {**count_suffixes(list(found.unreadable)), **found.other_suffixes}
    contents = f", but {describe_suffixes(counts)}" if counts else ""
    convert = "convert its files to PNG or JPEG, or " if found.unreadable else ""
    raise ValueError(
        f"{root} has no {', '.join(SUFFIXES[:4])} file; it has no image of another format either{contents}; "
        f"{convert}name a folder of images: {flag}"
    )


def report_other_files(root: Path, found: FoundFiles) -> None:
    """Logs the number of files by suffix that are no images."""
    if found.other_suffixes:
        logger.info("%s: files that are no images are ignored: %s", root, describe_suffixes(found.other_suffixes))


def count_suffixes(names: Sequence[str]) -> dict[str, int]:
    """Returns the number of files by suffix."""
    return dict(collections.Counter(Path(name).suffix.lower() for name in names))


def describe_suffixes(counts: dict[str, int]) -> str:
    """Returns "3 .txt, 1 .csv", the most frequent first."""
    order = sorted(counts, key=lambda suffix: (-counts[suffix], suffix))
    more = [f"{sum(counts[suffix] for suffix in order[MAX_SUFFIXES:])} others"] if len(order) > MAX_SUFFIXES else []
    return ", ".join([*(f"{counts[suffix]} {printable(suffix)}" for suffix in order[:MAX_SUFFIXES]), *more])


def report_bad_images(root: str | Path, bad: dict[str, str], count: int, stop: bool) -> None:
    """Reports the files that cannot be used, as one warning or as the error that stops the run.

    Args:
      root: the folder.
      bad: the reason for each file that cannot be used.
      count: number of all image files in the folder.
      stop: whether to raise an error.

    Raises:
      ValueError: a file cannot be used, and `stop` is true.
    """
    if not bad:
        return
    summary = f"{len(bad)} of {describe_reasons(bad, root, count)}"
    if stop:
        raise ValueError(f"{summary}; repair or remove them, or leave them out: --config.data.on_bad_image=skip")
    logger.warning("%s; they are left out; --config.data.on_bad_image=stop stops the run instead", summary)


def describe_reasons(bad: dict[str, str], root: str | Path, count: int) -> str:
    """Returns "the COUNT images … cannot be used: …", with the number and some names of the files for each reason."""
    parts = []
    for reason, group in itertools.groupby(sorted(bad, key=lambda name: (bad[name], name)), key=bad.get):
        names = list(group)
        more = [f"and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
        parts.append(f"{len(names)} {reason} ({', '.join([*map(printable, names[:MAX_NAMED]), *more])})")
    return f"the {count} images in {root} cannot be used: {'; '.join(parts)}"


def printable(name: str) -> str:
    """Returns a file name as it is, or quoted if it would break the line."""
    return name if name.isprintable() else repr(name)


def split_paths(where: str | os.PathLike | Sequence) -> list[Path]:
    """Returns the files and folders that a user names: one path, a sequence of paths, or paths separated by commas.

    A comma belongs to a name if a file of that name exists.

    Raises:
      ValueError: a path does not exist, or none is given.
    """
    if not isinstance(where, (str, os.PathLike)):
        return [path for part in where for path in split_paths(part)]
    if os.path.exists(os.path.expanduser(where)):
        return [Path(where).expanduser()]
    paths, parts = [], str(where).split(",")
    while parts:
        ends = (end for end in range(1, len(parts) + 1) if os.path.exists(os.path.expanduser(",".join(parts[:end]))))
        end = 1 if parts[0] == "" else next(ends, None)
        if end is None:
            raise ValueError(f"images={parts[0]} does not exist; name a folder, or files separated by commas")
        if parts[0]:
            paths.append(Path(",".join(parts[:end])).expanduser())
        parts = parts[end:]
    return paths
