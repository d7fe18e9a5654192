"""What is said of drawn images: precision, recall, diversity, the alarm; and the snapshots of the same codes."""

import logging
from contextlib import nullcontext

import numpy as np
import pytest
from helpers import read_config, tiny_data, tiny_model, tiny_trained_model
from PIL import Image

from jaxgen.data import load_dataset
from jaxgen.evaluation import evaluators, sample_quality, sample_snapshots
from jaxgen.metrics.precision_recall import diversity, in_manifold, precision_and_recall


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def test_images_of_the_same_distribution_are_precise_and_recalled(numbers):
    precision, recall = precision_and_recall(*numbers.normal(size=(2, 2000, 2)))
    assert min(precision, recall) > 0.9


def test_images_of_half_the_modes_are_precise_but_not_recalled(numbers):
    real = numbers.normal(size=(600, 4)) + 50 * (np.arange(600) % 2)[:, None]
    precision, recall = precision_and_recall(numbers.normal(size=(300, 4)), real)
    assert precision > 0.6
    assert 0.25 < recall <= 0.5


def test_images_that_stray_are_not_precise(numbers):
    real = numbers.normal(size=(300, 4))
    precision, recall = precision_and_recall(np.concatenate([real[:150], real[150:] + 100]), real)
    assert precision == 0.5
    assert recall >= 0.5


def test_precision_and_recall_are_of_as_many_of_both(numbers):
    drawn, real = numbers.normal(size=(900, 4)), numbers.normal(size=(300, 4))
    assert precision_and_recall(drawn, real) == precision_and_recall(drawn[:300], real)
    assert precision_and_recall(real, drawn) == precision_and_recall(real, drawn[:300])


def test_near_is_within_the_third_neighbours_distance():
    those = np.array([[0.0], [1.0], [2.0], [3.0]])
    some = np.array([[-3.0], [-3.1], [6.0], [6.1]])
    assert in_manifold(some, those).tolist() == [True, False, True, False]


def test_a_split_with_no_third_neighbours_is_refused_before_training():
    model, config = tiny_model("gan"), read_config("gan")
    for split in ("validation", "test"):
        for images, few in ((3, True), (4, False)):
            dataset = load_dataset(config.data)._replace(**{split: tiny_data(images)})
            with pytest.raises(ValueError, match=f"the {split} split of digits has 3 images") if few else nullcontext():
                evaluators.validate_evaluation(config, model, dataset)


def test_diversity_is_1_of_like_images_and_0_of_one_repeated(numbers):
    real, drawn = numbers.normal(size=(2, 1500, 8))
    assert diversity(drawn, real) == pytest.approx(1, abs=0.05)
    assert diversity(np.tile(drawn[:1], (1500, 1)), real) < 1e-3


def test_diversity_falls_where_images_repeat_though_all_modes_are_there(numbers):
    real = numbers.normal(size=(1000, 8))
    assert diversity(np.repeat(real[:100], 10, axis=0), real) < 0.01


def test_diversity_falls_where_modes_are_missing_though_no_image_repeats(numbers):
    modes = 20 * numbers.normal(size=(10, 8))
    real = modes[np.arange(1000) % 10] + numbers.normal(size=(1000, 8))
    assert diversity(modes[0] + numbers.normal(size=(1000, 8)), real) < 0.2


class FirstPixel:
    """A judge by whom an image's class is its first number."""

    def __call__(self, images):
        return images[:, 0].astype(int)


def test_shares_of_classes_and_the_alarm(numbers, caplog):
    expected = numbers.normal(size=(100, 3))
    drawn = np.repeat([0, 1, 1, 1], 25)[:, None]
    with caplog.at_level(logging.WARNING, "jaxgen"):
        found = sample_quality.measure_precision_recall_diversity(FirstPixel(), drawn, expected, expected, 3)
        assert not caplog.records
        alarmed = sample_quality.measure_precision_recall_diversity(FirstPixel(), drawn, 0.1 * expected, expected, 3)
    assert found["class_fractions"] == [0.25, 0.75, 0.0]
    assert (found["min_class_fraction"], found["mode_collapse"], found["diversity"]) == (0.0, 0.0, 1.0)
    assert alarmed["mode_collapse"] == 1.0
    assert "mode_collapse" in caplog.text


def test_images_without_classes_have_no_shares(numbers):
    expected = numbers.normal(size=(100, 3))
    assert "class_fractions" not in sample_quality.measure_precision_recall_diversity(
        FirstPixel(), expected, expected, expected, 1
    )


def test_snapshots_are_due_at_the_ends_of_their_epochs_and_where_the_model_is_shown():
    config = read_config("gan")
    config.batch_size, config.snapshot_epochs = 10, (1, 3)
    assert sample_snapshots.last_step(config, 95, 1) == 10
    assert [stop for stop in range(1, 40) if sample_snapshots.is_due(config, 95, stop - 1, stop, False)] == [10, 29]
    assert sample_snapshots.is_due(config, 95, 0, 30, False)
    assert sample_snapshots.is_due(config, 95, 30, 31, True)
    assert not sample_snapshots.is_due(read_config("vae"), 95, 0, 100, True)


@pytest.mark.parametrize("name", ["gan", "conv_gan", "dcgan"])
def test_the_recipes_of_the_digits_draw_the_same_codes_at_every_epoch_asked_for(name, tmp_path, monkeypatch):
    config, shown = read_config(name, ""), []
    examples = len(load_dataset(config.data).train_source.image)
    (tmp_path / sample_snapshots.FOLDER).mkdir()
    for stop in range(config.log_every, config.steps + 1, config.log_every):
        evaluated = stop % config.eval_every == 0 or stop == config.steps
        if sample_snapshots.is_due(config, examples, stop - config.log_every, stop, evaluated):
            np.save(tmp_path / sample_snapshots.FOLDER / f"{stop:09d}.npy", np.zeros((10, 2, 2, 1), np.uint8))
    monkeypatch.setattr(sample_snapshots.plotting, "labeled_grid", lambda images, columns, rows: shown.extend(rows))
    sample_snapshots.draw_snapshots(config, examples, tmp_path)
    last = config.steps * config.batch_size // examples
    assert shown == [f"epoch {epoch}" for epoch in (1, 15, 30, 50, 70, 100, last)]


def test_snapshots_draw_the_same_codes_and_become_rows_and_a_moving_picture(tmp_path):
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
    with Image.open(tmp_path / "epochs.gif") as moving:
        assert moving.format == "GIF"
        assert moving.n_frames == 2  # of the same images: what differs is the epoch above them
