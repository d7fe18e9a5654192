"""The importance-weighted bound against a model whose likelihood is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.metrics import importance_weighted_bound
from jaxgen.types import Batch

STD, N = 0.8, 7
X = np.linspace(-1.5, 2.0, N).astype(np.float32)


def log_weights(params, stats, batch, rng, draws):
    """z ~ N(0, 1), x ~ N(z, STD²), q(z | x) = N(x / 2, 1): not the posterior, so the ELBO is loose."""
    del params, stats
    x = batch.image[:, 0, 0, 0]
    noise = jax.random.normal(rng, (draws, len(x)))
    z = x / 2 + noise
    normal = jax.scipy.stats.norm.logpdf
    return normal(x, z, STD) + normal(z) - normal(z, x / 2)


def batches(size=4):
    for start in range(0, N, size):
        part = X[start : start + size]
        padded = np.pad(part, (0, size - len(part)))
        mask = (np.arange(size) < len(part)).astype(np.float32)
        yield Batch(padded[:, None, None, None], np.zeros(size, np.int32), mask)


def found(draws):
    return importance_weighted_bound.likelihood_bounds(log_weights, {}, {}, batches(), draws, seed=1)


def test_with_many_draws_it_is_the_likelihood_itself():
    exact = jax.scipy.stats.norm.logpdf(X, 0, np.sqrt(1 + STD**2))
    np.testing.assert_allclose(found(20_030).importance_weighted, exact, atol=0.03)


def test_the_elbo_beside_it_is_looser_by_the_kl_to_the_true_posterior():
    var = STD**2 / (1 + STD**2)
    mean = X / (1 + STD**2)
    kl = 0.5 * (1 / var + np.square(X / 2 - mean) / var - 1 + np.log(var))
    exact = np.asarray(jax.scipy.stats.norm.logpdf(X, 0, np.sqrt(1 + STD**2)))
    np.testing.assert_allclose(found(20_030).elbo, exact - kl, atol=0.06)


@pytest.mark.parametrize("draws", [3, 50, 130])
def test_chunks_of_draws_are_joined_as_one_sum(draws):
    """Of weights that do not depend on the draw, the bound is the log of any, whatever the chunks."""

    def constant(params, stats, batch, rng, count):
        return jnp.tile(batch.image[:, 0, 0, 0], (count, 1))

    result = importance_weighted_bound.likelihood_bounds(constant, {}, {}, batches(), draws)
    np.testing.assert_allclose(result.importance_weighted, X, atol=1e-5)
    np.testing.assert_allclose(result.elbo, X, atol=1e-5)
    assert len(result.elbo) == N  # what is masked is left out
