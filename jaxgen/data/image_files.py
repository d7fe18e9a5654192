"""Decodes image files to pixels, or reports why a file cannot be used. Training and a user's images share it."""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxgen.data.pixel_modes import DEEP_MODES, GRAY_MODES, MODES, has_no_color, lab_to_rgb, to_8_bits, white_level

# Pillow's names of the formats that are read, by the content of a file and not by its suffix.
FORMATS = (
    *("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "PCX", "SGI", "SUN"),
    *("QOI", "MPO", "PSD", "ICO", "ICNS", "DDS", "XPM", "XBM", "IM"),
)
ANIMATED_FORMATS = ("PNG", "GIF", "WEBP", "AVIF")
RESIZE_MODES = ("crop", "pad", "stretch")
VERSION = 2  # of the result of `decode`; part of the cache's key


class DecodeOptions(NamedTuple):
    """How the pixels of a file are converted; see `config.data`.

    Attributes:
      size: side of the square images, or height and width, in pixels; 0 keeps the size of the files.
      resize: how an image gets other proportions, one of `RESIZE_MODES`.
      channels: 1 for gray, 3 for RGB, 0 for gray if the file has no color and RGB otherwise.
    """

    size: int | tuple[int, int]
    resize: str
    channels: int

    @property
    def width_and_height(self) -> tuple[int, int] | None:
        """The size of the images in Pillow's order; None if the files' size is kept."""
        if isinstance(self.size, int):
            return (self.size, self.size) if self.size else None
        return self.size[1], self.size[0]


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
    with open_image(path) as image:
        require_single_frame(image)
        if target := options.width_and_height:
            image.draft(None, (2 * target[0], 2 * target[1]))  # decodes a large JPEG at a reduced size
        image = to_gray_or_rgb(image, options.channels)
        pixels = np.atleast_3d(np.asarray(resize_image(image, options)))
        if options.channels == 0 and pixels.shape[2] == 3 and has_no_color(pixels):
            pixels = np.atleast_3d(np.asarray(resize_image(image.convert("L"), options)))
        return pixels


@contextlib.contextmanager
def open_image(path: Path) -> Iterator:
    """Opens a file as a Pillow image, to be decoded within the block.

    Raises:
      BadImageError: the file cannot be used, or decoding it within the block fails.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size == 0:
            raise BadImageError("empty")
        with Image.open(path, formats=available_formats()) as image:
            if image.mode not in MODES:
                raise BadImageError(f"mode {image.mode}, which has no conversion to gray or color")
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise BadImageError("not an image that Pillow reads") from None
    except (BadImageError, MemoryError):
        raise
    except (PermissionError, FileNotFoundError):  # FileNotFoundError: a link without a target
        raise BadImageError("not readable") from None
    except Exception as error:  # each of Pillow's decoders raises its own exceptions
        if isinstance(error, OSError) and error.errno:
            raise  # a problem of the disk or the system, which says nothing about the file
        raise BadImageError("truncated or damaged") from error


@functools.cache
def available_formats() -> tuple[str, ...]:
    """Returns the formats that the installed Pillow has; AVIF is the newest of them."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def require_single_frame(image) -> None:
    """Raises a BadImageError for an animation and for a document of several pages."""
    # The second picture in a phone's JPEG (MPO) and the layers of a PSD are not frames.
    if image.format in (*ANIMATED_FORMATS, "TIFF") and getattr(image, "n_frames", 1) > 1:
        raise BadImageError("several pages" if image.format == "TIFF" else "animated")


def shape_from_header(path: Path, options: DecodeOptions) -> tuple[int, int, int] | None:
    """Estimates the shape H, W, C of a decoded file from its header; None if the file cannot be read."""
    try:
        with open_image(path) as image:
            width, height = options.width_and_height or image.size
            return height, width, options.channels or (1 if image.mode in GRAY_MODES else 3)
    except BadImageError:
        return None


def to_gray_or_rgb(image, channels: int):
    """Converts a Pillow image to mode "L" or "RGB", upright, of 8 bits, with transparent pixels on black.

    Args:
      image: a Pillow image.
      channels: 1 for gray, 3 for RGB, 0 for gray if the file is stored without color.

    Raises:
      BadImageError: the pixels are negative, infinite or not numbers.
    """
    from PIL import Image, ImageOps

    is_gray = channels == 1 or (channels == 0 and image.mode in GRAY_MODES)
    is_deep, white = image.mode in DEEP_MODES, white_level(image)
    image = ImageOps.exif_transpose(image)
    try:
        image = to_8_bits(image, white) if is_deep else image
    except ValueError as error:
        raise BadImageError(str(error)) from None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    image = lab_to_rgb(image) if image.mode == "LAB" else image
    # Converted to RGB first: Pillow converts some modes to "L" differently, such as palettes with a transparent index.
    return image.convert("RGB").convert("L") if is_gray else image.convert("RGB")


def resize_image(image, options: DecodeOptions):
    """Returns the Pillow image in the size of the options; unchanged if they have none."""
    from PIL import Image, ImageOps

    target, resampling = options.width_and_height, Image.Resampling.LANCZOS
    if target is None or image.size == target:
        return image
    if options.resize == "crop":
        return ImageOps.fit(image, target, resampling)
    return ImageOps.pad(image, target, resampling) if options.resize == "pad" else image.resize(target, resampling)
