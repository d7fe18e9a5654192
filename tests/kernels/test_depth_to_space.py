"""Depth to space with the barrier against plain reshapes."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.kernels.depth_to_space import depth_to_space, reshape_depth_to_space


def test_the_kernel_equals_its_reference_and_so_does_the_gradient():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 18))
    weight = jax.random.normal(jax.random.key(1), (2, 9, 12, 2))
    np.testing.assert_array_equal(depth_to_space.fast(x, 3), reshape_depth_to_space(x, 3))
    gradients = (
        jax.grad(lambda x, form=form: jnp.sum(weight * form(x, 3)))(x)
        for form in (depth_to_space.fast, reshape_depth_to_space)
    )
    np.testing.assert_array_equal(*gradients)
