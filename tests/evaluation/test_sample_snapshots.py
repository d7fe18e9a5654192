"""Snapshots of samples during training: their epochs, the figure and the animation."""

import numpy as np
import pytest
from helpers import read_config, tiny_trained_model
from PIL import Image

from jaxgen.data import load_dataset
from jaxgen.evaluation import sample_snapshots


def test_snapshots_are_due_at_the_ends_of_their_epochs_and_at_evaluations():
    config = read_config("gan")
    config.batch_size, config.snapshot_epochs = 10, (1, 3)
    assert sample_snapshots.last_step(config, 95, 1) == 10
    assert [stop for stop in range(1, 40) if sample_snapshots.is_due(config, 95, stop - 1, stop, False)] == [10, 29]
    assert sample_snapshots.is_due(config, 95, 0, 30, False)
    assert sample_snapshots.is_due(config, 95, 30, 31, True)
    assert not sample_snapshots.is_due(read_config("vae"), 95, 0, 100, True)


@pytest.mark.parametrize("name", ["gan", "conv_gan", "dcgan"])
def test_the_figure_of_a_digits_recipe_has_a_row_for_every_configured_epoch(name, tmp_path, monkeypatch):
    config, labels = read_config(name, ""), []
    examples = len(load_dataset(config.data).train_source.image)
    (tmp_path / sample_snapshots.FOLDER).mkdir()
    for stop in range(config.log_every, config.steps + 1, config.log_every):
        evaluated = stop % config.eval_every == 0 or stop == config.steps
        if sample_snapshots.is_due(config, examples, stop - config.log_every, stop, evaluated):
            np.save(tmp_path / sample_snapshots.FOLDER / f"{stop:09d}.npy", np.zeros((10, 2, 2, 1), np.uint8))
    monkeypatch.setattr(sample_snapshots.plotting, "labeled_grid", lambda images, columns, rows: labels.extend(rows))
    sample_snapshots.draw_snapshots(config, examples, tmp_path)
    last = config.steps * config.batch_size // examples
    assert labels == [f"epoch {epoch}" for epoch in (1, 15, 30, 50, 70, 100, last)]


def test_snapshots_decode_the_same_codes_and_become_a_figure_and_a_gif(tmp_path):
    config, trained = read_config("gan"), tiny_trained_model("gan")
    config.batch_size, config.snapshot_epochs = 10, (1, 3)
    assert sample_snapshots.draw_snapshots(config, 95, tmp_path) is None
    for step in (10, 29):
        sample_snapshots.save_snapshot(trained, tmp_path, step)
    (first, images), (second, again) = sample_snapshots.load_snapshots(tmp_path)
    assert (first, second) == (10, 29)
    assert images.shape == (100, 8, 10, 1)
    np.testing.assert_array_equal(images, again)
    assert sample_snapshots.draw_snapshots(config, 95, tmp_path) is not None
    sample_snapshots.write_snapshot_gif(config, 95, tmp_path, tmp_path / "epochs.gif")
    with Image.open(tmp_path / "epochs.gif") as gif:
        assert gif.format == "GIF"
        assert gif.n_frames == 2  # the images are equal; the titles with the epochs differ
