"""Dense layers and biases whose gradients are summed in float32 in any compute dtype."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import lecun_normal, zeros
from jaxtyping import Array, Float

Parameter = Float[Array | np.ndarray, "..."]  # a NumPy array in a network that was read from a file


class Dense(nn.Module):
    """`flax.linen.Dense` with bias gradients accumulated in float32.

    Attributes:
      features: number of outputs.
      kernel_init: initializer of the kernel [inputs, features].
      use_bias: whether a bias is added.
    """

    features: int
    kernel_init: Callable = lecun_normal()
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B M"]) -> Float[Array, "B N"]:
        """Returns x @ kernel + bias."""
        output = x @ self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        return add_bias(output, self.param("bias", zeros, (self.features,))) if self.use_bias else output


def add_bias(x: Float[Array, "*B N"], bias: Parameter) -> Float[Array, "*B N"]:
    """Returns x + bias; see `broadcast_float32_grad`."""
    return x + broadcast_float32_grad(bias, x)


def broadcast_float32_grad(parameter: Parameter, x: Float[Array, "*B N"]) -> Float[Array, "*B N"]:
    """Returns the parameter in the shape and dtype of x, with its gradient summed over examples and pixels in float32.

    On a CPU, XLA sums bfloat16 arrays in bfloat16. After some hundreds of terms the sum is too large for the next term
    to change it, and the gradient would stop growing.
    """
    return jnp.broadcast_to(parameter.astype(jnp.float32), x.shape).astype(x.dtype)
