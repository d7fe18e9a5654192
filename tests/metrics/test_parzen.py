"""The Parzen window estimate against SciPy and scikit-learn."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.neighbors import KernelDensity

from jaxgen.metrics.parzen import mean_log_density, parzen_log_likelihood

N, M, D = 40, 300, 12


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    return rng.random((N, D), np.float32), rng.random((M, D), np.float32)


def test_the_density_equals_the_mean_of_normals_of_scipy(numbers):
    samples, images = numbers
    log_density = norm.logpdf(images[:, None].astype(np.float64), samples[None], 0.2).sum(-1)
    expected = (logsumexp(log_density, axis=1) - np.log(N)).mean()
    np.testing.assert_allclose(mean_log_density(samples, images, [0.2]), expected, rtol=1e-4)


def test_the_density_equals_the_kernel_density_of_scikit_learn(numbers):
    samples, images = numbers
    expected = [KernelDensity(bandwidth=std).fit(samples).score_samples(images).mean() for std in (0.1, 0.3)]
    np.testing.assert_allclose(mean_log_density(samples, images, [0.1, 0.3]), expected, rtol=1e-4)


def test_the_std_is_chosen_only_on_validation_images(numbers):
    samples, images = numbers
    near = samples + 0.05 * np.random.default_rng(1).normal(size=samples.shape).astype(np.float32)
    stds = (0.02, 0.05, 0.5)
    found = parzen_log_likelihood(samples, near, images, stds)
    assert found.std == 0.05  # the std of the noise; 0.5 would fit the held-out images better
    assert found.log_likelihood == pytest.approx(float(mean_log_density(samples, images, [0.05])[0]))
