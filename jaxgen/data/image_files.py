"""One image file as an array of pixels, or the reason why it can't be one."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

FORMATS = ("PNG", "JPEG", "WebP")  # Pillow's, of a folder to train on
FITS = ("crop", "pad", "stretch")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # Pillow's, of 8 bits a channel or fewer
VERSION = 1  # of what `decode` does, for what is kept of it


class DecodeOptions(NamedTuple):
    """What becomes of a file's pixels; see `config.data`."""

    size: int
    fit: str
    channels: int


class BadImageError(Exception):
    """A file can't be used; says why."""


@contextlib.contextmanager
def strict_pillow() -> Iterator[None]:
    """Without Pillow's remarks on odd files, but that on a file which would fill the memory: it becomes an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def try_decode(path: Path, options: DecodeOptions) -> tuple[np.ndarray | None, str]:
    """A file's pixels, uint8 [H, W, 1 or 3], and ""; or None, and why it can't be used."""
    try:
        return decode(path, options), ""
    except BadImageError as error:
        return None, str(error)


def decode(path: Path, options: DecodeOptions) -> np.ndarray:
    """A file's pixels, uint8 [H, W, 1 or 3]: grey as .30 R + .59 G + .11 B.

    Raises:
      BadImageError: it can't be used.
    """
    with open_image(path, FORMATS) as image:
        # A phone's JPEG may hold a second, smaller picture (MPO), which is no animation.
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            raise BadImageError("animated")
        if options.size:
            image.draft(None, (2 * options.size, 2 * options.size))  # a JPEG need not be decoded at full size
        return np.atleast_3d(np.asarray(resize_to_square(to_gray_or_rgb(image, options.channels), options)))


@contextlib.contextmanager
def open_image(path: Path, formats: Sequence[str]) -> Iterator:
    """Pillow's image of a file, of 8 bits a channel, to be decoded within.

    Raises:
      BadImageError: it can't be used, or what is done within finds out that it can't.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size == 0:
            raise BadImageError("empty")
        with Image.open(path, formats=formats) as image:
            if image.mode not in MODES:
                raise BadImageError(f"of mode {image.mode}, not of 8 bits a channel")
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError(f"of more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        *others, last = formats
        raise BadImageError(f"no {', '.join(others)} or {last} image") from None
    except (BadImageError, MemoryError):
        raise
    except (PermissionError, FileNotFoundError):  # the latter a link to nothing
        raise BadImageError("not to be read") from None
    except Exception as error:  # each of Pillow's decoders raises what it likes
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's trouble, or the system's: not the file's
        raise BadImageError("truncated or damaged") from error


def shape_from_header(path: Path, options: DecodeOptions) -> tuple[int, int, int] | None:
    """H, W, C that `decode` would give, or nearly, without the pixels; None where the file can't be read."""
    try:
        with open_image(path, FORMATS) as image:
            wide, high = (options.size,) * 2 if options.size else image.size
            return high, wide, options.channels or (1 if image.mode in ("1", "L", "LA") else 3)
    except BadImageError:
        return None


def to_gray_or_rgb(image, channels: int):
    """A Pillow image upright, on black where it is transparent, in mode "L" or "RGB"; see `config.data.channels`."""
    from PIL import Image, ImageOps

    grey = channels == 1 or (channels == 0 and is_grayscale(image))
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    # By way of RGB: of some modes "L" would be made otherwise, of a palette with an index that is transparent too.
    return image.convert("RGB").convert("L") if grey else image.convert("RGB")


def is_grayscale(image) -> bool:
    """Whether a Pillow image is stored without colour; a palette and WebP, which has no grey, are told by the pixels.

    Those of other images aren't looked at: a set of colour photos is not to change its shape by what they show.
    """
    if image.mode in ("1", "L", "LA"):
        return True
    if image.mode not in ("P", "PA") and image.format != "WEBP":
        return False
    red, green, blue = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    return bool((red == green).all() and (green == blue).all())


def resize_to_square(image, options: DecodeOptions):
    """The Pillow image as a square of the size that is asked for."""
    from PIL import Image, ImageOps

    square, filtered = (options.size, options.size), Image.Resampling.LANCZOS
    if not options.size or image.size == square:
        return image
    if options.fit == "crop":
        return ImageOps.fit(image, square, filtered)
    return ImageOps.pad(image, square, filtered) if options.fit == "pad" else image.resize(square, filtered)


ALL_FORMATS = (*FORMATS, "BMP", "GIF", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def read_user_images(where: str, image_shape: tuple[int, int, int]) -> Float[np.ndarray, "N H W C"]:
    """Reads a folder's image files in the order of their names, or files named with commas between, in [0, 1].

    Each is turned upright, put on black where it is transparent and made grey or RGB, as a folder's that is trained
    on, and is resized to H × W, whatever its own proportions.

    Raises:
      ValueError: a file does not exist, a folder holds none, or one can't be used.
    """
    folder = Path(where)
    if folder.is_dir():
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    else:
        paths = [Path(name) for name in where.split(",") if name]
    if not paths:
        raise ValueError(f"images={where} holds no image file ({', '.join(SUFFIXES)}); name a folder, or files")
    return np.stack([_read(path, image_shape) for path in paths])


def _read(path: Path, image_shape: tuple[int, int, int]) -> Float[np.ndarray, "H W C"]:
    from PIL import Image

    height, width, channels = image_shape
    if not path.is_file():
        what = "is a folder among files" if path.is_dir() else "does not exist"
        raise ValueError(f"images={path} {what}; name one folder, or files with commas between")
    try:
        with strict_pillow(), open_image(path, ALL_FORMATS) as file:
            image = to_gray_or_rgb(file, channels).resize((width, height), Image.Resampling.BILINEAR)
    except BadImageError as error:
        raise ValueError(f"images={path} can't be used: {error}; leave it out") from error
    return (np.asarray(image, np.float32) / 255).reshape(height, width, channels)
