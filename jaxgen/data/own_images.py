"""A user's own image files, as a trained model wants them."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxgen.data.image_files import FORMATS, BadImageError, converted, opened, quiet_pillow

ALL_FORMATS = (*FORMATS, "BMP", "GIF", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def read_images(where: str, image_shape: tuple[int, int, int]) -> Float[np.ndarray, "N H W C"]:
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
        with quiet_pillow(), opened(path, ALL_FORMATS) as file:
            image = converted(file, channels).resize((width, height), Image.Resampling.BILINEAR)
    except BadImageError as error:
        raise ValueError(f"images={path} can't be used: {error}; leave it out") from error
    return (np.asarray(image, np.float32) / 255).reshape(height, width, channels)
