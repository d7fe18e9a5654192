"""The fully connected network that serves as encoder, decoder and critic, with FiLM and a linear shortcut."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.initializers import he_normal, lecun_normal, normal, variance_scaling, zeros
from jaxtyping import Array, Float

from jaxgen.kernels.dropout import Dropout
from jaxgen.networks.dense import Dense, broadcast_float32_grad

TORCH = variance_scaling(1 / 3, "fan_in", "uniform")  # the default of torch.nn.Linear
# By name: initializers of the hidden layers' kernels, and of the last layer's, which no ReLU follows.
INITIALIZERS = {
    "he_normal": (he_normal(), lecun_normal()),
    "lecun_normal": (lecun_normal(), lecun_normal()),
    "torch": (TORCH, TORCH),
    "dcgan": (normal(0.02), normal(0.02)),  # Radford et al. 2016, section 4
}


class FiLM(nn.Module):
    """Feature-wise linear modulation: (1 + γ(c)) x + β(c) for a condition c (Perez et al. 2018, section 2).

    γ and β are linear and start at zero, so that an untrained layer returns x.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B N"], condition: Float[Array, "B C"]) -> Float[Array, "B N"]:
        """Scales and shifts every unit by linear functions of the condition."""
        scale, shift = jnp.split(Dense(2 * x.shape[-1], kernel_init=zeros)(condition), 2, axis=-1)
        return (1 + scale) * x + shift


class MLP(nn.Module):
    """Dense layers with (leaky) ReLU and dropout between them and a linear last layer.

    Attributes:
      hidden_sizes: widths of the hidden layers.
      output_shape: shape of one example's output; () for a scalar.
      dropout: fraction of hidden units dropped in training.
      linear_layers: indices of hidden layers without a ReLU, as in the literal tutorial; see models/tutorial_aae.py.
      kernel_init: a name in INITIALIZERS.
      film: whether the second input modulates every hidden layer before its ReLU, in addition to being an input.
      negative_slope: slope of the hidden units below 0; 0 for a ReLU.
      shortcut: number of outputs, the first ones, to which a linear map of the input is added; see `Shortcut`.
      shortcut_init: initializer of that map's kernel.
    """

    hidden_sizes: tuple[int, ...]
    output_shape: tuple[int, ...]
    dropout: float = 0.0
    linear_layers: tuple[int, ...] = ()
    kernel_init: str = "lecun_normal"
    film: bool = False
    negative_slope: float = 0.0
    shortcut: int = 0
    shortcut_init: Callable = lecun_normal()

    @nn.compact
    def __call__(self, *inputs: Float[Array, "B ..."], train: bool) -> Float[Array, "B ..."]:
        """Applies the network to several inputs, flattened and concatenated; `train` turns dropout on."""
        hidden_init, last_init = INITIALIZERS[self.kernel_init]
        joined = x = jnp.concatenate([value.reshape(len(value), -1) for value in inputs], axis=-1)
        for index, width in enumerate(self.hidden_sizes):
            x = Dense(width, hidden_init)(x)
            x = FiLM()(x, inputs[1]) if self.film else x
            x = x if index in self.linear_layers else nn.leaky_relu(x, self.negative_slope)
            x = Dropout(self.dropout, deterministic=not train)(x)
        x = Dense(math.prod(self.output_shape), last_init)(x)
        if self.shortcut:
            x = Shortcut(self.shortcut, self.shortcut_init)(x, joined)
        return x.reshape(len(x), *self.output_shape)


class Shortcut(nn.Module):
    """Linear map of the inputs to the first outputs, beside a network's output.

    ReLU layers need not learn the linear part of a map. The network's output enters through a gate that starts at 0
    (ReZero, Bachlechner et al. 2021).

    Attributes:
      count: number of outputs of the linear map.
      kernel_init: initializer of its kernel.
    """

    count: int
    kernel_init: Callable

    @nn.compact
    def __call__(self, x: Float[Array, "B N"], inputs: Float[Array, "B M"]) -> Float[Array, "B N"]:
        """Returns gate * x with the linear map of the inputs added to its first outputs."""
        x = broadcast_float32_grad(self.param("gate", zeros, ()), x) * x
        return x.at[:, : self.count].add(Dense(self.count, use_bias=False, kernel_init=self.kernel_init)(inputs))
