"""Sample quality: class fractions, the warning of mode collapse, and splits too small for precision and recall."""

import logging
from contextlib import nullcontext

import numpy as np
import pytest
from helpers import read_config, tiny_data, tiny_model

from jaxgen.data import load_dataset
from jaxgen.evaluation import evaluators, sample_quality


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def test_a_split_without_third_neighbors_is_rejected_before_training():
    model, config = tiny_model("gan"), read_config("gan")
    for split in ("validation", "test"):
        for images, is_rejected in ((3, True), (4, False)):
            dataset = load_dataset(config.data)._replace(**{split: tiny_data(images)})
            message = f"the {split} split of digits has 3 images"
            with pytest.raises(ValueError, match=message) if is_rejected else nullcontext():
                evaluators.validate_evaluation(config, model, dataset)


class FirstPixel:
    """A classifier whose prediction is the first number of the image."""

    def __call__(self, images):
        return images[:, 0].astype(int)


def test_class_fractions_and_the_warning_of_mode_collapse(numbers, caplog):
    expected = numbers.normal(size=(100, 3))
    generated = np.repeat([0, 1, 1, 1], 25)[:, None]
    with caplog.at_level(logging.WARNING, "jaxgen"):
        found = sample_quality.measure_precision_recall_diversity(FirstPixel(), generated, expected, expected, 3)
        assert not caplog.records
        narrow = 0.1 * expected
        collapsed = sample_quality.measure_precision_recall_diversity(FirstPixel(), generated, narrow, expected, 3)
    assert found["class_fractions"] == [0.25, 0.75, 0.0]
    assert (found["min_class_fraction"], found["mode_collapse"], found["diversity"]) == (0.0, 0.0, 1.0)
    assert collapsed["mode_collapse"] == 1.0
    assert "mode_collapse" in caplog.text


def test_images_of_a_single_class_have_no_class_fractions(numbers):
    expected = numbers.normal(size=(100, 3))
    found = sample_quality.measure_precision_recall_diversity(FirstPixel(), expected, expected, expected, 1)
    assert "class_fractions" not in found
