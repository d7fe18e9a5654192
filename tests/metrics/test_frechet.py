"""The Fréchet distance against its closed form for Gaussians and the matrix square root of SciPy."""

import numpy as np
import pytest
import scipy.linalg

from jaxgen.metrics.frechet import frechet_distance, gaussian_frechet_distance

F = 4


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def test_the_distance_of_diagonal_gaussians_is_the_sum_of_squared_differences_of_means_and_stds():
    first, second = np.array([1.0, 2.0, 0.0]), np.array([3.0, 0.5, 0.0])  # standard deviations
    found = gaussian_frechet_distance(np.zeros(3), np.diag(first**2), np.array([0.0, 1.0, 2.0]), np.diag(second**2))
    assert found == pytest.approx(5.0 + (4.0 + 2.25 + 0.0))  # |Δm|² + Σ (s₁ - s₂)²


def test_the_distance_equals_the_formula_with_scipys_matrix_square_root(numbers):
    mixing = numbers.normal(size=(2, F, F))
    first, second = numbers.normal(size=(60, F)) @ mixing[0], numbers.normal(size=(50, F)) @ mixing[1] + 1.0
    covariances = np.cov(first.T), np.cov(second.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_the_distance_of_fewer_images_than_features_is_finite_and_0_for_equal_sets(numbers):
    few = numbers.normal(size=(3, 20)).astype(np.float32)
    assert frechet_distance(few, few) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(few, few + 1) == pytest.approx(20.0, abs=1e-5)
