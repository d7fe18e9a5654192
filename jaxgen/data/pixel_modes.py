"""Bit depth and color of a Pillow image: every depth becomes 8 bits, and color is judged by the pixels."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # Pillow's modes of more than 8 bits, all of them gray
GRAY_MODES = ("1", "L", "LA", "La", *DEEP_MODES)
MODES = (*GRAY_MODES, "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB")
# Lossy formats round the channels of a gray pixel differently, and by no more than this.
MAX_GRAY_DIFFERENCE = 2
COARSE_STEP = 8  # every eighth pixel in both directions shows the color of nearly every photograph


def has_no_color(pixels: UInt8[np.ndarray, "H W 3"]) -> bool:
    """Returns whether the channels of every pixel are equal, except for the rounding of lossy formats."""
    for step in (COARSE_STEP, 1):
        red, green, blue = pixels[::step, ::step].transpose(2, 0, 1)
        high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
        if (high - low).max() > MAX_GRAY_DIFFERENCE:
            return False
    return True


def white_level(image: Any) -> int:
    """Returns the value of white of a Pillow image, or 0 if its file does not state it.

    TIFF stores the number of bits, which may be 12. PNG and PGM have 16 bits where Pillow reads more than 8.
    """
    if image.format == "TIFF" and image.mode.startswith("I;16"):
        return 2 ** image.tag_v2.get(258, (16,))[0] - 1
    return 65535 if image.mode.startswith("I;16") or (image.format in ("PNG", "PPM") and image.mode == "I") else 0


def to_8_bits(image: Any, white: int) -> Any:
    """Returns an image of one of the `DEEP_MODES` in mode "L", with black at 0 and white at 255.

    Args:
      image: a Pillow image.
      white: the value of white; 0 for the smallest usual one that no pixel exceeds: 1 (only for floats), 255,
        65535 or 2³² - 1.

    Raises:
      ValueError: a pixel is negative, infinite or not a number.
    """
    from PIL import Image

    values = np.asarray(image if image.mode == "F" else image.convert("I")).astype(np.float64)
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("negative pixels" if np.isfinite(values).all() else "pixels that are not finite")
    usual = (1, 255, 65535, 2**32 - 1) if image.mode == "F" else (255, 65535, 2**32 - 1)
    white = white or next((level for level in usual if values.max() <= level), values.max())
    pixels = np.rint(values.clip(0, white) * (255 / white)).astype(np.uint8)
    if isinstance(transparent := image.info.get("transparency"), int):
        pixels[values == transparent] = 0
    return Image.fromarray(pixels)


def lab_to_rgb(image: Any) -> Any:
    """Converts CIE L*a*b* to RGB, which Pillow's `convert` does not."""
    from PIL import ImageCms

    return ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
