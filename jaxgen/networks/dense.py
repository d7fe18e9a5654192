"""Matrix products and biases, whose gradients are summed in float32 whatever the numbers are."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import lecun_normal, zeros
from jaxtyping import Array, Float

Parameter = Float[Array | np.ndarray, "..."]  # NumPy's, of a network read from a file


class Dense(nn.Module):
    """A matrix product, and a bias, which is times `one` [B] where it comes."""

    features: int
    kernel_init: Callable = lecun_normal()
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B M"], one: Float[Array, " B"] | None = None) -> Float[Array, "B N"]:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        if not self.use_bias:
            return x @ kernel
        bias = self.param("bias", zeros, (self.features,))
        return add_bias(x @ kernel, bias if one is None else one[:, None] * bias.astype(jnp.float32))


def add_bias(x: Float[Array, "*B N"], bias: Parameter) -> Float[Array, "*B N"]:
    """The sum; see `spread`."""
    return x + broadcast_float32_grad(bias, x)


def broadcast_float32_grad(parameter: Parameter, x: Float[Array, "*B N"]) -> Float[Array, "*B N"]:
    """The parameter in the shape and precision of x; its gradient, a sum over examples and pixels, is made in float32.

    Of bfloat16, XLA adds up in bfloat16 on a CPU: from some hundreds of terms on, when the sum is too large for the
    next to change it, the gradient would stand still.
    """
    return jnp.broadcast_to(parameter.astype(jnp.float32), x.shape).astype(x.dtype)
