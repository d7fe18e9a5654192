"""Figures: the images, headings and row labels in them. The files of a run are tested in end_to_end/test_cli.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxgen import plotting
from jaxgen.data import Dataset
from jaxgen.evaluation import figures, latent_figures
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
