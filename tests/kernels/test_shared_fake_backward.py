"""One backward pass through a GAN's critic against separate ones for critic and generator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.kernels.shared_fake_backward import separate_fake_backward, shared_fake_backward
from jaxgen.losses.adversarial import GAN_LOSSES, MAX_CONFIDENT_LOGIT

WITH_SLOPE_RATIO = [name for name, loss in GAN_LOSSES.items() if loss.generator_to_critic_slope]


def score(params, fake):
    logits = fake @ params
    return 2 * logits + jnp.sin(logits), "aux"


@pytest.mark.parametrize("name", WITH_SLOPE_RATIO)
def test_the_kernel_gives_the_values_and_gradients_of_the_reference(name):
    gan_loss, params = GAN_LOSSES[name], jnp.array([0.7, -0.2])
    fake = jnp.array([[-9.0, 2.0], [0.5, -1.0], [3.0, 4.0]])

    def losses(params, fake, form):
        logits, critic_surrogate, generator_loss, aux = form(gan_loss, score, params, fake)
        assert aux == "aux"
        return gan_loss.critic(jnp.zeros(3), logits).mean() + critic_surrogate, generator_loss

    forms = (shared_fake_backward.fast, separate_fake_backward)
    values, expected_values = (losses(params, fake, form) for form in forms)
    assert values == expected_values
    gradients, expected = (jax.jacrev(losses, (0, 1))(params, fake, form) for form in forms)
    (critic_by_params, critic_by_fake), (generator_by_params, generator_by_fake) = gradients
    np.testing.assert_allclose(critic_by_params, expected[0][0], rtol=1e-5)
    np.testing.assert_allclose(generator_by_fake, expected[1][1], rtol=1e-5)
    assert not critic_by_fake.any()  # no player needs these two
    assert not generator_by_params.any()


@pytest.mark.parametrize("logit", [-MAX_CONFIDENT_LOGIT, -3 * MAX_CONFIDENT_LOGIT, 3 * MAX_CONFIDENT_LOGIT])
def test_the_generators_gradient_is_finite_for_a_confident_critic(logit):
    def generator_loss(fake):
        gan_loss = GAN_LOSSES["non_saturating"]
        return shared_fake_backward.fast(gan_loss, lambda _, fake: (fake[:, 0], None), (), fake)[2]

    expected = {-MAX_CONFIDENT_LOGIT: -1.0}.get(logit, 0.0)
    gradient = jax.grad(generator_loss)(jnp.full((1, 1), logit))
    np.testing.assert_allclose(gradient, [[expected]], rtol=1e-5, atol=1e-20)
