"""Sample quality: class fractions, mode collapse, meaningless precisions, and splits that are too small."""

import numpy as np
import pytest
from helpers import read_config, tiny_data, tiny_model

from jaxgen.data import load_dataset
from jaxgen.evaluation import diagnostics, evaluators, sample_quality
from jaxgen.metrics.precision_recall import precision_and_recall


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


@pytest.mark.parametrize("images", [1, 3, 29])
def test_a_small_split_is_not_compared_and_the_run_still_starts(images):
    model, config = tiny_model("gan"), read_config("gan", "")
    dataset = load_dataset(config.data)._replace(validation=tiny_data(images))
    evaluators.validate_evaluation(config, model, dataset)
    assert (
        sample_quality.find_obstacle(config, dataset.validation) == f"the test split has {images} images, fewer than 30"
    )
    assert evaluators.select_best_metric(config, dataset) == "pixel_mmd"
    messages = diagnostics.describe_data(dataset, config, "pixel_mmd")
    assert f"best_metric=frechet_distance is not measured: the validation split has {images} images" in messages[-1]


class FirstPixel:
    """A classifier whose prediction is the first number of the image."""

    def __call__(self, images):
        return images[:, 0].astype(int)


def test_class_fractions_and_mode_collapse(numbers):
    expected = numbers.normal(size=(100, 3))
    generated = np.repeat([0, 1, 1, 1], 25)[:, None]
    found = sample_quality.measure_precision_recall_diversity(FirstPixel(), generated, expected, expected, 3)
    narrow = sample_quality.measure_precision_recall_diversity(FirstPixel(), generated, 0.1 * expected, expected, 3)
    assert found["class_fractions"] == [0.25, 0.75, 0.0]
    assert (found["min_class_fraction"], found["diversity"]) == (0.0, 1.0)
    collapsed = [sample_quality.detect_mode_collapse(metrics) for metrics in (found, narrow, {"mse": 0.1})]
    assert collapsed == [{"mode_collapse": 0.0}, {"mode_collapse": 1.0}, {}]


@pytest.mark.parametrize("spread", [0.0, 0.01])
def test_precision_is_omitted_for_samples_that_all_lie_near_one_real_image(numbers, spread):
    real = numbers.normal(size=(150, 8))
    real[0] = 8.0  # an outlier has a large neighborhood
    generated = 9.0 + spread * numbers.normal(size=(150, 8))
    precision, _ = precision_and_recall(generated, real)
    assert precision == 1.0
    found = sample_quality.measure_precision_recall_diversity(FirstPixel(), real, generated, real, 1)
    assert "precision" not in found
    assert found["coverage"] == 1 / 150
    other = sample_quality.measure_precision_recall_diversity(FirstPixel(), real, real[::-1], real, 1)
    assert (other["precision"], other["coverage"]) == (1.0, 1.0)


def test_images_of_a_single_class_have_no_class_fractions(numbers):
    expected = numbers.normal(size=(100, 3))
    found = sample_quality.measure_precision_recall_diversity(FirstPixel(), expected, expected, expected, 1)
    assert "class_fractions" not in found
