"""Gradient estimator of importance-weighted bounds."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def doubly_reparameterize(
    code: Float[Array, "S B Z"], tap: Float[Array, "S B"]
) -> tuple[Float[Array, "S B Z"], Float[Array, "S B"]]:
    """Returns its inputs; the gradient of a code is multiplied by the code's importance weight.

    The loss contains the sum of weight × tap with taps of zero, so the gradient of a tap is the code's normalized
    weight w, times the scale of the loss. Dividing by the sum over the S samples removes that scale. The gradient
    that reaches a code already has one factor w; this adds the second one of the doubly reparameterized estimator's
    w² (Tucker et al. 2019, eq. 7) without another forward pass to compute the weights first.
    """
    return code, tap


def _doubly_reparameterize_forward(code: Array, tap: Array) -> tuple[tuple[Array, Array], None]:
    return (code, tap), None


def _doubly_reparameterize_backward(_: None, gradients: tuple[Array, Array]) -> tuple[Array, Array]:
    code_gradient, tap_gradient = gradients
    weight = tap_gradient / tap_gradient.sum(0)
    return weight[..., None] * code_gradient, jnp.zeros_like(tap_gradient)


doubly_reparameterize.defvjp(_doubly_reparameterize_forward, _doubly_reparameterize_backward)
