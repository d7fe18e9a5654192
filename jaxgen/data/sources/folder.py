"""Loads a folder of images, whose subfolders are the classes.

The decoded images are cached by the contents of the files. If they exceed the memory budget, each file is checked once
and decoded again whenever training needs it. `image_files.py` converts a file to pixels, and `loading.py` splits the
images.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxgen.config.base import suggest
from jaxgen.data.file_finder import (
    FoundFiles,
    describe_reasons,
    find_image_files,
    printable,
    report_bad_images,
    report_other_files,
    require_images,
)
from jaxgen.data.image_files import (
    RESIZE_MODES,
    VERSION,
    BadImageError,
    DecodeOptions,
    available_formats,
    decode,
    shape_from_header,
    strict_pillow,
    try_decode,
)
from jaxgen.data.split_folders import Place, find_wrapped_splits, place_files
from jaxgen.data.streaming import ImageStream, size_in_mib
from jaxgen.data.thread_map import map_in_threads
from jaxgen.io.array_cache import load_or_compute
from jaxgen.io.atomic import cache_dir
from jaxgen.types import Split

MAX_NAMED = 3  # classes that a message names

logger = logging.getLogger(__name__)


class ImageFolder(NamedTuple):
    """The images of a folder in the order of their names.

    Attributes:
      name: name of the data set.
      data: all images, an array or an `ImageStream`, and their labels.
      class_names: names of the classes by label.
      split: the split of each image, 0, 1 or 2, if the subfolders are splits; otherwise None.
    """

    name: str
    data: Split
    class_names: tuple[str, ...]
    split: np.ndarray | None


def load_image_folder(config) -> ImageFolder:
    """Loads the images of the folder `config.path`.

    Subfolders called train, val and test are splits. In a split, or in a folder without splits, each subfolder is a
    class, with all files nested in it; without subfolders there is one class. Hidden files are ignored, and files in
    formats that Pillow does not read are counted in a message. Images are turned upright as their EXIF data says, and
    transparent pixels become black, as padding does.

    Args:
      config: `config.data`, with the keys path, name, image_size, resize, channels, on_bad_image and memory_budget_mib.

    Raises:
      ValueError: there is no such folder, it has too few images or images of several sizes, or it has files that
        cannot be used and `on_bad_image` is "stop".
    """
    validate_folder_config(config)
    root = find_folder(config.name, config.path)
    name = config.name if config.name not in ("", "digits") else root.name or "images"
    root, found = find_training_files(root)
    places, bad = place_files(root, found.names)
    names, bad = list(places), bad | found.unreadable
    options = DecodeOptions(config.image_size, config.resize, config.channels)
    is_streamed = size_in_mib(len(names), guess_image_shape(root, names, options)) > config.memory_budget_mib
    key, arrays = load_images(root, names, options, keep_pixels=not is_streamed)
    bad |= {name: str(reason) for name, reason in zip(names, arrays["why_bad"], strict=True) if reason}
    report_bad_images(root, bad, len(found.names) + len(found.unreadable), stop=config.on_bad_image == "stop")
    good = [name for name in names if name not in bad]
    image = open_stream(root, good, options, arrays["shape"].tolist(), key) if is_streamed else arrays["image"]
    return label_images(name, image, [places[file] for file in good])


def find_training_files(root: Path) -> tuple[Path, FoundFiles]:
    """Returns the files of a folder, and the folder itself or its only subfolder if that has the split folders.

    Raises:
      ValueError: there is no image file.
    """
    found = find_image_files(root)
    require_images(root, found, "--config.data.path=DIR")
    report_other_files(root, found)
    wrapper = find_wrapped_splits(root, found.names)
    return (root / wrapper, find_image_files(root / wrapper)) if wrapper else (root, found)


def label_images(name: str, image: np.ndarray | ImageStream, places: Sequence[Place]) -> ImageFolder:
    """Returns images with the labels and splits of their places.

    Args:
      name: name of the data set; it names the class, too, if there is only one.
      image: N images, an array or a stream.
      places: of each image.
    """
    classes = sorted({place.class_name for place in places} - {""})
    label_of_class = {class_name: k for k, class_name in enumerate(classes)}
    label = np.array([label_of_class.get(place.class_name, 0) for place in places], np.int32)
    has_splits = all(place.split is not None for place in places)
    split = np.array([place.split for place in places]) if has_splits else None
    return ImageFolder(name, Split(image, label), tuple(classes) or (name,), split)


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
    options = options._replace(channels=shape[2])  # one file in color gives every image 3 channels

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
    digest = hashlib.blake2b(repr((VERSION, available_formats(), *options)).encode(), digest_size=16)
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
            f"all of {describe_reasons(bad, root, len(names))}; name another folder: --config.data.path=DIR"
        )
    good = [name for name, reason in zip(names, why_bad, strict=True) if not reason]
    pixels = {"image": with_equal_channels(root, good, images, options, shape)} if keep_pixels else {}
    return {"shape": np.array(shape), **pixels, "why_bad": np.array(why_bad)}


def with_equal_channels(
    root: Path, names: Sequence[str], images: Sequence[np.ndarray], options: DecodeOptions, shape: tuple[int, int, int]
) -> UInt8[np.ndarray, "N H W C"]:
    """Stacks decoded images; if a file is in color, the others are decoded in color, too.

    Args:
      root: the folder.
      names: paths of the files, relative to `root`.
      images: the pixels of each file.
      options: how they were decoded.
      shape: H, W and the largest number of channels.
    """
    in_color = options._replace(channels=shape[2])
    gray = [number for number, image in enumerate(images) if image.shape != shape]
    again = map_in_threads(lambda number: decode(root / names[number], in_color), gray, "decoding in color")
    with contextlib.closing(again), strict_pillow():
        replaced = dict(zip(gray, again, strict=True))
    return np.stack([replaced.get(number, image) for number, image in enumerate(images)])


def _describe_mixed_sizes(root: Path, *named_shapes: tuple[str, tuple[int, ...]]) -> str:
    sizes = " and ".join(f"{shape[1]}×{shape[0]} ({printable(name)})" for name, shape in named_shapes)
    side = min(64, *(side for _, shape in named_shapes for side in shape[:2]))
    return f"{root} mixes images of {sizes}; resize them to one size: --config.data.image_size={side}"
