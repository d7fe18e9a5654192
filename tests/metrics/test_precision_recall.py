"""Precision, recall and diversity of features with known modes."""

import numpy as np
import pytest

from jaxgen.metrics.precision_recall import coverage, diversity, in_manifold, precision_and_recall


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def test_precision_and_recall_of_the_same_distribution_are_high(numbers):
    precision, recall = precision_and_recall(*numbers.normal(size=(2, 2000, 2)))
    assert min(precision, recall) > 0.9


def test_missing_half_the_modes_lowers_recall_and_keeps_precision(numbers):
    real = numbers.normal(size=(600, 4)) + 50 * (np.arange(600) % 2)[:, None]
    precision, recall = precision_and_recall(numbers.normal(size=(300, 4)), real)
    assert precision > 0.6
    assert 0.25 < recall <= 0.5


def test_images_far_from_the_data_lower_precision(numbers):
    real = numbers.normal(size=(300, 4))
    precision, recall = precision_and_recall(np.concatenate([real[:150], real[150:] + 100]), real)
    assert precision == 0.5
    assert recall >= 0.5


def test_the_larger_set_is_truncated_to_the_size_of_the_smaller(numbers):
    generated, real = numbers.normal(size=(900, 4)), numbers.normal(size=(300, 4))
    assert precision_and_recall(generated, real) == precision_and_recall(generated[:300], real)
    assert precision_and_recall(real, generated) == precision_and_recall(real, generated[:300])


def test_a_neighborhood_reaches_to_the_third_nearest_neighbor():
    reference = np.array([[0.0], [1.0], [2.0], [3.0]])
    points = np.array([[-3.0], [-3.1], [6.0], [6.1]])
    assert in_manifold(points, reference).tolist() == [True, False, True, False]


def test_diversity_is_1_for_the_same_distribution_and_0_for_one_repeated_image(numbers):
    real, generated = numbers.normal(size=(2, 1500, 8))
    assert diversity(generated, real) == pytest.approx(1, abs=0.05)
    assert diversity(np.tile(generated[:1], (1500, 1)), real) < 1e-3


def test_repeated_images_lower_diversity_if_all_modes_are_present(numbers):
    real = numbers.normal(size=(1000, 8))
    assert diversity(np.repeat(real[:100], 10, axis=0), real) < 0.01


def test_missing_modes_lower_diversity_if_no_image_is_repeated(numbers):
    modes = 20 * numbers.normal(size=(10, 8))
    real = modes[np.arange(1000) % 10] + numbers.normal(size=(1000, 8))
    assert diversity(modes[0] + numbers.normal(size=(1000, 8)), real) < 0.2


def test_coverage_counts_the_real_images_with_a_sample_in_their_neighborhood(numbers):
    real = np.array([[0.0], [1.0], [2.0], [3.0], [100.0], [101.0], [102.0], [103.0]])
    assert coverage(np.full((8, 1), -3.0), real) == 1 / 8  # only 0 reaches it, with its third neighbor at distance 3
    assert coverage(np.repeat([1.5, 101.5], 4)[:, None], real) == 1.0
    assert coverage(*numbers.normal(size=(2, 2000, 2))) == pytest.approx(1 - 2**-3, abs=0.03)  # Naeem et al. 2020
