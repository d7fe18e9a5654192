"""A user's own image files, as a trained model wants them."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def read_images(where: str, image_shape: tuple[int, int, int]) -> Float[np.ndarray, "N H W C"]:
    """Reads a folder's image files in the order of their names, or files named with commas between, in [0, 1].

    Each is made grey or RGB and is resized to H × W, whatever its own proportions.

    Raises:
      ValueError: there is no such file, a folder holds none, or one cannot be read as an image.
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
    try:
        with Image.open(path) as file:
            image = file.convert("L" if channels == 1 else "RGB")
    except (OSError, ValueError) as error:
        reason = "there is no such file" if not path.exists() else "it cannot be read as an image"
        raise ValueError(f"images={path}: {reason}; name a folder, or files with commas between") from error
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    return pixels.reshape(height, width, channels)
