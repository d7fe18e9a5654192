"""Grids and plots: pixels if they are known exactly, otherwise shapes and content."""

import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

from jaxgen import plotting
from jaxgen.io.atomic import write_bytes_atomic
from jaxgen.plotting import plots

R, K, H, W, PADDING = 3, 4, 8, 10, 2
REFERENCES = {"content_accuracy": ("chance", 0.25), "mse": ("mean image", 9.0)}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def dark(picture):
    """Returns where text or a dark image covers the white background."""
    return (picture < 128).any(axis=-1)


@pytest.mark.parametrize("scale", [1, 3])
def test_grid_places_images_as_documented(rng, scale):
    images = rng.integers(0, 256, (R, K, H, W, 3)) / 255.0
    picture = plotting.image_grid(images, padding=PADDING, scale=scale)
    assert picture.dtype == np.uint8
    assert picture.shape == (R * (scale * H + 2) + 2, K * (scale * W + 2) + 2, 3)
    for row, column in [(0, 0), (1, 3), (2, 1)]:
        top, left = 2 + row * (scale * H + 2), 2 + column * (scale * W + 2)
        cell = picture[top : top + scale * H : scale, left : left + scale * W : scale]
        np.testing.assert_array_equal(cell, np.round(255 * images[row, column]))


def test_grid_separates_black_images_by_white_lines_and_repeats_gray():
    picture = plotting.image_grid(np.zeros((R, K, H, W, 1)), padding=PADDING)
    assert (picture[:2] == 255).all()
    assert (picture[-2:] == 255).all()
    assert (picture[:, W + 2 : W + 4] == 255).all()
    assert int((picture == 0).sum()) == R * K * H * W * 3


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan, np.inf, 255])
def test_images_out_of_range_are_rejected(value):
    images = np.zeros((R, K, H, W, 1))
    images[1, 2, 3, 4] = value
    with pytest.raises(ValueError, match=r"images has values in \[.*must lie in \[0, 1\]"):
        plotting.image_grid(images)


@pytest.mark.parametrize("shape", [(R, H, W, 1), (R, K, H, W), (R, K, H, W, 2), (0, K, H, W, 1)])
def test_images_of_a_wrong_shape_are_rejected(shape):
    with pytest.raises(ValueError, match=r"images of shape .* must be \[R, Cc, H, W, C\]"):
        plotting.image_grid(np.zeros(shape))


def test_rounding_errors_beyond_the_range_are_accepted():
    assert plotting.image_grid(np.full((1, 1, H, W, 1), 1.000001)).max() == 255


def test_style_grid_has_a_heading_above_each_column():
    picture = plotting.style_grid(np.ones((R, K, 28, 28, 1)))  # white images: only headings are dark
    body = R * (2 * 28 + 2) + 2
    assert dark(picture[:-body]).any(axis=0).sum() > 0
    assert not dark(picture[-body:]).any()
    for column in range(K):
        left = 2 + column * 58
        inked = np.flatnonzero(dark(picture[:-body, left : left + 56]).any(axis=0))
        assert inked.size
        assert abs(inked.mean() - 28) < 4  # centered


def test_style_grid_headings_differ_and_are_not_cut_off():
    picture = plotting.style_grid(np.ones((1, K, 28, 28, 1)))
    strip = dark(picture[: -(58 + 2)])
    cells = [strip[:, 2 + 58 * k : 58 + 58 * k] for k in range(K)]
    assert all((a != b).any() for i, a in enumerate(cells) for b in cells[:i])
    assert not strip[0].any()
    assert not strip[-1].any()


def test_a_title_is_above_the_picture_and_does_not_change_its_shape():
    body = plotting.tile_images(np.zeros((4, 28, 28, 1)), 2)
    short, long = (plotting.add_title(body, title) for title in ("epoch 1", "epoch 100"))
    assert short.shape == long.shape
    strip = len(short) - len(body)
    np.testing.assert_array_equal(short[strip:], body)
    assert dark(long[:strip]).sum() > dark(short[:strip]).sum() > 0


def test_originals_are_the_first_column_with_a_heading_and_a_gap(rng):
    images, originals = rng.random((R, K, 28, 28, 1)), np.zeros((R, 28, 28, 1))
    alone, beside = plotting.style_grid(images), plotting.style_grid(images, originals)
    np.testing.assert_array_equal(beside[:, -alone.shape[1] :], alone)
    first = beside[:, : beside.shape[1] - alone.shape[1]]
    ink = dark(first)
    assert ink[-30].sum() == 56  # one black image, scaled by 2
    assert not ink[:, -8:].any()  # the gap
    heading = ink[: -(R * 58 + 2)]
    assert heading.any()
    assert not heading[:, 0].any()  # "original" is not cut off
    with pytest.raises(ValueError, match="originals of shape"):
        plotting.style_grid(images, originals[:2])


@pytest.mark.parametrize("size", [8, 28, 64])
def test_the_heading_original_fits_images_of_any_size(size):
    picture = plotting.style_grid(np.ones((1, K, size, size, 3)), np.ones((1, size, size, 3)), scale=1)
    edges = [dark(picture)[:, 0], dark(picture)[:, -1], dark(picture)[0], dark(picture)[-1]]
    assert not any(edge.any() for edge in edges)


def test_reconstructions_are_below_their_inputs_and_the_last_row_is_padded_with_white():
    count, columns, cell = 7, 4, 2 * 28 + 2
    values = np.arange(1, count + 1) / 20
    images = np.broadcast_to(values[:, None, None, None], (count, 28, 28, 1))
    picture = plotting.reconstruction_pairs(images, images + 0.5, columns=columns)
    margin = picture.shape[1] - (columns * cell + 2)
    strip = 2 * cell + 2
    second = picture[-strip:, margin:]
    for column, value in enumerate(values[4:]):
        x = 2 + column * cell + 20
        assert second[20, x, 0] == round(255 * value)
        assert second[20 + cell, x, 0] == round(255 * (value + 0.5))
    assert (second[:, 3 * cell + 2 :] == 255).all()
    row_labels = dark(picture[:, :margin])
    assert row_labels[: cell + 2].any()  # "in"
    assert row_labels[cell + 2 : strip].any()  # "out"
    assert not row_labels[:, 0].any()


def test_reconstructions_of_another_shape_are_rejected():
    with pytest.raises(ValueError, match=r"reconstructions of shape \(6, 8, 10, 1\)"):
        plotting.reconstruction_pairs(np.zeros((5, H, W, 1)), np.zeros((6, H, W, 1)))


@pytest.mark.parametrize(("size", "classes"), [(1, 3), (5, 4), (40, 12)])
def test_codes_and_prior_are_plotted_for_any_number_of_dimensions_and_labels(rng, size, classes):
    labels = rng.integers(-1, classes, 60)
    picture = plotting.plot_codes_vs_prior(rng.normal(size=(60, size)), rng.normal(size=(90, size)), labels)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert not dark(picture)[[0, -1]].any()  # nothing is cut off
    assert not dark(picture)[:, [0, -1]].any()


def test_each_dimension_has_a_density_panel_of_its_own_all_on_one_scale():
    even = np.linspace(-1, 1, 20_001)[:, None]
    codes = (even * [1, 0.5, 0.25]).astype(np.float32)  # densities of 0.5, 1 and 2 everywhere
    figure = plotting.new_figure(6.0, 5.0)
    plots._plot_densities(figure, codes, codes, rows=2, columns=2)
    *panels, empty = figure.axes
    outlines = [panel.patches[1].get_data() for panel in panels]  # patch 0 is the prior, patch 1 the codes
    heights = [outline.values.max() for outline in outlines]
    np.testing.assert_allclose([heights[1] / heights[0], heights[2] / heights[1]], 2, rtol=0.1)
    assert all(np.array_equal(outline.edges, outlines[0].edges) for outline in outlines)
    assert len({panel.get_ylim() for panel in panels}) == 1
    assert [panel.get_title() for panel in panels] == ["0:  std 0.58", "1:  std 0.29", "2:  std 0.14"]
    assert not empty.axison


def test_codes_of_another_size_than_the_prior_or_not_finite_are_rejected(rng):
    codes, labels = rng.normal(size=(6, 5)), np.zeros(6, int)
    with pytest.raises(ValueError, match=r"prior_codes \(6, 4\)"):
        plotting.plot_codes_vs_prior(codes, codes[:, :4], labels)
    with pytest.raises(ValueError, match="labels of shape"):
        plotting.plot_codes_vs_prior(codes, codes, labels[:3])
    with pytest.raises(ValueError, match="must be finite"):
        plotting.plot_codes_vs_prior(codes * np.nan, codes, labels)


def panels_of(monkeypatch, history):
    """Returns the axes of the picture from `training_curves`."""
    kept, render = [], plotting.render_figure
    monkeypatch.setattr(plotting.plots, "render_figure", lambda figure: kept.append(figure) or render(figure))
    assert plotting.training_curves(history).dtype == np.uint8
    return [axes for axes in kept[0].axes if axes.lines]


def test_curves_have_one_panel_per_quantity_for_all_splits(monkeypatch):
    line = [(1, 0.5), (2, float("nan")), (3, 0.7)]
    names = ["train/critic/loss", "train/critic/accuracy", "validation/critic/loss", "validation/mse", "encoder/loss"]
    names += ["train/reconstruction/nll", "validation/nll"]
    panels = panels_of(monkeypatch, dict.fromkeys(names, line))
    titles = ["critic/loss", "critic/accuracy", "mse", "encoder/loss", "nll"]
    assert [panel.get_title(loc="left") for panel in panels] == titles
    assert [len(panel.lines) for panel in panels] == [2, 1, 1, 1, 2]
    train, validation = panels[0].lines
    assert train.get_color() != validation.get_color()
    assert [line.get_label() for line in panels[0].lines] == ["train", "validation"]
    assert [line.get_label() for line in panels[-1].lines] == ["train (reconstruction)", "validation"]
    assert panels[-1].get_ylabel() == "nats per image"


def test_a_band_shows_the_std_over_seeds_and_a_dashed_line_chance_and_baselines(monkeypatch):
    history = {
        "validation/content_accuracy": [(1, 0.5), (2, 0.9)],
        "validation/content_accuracy_seed_std": [(1, 0.1), (2, 0.2)],
        "validation/mse": [(1, 0.5), (2, 0.2)],
        "validation/mse_baseline": [(1, 0.1), (2, 0.1)],
    }
    monkeypatch.setattr(plotting, "training_curves", partial(plotting.training_curves, references=REFERENCES))
    accuracy, mse = panels_of(monkeypatch, history)
    (band,) = accuracy.collections
    corners = band.get_paths()[0].vertices
    np.testing.assert_allclose([corners[:, 1].min(), corners[:, 1].max()], [0.4, 1.1])
    assert not mse.collections
    assert accuracy.lines[1].get_label() == "chance, 0.25"
    assert accuracy.lines[1].get_linestyle() == mse.lines[1].get_linestyle() == "--"
    assert set(accuracy.lines[1].get_ydata()) == {0.25}
    assert mse.lines[2].get_label() == "mean image, 9 (not in view)"
    assert mse.get_ylim()[1] < 1


def test_chance_is_in_view_even_far_from_the_curve(monkeypatch):
    monkeypatch.setattr(plotting, "training_curves", partial(plotting.training_curves, references=REFERENCES))
    (panel,) = panels_of(monkeypatch, {"validation/content_accuracy": [(1, 0.98), (2, 0.99)]})
    assert panel.get_ylim()[0] < 0.25
    assert panel.lines[1].get_label() == "chance, 0.25"


def test_a_single_point_is_a_marker_with_its_value(monkeypatch):
    (panel,) = panels_of(monkeypatch, {"validation/mse": [(10, 0.1234)]})
    assert panel.lines[0].get_marker() == "o"
    assert [text.get_text() for text in panel.texts] == ["0.1234"]


def test_curves_are_logarithmic_only_if_positive_over_a_range_of_100(monkeypatch):
    history = {
        "wide": [(0, 1000.0), (1, float("inf")), (2, 1.0)],
        "narrow": [(0, 90.0), (2, 1.0)],
        "pixel_range": [(0, -1.0), (1, 1000.0)],
        "empty": [(0, float("nan"))],
    }
    assert [panel.get_yscale() for panel in panels_of(monkeypatch, history)] == ["log", "linear", "linear", "linear"]


def test_curves_of_an_empty_history_are_a_picture():
    assert dark(plotting.training_curves({})).any()


def test_a_png_is_read_as_written_and_a_failed_write_keeps_the_old_file(tmp_path, rng, monkeypatch):
    image, path = rng.integers(0, 256, (H, W, 3), np.uint8), tmp_path / "figures" / "a.png"
    write_bytes_atomic(path, plotting.encode_png(image))
    np.testing.assert_array_equal(np.array(Image.open(path)), image)

    def fail(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        write_bytes_atomic(path, plotting.encode_png(255 - image))
    np.testing.assert_array_equal(np.array(Image.open(path)), image)


def test_rows_are_labeled_and_all_in_color_if_one_is():
    gray, color = np.full((3, 8, 10, 1), 0.5), np.zeros((3, 8, 10, 3))
    color[..., 0] = 1.0
    picture = plotting.labeled_rows({"gray": gray, "colored": color}, columns=2, scale=1)
    assert {tuple(pixel) for pixel in picture.reshape(-1, 3)} >= {(128, 128, 128), (255, 0, 0)}
    body = picture[:, -(2 * 10 + 3 * 2) :]  # without the row labels; their letters have gray edges
    red, half = ((body == pixel).all(-1).sum() for pixel in ((255, 0, 0), (128, 128, 128)))
    assert red == half == 3 * 8 * 10
    with pytest.raises(ValueError, match=r"colored of shape \(2, 8, 10\) must have the shape of gray, \(3, 8, 10\)"):
        plotting.labeled_rows({"gray": gray, "colored": color[:2]})


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_codes_are_plotted_in_two_or_three_dimensions(size):
    codes = np.random.default_rng(0).normal(size=(50, size))
    picture = plotting.plot_codes_by_label(codes, np.arange(50) % 4)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    colors = {tuple(pixel) for pixel in picture.reshape(-1, 3)[::3]}
    assert len(colors) > 20
    with pytest.raises(ValueError, match="codes must be finite"):
        plotting.plot_codes_by_label(codes * np.nan, np.arange(50) % 4)


@pytest.mark.parametrize(
    ("name", "escaped"), [("5$ to 10$", r"5\$ to 10\$"), ("_hidden", " _hidden"), ("$\\foo$", r"\$\foo\$")]
)
def test_a_class_name_is_shown_unchanged(name, escaped, rng):
    assert plotting.plots.escape_legend_text(name) == escaped
    codes, labels = rng.normal(size=(50, 2)), np.arange(50) % 2
    assert not np.array_equal(
        plotting.plot_codes_by_label(codes, labels, ("a", name)), plotting.plot_codes_by_label(codes, labels, ("a", ""))
    )


@pytest.mark.parametrize(
    "plot", [plotting.plot_codes_by_label, lambda codes, *args: plotting.plot_codes_vs_prior(codes, codes, *args)]
)
def test_classes_are_labeled_by_name_and_a_single_class_is_unlabeled(rng, plot):
    codes, labels, names = rng.normal(size=(50, 2)), np.arange(50) % 2, ("circle", "square")
    assert not np.array_equal(plot(codes, labels, names), plot(codes, labels))
    np.testing.assert_array_equal(plot(codes, 0 * labels, names), plot(codes, 0 * labels))


def test_headings_and_row_labels_surround_an_unchanged_grid():
    images = np.random.default_rng(0).random((2, 3, 30, 40, 1))
    grid = plotting.image_grid(images, scale=2)
    found = plotting.labeled_grid(images, ["a", "b", "c"], ["one", "two"], scale=2)
    height, width, _ = grid.shape
    np.testing.assert_array_equal(found[-height:, -width:], grid)
    assert (found[:-height, -width:] < 128).any()  # headings
    assert (found[-height:, :-width] < 128).any()  # row labels
    assert (found[:-height, :-width] == 255).all()
    with pytest.raises(ValueError, match="the number of headings is 2 and must be 3"):
        plotting.labeled_grid(images, ["a", "b"])


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_codes_of_many_dimensions_are_plotted(count):
    codes = np.random.default_rng(0).random((count, 32), np.float32)
    assert plotting.plot_codes_by_label(codes, np.arange(count)).dtype == np.uint8
