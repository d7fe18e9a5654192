"""Text around pictures: titles above them and the names of the two axes of a grid."""

import numpy as np
from jaxtyping import UInt8

from jaxgen.plotting.fonts import cell_font, load_font, printable_text

Picture = UInt8[np.ndarray, "_ _ 3"]  # no letters, because a function may return another size than its input

WHITE, BLACK = 255, (0, 0, 0)
TITLE_SIZE, MAX_TITLE_SIZE, AXIS_SIZE = 15, 24, 12  # pixels
MIN_LINE_WIDTH = 240  # pixels of a title above a narrower picture, which is then widened


def render_text(text: str, cell: int) -> Picture:
    """Returns a text as a picture without margins to the left and right, for cells of `cell` pixels."""
    return _render_line(text, cell_font(cell, text))


def add_title(picture: Picture, title: str) -> Picture:
    """Returns the picture below its title, in several lines if the title is wider than the picture."""
    font = load_font(min(max(TITLE_SIZE, picture.shape[1] // 65), MAX_TITLE_SIZE), title)
    lines = _wrap_text(title, font, max(picture.shape[1], MIN_LINE_WIDTH))
    rendered = [_render_line(line, font) for line in lines]
    width = max(picture.shape[1], *(line.shape[1] + 4 for line in rendered))
    below = [np.full((4, width, 3), WHITE, np.uint8), _center(picture, width)]
    return np.concatenate([*(_center(line, width) for line in rendered), *below])


def name_axes(picture: Picture, columns: str = "", rows: str = "") -> Picture:
    """Returns a grid with the name of the quantity of its columns above, and of its rows to the left."""
    if columns:
        line = _render_line(columns, load_font(AXIS_SIZE, columns))
        width = max(picture.shape[1], line.shape[1] + 4)
        picture = np.concatenate([_center(line, width), _center(picture, width)])
    if rows:
        line = np.rot90(_render_line(rows, load_font(AXIS_SIZE, rows)))
        height = max(picture.shape[0], line.shape[0] + 4)
        turned = [_center(np.rot90(part, -1), height) for part in (line, picture)]
        picture = np.concatenate([np.rot90(part) for part in turned], axis=1)
    return np.ascontiguousarray(picture)


def _render_line(text: str, font) -> Picture:
    """Returns one line of text, of the same height for every text of a font."""
    from PIL import Image, ImageDraw

    text = printable_text(text)
    ascent, descent = font.getmetrics()
    canvas = Image.new("RGB", (int(np.ceil(font.getlength(text))) + 2, ascent + descent), (WHITE,) * 3)
    ImageDraw.Draw(canvas).text((1, 0), text, fill=BLACK, font=font)
    return np.array(canvas)


def _wrap_text(text: str, font, width: int) -> list[str]:
    """Returns the lines of a text, split at spaces, of at most `width` pixels where its words allow it."""
    lines = [""]
    for word in printable_text(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) + 4 <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _center(picture: Picture, width: int) -> Picture:
    """Returns the picture in the middle of a white one of that width."""
    left = (width - picture.shape[1]) // 2
    return np.pad(picture, ((0, 0), (left, width - picture.shape[1] - left), (0, 0)), constant_values=WHITE)
