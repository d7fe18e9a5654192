"""Samplers fitted to codes of known distributions."""

import jax
import numpy as np
import pytest
from helpers import K, tiny_data, tiny_model

from jaxgen.inference import samplers
from jaxgen.inference.trained_model import TrainedModel

Z = 3
COVARIANCE = np.array([[2.0, 1.5, 0.0], [1.5, 2.0, -0.6], [0.0, -0.6, 0.5]])
CENTER = np.array([3.0, -1.0, 0.5])


def correlated_codes(count, seed=0):
    return np.random.default_rng(seed).multivariate_normal(CENTER, COVARIANCE, count).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def narrow_networks():
    """Makes the networks of the two-stage VAE narrower; the bounds below need all of its steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samplers.TwoStageVAESampler, "HIDDEN", (32, 48))
        yield


@pytest.fixture(scope="module")
def two_stage(narrow_networks):
    return samplers.fit_sampler("two_stage", correlated_codes(4000))


def test_a_mixture_fits_two_gaussians_with_their_weights(monkeypatch):
    monkeypatch.setattr(samplers.GaussianMixtureSampler, "COMPONENTS", 2)
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.normal(4, 0.5, (3000, 2)), rng.normal(-4, 1.0, (1000, 2))]).astype(np.float32)
    found = samplers.fit_sampler("mixture", codes)
    order = np.argsort(found.arrays["means"][:, 0])
    np.testing.assert_allclose(found.arrays["means"][order], [[-4, -4], [4, 4]], atol=0.1)
    np.testing.assert_allclose(found.arrays["weights"][order], [0.25, 0.75], atol=0.01)
    std = found.arrays["cholesky"][order][:, [0, 1], [0, 1]]
    np.testing.assert_allclose(std, [[1, 1], [0.5, 0.5]], rtol=0.06)


def test_samples_of_a_mixture_have_its_means_covariances_and_weights():
    cholesky = np.linalg.cholesky(np.stack([COVARIANCE, np.eye(3)]))
    arrays = {"weights": np.array([0.8, 0.2]), "means": np.array([CENTER, CENTER + 50]), "cholesky": cholesky}
    samples = samplers.GaussianMixtureSampler(arrays).sample(20_000, seed=1)
    near = samples[:, 0] < 25
    assert near.mean() == pytest.approx(0.8, abs=0.01)
    np.testing.assert_allclose(samples[near].mean(0), CENTER, atol=0.05)
    np.testing.assert_allclose(
        np.cov(samples[near].T), COVARIANCE, atol=0.1
    )  # a transposed factor would be wrong by 0.5
    np.testing.assert_allclose(np.cov(samples[~near].T), np.eye(3), atol=0.1)


@pytest.mark.slow
def test_the_second_vae_reproduces_mean_and_covariance_of_a_correlated_gaussian(two_stage):
    samples = two_stage.sample(20_000, seed=1)
    std = np.sqrt(np.diag(COVARIANCE))
    np.testing.assert_allclose((samples.mean(0) - CENTER) / std, 0, atol=0.1)
    correlation = COVARIANCE / np.outer(std, std)  # up to 0.75; N(0, I) has 0
    np.testing.assert_allclose(np.corrcoef(samples.T), correlation, atol=0.1)
    np.testing.assert_allclose(samples.std(0) / std, 1, atol=0.1)


@pytest.mark.slow
def test_the_second_vae_learns_a_ring():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 3000)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    radius = np.linalg.norm(samplers.fit_sampler("two_stage", ring).sample(4000), axis=1)
    inside = (radius < 0.5).mean()
    inside_gaussian = 1 - np.exp(-(0.5**2) / (2 * 0.5))  # Rayleigh distribution, variance 1/2 per coordinate: 22%
    assert inside < inside_gaussian / 4
    assert np.median(radius) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", ["mixture", "two_stage"])
def test_a_loaded_sampler_returns_bit_identical_samples(name, two_stage, tmp_path):
    sampler = two_stage if name == "two_stage" else samplers.fit_sampler(name, correlated_codes(300))
    path = tmp_path / "samplers" / "x-20.npz"
    samplers.save_sampler(sampler, path, fitted_to="a")
    again = samplers.load_sampler(path, fitted_to="a")
    assert type(again) is type(sampler)
    assert again.arrays.keys() == sampler.arrays.keys()
    np.testing.assert_array_equal(again.sample(50, seed=3), sampler.sample(50, seed=3))
    assert np.abs(again.sample(50, seed=3) - sampler.sample(50, seed=4)).max() > 0.1
    with np.load(path, allow_pickle=False) as file:
        assert all(file[key].dtype != object for key in file)


def test_a_missing_or_damaged_file_or_one_of_another_fingerprint_is_not_loaded(tmp_path):
    path = tmp_path / "mixture-20.npz"
    assert samplers.load_sampler(path) is None
    samplers.save_sampler(samplers.fit_sampler("mixture", correlated_codes(300)), path, fitted_to="a")
    assert samplers.load_sampler(path, fitted_to="b") is None
    path.write_bytes(path.read_bytes()[:400])
    assert samplers.load_sampler(path, fitted_to="a") is None


def test_samples_of_binary_codes_are_bits_with_the_same_frequencies():
    rng = np.random.default_rng(0)
    bits = (rng.random((2000, 1)) < 0.3) * np.array([[1, 1, 0]]) + np.array(
        [[0, 0, 1]]
    )  # bits 0 and 1 are equal, bit 2 is always 1
    samples = samplers.fit_sampler("mixture", bits.astype(np.float32), binary=True).sample(5000)
    assert set(np.unique(samples)) == {0, 1}
    assert (samples[:, 0] == samples[:, 1]).mean() > 0.99
    assert samples[:, 2].all()
    assert samples[:, 0].mean() == pytest.approx(0.3, abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixture", "two_stage"])
def test_few_codes_and_a_constant_dimension_can_be_fitted(name, monkeypatch):
    monkeypatch.setattr(samplers.TwoStageVAESampler, "STEPS", 20)
    codes = correlated_codes(7)
    codes[:, 1] = 2.5
    samples = samplers.fit_sampler(name, codes, num_classes=10).sample(11)
    assert samples.shape == (11, Z)
    assert np.isfinite(samples).all()
    np.testing.assert_allclose(samples[:, 1], 2.5, atol=0.05)


@pytest.mark.parametrize(
    ("name", "codes", "message"),
    [
        ("mixtrue", np.zeros((9, 2)), 'sampler="mixtrue" is unknown or needs no fit; choose one of mixture, two_stage'),
        ("mixture", np.zeros((1, 2)), "at least 2 codes, all finite; got 1"),
        ("mixture", np.full((9, 2), np.nan), "all finite"),
    ],
)
def test_unknown_samplers_and_unsuitable_codes_are_rejected(name, codes, message):
    with pytest.raises(ValueError, match=message):
        samplers.fit_sampler(name, codes)


@pytest.fixture
def trained():
    model = tiny_model("cond_aae")
    state = jax.jit(model.init)(jax.random.key(0))
    return TrainedModel(model, state.params, state.stats, step=20)


@pytest.fixture
def train():
    return jax.device_get(tiny_data(200))


def test_a_saved_sampler_is_loaded_only_for_the_same_step_and_model(trained, train, tmp_path, monkeypatch):
    first = samplers.load_or_fit_sampler(trained, train, "mixture", tmp_path)
    assert (tmp_path / "samplers" / "mixture-20.npz").exists()
    fits = []
    monkeypatch.setattr(samplers, "fit_sampler", lambda *args: fits.append(args) or first)
    again = samplers.load_or_fit_sampler(trained, train, "mixture", tmp_path)
    np.testing.assert_array_equal(again.sample(5), first.sample(5))
    assert not fits
    other = jax.jit(trained.model.init)(jax.random.key(1))
    other_model = TrainedModel(trained.model, other.params, other.stats, step=20)
    samplers.load_or_fit_sampler(other_model, train, "mixture", tmp_path)
    trained.step = 40
    samplers.load_or_fit_sampler(trained, train, "mixture", tmp_path)
    assert len(fits) == 2


def test_a_fitted_sampler_matches_the_codes_better_than_the_prior(trained, train):
    codes = trained.encode(train.image / np.float32(255), train.label)
    sampler = samplers.load_or_fit_sampler(trained, train, "mixture")
    samples, prior = sampler.sample(2000), trained.sample_prior(2000)
    distance = [np.abs(np.cov(x.T) - np.cov(codes.T)).max() for x in (samples, prior)]
    assert distance[0] < distance[1] / 2


def test_samples_are_decoded_with_their_labels(trained, train):
    labels = np.arange(9) % K
    found = samplers.sample_images(trained, train, "mixture", 9, seed=2, labels=labels)
    codes = samplers.load_or_fit_sampler(trained, train, "mixture").sample(9, seed=2)
    np.testing.assert_allclose(found, trained.decode(codes, labels), atol=1e-6)
    prior = samplers.sample_images(trained, train, "prior", 9, seed=2, labels=labels)
    np.testing.assert_array_equal(prior, trained.sample(9, labels, seed=2))
