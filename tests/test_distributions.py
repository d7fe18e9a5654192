import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxgen.distributions import Gaussian, gaussian_kl

B, Z = 6, 5


def test_gaussian_samples_have_its_std_in_every_dimension():
    draws = Gaussian(Z, std=5.0).sample(jax.random.key(0), 20_000)
    assert draws.shape == (20_000, Z)
    np.testing.assert_allclose(draws.std(0), 5.0, rtol=0.03)
    np.testing.assert_allclose(draws.mean(0), 0.0, atol=0.15)


def test_log_prob_is_scipys():
    codes = np.random.default_rng(0).normal(size=(B, Z)).astype(np.float32)
    expected = stats.norm.logpdf(codes, scale=2.0).sum(1)
    np.testing.assert_allclose(Gaussian(Z, std=2.0).log_prob(jnp.asarray(codes)), expected, rtol=1e-5)


def test_gaussian_kl_of_the_prior_is_0_and_grows_with_the_mean():
    assert float(gaussian_kl(jnp.zeros((1, Z)), jnp.zeros((1, Z)))[0]) == 0.0
    np.testing.assert_allclose(gaussian_kl(jnp.full((1, Z), 2.0), jnp.zeros((1, Z))), Z * 2.0, rtol=1e-6)  # Z · 2²/2


def test_gaussian_kl_is_the_monte_carlo_mean_of_the_log_ratio():
    rng = np.random.default_rng(0)
    mean, logvar = rng.normal(size=(2, 1, Z))
    draws = mean + np.exp(logvar / 2) * rng.normal(size=(200_000, Z))
    ratio = stats.norm.logpdf(draws, mean, np.exp(logvar / 2)).sum(1) - stats.norm.logpdf(draws).sum(1)
    kl = gaussian_kl(jnp.asarray(mean, jnp.float32), jnp.asarray(logvar, jnp.float32))
    np.testing.assert_allclose(kl, ratio.mean(), rtol=0.02)


@pytest.mark.parametrize(
    ("size", "std", "message"), [(0, 1.0, "latent_size=0 must be"), (3, -1.0, "prior_std=-1.0 must")]
)
def test_a_prior_that_cannot_be_is_refused(size, std, message):
    with pytest.raises(ValueError, match=message):
        Gaussian(size, std)
