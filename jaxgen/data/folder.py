"""A folder of images as one array: each file is read once, in parallel, and kept in the user's cache by its content.

Subfolders are the classes. How one file becomes pixels is told in `image_files.py`, which image is for training and
which is held out in `sources.py`.
"""

import contextlib
import hashlib
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from jaxgen.config import did_you_mean
from jaxgen.data.cache import cached
from jaxgen.data.image_files import FITS, VERSION, Options, decode_or_why, quiet_pillow
from jaxgen.files import cache_folder
from jaxgen.types import Data

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SHOWN = 3  # names told of each reason why files can't be used
BATCH = 8  # files a task of a thread: handing a task over takes longer than to hash a small file
FEWEST = 3  # images of a class: one for each split

logger = logging.getLogger(__name__)


class Folder(NamedTuple):
    """The images of a folder, in the order of their names, and its classes by label."""

    name: str
    data: Data
    classes: tuple[str, ...]


def read_folder(config) -> Folder:
    """The images that `config.data` asks for by path, size, fit, channels and on_bad_image.

    A subfolder is a class, with all that is nested in it; a folder without subfolders is one class. Hidden files,
    and those of other kinds than PNG, JPEG and WebP, are passed over. Pixels are turned upright as EXIF says, and what
    is transparent lies on black, as padding and the bundled digits do.

    Raises:
      ValueError: no such folder, or too few images in it, of too many sizes, or bad ones that should stop the run.
    """
    check(config)
    root = find_folder(config.name, config.path)
    found = image_names(root)
    if not found:
        raise ValueError(f"{root} holds no {', '.join(SUFFIXES)} file; name a folder of images: --config.data.path=DIR")
    classes = sorted({name.partition("/")[0] for name in found if "/" in name})
    names = [name for name in found if "/" in name] if classes else found
    bad = dict.fromkeys(set(found) - set(names), "beside the subfolders, which are the classes")
    arrays = read_images(root, names, Options(config.size, config.fit, config.channels))
    bad |= {name: str(why) for name, why in zip(names, arrays["why_bad"], strict=True) if why}
    report(root, bad, len(found), stop=config.on_bad_image == "stop")
    good = [name for name in names if name not in bad]
    number = {each: k for k, each in enumerate(classes)}
    label = np.array([number.get(name.partition("/")[0], 0) for name in good], np.int32)
    name = config.name if config.name not in ("", "digits") else root.name or "images"
    folder = Folder(name, Data(arrays["image"], label), tuple(classes) or (name,))
    check_counts(root, folder)
    return folder


def check(config) -> None:
    """Raises a ValueError where a value of `config.data` is none that a folder can be read by."""
    for key, choices in (("fit", FITS), ("on_bad_image", ("skip", "stop")), ("channels", (0, 1, 3))):
        if config[key] not in choices:
            near = did_you_mean(config[key], choices) if isinstance(config[key], str) else ""
            raise ValueError(f"data.{key}={config[key]!r} must be one of {', '.join(map(str, choices))}{near}")
    if not 0 < config.held_out < 0.5:
        raise ValueError(
            f"data.held_out={config.held_out} must lie between 0 and .5, as validation and test take as much each; "
            "try --config.data.held_out=0.1"
        )


def find_folder(name: str, path: str | os.PathLike) -> Path:
    """The folder at `path`; where that is empty and the faces are asked for, the one that JAXGEN_FACES names.

    Raises:
      ValueError: there is none.
    """
    key = "data.path"
    if not path and name == "anime_faces":
        key, path = ("JAXGEN_FACES", os.environ["JAXGEN_FACES"]) if os.environ.get("JAXGEN_FACES") else (key, path)
    if not path:
        faces = (
            "; the anime faces are looked for there, or in the folder that the environment variable JAXGEN_FACES "
            "names, and any folder of images serves"
        )
        raise ValueError(
            "data.path is empty and must name a folder of images: --config.data.path=DIR"
            + (faces if name == "anime_faces" else "")
        )
    folder = Path(os.path.abspath(Path(path).expanduser()))
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ValueError(f"{key}={str(path)!r} {what}; name a folder of images: --config.data.path=DIR")
    return folder


def image_names(root: Path) -> list[str]:
    """The paths below `root`, with /, of all files that look like images, sorted; links to folders are followed."""
    names, been = [], set()
    for folder, inside, files in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in been:  # a link in a circle
            inside.clear()
            continue
        been.add(real)
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        of_kind = (name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        names += [Path(folder, name).relative_to(root).as_posix() for name in of_kind]
    return sorted(names)


def read_images(root: Path, names: Sequence[str], options: Options) -> dict[str, np.ndarray]:
    """`image`, uint8 [M, H, W, C], of the M files that can be used, and `why_bad` of all N, "" where there is no why.

    The cache's key is what the files are called and hold, and the options: a copy of the folder elsewhere is found.
    """
    key = hashlib.blake2b(repr((VERSION, *options)).encode(), digest_size=16)
    digests = in_parallel(lambda name: digest(root / name), names, "reading")
    for name, of_content in zip(names, digests, strict=True):
        key.update(os.fsencode(name) + b"\0" + of_content)
    state = key.hexdigest()
    path = cache_folder("data") / f"folder-{state[:16]}.npz"
    return cached(path, state, lambda: decode_all(root, names, options))


def digest(path: Path) -> bytes:
    """What a file holds, in 24 bytes: its size and the hash of its bytes; of one that can't be read, zeros."""
    try:
        content = path.read_bytes()
    except OSError:
        return bytes(24)
    return len(content).to_bytes(8, "little") + hashlib.blake2b(content, digest_size=16).digest()


def decode_all(root: Path, names: Sequence[str], options: Options) -> dict[str, np.ndarray]:
    """What `read_images` gives, from the files themselves.

    Raises:
      ValueError: the images are of several sizes, or none can be used.
    """
    images: list[np.ndarray] = []
    first, why_bad = "", []
    decoding = in_parallel(lambda name: decode_or_why(root / name, options), names, "decoding")
    with contextlib.closing(decoding), quiet_pillow():
        for name, (image, why) in zip(names, decoding, strict=True):
            why_bad.append(why)
            if image is None:
                continue
            first = first or name
            if images and image.shape[:2] != images[0].shape[:2]:  # at once: there may be no room for all of them
                raise ValueError(_mixed_sizes(root, (first, images[0]), (name, image)))
            images.append(image)
    if not images:
        bad = dict(zip(names, why_bad, strict=True))
        raise ValueError(f"all of {_reasons(bad, root, len(names))}; name another folder: --config.data.path=DIR")
    channels = max(image.shape[2] for image in images)  # grey files become colour where some file is
    same = (np.broadcast_to(image, (*image.shape[:2], channels)) for image in images)
    return {"image": np.stack(list(same)), "why_bad": np.array(why_bad)}


def _mixed_sizes(root: Path, *named: tuple[str, np.ndarray]) -> str:
    told = " and ".join(f"{image.shape[1]}×{image.shape[0]} ({_shown(name)})" for name, image in named)
    side = min(64, *(side for _, image in named for side in image.shape[:2]))
    return f"{root} mixes images of {told}; bring them to one size by --config.data.size={side}"


def in_parallel(work: Callable[[str], Any], names: Sequence[str], told: str) -> Iterator[Any]:
    """work(name) of each name, in order, with a bar on a terminal where it takes longer than a second."""
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    bar = tqdm(total=len(names), desc=told, leave=False, unit=" images", delay=1, disable=None)
    with bar, ThreadPoolExecutor() as pool:  # Pillow, hashing and reading all release Python's lock
        try:
            for done in pool.map(lambda batch: [work(name) for name in batch], batches):
                bar.update(len(done))
                yield from done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def report(root: Path, bad: dict[str, str], count: int, stop: bool) -> None:
    """Names the files that can't be used, by name why: in one warning, or as the error that stops the run."""
    if not bad:
        return
    told = f"{len(bad)} of {_reasons(bad, root, count)}"
    if stop:
        raise ValueError(f"{told}; repair or remove them, or do without: --config.data.on_bad_image=skip")
    logger.warning("%s; they are left out, where --config.data.on_bad_image=stop would stop", told)


def _reasons(bad: dict[str, str], root: Path, count: int) -> str:
    """What is wrong with which of COUNT images, for the number of them to be put before it."""
    told = []
    for why, names in itertools.groupby(sorted(bad, key=lambda name: (bad[name], name)), key=bad.get):
        names = list(names)
        more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
        told.append(f"{len(names)} {why} ({', '.join([*map(_shown, names[:SHOWN]), *more])})")
    return f"the {count} images in {root} can't be used: {'; '.join(told)}"


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)


def check_counts(root: Path, folder: Folder) -> None:
    """Raises a ValueError where a class has too few images to be in every split."""
    counts = np.bincount(folder.data.label, minlength=len(folder.classes))
    few = [f"{_shown(folder.classes[k])}: {counts[k]}" for k in np.flatnonzero(counts < FEWEST)]
    if not few:
        return
    needed = f"at least {FEWEST} are needed, for training, validation and test"
    if len(folder.classes) == 1:
        raise ValueError(f"{root} has {counts[0]} images that can be used; {needed}; add some")
    shown = ", ".join([*few[:SHOWN], *([f"and {len(few) - SHOWN} more"] if len(few) > SHOWN else [])])
    raise ValueError(f"{root} has classes of too few images that can be used ({shown}); {needed}; add or remove them")
