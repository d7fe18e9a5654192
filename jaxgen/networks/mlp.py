"""The fully connected network that serves as encoder, decoder and critic, and the small ones beside it."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.initializers import he_normal, lecun_normal, normal, variance_scaling, zeros
from jaxtyping import Array, Float

from jaxgen.kernels.dropout import Dropout
from jaxgen.networks.dense import Dense, broadcast_float32_grad

TORCH = variance_scaling(1 / 3, "fan_in", "uniform")  # what torch.nn.Linear draws its kernel from
# By name: of the hidden layers, and of the last, which has no ReLU to make up for.
INITIALIZERS = {
    "he_normal": (he_normal(), lecun_normal()),
    "lecun_normal": (lecun_normal(), lecun_normal()),
    "torch": (TORCH, TORCH),
    "dcgan": (normal(0.02), normal(0.02)),  # Radford et al. 2016, section 4
}


class FiLM(nn.Module):
    """Scales and shifts every unit by what a condition says: (1 + γ(c)) x + β(c) (FiLM, Perez et al. 2018, section 2).

    γ and β are linear and start at zero, so that an untrained one changes nothing.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B N"], condition: Float[Array, "B C"]) -> Float[Array, "B N"]:
        scale, shift = jnp.split(Dense(2 * x.shape[-1], kernel_init=zeros)(condition), 2, axis=-1)
        return (1 + scale) * x + shift


class MLP(nn.Module):
    """Dense layers, (leaky) ReLU and dropout between; the last one is linear. Several inputs are flattened and joined.

    Attributes:
      hidden: widths of the hidden layers.
      output_shape: the shape of one example's output; () is a scalar.
      dropout: the share of hidden units dropped in training.
      linear: indices of hidden layers that leave out the ReLU (a published mistake needs it).
      kernel_init: a name in INITIALIZERS.
      modulated: whether the second input, beside being joined to the first, modulates every hidden layer before its
        ReLU.
      leak: the slope of a hidden unit below 0; 0 is the ReLU.
      shortcut: to so many outputs, the first ones, a linear map of the input is added; see `Shortcut`.
      shortcut_init: what its kernel is drawn from.

    `one` is what each example's biases are times, if not 1; see `jaxgen.piecewise`.
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
    def __call__(
        self, *inputs: Float[Array, "B ..."], train: bool, one: Float[Array, " B"] | None = None
    ) -> Float[Array, "B ..."]:
        hidden_init, last_init = INITIALIZERS[self.kernel_init]
        joined = x = jnp.concatenate([value.reshape(len(value), -1) for value in inputs], axis=-1)
        for index, width in enumerate(self.hidden_sizes):
            x = Dense(width, hidden_init)(x, one)
            x = FiLM()(x, inputs[1]) if self.film else x
            x = x if index in self.linear_layers else nn.leaky_relu(x, self.negative_slope)
            x = Dropout(self.dropout, deterministic=not train)(x)
        x = Dense(math.prod(self.output_shape), last_init)(x, one)
        if self.shortcut:
            x = Shortcut(self.shortcut, self.shortcut_init)(x, joined)
        return x.reshape(len(x), *self.output_shape)


class Shortcut(nn.Module):
    """A linear map of the inputs, to the first `count` outputs, and x as its correction.

    What is linear need not be learnt through ReLUs: x comes in by a gate that starts at 0 (ReZero, Bachlechner et al.
    2021).
    """

    count: int
    kernel_init: Callable

    @nn.compact
    def __call__(self, x: Float[Array, "B N"], inputs: Float[Array, "B M"]) -> Float[Array, "B N"]:
        x = broadcast_float32_grad(self.param("gate", zeros, ()), x) * x
        return x.at[:, : self.count].add(Dense(self.count, use_bias=False, kernel_init=self.kernel_init)(inputs))
