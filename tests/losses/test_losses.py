import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from jaxgen.data import transforms
from jaxgen.losses import adversarial, reconstruction, regularizers

B, H, W, C, K = 6, 8, 10, 3, 4


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def test_bernoulli_nll_is_scipys_on_binary_images(numbers):
    logits = numbers.normal(size=(B, H, W, C)).astype(np.float32)
    images = numbers.integers(0, 2, (B, H, W, C)).astype(np.float32)
    expected = -stats.bernoulli.logpmf(images.astype(int), expit(logits)).sum((1, 2, 3))
    np.testing.assert_allclose(
        reconstruction.bernoulli_nll(jnp.asarray(logits), jnp.asarray(images)), expected, rtol=1e-5
    )


def test_bernoulli_nll_of_logit_0_is_log_2_a_pixel():
    nll = reconstruction.bernoulli_nll(jnp.zeros((B, H, W, C)), jnp.full((B, H, W, C), 0.3))
    np.testing.assert_allclose(nll, H * W * C * np.log(2), rtol=1e-5)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_nll_gradient_is_finite_at_logit_1e4(logit):
    gradient = jax.grad(lambda x: reconstruction.bernoulli_nll(x, jnp.full((1, 2), 0.5)).sum())(jnp.full((1, 2), logit))
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(np.abs(gradient), 0.5, rtol=1e-6)


def test_gaussian_nll_is_scipys(numbers):
    mean, images = numbers.normal(size=(2, B, H, W, C)).astype(np.float32)
    expected = -stats.norm.logpdf(images, mean, 0.7).sum((1, 2, 3))
    np.testing.assert_allclose(
        reconstruction.gaussian_nll(jnp.asarray(mean), jnp.asarray(images), 0.7), expected, rtol=1e-5
    )


def test_squared_error_is_the_mean_over_pixels_of_each_example():
    error = reconstruction.squared_error(jnp.zeros((B, H, W, C)), jnp.full((B, H, W, C), 0.5))
    assert error.shape == (B,)
    np.testing.assert_allclose(error, 0.25)


def test_critic_that_cannot_tell_pays_2_log_2_nats():
    np.testing.assert_allclose(adversarial.binary_critic_loss(jnp.zeros(B), jnp.zeros(B)), 2 * np.log(2), rtol=1e-6)


def test_critic_that_is_right_pays_less_than_one_that_is_wrong():
    right, wrong = (adversarial.binary_critic_loss(jnp.array([s]), jnp.array([-s]))[0] for s in (3.0, -3.0))
    assert right < 2 * np.log(2) < wrong


def test_losses_with_eps_are_those_without_where_the_sigmoid_is_large(numbers):
    real, fake = jnp.asarray(numbers.normal(size=(2, B)), jnp.float32)
    with_eps = adversarial.binary_critic_loss(real, fake, 1e-15)
    np.testing.assert_allclose(with_eps, adversarial.binary_critic_loss(real, fake), rtol=1e-5)
    np.testing.assert_allclose(
        adversarial.non_saturating_loss(fake, 1e-15), adversarial.non_saturating_loss(fake), rtol=1e-5
    )


def test_eps_makes_the_fooling_gradient_vanish_and_logits_keep_it():
    lost = jnp.array([-80.0])  # sigmoid = 1.8e-35, far below eps
    assert jax.grad(lambda x: adversarial.non_saturating_loss(x, 1e-15).sum())(lost)[0] > -1e-10
    np.testing.assert_allclose(jax.grad(lambda x: adversarial.non_saturating_loss(x).sum())(lost), -1.0, rtol=1e-6)


def test_categorical_nll_of_flat_logits_is_log_k():
    np.testing.assert_allclose(
        reconstruction.categorical_nll(jnp.zeros((B, K)), jnp.arange(B) % K), np.log(K), rtol=1e-6
    )


def test_losses_equal_pytorchs(numbers):
    torch = pytest.importorskip("torch", reason="PyTorch is optional: pip install torch")
    logits, images = (numbers.random((B, H, W, C)).astype(np.float32) for _ in range(2))
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(logits), torch.from_numpy(images), reduction="none"
    ).sum((1, 2, 3))
    np.testing.assert_allclose(
        reconstruction.bernoulli_nll(jnp.asarray(logits), jnp.asarray(images)), theirs.numpy(), rtol=1e-5
    )


def test_gradient_penalty_of_a_quadratic_score_is_half_its_squared_slope(numbers):
    at = numbers.normal(size=(B, 5)).astype(np.float32)
    weight = numbers.normal(size=5).astype(np.float32)
    penalty = regularizers.r1_penalty(lambda z: jnp.square(z) @ weight, jnp.asarray(at))
    np.testing.assert_allclose(penalty, 0.5 * np.square(2 * at * weight).sum(-1), rtol=1e-5)


def test_gradient_penalty_moves_the_critic_and_not_what_it_is_taken_at():
    def penalty(weight, at):
        return regularizers.r1_penalty(lambda z: jnp.square(z) @ weight, at).sum()

    to_weight, to_codes = jax.grad(penalty, argnums=(0, 1))(jnp.ones(5), jnp.ones((B, 5)))
    np.testing.assert_allclose(to_weight, 4 * B)  # by hand: the penalty is 2 B Σ w²
    np.testing.assert_array_equal(to_codes, 0)


@pytest.mark.parametrize(
    ("categories", "conditional_entropy", "marginal_kl"),
    [
        ([0, 1, 2, 3], 0.0, 0.0),  # sure, and of every category once: I = log 4
        ([2, 2, 2, 2], 0.0, np.log(4)),  # sure, but of one category: I = 0
        (None, np.log(4), 0.0),  # any category for any example: I = 0
    ],
)
def test_doubt_and_imbalance_are_what_is_missing_to_log_k(categories, doubt, imbalance):
    logits = jnp.zeros((4, 4)) if categories is None else 50 * jax.nn.one_hot(jnp.asarray(categories), 4)
    np.testing.assert_allclose(regularizers.mutual_information_terms(logits), (doubt, imbalance), atol=1e-5)


def test_opponent_colours_are_lengths_along_axes_with_the_last_two_enlarged():
    red, green, _ = jnp.eye(3)[:, None, None, None]
    grey = jnp.full_like(red, 0.5)
    along = transforms.rgb_to_opponent(jnp.concatenate([grey, red]), 3.0, 6.0)[:, 0, 0]
    np.testing.assert_allclose(along[0], [0.75**0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(along[1], [3**-0.5, 3 * 2**-0.5, -6 * 6**-0.5], rtol=1e-6)
    np.testing.assert_allclose(
        transforms.rgb_to_opponent(green, 1.0, 1.0)[0, 0, 0], [3**-0.5, 0, 2 * 6**-0.5], atol=1e-6
    )
    image = jax.random.normal(jax.random.key(0), (2, 3, 4, 3))
    turned = transforms.rgb_to_opponent(image, 1.0, 1.0)
    np.testing.assert_allclose(jnp.square(turned).sum(-1), jnp.square(image).sum(-1), rtol=1e-5)
