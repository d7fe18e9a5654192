"""Titles, names of axes and the font: what is written, where, and that nothing is cut off or replaced by a box."""

import itertools

import numpy as np
import pytest

from jaxgen import plotting
from jaxgen.plotting import captions, fonts, grids, plots

NAMES = ("Bücher", "Ankle boot", "a", "naïve façade Åß")


def ink(picture):
    """Returns where text covers the white background."""
    return (picture < 128).any(axis=-1)


def edges(picture):
    return np.concatenate([ink(picture)[[0, -1]].ravel(), ink(picture)[:, [0, -1]].ravel()])


@pytest.fixture
def texts(monkeypatch):
    """Returns the list of the texts of grids."""
    calls = []
    for module in (grids, captions):
        monkeypatch.setattr(module, "render_text", lambda text, cell: calls.append(text) or RENDER(text, cell))
    return calls


RENDER = captions.render_text


@pytest.mark.parametrize("character", "üßÅñžøŁΩжאé→")
def test_a_character_of_a_class_name_is_no_box(character):
    box = captions.render_text("\N{REPLACEMENT CHARACTER}", 60)
    shown = captions.render_text(character, 60)
    assert fonts.load_font(20, character).getname() == ("DejaVu Sans", "Book")
    assert fonts.printable_text(character) == character
    assert shown.shape != box.shape or (shown != box).any()
    assert ink(shown).any()


@pytest.mark.parametrize(
    ("text", "shown"), [("u\u0308", "ü"), ("a\nb", r"a\nb"), ("\udcff", r"\udcff"), ("\U000e0001", r"\U000e0001")]
)
def test_decomposed_letters_are_composed_and_characters_without_a_glyph_become_codes(text, shown):
    assert fonts.printable_text(text) == shown
    assert ink(captions.render_text(text, 60)).any()


def test_characters_that_no_font_has_differ_in_a_figure():
    one, other = (captions.render_text(text, 60) for text in ("\ue123", "\ue124"))  # the private use area
    assert one.shape != other.shape or (one != other).any()


def test_a_long_class_name_is_shortened_in_its_middle():
    name = fonts.shorten_name("Canis lupus familiaris, long-haired, brown")
    assert len(name) <= fonts.MAX_NAME_LENGTH
    assert name.startswith("Canis")
    assert name.endswith("brown")


@pytest.mark.parametrize("size", [8, 28, 64])
def test_class_names_above_the_columns_do_not_overlap_and_are_not_cut_off(size):
    picture = plotting.style_grid(np.ones((2, 4, size, size, 1)), np.ones((2, size, size, 1)), names=NAMES)
    assert not edges(picture).any()
    columns = ink(picture).any(axis=0)
    starts = [group for group, _ in itertools.groupby(columns)].count(True)
    assert starts >= 4 if size == 8 else starts >= 5  # vertical names: a gap between any two of them
    with pytest.raises(ValueError, match="the number of headings is 2 and must be 4"):
        plotting.style_grid(np.ones((2, 4, size, size, 1)), names=NAMES[:2])


def test_a_heading_before_empty_ones_is_complete():
    images = np.ones((1, 4, 28, 28, 1))
    spread, single = (plotting.labeled_grid(images[:, :n], ["query", "nearest →", "", ""][:n]) for n in (4, 2))
    assert ink(spread[:-60]).sum() == sum(ink(captions.render_text(text, 58)).sum() for text in ("query", "nearest →"))
    assert len(single) > len(spread)  # vertical in two columns, which are too narrow


def test_headings_that_are_slightly_too_wide_are_smaller_and_not_vertical():
    offsets = ["-2.25", "code", "+2.25"]
    strip = ink(plotting.labeled_grid(np.ones((1, 3, 28, 28, 1)), offsets)[:-60])
    assert len(strip) < 30
    assert [column for column in (57, 58, 59, 115, 116, 117) if strip[:, column].any()] == []


def test_a_style_grid_has_class_names_instead_of_numbers(texts):
    plotting.style_grid(np.ones((1, 4, 28, 28, 1)), names=NAMES)
    assert set(texts) == set(NAMES)


@pytest.mark.parametrize("width", [10, 118, 600])
def test_a_title_of_any_length_is_complete(width):
    body = np.zeros((20, width, 3), np.uint8)
    title = "Samples of the prior, decoded with every class of the data set, which has a long name"
    picture = plotting.add_title(body, title)
    strip = picture[: -len(body)]
    assert not edges(strip[:, :1]).any()
    assert not ink(strip)[:, [0, -1]].any()
    short = plotting.add_title(body, "Samples")
    assert ink(strip).sum() > 6 * ink(short[: -len(body)]).sum()  # 84 characters against 7


def test_axes_are_named_above_and_to_the_left_of_an_unchanged_grid():
    body = np.zeros((200, 300, 3), np.uint8)
    picture = plotting.name_axes(body, "offset", "dimension")
    np.testing.assert_array_equal(picture[-200:, -300:], body)
    assert ink(picture[:-200, -300:]).any()
    assert ink(picture[-200:, :-300]).any()
    assert not edges(picture[:-200]).any()


@pytest.mark.parametrize("count", [2, 10, 14, 40])
def test_legends_of_long_class_names_stay_inside_of_the_figure(count):
    rng = np.random.default_rng(0)
    names = [f"Bücher und Hefte {k}" for k in range(count)]
    codes, labels = rng.normal(size=(80, 2)), np.arange(80) % count
    for picture in (
        plotting.plot_codes_by_label(codes, labels, names),
        plotting.plot_codes_vs_prior(codes, codes, labels, names),
    ):
        assert not edges(picture).any()


def test_a_color_bar_and_an_axis_of_labels_show_class_names(monkeypatch):
    kept, render = [], plots.render_figure
    monkeypatch.setattr(plots, "render_figure", lambda figure: kept.append(figure) or render(figure))
    names = [f"class {k}" for k in range(14)]
    rng = np.random.default_rng(0)
    plotting.plot_codes_by_label(rng.normal(size=(80, 2)), np.arange(80) % 14, names)
    assert [text.get_text() for text in kept[0].axes[1].get_yticklabels()] == names
    plotting.plot_codes_by_label(rng.normal(size=(80, 1)), np.arange(80) % 3, names[:3])
    assert [text.get_text() for text in kept[1].axes[0].get_yticklabels()] == names[:3]
