"""The kernel distances (MMD) of features and of codes against the unbiased estimator in plain loops."""

import numpy as np
import pytest

from jaxgen.metrics.mmd import CHUNK, imq_mmd, polynomial_mmd

F, Z = 4, 5


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def test_polynomial_mmd_equals_the_unbiased_estimator_in_loops(numbers):
    first, second = numbers.normal(size=(3, F)), numbers.normal(size=(5, F))

    def kernel(a, b):
        return (a @ b / F + 1) ** 3

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]) for x in (first, second)
    ]
    across = np.mean([kernel(a, b) for a in first for b in second])
    assert polynomial_mmd(first, second) == pytest.approx(sum(within) - 2 * across, rel=1e-9)


def test_polynomial_mmd_is_near_0_for_one_distribution_and_positive_for_a_shifted_one(numbers):
    first, second = numbers.normal(size=(2, CHUNK + 100, F)).astype(np.float32)
    near = polynomial_mmd(first, second)
    assert abs(near) < 0.02
    assert polynomial_mmd(first, second + 0.5) > 0.2


def test_imq_mmd_is_near_0_for_one_distribution_and_grows_with_a_shift(numbers):
    first, second, shifted = numbers.normal(size=(3, 500, Z))
    near = imq_mmd(first, second, 1.0)
    assert abs(near) < 0.01
    assert imq_mmd(first, shifted + 0.5, 1.0) > 0.02 > near
    assert imq_mmd(first, shifted + 1.0, 1.0) > imq_mmd(first, shifted + 0.5, 1.0)


def test_imq_mmd_equals_the_unbiased_estimator_in_loops(numbers):
    first, second = numbers.normal(size=(3, 2)), numbers.normal(size=(4, 2))

    def kernel(a, b):
        return 4 / (4 + ((a - b) ** 2).sum())  # c = 2 · 2 dimensions · 1²

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]) for x in (first, second)
    ]
    across = np.mean([kernel(a, b) for a in first for b in second])
    assert imq_mmd(first, second, 1.0) == pytest.approx(sum(within) - 2 * across, rel=1e-9)
