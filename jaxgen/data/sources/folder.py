"""A folder of images as one array: each file is read once, in parallel, and kept in the user's cache by its content.

Of a folder that is larger than memory should hold, each file is looked at once, and read anew when its turn comes.

Subfolders are the classes. How one file becomes pixels is told in `image_files.py`, which image is for training and
which is held out in `sources.py`.
"""

import contextlib
import hashlib
import itertools
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxgen.config.base import suggest
from jaxgen.data.image_files import (
    FITS,
    VERSION,
    BadImageError,
    DecodeOptions,
    decode,
    shape_from_header,
    strict_pillow,
    try_decode,
)
from jaxgen.data.streaming import ImageStream, size_in_mib
from jaxgen.data.thread_map import map_in_threads
from jaxgen.io.array_cache import load_or_compute
from jaxgen.io.atomic import cache_dir
from jaxgen.types import Split

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SHOWN = 3  # names told of each reason why files can't be used
MIN_IMAGES_PER_CLASS = 3  # images of a class: one for each split

logger = logging.getLogger(__name__)


class ImageFolder(NamedTuple):
    """The images of a folder, an array or a `Stream`, in the order of their names, and its classes by label."""

    name: str
    data: Split
    classes: tuple[str, ...]


def load_image_folder(config) -> ImageFolder:
    """The images that `config.data` asks for by path, size, fit, channels, on_bad_image and budget.

    A subfolder is a class, with all that is nested in it; a folder without subfolders is one class. Hidden files,
    and those of other kinds than PNG, JPEG and WebP, are passed over. Pixels are turned upright as EXIF says, and what
    is transparent lies on black, as padding and the bundled digits do.

    Raises:
      ValueError: no such folder, or too few images in it, of too many sizes, or bad ones that should stop the run.
    """
    validate_folder_config(config)
    root = find_folder(config.name, config.path)
    found = list_image_files(root)
    if not found:
        raise ValueError(f"{root} holds no {', '.join(SUFFIXES)} file; name a folder of images: --config.data.path=DIR")
    classes = sorted({name.partition("/")[0] for name in found if "/" in name})
    names = [name for name in found if "/" in name] if classes else found
    bad = dict.fromkeys(set(found) - set(names), "beside the subfolders, which are the classes")
    options = DecodeOptions(config.image_size, config.resize, config.channels)
    streamed = size_in_mib(len(names), guess_image_shape(root, names, options)) > config.memory_budget_mib
    state, arrays = load_images(root, names, options, keep=not streamed)
    bad |= {name: str(why) for name, why in zip(names, arrays["why_bad"], strict=True) if why}
    report_bad_images(root, bad, len(found), stop=config.on_bad_image == "stop")
    good = [name for name in names if name not in bad]
    image = open_stream(root, good, options, arrays["shape"].tolist(), state) if streamed else arrays["image"]
    number = {each: k for k, each in enumerate(classes)}
    label = np.array([number.get(name.partition("/")[0], 0) for name in good], np.int32)
    name = config.name if config.name not in ("", "digits") else root.name or "images"
    folder = ImageFolder(name, Split(image, label), tuple(classes) or (name,))
    require_images_per_class(root, folder)
    return folder


def validate_folder_config(config) -> None:
    """Raises a ValueError where a value of `config.data` is none that a folder can be read by."""
    for key, choices in (("resize", FITS), ("on_bad_image", ("skip", "stop")), ("channels", (0, 1, 3))):
        if config[key] not in choices:
            near = suggest(config[key], choices) if isinstance(config[key], str) else ""
            raise ValueError(f"data.{key}={config[key]!r} must be one of {', '.join(map(str, choices))}{near}")
    if not 0 < config.holdout_fraction < 0.5:
        raise ValueError(
            f"data.holdout_fraction={config.holdout_fraction} must be between 0 and 0.5, for validation and again for test; "
            "try --config.data.holdout_fraction=0.1"
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


def list_image_files(root: Path) -> list[str]:
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


def guess_image_shape(root: Path, names: Sequence[str], options: DecodeOptions) -> tuple[int, int, int]:
    """H, W, C of the images, by the first file's header and the options; (0, 0, 0) where no file has one."""
    with strict_pillow():
        return next((shape for name in names if (shape := shape_from_header(root / name, options))), (0, 0, 0))


def open_stream(
    root: Path, names: Sequence[str], options: DecodeOptions, shape: Sequence[int], state: str
) -> ImageStream:
    """The images of files that can be used, [H, W, C] each."""

    def read(i: int) -> np.ndarray:
        try:
            return np.broadcast_to(decode(root / names[i], options), shape)
        except (BadImageError, ValueError) as error:
            raise ValueError(f"{root / names[i]} has changed since it was looked at, at the start ({error})") from None

    return ImageStream(read, (len(names), *shape), state)


def load_images(
    root: Path, names: Sequence[str], options: DecodeOptions, keep: bool
) -> tuple[str, dict[str, np.ndarray]]:
    """What identifies the files and options, and of the M files of N that can be used the pixels, or their shape.

    These are `image`, uint8 [M, H, W, C], if they should be kept, else `shape` [3]; `why_bad` [N] says of every file
    why it can't be used, "" where it can.

    The cache's key is what the files are called and hold, and the options: a copy of the folder elsewhere is found.
    """
    key = hashlib.blake2b(repr((VERSION, *options)).encode(), digest_size=16)
    digests = map_in_threads(lambda name: file_digest(root / name), names, "reading")
    for name, of_content in zip(names, digests, strict=True):
        key.update(os.fsencode(name) + b"\0" + of_content)
    state = key.hexdigest()
    path = cache_dir("data") / f"folder-{state[:16]}{'' if keep else '-seen'}.npz"
    return state, load_or_compute(path, state, lambda: decode_all(root, names, options, keep))


def file_digest(path: Path) -> bytes:
    """What a file holds, in 24 bytes: its size and the hash of its bytes; of one that can't be read, zeros."""
    try:
        content = path.read_bytes()
    except OSError:
        return bytes(24)
    return len(content).to_bytes(8, "little") + hashlib.blake2b(content, digest_size=16).digest()


def decode_all(root: Path, names: Sequence[str], options: DecodeOptions, keep: bool) -> dict[str, np.ndarray]:
    """The arrays of `read_images`, from the files themselves.

    Raises:
      ValueError: the images are of several sizes, or none can be used.
    """
    images: list[np.ndarray] = []
    first, shape, why_bad = "", (0, 0, 0), []
    decoding = map_in_threads(lambda name: try_decode(root / name, options), names, "decoding")
    with contextlib.closing(decoding), strict_pillow():
        for name, (image, why) in zip(names, decoding, strict=True):
            why_bad.append(why)
            if image is None:
                continue
            if first and image.shape[:2] != shape[:2]:  # at once: there may be no room for all of them
                raise ValueError(_mixed_sizes(root, (first, shape), (name, image.shape)))
            first, shape = first or name, max(shape, image.shape)  # grey files become colour where some file is
            if keep:
                images.append(image)
    if not first:
        bad = dict(zip(names, why_bad, strict=True))
        raise ValueError(f"all of {_reasons(bad, root, len(names))}; name another folder: --config.data.path=DIR")
    pixels = {"image": np.stack([np.broadcast_to(image, shape) for image in images])} if keep else {}
    return {"shape": np.array(shape), **pixels, "why_bad": np.array(why_bad)}


def _mixed_sizes(root: Path, *named: tuple[str, tuple[int, ...]]) -> str:
    told = " and ".join(f"{shape[1]}×{shape[0]} ({_shown(name)})" for name, shape in named)
    side = min(64, *(side for _, shape in named for side in shape[:2]))
    return f"{root} mixes images of {told}; bring them to one size by --config.data.image_size={side}"


def report_bad_images(root: Path, bad: dict[str, str], count: int, stop: bool) -> None:
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


def require_images_per_class(root: Path, folder: ImageFolder) -> None:
    """Raises a ValueError where a class has too few images to be in every split."""
    counts = np.bincount(folder.data.label, minlength=len(folder.classes))
    few = [f"{_shown(folder.classes[k])}: {counts[k]}" for k in np.flatnonzero(counts < MIN_IMAGES_PER_CLASS)]
    if not few:
        return
    needed = f"at least {MIN_IMAGES_PER_CLASS} are needed, for training, validation and test"
    if len(folder.classes) == 1:
        raise ValueError(f"{root} has {counts[0]} images that can be used; {needed}; add some")
    shown = ", ".join([*few[:SHOWN], *([f"and {len(few) - SHOWN} more"] if len(few) > SHOWN else [])])
    raise ValueError(f"{root} has classes of too few images that can be used ({shown}); {needed}; add or remove them")
