"""Decodes image files to pixels, or reports why a file cannot be used."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

FORMATS = ("PNG", "JPEG", "WebP")  # Pillow's names of the formats in a folder of training images
RESIZE_MODES = ("crop", "pad", "stretch")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # Pillow's modes of at most 8 bits per channel
VERSION = 1  # of the result of `decode`; part of the cache's key
USER_FORMATS = (*FORMATS, "BMP", "GIF", "TIFF")
USER_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


class DecodeOptions(NamedTuple):
    """How the pixels of a file are converted; see `config.data`.

    Attributes:
      size: side of the square images, in pixels; 0 keeps the size of the files.
      resize: one of `RESIZE_MODES`.
      channels: 1 for gray, 3 for RGB, 0 for the channels of the file.
    """

    size: int
    resize: str
    channels: int


class BadImageError(Exception):
    """A file cannot be used; the message is the reason."""


@contextlib.contextmanager
def strict_pillow() -> Iterator[None]:
    """Hides Pillow's warnings about unusual files, and makes its warning about huge images an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def try_decode(path: Path, options: DecodeOptions) -> tuple[np.ndarray | None, str]:
    """Returns the pixels of a file, uint8 [H, W, 1 or 3], and ""; or None and the reason why it cannot be used."""
    try:
        return decode(path, options), ""
    except BadImageError as error:
        return None, str(error)


def decode(path: Path, options: DecodeOptions) -> np.ndarray:
    """Returns the pixels of a file, uint8 [H, W, 1 or 3]; gray is 0.30 R + 0.59 G + 0.11 B.

    Raises:
      BadImageError: the file cannot be used.
    """
    with open_image(path, FORMATS) as image:
        # A phone's JPEG can contain a second, smaller picture (MPO) and is not an animation.
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            raise BadImageError("animated")
        if options.size:
            image.draft(None, (2 * options.size, 2 * options.size))  # decodes a large JPEG at a reduced size
        return np.atleast_3d(np.asarray(resize_to_square(to_gray_or_rgb(image, options.channels), options)))


@contextlib.contextmanager
def open_image(path: Path, formats: Sequence[str]) -> Iterator:
    """Opens a file as a Pillow image of at most 8 bits per channel, to be decoded within the block.

    Args:
      path: the file.
      formats: Pillow's names of the accepted formats.

    Raises:
      BadImageError: the file cannot be used, or decoding it within the block fails.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size == 0:
            raise BadImageError("empty")
        with Image.open(path, formats=formats) as image:
            if image.mode not in MODES:
                raise BadImageError(f"mode {image.mode} instead of 8 bits per channel")
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        *others, last = formats
        raise BadImageError(f"not a {', '.join(others)} or {last} image") from None
    except (BadImageError, MemoryError):
        raise
    except (PermissionError, FileNotFoundError):  # FileNotFoundError: a link without a target
        raise BadImageError("not readable") from None
    except Exception as error:  # each of Pillow's decoders raises its own exceptions
        if isinstance(error, OSError) and error.errno:
            raise  # a problem of the disk or the system, which says nothing about the file
        raise BadImageError("truncated or damaged") from error


def shape_from_header(path: Path, options: DecodeOptions) -> tuple[int, int, int] | None:
    """Estimates the shape H, W, C of a decoded file from its header; None if the file cannot be read."""
    try:
        with open_image(path, FORMATS) as image:
            width, height = (options.size,) * 2 if options.size else image.size
            return height, width, options.channels or (1 if image.mode in ("1", "L", "LA") else 3)
    except BadImageError:
        return None


def to_gray_or_rgb(image, channels: int):
    """Converts a Pillow image to mode "L" or "RGB", upright, with transparent pixels on black.

    Args:
      image: a Pillow image.
      channels: see `DecodeOptions`.
    """
    from PIL import Image, ImageOps

    is_gray = channels == 1 or (channels == 0 and is_grayscale(image))
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    # Converted to RGB first: Pillow converts some modes to "L" differently, such as palettes with a transparent index.
    return image.convert("RGB").convert("L") if is_gray else image.convert("RGB")


def is_grayscale(image) -> bool:
    """Returns whether a Pillow image is stored without color.

    Palettes, and WebP, which has no gray mode, are judged by their pixels. The pixels of other images are ignored: a
    data set of color photographs must not change its shape because of their content.
    """
    if image.mode in ("1", "L", "LA"):
        return True
    if image.mode not in ("P", "PA") and image.format != "WEBP":
        return False
    red, green, blue = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    return bool((red == green).all() and (green == blue).all())


def resize_to_square(image, options: DecodeOptions):
    """Returns the Pillow image as a square of side `options.size`; unchanged if the size is 0."""
    from PIL import Image, ImageOps

    square, resampling = (options.size, options.size), Image.Resampling.LANCZOS
    if not options.size or image.size == square:
        return image
    if options.resize == "crop":
        return ImageOps.fit(image, square, resampling)
    return ImageOps.pad(image, square, resampling) if options.resize == "pad" else image.resize(square, resampling)


def read_user_images(where: str, image_shape: tuple[int, int, int]) -> Float[np.ndarray, "N H W C"]:
    """Reads image files as float32 in [0, 1].

    Each image is converted like a training image: upright, with transparent pixels on black, in gray or RGB. It is
    then stretched to H × W.

    Args:
      where: a folder, whose files are sorted by name, or files separated by commas.
      image_shape: H, W, C.

    Raises:
      ValueError: a file does not exist or cannot be used, or the folder contains no image.
    """
    folder = Path(where)
    if folder.is_dir():
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in USER_SUFFIXES)
    else:
        paths = [Path(name) for name in where.split(",") if name]
    if not paths:
        raise ValueError(f"images={where} contains no image file ({', '.join(USER_SUFFIXES)}); name a folder, or files")
    return np.stack([_read_user_image(path, image_shape) for path in paths])


def _read_user_image(path: Path, image_shape: tuple[int, int, int]) -> Float[np.ndarray, "H W C"]:
    from PIL import Image

    height, width, channels = image_shape
    if not path.is_file():
        problem = "is a folder in a list of files" if path.is_dir() else "does not exist"
        raise ValueError(f"images={path} {problem}; name one folder, or files separated by commas")
    try:
        with strict_pillow(), open_image(path, USER_FORMATS) as file:
            image = to_gray_or_rgb(file, channels).resize((width, height), Image.Resampling.BILINEAR)
    except BadImageError as error:
        raise ValueError(f"images={path} cannot be used: {error}; leave it out") from error
    return (np.asarray(image, np.float32) / 255).reshape(height, width, channels)
