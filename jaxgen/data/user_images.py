"""A user's own images, converted like the training images of a run."""

import contextlib
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxgen.data.file_finder import (
    describe_reasons,
    find_image_files,
    report_bad_images,
    report_other_files,
    require_images,
    split_paths,
)
from jaxgen.data.image_files import DecodeOptions, strict_pillow, try_decode
from jaxgen.data.thread_map import map_in_threads

Paths = str | os.PathLike | Sequence


def prepare_images(
    where: Paths, options: DecodeOptions, on_bad_image: str = "skip", count: int | None = None
) -> Float[np.ndarray, "N H W C"]:
    """Returns image files as float32 in [0, 1], decoded, fitted and filtered like the images of a training folder.

    Args:
      where: a folder, with everything nested in it, in the order of names; a file; files and folders separated by
        commas; or a sequence of these.
      options: the run's options, with the size and the channels of its images.
      on_bad_image: "skip" leaves files out that cannot be used, with a warning; "stop" raises an error.
      count: maximum number of images; None for all.

    Raises:
      ValueError: a path does not exist, a folder has no image, or no file can be used.
    """
    paths, bad = list_user_files(where)
    images: list[np.ndarray] = []
    decoding = map_in_threads(lambda path: try_decode(path, options), list(paths.values()), "decoding")
    with contextlib.closing(decoding), strict_pillow():
        for name, (image, reason) in zip(paths, decoding, strict=True):
            if image is None:
                bad[name] = reason
            else:
                images.append(image)
            if count is not None and len(images) == count:
                break
    total, place = len(paths.keys() | bad.keys()), describe_place(where)
    if not images:
        raise ValueError(f"images={place}: all of {describe_reasons(bad, place, total)}; name other images")
    report_bad_images(place, bad, total, stop=on_bad_image == "stop")
    return np.stack(images).astype(np.float32) / 255


def list_user_files(where: Paths) -> tuple[dict[str, Path], dict[str, str]]:
    """Returns the files to decode by the name in messages, and the reason for each picture in an unread format.

    Raises:
      ValueError: a path does not exist, a folder has no image, or no path is given.
    """
    paths: dict[str, Path] = {}
    bad: dict[str, str] = {}
    named = split_paths(where)
    if not named:
        raise ValueError("images is empty and must name a folder, or files separated by commas")
    for path in named:
        if not path.is_dir():
            paths[str(path)] = path
            continue
        found, prefix = find_image_files(path), "" if len(named) == 1 else f"{path}/"
        require_images(path, found, "--images=DIR")
        report_other_files(path, found)
        paths |= {f"{prefix}{name}": path / name for name in found.names}
        bad |= {f"{prefix}{name}": reason for name, reason in found.unreadable.items()}
    return paths, bad


def describe_place(where: Paths, most: int = 3) -> str:
    """Returns the paths as the user gave them, separated by commas; no more than the first three."""
    if isinstance(where, (str, os.PathLike)):
        return os.fspath(where)
    first = [os.fspath(path) for path in itertools.islice(where, most)]
    return ",".join([*first, *(["…"] if len(where) > most else [])])
