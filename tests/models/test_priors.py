"""Priors and the Gaussian KL against SciPy and Monte Carlo estimates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxgen.models.posterior import gaussian_kl
from jaxgen.models.priors import PRIORS, Gaussian, GaussianMixture, SwissRoll, Uniform, make_prior

B, Z = 6, 5


def test_gaussian_samples_have_the_std_in_every_dimension():
    samples = Gaussian(Z, std=5.0).sample(jax.random.key(0), 20_000)
    assert samples.shape == (20_000, Z)
    np.testing.assert_allclose(samples.std(0), 5.0, rtol=0.03)
    np.testing.assert_allclose(samples.mean(0), 0.0, atol=0.15)


def test_log_prob_equals_scipys():
    codes = np.random.default_rng(0).normal(size=(B, Z)).astype(np.float32)
    expected = stats.norm.logpdf(codes, scale=2.0).sum(1)
    np.testing.assert_allclose(Gaussian(Z, std=2.0).log_prob(jnp.asarray(codes)), expected, rtol=1e-5)


def test_the_kl_of_the_prior_is_0_and_grows_with_the_mean():
    assert float(gaussian_kl(jnp.zeros((1, Z)), jnp.zeros((1, Z)))[0]) == 0.0
    np.testing.assert_allclose(gaussian_kl(jnp.full((1, Z), 2.0), jnp.zeros((1, Z))), Z * 2.0, rtol=1e-6)  # Z · 2²/2


def test_the_kl_is_the_monte_carlo_mean_of_the_log_ratio():
    rng = np.random.default_rng(0)
    mean, logvar = rng.normal(size=(2, 1, Z))
    samples = mean + np.exp(logvar / 2) * rng.normal(size=(200_000, Z))
    ratio = stats.norm.logpdf(samples, mean, np.exp(logvar / 2)).sum(1) - stats.norm.logpdf(samples).sum(1)
    kl = gaussian_kl(jnp.asarray(mean, jnp.float32), jnp.asarray(logvar, jnp.float32))
    np.testing.assert_allclose(kl, ratio.mean(), rtol=0.02)


@pytest.mark.parametrize(
    ("size", "std", "message"), [(0, 1.0, "latent_size=0 must be"), (3, -1.0, "prior_std=-1.0 must")]
)
def test_invalid_sizes_and_stds_are_rejected(size, std, message):
    with pytest.raises(ValueError, match=message):
        Gaussian(size, std)


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_has_the_std_in_every_dimension(name):
    codes = make_prior(name, 2, 3.0, 10).sample(jax.random.key(0), 20_000)
    assert codes.shape == (20_000, 2)
    np.testing.assert_allclose(codes.std(0), 3.0, rtol=0.08)  # the swiss roll is not round


def test_uniform_codes_pass_scipys_test_of_uniformity():
    codes = np.asarray(Uniform(1, std=2.0).sample(jax.random.key(0), 2000))[:, 0]
    half = 2.0 * np.sqrt(3)  # the variance of U(-h, h) is h²/3
    assert stats.kstest(codes, stats.uniform(-half, 2 * half).cdf).pvalue > 0.01


@pytest.mark.parametrize("kind", [GaussianMixture, SwissRoll])
def test_samples_of_a_component_are_nearest_to_it_and_all_components_are_equally_likely(kind):
    prior = kind(2, 3.0, 10)
    component = np.repeat(np.arange(10), 500)
    samples = prior.sample_component(jax.random.key(0), jnp.asarray(component))
    # Neighbors overlap: 98.9 and 98.4% of the samples are nearest to their own component.
    assert (np.asarray(prior.nearest_component(samples)) == component).mean() > 0.97
    nearest = np.asarray(prior.nearest_component(prior.sample(jax.random.key(1), 20_000)))
    np.testing.assert_allclose(np.bincount(nearest, minlength=10) / 20_000, 0.1, atol=0.01)


def test_the_nearest_component_has_the_highest_density():
    prior = GaussianMixture(2, 2.0, 10)
    codes = np.asarray(prior.sample(jax.random.key(0), 300))
    angle = 2 * np.pi * np.arange(10) / 10
    density = []
    for a in angle:
        rotation = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        covariance = rotation @ np.diag([prior.ALONG**2, prior.ACROSS**2]) @ rotation.T * 2.0**2
        density.append(stats.multivariate_normal(rotation @ [prior.RADIUS * 2.0, 0], covariance).pdf(codes))
    np.testing.assert_array_equal(prior.nearest_component(jnp.asarray(codes)), np.argmax(density, axis=0))


def test_a_prior_of_the_plane_rejects_another_dimension():
    with pytest.raises(ValueError, match="latent_size=3 must be 2"):
        make_prior("swiss_roll", 3, 1.0, 10)
