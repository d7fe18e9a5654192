"""The doubly reparameterized gradient by hand; its mean is tested in tests/models/test_vae.py."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.losses.importance_weighting import doubly_reparameterize


def test_doubly_reparameterize_multiplies_the_gradient_by_the_weight_at_any_scale_of_the_loss():
    code, weight = jnp.arange(12.0).reshape(3, 2, 2), jnp.array([[0.2, 0.5], [0.3, 0.1], [0.5, 0.4]])

    def loss(code, scale):
        code, tap = doubly_reparameterize(code, jnp.zeros((3, 2)))
        return scale * ((weight * jnp.square(code).sum(-1)).sum() + (weight * tap).sum())

    for scale in (1.0, -0.25):
        gradient = jax.grad(loss)(code, scale)
        np.testing.assert_allclose(gradient, scale * 2 * code * jnp.square(weight)[..., None], rtol=1e-6)
