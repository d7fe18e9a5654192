"""The importance-weighted bound of a model with a known likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.metrics import importance_weighted_bound
from jaxgen.types import Batch

STD, N = 0.8, 7
X = np.linspace(-1.5, 2.0, N).astype(np.float32)


def log_weights(params, stats, batch, rng, num_samples):
    """Returns log-weights of z ~ N(0, 1), x ~ N(z, STD²) and q(z | x) = N(x / 2, 1).

    q differs from the posterior, so the ELBO is loose.
    """
    del params, stats
    x = batch.image[:, 0, 0, 0]
    noise = jax.random.normal(rng, (num_samples, len(x)))
    z = x / 2 + noise
    normal = jax.scipy.stats.norm.logpdf
    return normal(x, z, STD) + normal(z) - normal(z, x / 2)


def batches(size=4):
    for start in range(0, N, size):
        part = X[start : start + size]
        padded = np.pad(part, (0, size - len(part)))
        mask = (np.arange(size) < len(part)).astype(np.float32)
        yield Batch(padded[:, None, None, None], np.zeros(size, np.int32), mask)


def bounds(num_samples):
    return importance_weighted_bound.likelihood_bounds(log_weights, {}, {}, batches(), num_samples, seed=1)


def test_with_many_samples_the_bound_is_the_likelihood():
    exact = jax.scipy.stats.norm.logpdf(X, 0, np.sqrt(1 + STD**2))
    np.testing.assert_allclose(bounds(20_030).importance_weighted, exact, atol=0.03)


def test_the_elbo_is_lower_by_the_kl_to_the_true_posterior():
    var = STD**2 / (1 + STD**2)
    mean = X / (1 + STD**2)
    kl = 0.5 * (1 / var + np.square(X / 2 - mean) / var - 1 + np.log(var))
    exact = np.asarray(jax.scipy.stats.norm.logpdf(X, 0, np.sqrt(1 + STD**2)))
    np.testing.assert_allclose(bounds(20_030).elbo, exact - kl, atol=0.06)


@pytest.mark.parametrize("num_samples", [3, 50, 130])
def test_chunks_of_samples_are_combined_to_one_sum(num_samples):
    """Weights that do not depend on the sample equal the bound, for any chunks."""

    def constant(params, stats, batch, rng, count):
        return jnp.tile(batch.image[:, 0, 0, 0], (count, 1))

    result = importance_weighted_bound.likelihood_bounds(constant, {}, {}, batches(), num_samples)
    np.testing.assert_allclose(result.importance_weighted, X, atol=1e-5)
    np.testing.assert_allclose(result.elbo, X, atol=1e-5)
    assert len(result.elbo) == N  # masked examples are left out
