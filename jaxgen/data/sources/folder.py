"""Loads a folder of images, whose subfolders are the classes.

The decoded images are cached by the contents of the files. If they exceed the memory budget, each file is checked once
and decoded again whenever training needs it. `image_files.py` converts a file to pixels, and `loading.py` splits the
images.
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
    RESIZE_MODES,
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
MAX_NAMED = 3  # files that a message names for each reason
MIN_IMAGES_PER_CLASS = 3  # one for each split

logger = logging.getLogger(__name__)


class ImageFolder(NamedTuple):
    """The images of a folder in the order of their names.

    Attributes:
      name: name of the data set.
      data: all images, an array or an `ImageStream`, and their labels.
      class_names: names of the classes by label.
    """

    name: str
    data: Split
    class_names: tuple[str, ...]


def load_image_folder(config) -> ImageFolder:
    """Loads the images of the folder `config.path`.

    Each subfolder is a class, with all files nested in it; a folder without subfolders is one class. Hidden files and
    formats other than PNG, JPEG and WebP are ignored. Images are turned upright as their EXIF data says, and
    transparent pixels become black, as padding does.

    Args:
      config: `config.data`, with the keys path, name, image_size, resize, channels, on_bad_image and memory_budget_mib.

    Raises:
      ValueError: there is no such folder, it has too few images or images of several sizes, or it has files that
        cannot be used and `on_bad_image` is "stop".
    """
    validate_folder_config(config)
    root = find_folder(config.name, config.path)
    found = list_image_files(root)
    if not found:
        raise ValueError(f"{root} has no {', '.join(SUFFIXES)} file; name a folder of images: --config.data.path=DIR")
    classes = sorted({name.partition("/")[0] for name in found if "/" in name})
    names = [name for name in found if "/" in name] if classes else found
    bad = dict.fromkeys(set(found) - set(names), "beside the subfolders, which are the classes")
    options = DecodeOptions(config.image_size, config.resize, config.channels)
    is_streamed = size_in_mib(len(names), guess_image_shape(root, names, options)) > config.memory_budget_mib
    key, arrays = load_images(root, names, options, keep_pixels=not is_streamed)
    bad |= {name: str(reason) for name, reason in zip(names, arrays["why_bad"], strict=True) if reason}
    report_bad_images(root, bad, len(found), stop=config.on_bad_image == "stop")
    good = [name for name in names if name not in bad]
    image = open_stream(root, good, options, arrays["shape"].tolist(), key) if is_streamed else arrays["image"]
    label_of_class = {class_name: k for k, class_name in enumerate(classes)}
    label = np.array([label_of_class.get(name.partition("/")[0], 0) for name in good], np.int32)
    name = config.name if config.name not in ("", "digits") else root.name or "images"
    folder = ImageFolder(name, Split(image, label), tuple(classes) or (name,))
    require_images_per_class(root, folder)
    return folder


def validate_folder_config(config) -> None:
    """Validates the keys of `config.data` that only a folder uses.

    Raises:
      ValueError: a value breaks its rule.
    """
    for key, choices in (("resize", RESIZE_MODES), ("on_bad_image", ("skip", "stop")), ("channels", (0, 1, 3))):
        if config[key] not in choices:
            hint = suggest(config[key], choices) if isinstance(config[key], str) else ""
            raise ValueError(f"data.{key}={config[key]!r} must be one of {', '.join(map(str, choices))}{hint}")
    if not 0 < config.holdout_fraction < 0.5:
        raise ValueError(
            f"data.holdout_fraction={config.holdout_fraction} must be between 0 and 0.5, for validation and again for "
            "test; try --config.data.holdout_fraction=0.1"
        )


def find_folder(name: str, path: str | os.PathLike) -> Path:
    """Returns the folder at `path`; for the anime faces without a path, the folder in the variable JAXGEN_FACES.

    Raises:
      ValueError: there is no such folder.
    """
    key = "data.path"
    if not path and name == "anime_faces":
        key, path = ("JAXGEN_FACES", os.environ["JAXGEN_FACES"]) if os.environ.get("JAXGEN_FACES") else (key, path)
    if not path:
        faces = (
            "; without it, the anime faces are read from the folder that the environment variable JAXGEN_FACES "
            "names, and any folder of images can be used"
        )
        raise ValueError(
            "data.path is empty and must name a folder of images: --config.data.path=DIR"
            + (faces if name == "anime_faces" else "")
        )
    folder = Path(os.path.abspath(Path(path).expanduser()))
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise ValueError(f"{key}={str(path)!r} {problem}; name a folder of images: --config.data.path=DIR")
    return folder


def list_image_files(root: Path) -> list[str]:
    """Returns the paths of all image files relative to `root`, with /, sorted; links to folders are followed."""
    names, visited = [], set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in visited:  # a cycle of links
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        images = (name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        names += [Path(folder, name).relative_to(root).as_posix() for name in images]
    return sorted(names)


def guess_image_shape(root: Path, names: Sequence[str], options: DecodeOptions) -> tuple[int, int, int]:
    """Returns H, W, C from the first readable header and the options; (0, 0, 0) if no header can be read."""
    with strict_pillow():
        return next((shape for name in names if (shape := shape_from_header(root / name, options))), (0, 0, 0))


def open_stream(
    root: Path, names: Sequence[str], options: DecodeOptions, shape: Sequence[int], key: str
) -> ImageStream:
    """Returns a stream of the files.

    Args:
      root: the folder.
      names: paths of files that can be used, relative to `root`.
      options: how the files are decoded.
      shape: H, W, C of each image.
      key: identifies the files and options.
    """

    def read(i: int) -> np.ndarray:
        try:
            return np.broadcast_to(decode(root / names[i], options), shape)
        except (BadImageError, ValueError) as error:
            raise ValueError(f"{root / names[i]} has changed since the start of the run ({error})") from None

    return ImageStream(read, (len(names), *shape), key)


def load_images(
    root: Path, names: Sequence[str], options: DecodeOptions, keep_pixels: bool
) -> tuple[str, dict[str, np.ndarray]]:
    """Decodes N files, or loads the result from the cache.

    The cache's key consists of the names and contents of the files and the options, so that a copy of the folder finds
    the same entry.

    Args:
      root: the folder.
      names: paths of the files, relative to `root`.
      options: how the files are decoded.
      keep_pixels: whether the pixels are returned, or only their shape.

    Returns:
      The key, and the arrays of `decode_all`.
    """
    digest = hashlib.blake2b(repr((VERSION, *options)).encode(), digest_size=16)
    file_digests = map_in_threads(lambda name: file_digest(root / name), names, "reading")
    for name, content_digest in zip(names, file_digests, strict=True):
        digest.update(os.fsencode(name) + b"\0" + content_digest)
    key = digest.hexdigest()
    path = cache_dir("data") / f"folder-{key[:16]}{'' if keep_pixels else '-shape'}.npz"
    return key, load_or_compute(path, key, lambda: decode_all(root, names, options, keep_pixels))


def file_digest(path: Path) -> bytes:
    """Returns the size and a hash of a file's contents, in 24 bytes; zeros if the file cannot be read."""
    try:
        content = path.read_bytes()
    except OSError:
        return bytes(24)
    return len(content).to_bytes(8, "little") + hashlib.blake2b(content, digest_size=16).digest()


def decode_all(root: Path, names: Sequence[str], options: DecodeOptions, keep_pixels: bool) -> dict[str, np.ndarray]:
    """Decodes N files, some of them unusable.

    Args:
      root: the folder.
      names: paths of the files, relative to `root`.
      options: how the files are decoded.
      keep_pixels: whether the result has the entry "image".

    Returns:
      "image": uint8 [M, H, W, C] of the M usable files. "shape": [3], the numbers H, W, C. "why_bad": [N], why each
      file cannot be used, "" if it can.

    Raises:
      ValueError: the images have several sizes, or no file can be used.
    """
    images: list[np.ndarray] = []
    first, shape, why_bad = "", (0, 0, 0), []
    decoding = map_in_threads(lambda name: try_decode(root / name, options), names, "decoding")
    with contextlib.closing(decoding), strict_pillow():
        for name, (image, reason) in zip(names, decoding, strict=True):
            why_bad.append(reason)
            if image is None:
                continue
            if first and image.shape[:2] != shape[:2]:  # raised here because memory may not hold all images
                raise ValueError(_describe_mixed_sizes(root, (first, shape), (name, image.shape)))
            first, shape = first or name, max(shape, image.shape)  # one file in color gives every image 3 channels
            if keep_pixels:
                images.append(image)
    if not first:
        bad = dict(zip(names, why_bad, strict=True))
        raise ValueError(
            f"all of {_describe_reasons(bad, root, len(names))}; name another folder: --config.data.path=DIR"
        )
    pixels = {"image": np.stack([np.broadcast_to(image, shape) for image in images])} if keep_pixels else {}
    return {"shape": np.array(shape), **pixels, "why_bad": np.array(why_bad)}


def _describe_mixed_sizes(root: Path, *named_shapes: tuple[str, tuple[int, ...]]) -> str:
    sizes = " and ".join(f"{shape[1]}×{shape[0]} ({_printable(name)})" for name, shape in named_shapes)
    side = min(64, *(side for _, shape in named_shapes for side in shape[:2]))
    return f"{root} mixes images of {sizes}; resize them to one size: --config.data.image_size={side}"


def report_bad_images(root: Path, bad: dict[str, str], count: int, stop: bool) -> None:
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
    summary = f"{len(bad)} of {_describe_reasons(bad, root, count)}"
    if stop:
        raise ValueError(f"{summary}; repair or remove them, or leave them out: --config.data.on_bad_image=skip")
    logger.warning("%s; they are left out; --config.data.on_bad_image=stop stops the run instead", summary)


def _describe_reasons(bad: dict[str, str], root: Path, count: int) -> str:
    """Returns "the COUNT images … cannot be used: …", with the number and some names of the files for each reason."""
    parts = []
    for reason, group in itertools.groupby(sorted(bad, key=lambda name: (bad[name], name)), key=bad.get):
        names = list(group)
        more = [f"and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
        parts.append(f"{len(names)} {reason} ({', '.join([*map(_printable, names[:MAX_NAMED]), *more])})")
    return f"the {count} images in {root} cannot be used: {'; '.join(parts)}"


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)


def require_images_per_class(root: Path, folder: ImageFolder) -> None:
    """Raises a ValueError if a class has too few images to be in every split."""
    counts = np.bincount(folder.data.label, minlength=len(folder.class_names))
    small = [f"{_printable(folder.class_names[k])}: {counts[k]}" for k in np.flatnonzero(counts < MIN_IMAGES_PER_CLASS)]
    if not small:
        return
    rule = f"at least {MIN_IMAGES_PER_CLASS} are needed, for training, validation and test"
    if len(folder.class_names) == 1:
        raise ValueError(f"{root} has {counts[0]} usable images; {rule}; add some")
    more = [f"and {len(small) - MAX_NAMED} more"] if len(small) > MAX_NAMED else []
    named = ", ".join([*small[:MAX_NAMED], *more])
    raise ValueError(f"{root} has classes with too few usable images ({named}); {rule}; add or remove them")
