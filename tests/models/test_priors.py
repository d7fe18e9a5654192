import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxgen.models.posterior import gaussian_kl
from jaxgen.models.priors import PRIORS, Gaussian, GaussianMixture, SwissRoll, Uniform, make_prior

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


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_has_its_std_in_every_coordinate(name):
    codes = make_prior(name, 2, 3.0, 10).sample(jax.random.key(0), 20_000)
    assert codes.shape == (20_000, 2)
    np.testing.assert_allclose(codes.std(0), 3.0, rtol=0.08)  # a roll is not round


def test_uniform_codes_pass_scipys_test_of_uniformity():
    codes = np.asarray(Uniform(1, std=2.0).sample(jax.random.key(0), 2000))[:, 0]
    half = 2.0 * np.sqrt(3)  # the variance of U(-h, h) is h²/3
    assert stats.kstest(codes, stats.uniform(-half, 2 * half).cdf).pvalue > 0.01


@pytest.mark.parametrize("kind", [GaussianMixture, SwissRoll])
def test_codes_of_a_piece_lie_in_it_and_all_pieces_are_equally_likely(kind):
    prior = kind(2, 3.0, 10)
    piece = np.repeat(np.arange(10), 500)
    found = np.asarray(prior.nearest_piece(prior.sample_piece(jax.random.key(0), jnp.asarray(piece))))
    assert (found == piece).mean() > 0.97  # neighbours meet: 98.9 and 98.4% of the draws are on their own piece
    shares = (
        np.bincount(np.asarray(prior.nearest_piece(prior.sample(jax.random.key(1), 20_000))), minlength=10) / 20_000
    )
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


def test_the_nearest_component_is_the_one_of_the_highest_density():
    prior = GaussianMixture(2, 2.0, 10)
    codes = np.asarray(prior.sample(jax.random.key(0), 300))
    angle = 2 * np.pi * np.arange(10) / 10
    density = []
    for a in angle:
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        covariance = turn @ np.diag([prior.ALONG**2, prior.ACROSS**2]) @ turn.T * 2.0**2
        density.append(stats.multivariate_normal(turn @ [prior.RADIUS * 2.0, 0], covariance).pdf(codes))
    np.testing.assert_array_equal(prior.nearest_component(jnp.asarray(codes)), np.argmax(density, axis=0))


def test_a_prior_of_the_plane_refuses_another_dimension():
    with pytest.raises(ValueError, match="latent_size=3 must be 2"):
        make_prior("swiss_roll", 3, 1.0, 10)
