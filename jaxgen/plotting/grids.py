"""Grids of images, with headings where they need them, and the PNG files that pictures end in.

Images come in as floats in [0, 1] with 1 or 3 channels. Inputs are checked by hand, not by annotation, so that a
caller's mistake gets one line.
"""

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike

from jaxgen.io.atomic import write_bytes_atomic

Picture = UInt8[np.ndarray, "_ _ 3"]  # no letters: a function may take one size and return another

WHITE, BLACK = 255, (0, 0, 0)


def image_grid(images: ArrayLike, padding: int = 2, scale: int = 1) -> Picture:
    """Images [R, Cc, H, W, C] as R rows of Cc, with white lines of `padding` pixels between and around them.

    Image (r, c) begins at pixel (padding + r (scale H + padding), padding + c (scale W + padding)); `scale` repeats
    pixels, so that nothing is interpolated. Grey is repeated to RGB.

    Raises:
      ValueError: the shape is not [R, Cc, H, W, 1 or 3], or a value lies outside [0, 1].
    """
    images = _checked("images", images, "R Cc H W C")
    cells = np.repeat(np.repeat(_bytes(images), scale, axis=2), scale, axis=3)
    rows, columns, height, width, _ = cells.shape
    canvas = np.full((rows, height + padding, columns, width + padding, 3), WHITE, np.uint8)
    canvas[:, :height, :, :width] = cells.transpose(0, 2, 1, 3, 4)
    canvas = canvas.reshape(rows * (height + padding), columns * (width + padding), 3)
    return np.pad(canvas, ((padding, 0), (padding, 0), (0, 0)), constant_values=WHITE)


def tile_images(images: ArrayLike, columns: int) -> Picture:
    """Images [N, H, W, C] in rows of so many, twice as large; the last row is filled up with white."""
    images = _checked("images", images, "N H W C")
    blank = np.ones((-len(images) % columns, *images.shape[1:]), images.dtype)
    return image_grid(np.concatenate([images, blank]).reshape(-1, columns, *images.shape[1:]), scale=2)


def labeled_grid(
    images: ArrayLike, headings: list[str] | None = None, marks: list[str] | None = None, scale: int = 2
) -> Picture:
    """The grid of images [R, Cc, H, W, C] with a heading over each column and a mark before each row, where given.

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], or another number of headings or marks than columns or rows.
    """
    images = _checked("images", images, "R Cc H W C")
    for name, texts, count in (("headings", headings, images.shape[1]), ("marks", marks, len(images))):
        if texts is not None and len(texts) != count:
            raise ValueError(f"{len(texts)} {name} must be {count}, one for each of the grid's")
    picture, cell = image_grid(images, scale=scale), scale * images.shape[3] + 2
    if headings is not None:
        picture = _headed(picture, headings, [2 + cell * c + (cell - 2) / 2 for c in range(len(headings))], cell)
    if marks is None:
        return picture
    top = picture.shape[0] - len(images) * (scale * images.shape[2] + 2)  # the strip of headings, and a line
    strip = np.full((top, 1, 3), WHITE, np.uint8)
    margin = _marked(picture[top:], marks)
    left = margin.shape[1] - picture.shape[1]
    return np.concatenate([np.concatenate([np.repeat(strip, left, 1), picture[:top]], 1), margin], 0)


def style_grid(images: ArrayLike, originals: ArrayLike | None = None, scale: int = 2) -> Picture:
    """Decoded images [R, K, H, W, C]: one style a row, the labels 0..K-1 as headed columns.

    Args:
      images: a row is one style, a column one label.
      originals: [R, H, W, C], the images the styles were read from: a first column, headed "original" and set apart.
      scale: how often a pixel is repeated.

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], or originals that do not match the images' rows.
    """
    images = _checked("images", images, "R K H W C")
    headings = [str(label) for label in range(images.shape[1])]
    body = image_grid(images, scale=scale)
    cell = scale * images.shape[3] + 2
    picture = _headed(body, headings, [2 + cell * k + (cell - 2) / 2 for k in range(len(headings))], cell)
    if originals is None:
        return picture
    originals = _checked("originals", originals, "R H W C")
    require_same_shape("originals", originals.shape, "images without their label axis", images[:, 0].shape)
    column = _headed(image_grid(originals[:, None], scale=scale), ["original"], [2 + (cell - 2) / 2], cell)
    gap = np.full((picture.shape[0], max(8, cell // 4), 3), WHITE, np.uint8)
    return np.concatenate([column, gap, picture], axis=1)


def reconstruction_pairs(images: ArrayLike, reconstructions: ArrayLike, columns: int = 10, scale: int = 2) -> Picture:
    """Images [N, H, W, C] above their reconstructions: rows alternate, marked "in" and "out" in the left margin.

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], or two inputs of different shapes.
    """
    images, outputs = _checked("images", images, "N H W C"), _checked("reconstructions", reconstructions, "N H W C")
    require_same_shape("reconstructions", outputs.shape, "images", images.shape)
    return labeled_rows({"in": images, "out": outputs}, columns, scale)


def labeled_rows(rows: Mapping[str, ArrayLike], columns: int = 10, scale: int = 2) -> Picture:
    """Sets of images [N, H, W, C] below each other, image by image, each row marked with its set's name at the left.

    After `columns` of them the next ones follow in rows below. Where one set is in colour, so are all.

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], or sets of different shapes.
    """
    (first_name, first), *others = ((name, _checked(name, images, "N H W C")) for name, images in rows.items())
    for name, images in others:
        require_same_shape(name, images.shape[:-1], first_name, first.shape[:-1])
    sets = [_bytes(images) / 255 for images in (first, *(images for _, images in others))]
    columns = min(columns, len(first))
    blank = np.ones((-len(first) % columns, *sets[0].shape[1:]))
    strips = np.stack([np.concatenate([x, blank]).reshape(-1, columns, *x.shape[1:]) for x in sets], axis=1)
    pictures = [_marked(image_grid(strip, scale=scale), list(rows)) for strip in strips]
    gap = np.full((max(4, scale * first.shape[1] // 8), pictures[0].shape[1], 3), WHITE, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=0)


def add_title(picture: Picture, title: str) -> Picture:
    """The picture below a line of text, which is cut off where the picture is narrower."""
    from PIL import Image, ImageDraw

    font = _font(50)
    strip = int(1.5 * font.size)
    canvas = Image.fromarray(np.pad(picture, ((strip, 0), (0, 0), (0, 0)), constant_values=WHITE))
    ImageDraw.Draw(canvas).text((picture.shape[1] / 2, strip / 2), title, fill=BLACK, font=font, anchor="mm")
    return np.array(canvas)


def write_png(path: str | os.PathLike, image: Picture) -> bytes:
    """Writes the picture so that a reader finds the old file or the new one, never half of one; what the file holds."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    png = file.getvalue()
    write_bytes_atomic(path, png)
    return png


def _checked(name: str, images: ArrayLike, shape: str) -> Float[np.ndarray, "..."]:
    images = np.asarray(images, np.float32)
    if images.ndim != len(shape.split()) or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"{name} of shape {images.shape} must be [{', '.join(shape.split())}], C=1 or 3, not empty")
    low, high = images.min(), images.max()
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # written so that NaN is refused too; 1e-4 forgives rounding
        raise ValueError(f"{name} has values in [{low:.4g}, {high:.4g}], must lie in [0, 1]; divide bytes by 255")
    return images


def require_same_shape(name: str, shape: tuple[int, ...], other: str, expected: tuple[int, ...]) -> None:
    """Raises a ValueError where the shape is not the expected one, which is told as that of `other`."""
    if shape != expected:
        raise ValueError(f"{name} of shape {shape} must have the shape of {other}, {expected}")


def _bytes(images: Float[np.ndarray, "*N H W C"]) -> UInt8[np.ndarray, "*N H W 3"]:
    channels = np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
    return np.broadcast_to(channels, (*channels.shape[:-1], 3))


def _font(cell: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=int(np.clip(cell / 3.2, 10, 28)))


def _headed(body: Picture, headings: list[str], centres: list[float], cell: int) -> Picture:
    """The body under a strip of headings, widened to both sides where a heading would stick out."""
    from PIL import Image, ImageDraw

    font = _font(cell)
    extra = max(0, int(np.ceil(max(font.getlength(text) for text in headings))) + 4 - cell)
    strip = int(1.5 * font.size)
    canvas = np.pad(body, ((strip, 0), (extra // 2, extra - extra // 2), (0, 0)), constant_values=WHITE)
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for text, x in zip(headings, centres, strict=True):
        draw.text((extra // 2 + x, strip / 2), text, fill=BLACK, font=font, anchor="mm")
    return np.array(picture)


def _marked(body: Picture, marks: list[str]) -> Picture:
    """The body with a left margin that names its rows, which are all of one height."""
    from PIL import Image, ImageDraw

    height = body.shape[0] / len(marks)
    font = _font(int(height))
    margin = int(max(font.getlength(mark) for mark in marks)) + 10
    picture = Image.fromarray(np.pad(body, ((0, 0), (margin, 0), (0, 0)), constant_values=WHITE))
    draw = ImageDraw.Draw(picture)
    for row, mark in enumerate(marks):
        draw.text((margin - 5, (row + 0.5) * height), mark, fill=BLACK, font=font, anchor="rm")
    return np.array(picture)
