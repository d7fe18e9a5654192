"""Losses against closed forms, SciPy and PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats
from scipy.special import expit

from jaxgen.data import transforms
from jaxgen.losses import adversarial, reconstruction, regularizers

B, H, W, C, K = 6, 8, 10, 3, 4


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def test_bernoulli_nll_equals_scipys_on_binary_images(numbers):
    logits = numbers.normal(size=(B, H, W, C)).astype(np.float32)
    images = numbers.integers(0, 2, (B, H, W, C)).astype(np.float32)
    expected = -stats.bernoulli.logpmf(images.astype(int), expit(logits)).sum((1, 2, 3))
    np.testing.assert_allclose(
        reconstruction.bernoulli_nll(jnp.asarray(logits), jnp.asarray(images)), expected, rtol=1e-5
    )


def test_bernoulli_nll_of_logit_0_is_log_2_per_pixel():
    nll = reconstruction.bernoulli_nll(jnp.zeros((B, H, W, C)), jnp.full((B, H, W, C), 0.3))
    np.testing.assert_allclose(nll, H * W * C * np.log(2), rtol=1e-5)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_nll_gradient_is_finite_at_logit_1e4(logit):
    gradient = jax.grad(lambda x: reconstruction.bernoulli_nll(x, jnp.full((1, 2), 0.5)).sum())(jnp.full((1, 2), logit))
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(np.abs(gradient), 0.5, rtol=1e-6)


def test_gaussian_nll_equals_scipys(numbers):
    mean, images = numbers.normal(size=(2, B, H, W, C)).astype(np.float32)
    expected = -stats.norm.logpdf(images, mean, 0.7).sum((1, 2, 3))
    np.testing.assert_allclose(
        reconstruction.gaussian_nll(jnp.asarray(mean), jnp.asarray(images), 0.7), expected, rtol=1e-5
    )


def test_squared_error_is_the_mean_over_pixels_of_each_example():
    error = reconstruction.squared_error(jnp.zeros((B, H, W, C)), jnp.full((B, H, W, C), 0.5))
    assert error.shape == (B,)
    np.testing.assert_allclose(error, 0.25)


def test_the_loss_of_a_critic_with_logits_of_0_is_2_log_2_nats():
    np.testing.assert_allclose(adversarial.binary_critic_loss(jnp.zeros(B), jnp.zeros(B)), 2 * np.log(2), rtol=1e-6)


def test_the_loss_of_a_correct_critic_is_lower_than_that_of_a_wrong_one():
    right, wrong = (adversarial.binary_critic_loss(jnp.array([s]), jnp.array([-s]))[0] for s in (3.0, -3.0))
    assert right < 2 * np.log(2) < wrong


def test_eps_does_not_change_the_losses_where_the_sigmoid_is_large(numbers):
    real, fake = jnp.asarray(numbers.normal(size=(2, B)), jnp.float32)
    with_eps = adversarial.binary_critic_loss(real, fake, 1e-15)
    np.testing.assert_allclose(with_eps, adversarial.binary_critic_loss(real, fake), rtol=1e-5)
    np.testing.assert_allclose(
        adversarial.non_saturating_loss(fake, 1e-15), adversarial.non_saturating_loss(fake), rtol=1e-5
    )


def test_eps_makes_the_generators_gradient_vanish_and_the_loss_from_logits_keeps_it():
    rejected = jnp.array([-80.0])  # sigmoid = 1.8e-35, far below eps
    assert jax.grad(lambda x: adversarial.non_saturating_loss(x, 1e-15).sum())(rejected)[0] > -1e-10
    np.testing.assert_allclose(jax.grad(lambda x: adversarial.non_saturating_loss(x).sum())(rejected), -1.0, rtol=1e-6)


def test_the_cross_entropy_of_flat_logits_is_log_k():
    nll = optax.softmax_cross_entropy_with_integer_labels(jnp.zeros((B, K)), jnp.arange(B) % K)
    np.testing.assert_allclose(nll, np.log(K), rtol=1e-6)


def test_bernoulli_nll_equals_pytorchs(numbers):
    torch = pytest.importorskip("torch", reason="PyTorch is optional: pip install torch")
    logits, images = (numbers.random((B, H, W, C)).astype(np.float32) for _ in range(2))
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(logits), torch.from_numpy(images), reduction="none"
    ).sum((1, 2, 3))
    np.testing.assert_allclose(
        reconstruction.bernoulli_nll(jnp.asarray(logits), jnp.asarray(images)), theirs.numpy(), rtol=1e-5
    )


def test_the_r1_penalty_of_a_quadratic_score_is_half_its_squared_gradient(numbers):
    inputs = numbers.normal(size=(B, 5)).astype(np.float32)
    weight = numbers.normal(size=5).astype(np.float32)
    penalty = regularizers.r1_penalty(lambda z: jnp.square(z) @ weight, jnp.asarray(inputs))
    np.testing.assert_allclose(penalty, 0.5 * np.square(2 * inputs * weight).sum(-1), rtol=1e-5)


def test_the_r1_penalty_has_a_gradient_for_the_critic_and_none_for_its_inputs():
    def penalty(weight, inputs):
        return regularizers.r1_penalty(lambda z: jnp.square(z) @ weight, inputs).sum()

    weight_gradient, input_gradient = jax.grad(penalty, argnums=(0, 1))(jnp.ones(5), jnp.ones((B, 5)))
    np.testing.assert_allclose(weight_gradient, 4 * B)  # by hand: the penalty is 2 B Σ w²
    np.testing.assert_array_equal(input_gradient, 0)


@pytest.mark.parametrize(
    ("categories", "conditional_entropy", "marginal_kl"),
    [
        ([0, 1, 2, 3], 0.0, 0.0),  # certain, every category once: I = log 4
        ([2, 2, 2, 2], 0.0, np.log(4)),  # certain, a single category: I = 0
        (None, np.log(4), 0.0),  # uniform for every example: I = 0
    ],
)
def test_conditional_entropy_and_marginal_kl_are_what_mutual_information_lacks_to_log_k(
    categories, conditional_entropy, marginal_kl
):
    logits = jnp.zeros((4, 4)) if categories is None else 50 * jax.nn.one_hot(jnp.asarray(categories), 4)
    terms = regularizers.mutual_information_terms(logits)
    np.testing.assert_allclose(terms, (conditional_entropy, marginal_kl), atol=1e-5)


def test_opponent_colors_are_an_orthonormal_basis_with_gains_on_two_axes():
    red, green, _ = jnp.eye(3)[:, None, None, None]
    gray = jnp.full_like(red, 0.5)
    opponent = transforms.rgb_to_opponent(jnp.concatenate([gray, red]), 3.0, 6.0)[:, 0, 0]
    np.testing.assert_allclose(opponent[0], [0.75**0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(opponent[1], [3**-0.5, 3 * 2**-0.5, -6 * 6**-0.5], rtol=1e-6)
    np.testing.assert_allclose(
        transforms.rgb_to_opponent(green, 1.0, 1.0)[0, 0, 0], [3**-0.5, 0, 2 * 6**-0.5], atol=1e-6
    )
    image = jax.random.normal(jax.random.key(0), (2, 3, 4, 3))
    rotated = transforms.rgb_to_opponent(image, 1.0, 1.0)
    np.testing.assert_allclose(jnp.square(rotated).sum(-1), jnp.square(image).sum(-1), rtol=1e-5)
