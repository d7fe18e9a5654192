"""Figures: the images, headings and row labels in them. The files of a run are tested in end_to_end/test_cli.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxgen import plotting
from jaxgen.data import Dataset
from jaxgen.evaluation import figures, latent_figures, titles
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.types import Split

SPLIT = Split(np.full((5, 8, 8, 1), 51, np.uint8), np.zeros(5, np.int32))  # pixels of 0.2
DATASET = Dataset("tiny", SPLIT, SPLIT, SPLIT, 1)


class Flat(TrainedModel):
    """Decodes codes and labels to images of one gray level; attributes of its model are arguments."""

    def __init__(self, **model):
        self.model = SimpleNamespace(**model)

    def predict_category(self, images):
        return np.array([2, 0, 2, 2, 2])

    def sample_prior(self, count, seed=0):
        return np.stack([np.linspace(0, 0.4, count), np.linspace(0.5, 1, count)], axis=1).astype(np.float32)

    def decode(self, codes, labels=None):
        grays = codes @ [1.0, 0.5] if labels is None else labels / 4
        return np.broadcast_to(grays[:, None, None, None], (len(codes), 8, 8, 1))


@pytest.fixture
def labeled_grids(monkeypatch):
    """Returns the list of the arguments of each call of `plotting.labeled_grid`."""
    calls, real = [], plotting.labeled_grid
    monkeypatch.setattr(plotting, "labeled_grid", lambda *args: calls.append(args) or real(*args))
    return calls


def test_a_row_of_clusters_contains_the_head_then_members_then_white(labeled_grids):
    figures.draw_clusters(Flat(num_conditions=3, latent_size=2), DATASET, SPLIT, columns=4)
    ((rows, headings, row_labels),) = labeled_grids
    assert np.allclose(rows[..., 0, 0, 0], [[0, 0.2, 1, 1], [0.25, 1, 1, 1], [0.5, 0.2, 0.2, 0.2]])
    assert headings == ["head", "members →", "", ""]
    assert row_labels == ["0", "1", "2"]


def test_the_points_of_a_latent_manifold_are_labeled_by_their_coordinates(labeled_grids):
    latent_figures.draw_latent_manifold(Flat(matches_prior=True), DATASET, SPLIT, side=2)
    ((images, columns, rows),) = labeled_grids
    assert columns == ["0.10", "0.30"]
    assert rows == ["0.88", "0.62"]  # upwards, as in a plot
    assert np.allclose(images[..., 0, 0, 0], [[0.5375, 0.7375], [0.4125, 0.6125]])


NAMED = Dataset("tiny", SPLIT, SPLIT, SPLIT, 3, ("Bücher", "Hefte", "Stifte"))


@pytest.mark.parametrize("draw", [figures.draw_prior_styles, figures.draw_image_styles])
def test_columns_of_styles_have_class_names_instead_of_numbers(draw, monkeypatch):
    calls, real = [], plotting.style_grid
    monkeypatch.setattr(plotting, "style_grid", lambda *args, names: calls.append(names) or real(*args, names=names))
    model = Flat()
    model.encode = lambda images, labels: np.zeros((len(images), 2), np.float32)
    draw(model, NAMED, SPLIT, rows=2)
    assert calls == [NAMED.class_names]


def test_samples_of_a_conditional_model_have_a_class_name_above_each_column():
    model = Flat(is_conditional=True, num_conditions=3)
    assert latent_figures.column_names(model, NAMED, 3) == list(NAMED.class_names)
    assert latent_figures.column_names(model, DATASET, 6) == ["0", "1", "2", "0", "1", "2"]
    assert latent_figures.column_names(model, NAMED, 4) is None  # a column has several classes
    assert latent_figures.column_names(Flat(is_conditional=False), NAMED, 3) is None


def test_neighbors_are_labeled_by_words_and_not_by_ranks(labeled_grids):
    model = Flat()
    model.encode_mean = lambda images: np.zeros((len(images), 2), np.float32)
    figures.draw_nearest_neighbors(model, DATASET, SPLIT, queries=2, nearest=3)
    ((_, headings),) = labeled_grids
    assert headings == ["query", "nearest →", "", ""]


def test_every_figure_has_a_title_that_begins_with_the_data_set(monkeypatch):
    added = []
    monkeypatch.setattr(plotting, "add_title", lambda picture, title: added.append(title) or picture)
    model = Flat(figures=("latent_manifold",), matches_prior=True)
    figures.draw_figures(model, DATASET, SPLIT)
    assert added == [f"tiny: {titles.TITLES['latent_manifold']}"]
    assert set(figures.FIGURES) <= set(titles.TITLES)


def test_a_traversal_names_its_dimensions_and_the_unit_of_its_steps(monkeypatch):
    named, real = [], plotting.name_axes
    monkeypatch.setattr(plotting, "name_axes", lambda *args: named.append(args[1:]) or real(*args))
    decoded = np.zeros((2, latent_figures.STEPS, 8, 8, 1))
    unit = latent_figures.describe_traversal_scale(Flat(matches_prior=True))
    latent_figures.make_traversal_grid(np.zeros((8, 8, 1)), decoded, np.arange(2), unit)
    latent_figures.make_traversal_grid(np.zeros((8, 8, 1)), decoded[:, :2], np.arange(2))
    assert named == [
        ("change of one dimension, in standard deviations of the prior", "latent dimension"),
        ("one bit flipped", "latent dimension"),
    ]
