"""Samplers fitted to codes of known distributions."""

import jax
import numpy as np
import pytest
from helpers import K, tiny_data, tiny_model

from jaxgen.inference import samplers
from jaxgen.inference.trained_model import TrainedModel

Z = 3
COVARIANCE = np.array([[2.0, 1.5, 0.0], [1.5, 2.0, -0.6], [0.0, -0.6, 0.5]])
CENTRE = np.array([3.0, -1.0, 0.5])


def correlated(count, seed=0):
    return np.random.default_rng(seed).multivariate_normal(CENTRE, COVARIANCE, count).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def narrow():
    """Full length, but narrower: the bounds below need the steps, not the width."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samplers.TwoStageVAESampler, "HIDDEN", (32, 48))
        yield


@pytest.fixture(scope="module")
def two_stage(narrow):
    return samplers.fit_sampler("two_stage", correlated(4000))


def test_a_mixture_finds_two_gaussians_with_their_shares(monkeypatch):
    monkeypatch.setattr(samplers.GaussianMixtureSampler, "COMPONENTS", 2)
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.normal(4, 0.5, (3000, 2)), rng.normal(-4, 1.0, (1000, 2))]).astype(np.float32)
    found = samplers.fit_sampler("mixture", codes)
    order = np.argsort(found.arrays["means"][:, 0])
    np.testing.assert_allclose(found.arrays["means"][order], [[-4, -4], [4, 4]], atol=0.1)
    np.testing.assert_allclose(found.arrays["weights"][order], [0.25, 0.75], atol=0.01)
    std = found.arrays["cholesky"][order][:, [0, 1], [0, 1]]
    np.testing.assert_allclose(std, [[1, 1], [0.5, 0.5]], rtol=0.06)


def test_draws_of_a_mixture_have_its_means_covariances_and_shares():
    cholesky = np.linalg.cholesky(np.stack([COVARIANCE, np.eye(3)]))
    arrays = {"weights": np.array([0.8, 0.2]), "means": np.array([CENTRE, CENTRE + 50]), "cholesky": cholesky}
    drawn = samplers.GaussianMixtureSampler(arrays).sample(20_000, seed=1)
    near = drawn[:, 0] < 25
    assert near.mean() == pytest.approx(0.8, abs=0.01)
    np.testing.assert_allclose(drawn[near].mean(0), CENTRE, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn[near].T), COVARIANCE, atol=0.1)  # its transpose's would be 0.5 off
    np.testing.assert_allclose(np.cov(drawn[~near].T), np.eye(3), atol=0.1)


@pytest.mark.slow
def test_the_second_vae_meets_mean_and_covariance_of_a_correlated_gaussian(two_stage):
    drawn = two_stage.sample(20_000, seed=1)
    std = np.sqrt(np.diag(COVARIANCE))
    np.testing.assert_allclose((drawn.mean(0) - CENTRE) / std, 0, atol=0.1)
    correlation = COVARIANCE / np.outer(std, std)  # up to .75, where N(0, I) has 0
    np.testing.assert_allclose(np.corrcoef(drawn.T), correlation, atol=0.1)
    np.testing.assert_allclose(drawn.std(0) / std, 1, atol=0.1)


@pytest.mark.slow
def test_the_second_vae_learns_a_ring_that_no_gaussian_is():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 3000)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    radius = np.linalg.norm(samplers.fit_sampler("two_stage", ring).sample(4000), axis=1)
    inside = (radius < 0.5).mean()
    of_gaussian = 1 - np.exp(-(0.5**2) / (2 * 0.5))  # Rayleigh's law for a variance of ½ a coordinate: 22%
    assert inside < of_gaussian / 4
    assert np.median(radius) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", ["mixture", "two_stage"])
def test_a_stored_sampler_draws_the_same_bit_for_bit(name, two_stage, tmp_path):
    sampler = two_stage if name == "two_stage" else samplers.fit_sampler(name, correlated(300))
    path = tmp_path / "samplers" / "x-20.npz"
    samplers.save_sampler(sampler, path, fitted_to="a")
    again = samplers.load_sampler(path, fitted_to="a")
    assert type(again) is type(sampler)
    assert again.arrays.keys() == sampler.arrays.keys()
    np.testing.assert_array_equal(again.sample(50, seed=3), sampler.sample(50, seed=3))
    assert np.abs(again.sample(50, seed=3) - sampler.sample(50, seed=4)).max() > 0.1
    with np.load(path, allow_pickle=False) as file:
        assert all(file[key].dtype != object for key in file)


def test_a_sampler_of_something_else_a_damaged_or_a_missing_one_is_not_read(tmp_path):
    path = tmp_path / "mixture-20.npz"
    assert samplers.load_sampler(path) is None
    samplers.save_sampler(samplers.fit_sampler("mixture", correlated(300)), path, fitted_to="a")
    assert samplers.load_sampler(path, fitted_to="b") is None
    path.write_bytes(path.read_bytes()[:400])
    assert samplers.load_sampler(path, fitted_to="a") is None


def test_codes_of_bits_are_drawn_as_bits_with_their_frequencies():
    rng = np.random.default_rng(0)
    bits = (rng.random((2000, 1)) < 0.3) * np.array([[1, 1, 0]]) + np.array([[0, 0, 1]])  # 0 and 1 equal, 2 always on
    drawn = samplers.fit_sampler("mixture", bits.astype(np.float32), binary=True).sample(5000)
    assert set(np.unique(drawn)) == {0, 1}
    assert (drawn[:, 0] == drawn[:, 1]).mean() > 0.99
    assert drawn[:, 2].all()
    assert drawn[:, 0].mean() == pytest.approx(0.3, abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixture", "two_stage"])
def test_few_codes_and_codes_that_do_not_vary_are_no_failure(name, monkeypatch):
    monkeypatch.setattr(samplers.TwoStageVAESampler, "STEPS", 20)
    codes = correlated(7)
    codes[:, 1] = 2.5
    drawn = samplers.fit_sampler(name, codes, num_classes=10).sample(11)
    assert drawn.shape == (11, Z)
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn[:, 1], 2.5, atol=0.05)


@pytest.mark.parametrize(
    ("name", "codes", "message"),
    [
        ("mixtrue", np.zeros((9, 2)), 'sampler="mixtrue" is unknown or needs no fit; choose one of mixture, two_stage'),
        ("mixture", np.zeros((1, 2)), "at least 2 codes, all finite; got 1"),
        ("mixture", np.full((9, 2), np.nan), "all finite"),
    ],
)
def test_what_no_sampler_can_be_fitted_to_is_refused(name, codes, message):
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


def test_a_fitted_sampler_is_found_again_and_not_by_another_step_or_model(trained, train, tmp_path, monkeypatch):
    first = samplers.load_or_fit_sampler(trained, train, "mixture", tmp_path)
    assert (tmp_path / "samplers" / "mixture-20.npz").exists()
    fits = []
    monkeypatch.setattr(samplers, "fit_sampler", lambda *args: fits.append(args) or first)
    again = samplers.load_or_fit_sampler(trained, train, "mixture", tmp_path)
    np.testing.assert_array_equal(again.sample(5), first.sample(5))
    assert not fits
    other = jax.jit(trained.model.init)(jax.random.key(1))
    samplers.load_or_fit_sampler(
        TrainedModel(trained.model, other.params, other.stats, step=20), train, "mixture", tmp_path
    )
    trained.step = 40
    samplers.load_or_fit_sampler(trained, train, "mixture", tmp_path)
    assert len(fits) == 2


def test_a_fitted_sampler_is_nearer_to_the_codes_than_the_prior(trained, train):
    codes = trained.encode(train.image / np.float32(255), train.label)
    sampler = samplers.load_or_fit_sampler(trained, train, "mixture")
    drawn, prior = sampler.sample(2000), trained.sample_prior(2000)
    distance = [np.abs(np.cov(x.T) - np.cov(codes.T)).max() for x in (drawn, prior)]
    assert distance[0] < distance[1] / 2


def test_draws_are_decoded_under_their_labels(trained, train):
    labels = np.arange(9) % K
    found = samplers.sample_images(trained, train, "mixture", 9, seed=2, labels=labels)
    codes = samplers.load_or_fit_sampler(trained, train, "mixture").sample(9, seed=2)
    np.testing.assert_allclose(found, trained.decode(codes, labels), atol=1e-6)
    prior = samplers.sample_images(trained, train, "prior", 9, seed=2, labels=labels)
    np.testing.assert_array_equal(prior, trained.sample(9, labels, seed=2))
