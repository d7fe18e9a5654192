"""A user's own image files, as a trained model wants them."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxgen.data.image_files import MODES, converted, quiet_pillow

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def read_images(where: str, image_shape: tuple[int, int, int]) -> Float[np.ndarray, "N H W C"]:
    """Reads a folder's image files in the order of their names, or files named with commas between, in [0, 1].

    Each is turned upright, put on black where it is transparent and made grey or RGB, as a folder's that is trained
    on, and is resized to H × W, whatever its own proportions.

    Raises:
      ValueError: there is no such file, a folder holds none, or one cannot be read as an image of 8 bits a channel.
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
        with quiet_pillow(), Image.open(path) as file:
            if file.mode not in MODES:
                raise ValueError(f"mode {file.mode}")
            image = converted(file, channels)
    except MemoryError:
        raise
    except Exception as error:  # each of Pillow's decoders raises what it likes
        reason = "there is no such file" if not path.exists() else "it cannot be read as an image of 8 bits a channel"
        raise ValueError(f"images={path}: {reason}; name a folder, or files with commas between") from error
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    return pixels.reshape(height, width, channels)
