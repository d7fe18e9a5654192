"""The font of all figures: DejaVu Sans, and another installed font for characters that it lacks."""

import functools
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

FAMILY = "DejaVu Sans"  # part of matplotlib, so every machine has it
PLACEHOLDER_FAMILY = "Last Resort"  # matplotlib's font of boxes, which has every character
MAX_NAME_LENGTH = 28  # characters of a class name in a figure


def printable_text(text: str) -> str:
    """Returns the text in composed form, with escape codes for characters that no installed font has."""
    text = unicodedata.normalize("NFC", text)  # file systems of macOS decompose "ü" into two characters
    families = (FAMILY, *find_fallback_families(text))
    known = set().union(*(_characters_of(_font_paths()[name]) for name in families))
    return "".join(character if _is_known(character, known) else _to_code(character) for character in text)


def shorten_name(name: str) -> str:
    """Returns a class name for a figure: printable, and with an ellipsis in the middle if it is long."""
    name = printable_text(name)
    if len(name) <= MAX_NAME_LENGTH:
        return name
    half = (MAX_NAME_LENGTH - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def load_font(size: int, text: str = "") -> Any:
    """Returns the Pillow font of `size` pixels for a text: DejaVu Sans if it has every character."""
    from PIL import ImageFont

    families = (FAMILY, *find_fallback_families(text))
    path = max((_font_paths()[name] for name in families), key=lambda path: _count_known(path, text))
    return ImageFont.truetype(path, size)


def cell_font(cell: int, text: str = "") -> Any:
    """Returns a font for the labels of cells of `cell` pixels."""
    return load_font(int(np.clip(cell / 3.2, 10, 28)), text)


def find_fallback_families(text: str) -> tuple[str, ...]:
    """Returns the installed family with most of the characters that DejaVu Sans lacks; () if none has any."""
    missing = "".join(sorted({c for c in text if c.isprintable()} - _characters_of(_font_paths()[FAMILY])))
    return _find_families_with(missing) if missing else ()


@functools.cache
def _find_families_with(missing: str) -> tuple[str, ...]:
    """Returns the family with most of the missing characters, or ()."""
    counts = {name: _count_known(path, missing) for name, path in _font_paths().items()}
    best = max(counts, key=lambda name: counts[name])
    return (best,) if counts[best] else ()


@functools.cache
def _font_paths() -> dict[str, str]:
    """Returns the file of each installed family, that of DejaVu Sans from matplotlib itself."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    own = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    regular = {font.name: font.fname for font in fontManager.ttflist if font.style == "normal"}
    paths = {FAMILY: str(own)}
    for name, path in regular.items():
        if name != FAMILY and not name.startswith(PLACEHOLDER_FAMILY) and Path(path).is_file():
            paths[name] = path
    return paths


@functools.cache
def _characters_of(path: str) -> frozenset[str]:
    """Returns the characters of a font file."""
    from matplotlib.ft2font import FT2Font

    return frozenset(map(chr, FT2Font(path).get_charmap()))


def _count_known(path: str, text: str) -> int:
    """Returns how often the font has a character of the text."""
    return sum(character in _characters_of(path) for character in text)


def _is_known(character: str, known: set[str]) -> bool:
    """Returns whether a character has a glyph and occupies one place in a line."""
    return character.isprintable() and character in known


def _to_code(character: str) -> str:
    """Returns the escape code of a character, such as a backslash and u732b."""
    return character.encode("unicode_escape").decode()
