"""Grids of images with optional column and row labels, and their encoding as PNG.

Inputs are floats in [0, 1] with 1 or 3 channels. Explicit checks report a wrong input in one line.
"""

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike

from jaxgen.plotting.captions import WHITE, Picture, render_text
from jaxgen.plotting.fonts import shorten_name

SMALLER_TEXT = 0.75  # of the usual size, for headings that are slightly too wide


def image_grid(images: ArrayLike, padding: int = 2, scale: int = 1) -> Picture:
    """Returns images [R, Cc, H, W, C] as R rows of Cc images, separated by white lines of `padding` pixels.

    Image (r, c) begins at pixel (padding + r (scale H + padding), padding + c (scale W + padding)). `scale` repeats
    pixels without interpolation. Gray is repeated to RGB.

    Raises:
      ValueError: the shape is not [R, Cc, H, W, 1 or 3], or a value lies outside [0, 1].
    """
    images = _to_checked_array("images", images, "R Cc H W C")
    cells = np.repeat(np.repeat(_to_rgb_bytes(images), scale, axis=2), scale, axis=3)
    rows, columns, height, width, _ = cells.shape
    canvas = np.full((rows, height + padding, columns, width + padding, 3), WHITE, np.uint8)
    canvas[:, :height, :, :width] = cells.transpose(0, 2, 1, 3, 4)
    canvas = canvas.reshape(rows * (height + padding), columns * (width + padding), 3)
    return np.pad(canvas, ((padding, 0), (padding, 0), (0, 0)), constant_values=WHITE)


def tile_images(images: ArrayLike, columns: int, headings: Sequence[str] | None = None) -> Picture:
    """Returns images [N, H, W, C] in rows of `columns` images, enlarged twice; white images complete the last row."""
    images = _to_checked_array("images", images, "N H W C")
    blank = np.ones((-len(images) % columns, *images.shape[1:]), images.dtype)
    return labeled_grid(np.concatenate([images, blank]).reshape(-1, columns, *images.shape[1:]), headings)


def labeled_grid(
    images: ArrayLike, headings: Sequence[str] | None = None, row_labels: Sequence[str] | None = None, scale: int = 2
) -> Picture:
    """Returns the grid of images [R, Cc, H, W, C] with optional headings above columns and labels before rows.

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], or a number of labels other than the number of columns or rows.
    """
    images = _to_checked_array("images", images, "R Cc H W C")
    for name, texts, count in (("headings", headings, images.shape[1]), ("row_labels", row_labels, len(images))):
        if texts is not None and len(texts) != count:
            raise ValueError(f"the number of {name} is {len(texts)} and must be {count}, one for each in the grid")
    picture, cell = image_grid(images, scale=scale), scale * images.shape[3] + 2
    if headings is not None:
        picture = _add_headings(picture, headings, [2 + cell * c + (cell - 2) / 2 for c in range(len(headings))], cell)
    if row_labels is None:
        return picture
    top = picture.shape[0] - len(images) * (scale * images.shape[2] + 2)  # height of the headings and of one line
    strip = np.full((top, 1, 3), WHITE, np.uint8)
    margin = _add_row_labels(picture[top:], row_labels)
    left = margin.shape[1] - picture.shape[1]
    return np.concatenate([np.concatenate([np.repeat(strip, left, 1), picture[:top]], 1), margin], 0)


def style_grid(
    images: ArrayLike, originals: ArrayLike | None = None, scale: int = 2, names: Sequence[str] = ()
) -> Picture:
    """Returns decoded images [R, K, H, W, C] with one style per row and the name of a class above each column.

    Args:
      images: one row per style and one column per label.
      originals: [R, H, W, C], the encoded images, shown as a separate first column "original".
      scale: number of repetitions of each pixel.
      names: names of the classes by label; without names, the labels 0..K-1 are shown.

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], originals that do not match the rows of images, or a number of
        names other than K.
    """
    images = _to_checked_array("images", images, "R K H W C")
    headings = list(names) or [str(label) for label in range(images.shape[1])]
    picture = labeled_grid(images, headings, scale=scale)
    if originals is None:
        return picture
    originals = _to_checked_array("originals", originals, "R H W C")
    require_same_shape("originals", originals.shape, "images without their label axis", images[:, 0].shape)
    cell = scale * images.shape[3] + 2
    column = labeled_grid(originals[:, None], ["original"], scale=scale)
    column, picture = _align_bottoms(column, picture)
    gap = np.full((picture.shape[0], max(8, cell // 4), 3), WHITE, np.uint8)
    return np.concatenate([column, gap, picture], axis=1)


def _align_bottoms(*pictures: Picture) -> list[Picture]:
    """Returns the pictures, all of the height of the highest, with white above the others."""
    height = max(len(picture) for picture in pictures)
    return [np.pad(x, ((height - len(x), 0), (0, 0), (0, 0)), constant_values=WHITE) for x in pictures]


def reconstruction_pairs(images: ArrayLike, reconstructions: ArrayLike, columns: int = 10, scale: int = 2) -> Picture:
    """Returns images [N, H, W, C] above their reconstructions, in rows labeled "in" and "out".

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], or two inputs of different shapes.
    """
    images, outputs = (
        _to_checked_array("images", images, "N H W C"),
        _to_checked_array("reconstructions", reconstructions, "N H W C"),
    )
    require_same_shape("reconstructions", outputs.shape, "images", images.shape)
    return labeled_rows({"in": images, "out": outputs}, columns, scale)


def labeled_rows(rows: Mapping[str, ArrayLike], columns: int = 10, scale: int = 2) -> Picture:
    """Returns sets of images [N, H, W, C] in rows below each other, each labeled with the name of its set.

    After `columns` images, the next images follow in rows below. If one set has colors, all become RGB.

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], or sets of different shapes.
    """
    (first_name, first), *others = ((name, _to_checked_array(name, images, "N H W C")) for name, images in rows.items())
    for name, images in others:
        require_same_shape(name, images.shape[:-1], first_name, first.shape[:-1])
    sets = [_to_rgb_bytes(images) / 255 for images in (first, *(images for _, images in others))]
    columns = min(columns, len(first))
    blank = np.ones((-len(first) % columns, *sets[0].shape[1:]))
    strips = np.stack([np.concatenate([x, blank]).reshape(-1, columns, *x.shape[1:]) for x in sets], axis=1)
    pictures = [_add_row_labels(image_grid(strip, scale=scale), list(rows)) for strip in strips]
    gap = np.full((max(4, scale * first.shape[1] // 8), pictures[0].shape[1], 3), WHITE, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=0)


def encode_png(picture: Picture) -> bytes:
    """Returns the bytes of a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def _to_checked_array(name: str, images: ArrayLike, shape: str) -> Float[np.ndarray, "..."]:
    """Returns the images as an array of the named dimensions with values in [0, 1]."""
    images = np.asarray(images, np.float32)
    if images.ndim != len(shape.split()) or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"{name} of shape {images.shape} must be [{', '.join(shape.split())}], C=1 or 3, not empty")
    low, high = images.min(), images.max()
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # also false for NaN; 1e-4 allows for rounding
        raise ValueError(f"{name} has values in [{low:.4g}, {high:.4g}], must lie in [0, 1]; divide bytes by 255")
    return images


def require_same_shape(name: str, shape: tuple[int, ...], other: str, expected: tuple[int, ...]) -> None:
    """Raises a ValueError unless the shape equals the expected one, the shape of `other`."""
    if shape != expected:
        raise ValueError(f"{name} of shape {shape} must have the shape of {other}, {expected}")


def _to_rgb_bytes(images: Float[np.ndarray, "*N H W C"]) -> UInt8[np.ndarray, "*N H W 3"]:
    """Returns images in [0, 1] as RGB bytes."""
    channels = np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
    return np.broadcast_to(channels, (*channels.shape[:-1], 3))


def _add_headings(body: Picture, headings: Sequence[str], centers: list[float], cell: int) -> Picture:
    """Returns the body below a strip of headings, widened on both sides if one is wider than its columns.

    A heading before empty ones belongs to all their columns and begins at its own.
    """
    filled = [k for k, text in enumerate(headings) if text]
    widths = [cell * (end - start) for start, end in pairwise([*filled, len(headings)])]
    marks = _render_headings([headings[k] for k in filled], widths, cell)
    extra = max([0, *(mark.shape[1] + 4 - width for mark, width in zip(marks, widths, strict=True))])
    strip = max([0, *(mark.shape[0] for mark in marks)]) + 6
    canvas = np.pad(body, ((strip, 0), (extra // 2, extra - extra // 2), (0, 0)), constant_values=WHITE)
    for mark, column in zip(marks, filled, strict=True):
        left = round(extra // 2 + centers[column] - min(mark.shape[1], cell + extra) / 2)
        canvas[strip - 3 - mark.shape[0] : strip - 3, left : left + mark.shape[1]] = mark
    return canvas


def _render_headings(headings: Sequence[str], widths: Sequence[int], cell: int) -> list[Picture]:
    """Returns the text of each heading: smaller if one is wider than its columns, or vertical if that is not enough."""
    texts = [shorten_name(text) for text in headings]
    for size in (cell, int(SMALLER_TEXT * cell)):
        marks = [render_text(text, size) for text in texts]
        if len(marks) < 2 or all(mark.shape[1] <= width for mark, width in zip(marks, widths, strict=True)):
            return marks
    return [np.rot90(render_text(text, cell)) for text in texts]


def _add_row_labels(body: Picture, labels: Sequence[str]) -> Picture:
    """Returns the body with a left margin that holds the labels of its rows, which have equal heights."""
    height = body.shape[0] / len(labels)
    marks = [render_text(text, int(height)) for text in map(shorten_name, labels)]
    margin = max(mark.shape[1] for mark in marks) + 10
    canvas = np.pad(body, ((0, 0), (margin, 0), (0, 0)), constant_values=WHITE)
    for row, mark in enumerate(marks):
        mark = mark[: int(height)]  # a font has at least 10 pixels, and a tiny image may have fewer
        top = max(0, round((row + 0.5) * height - mark.shape[0] / 2))
        canvas[top : top + mark.shape[0], margin - 5 - mark.shape[1] : margin - 5] = mark
    return canvas
