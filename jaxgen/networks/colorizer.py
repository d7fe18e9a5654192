"""Networks from grey images to colour."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.networks.conv import Conv, ConvTranspose
from jaxgen.networks.dense import Dense
from jaxgen.networks.mlp import INITIALISERS, MLP


class CoarseColorizer(nn.Module):
    """Adds smooth colours to a grey image, x -> (1 + gain) x + shift, both by channel and on a coarse grid.

    What is fine in a picture is in its grey; its colours change slowly, and few numbers say them: an MLP gives gain
    and shift every `coarseness` pixels, bilinear interpolation the rest.
    """

    hidden: tuple[int, ...]
    grid_size: int
    dropout: float = 0.0
    kernel_init: str = "he_normal"

    @nn.compact
    def __call__(self, grey: Float[Array, "B H W 1"], *, train: bool) -> Float[Array, "B H W 3"]:
        batch, height, width, _ = grey.shape
        coarse = (-(-height // self.grid_size), -(-width // self.grid_size), 6)
        tints = MLP(self.hidden, coarse, self.dropout, kernel_init=self.kernel_init)(grey, train=train)
        gain, shift = jnp.split(jax.image.resize(tints, (batch, height, width, 6), "linear"), 2, axis=-1)
        return (1 + gain) * grey + shift


class TutorialColorizer(nn.Module):
    """The tutorial's net: transposed convolution, convolution, two dense layers with nothing between them.

    Of 30 × 30 pixels it has 90 million parameters.
    """

    size: tuple[int, int]  # H, W
    kernel_init: str = "torch"

    @nn.compact
    def __call__(self, grey: Float[Array, "B H W 1"], *, train: bool) -> Float[Array, "B H W 3"]:
        del train
        height, width = self.size
        init = INITIALISERS[self.kernel_init][0]
        x = nn.relu(ConvTranspose(10, 5, 2, kernel_init=init)(grey))
        x = nn.relu(Conv(5, 5, kernel_init=init)(x)).reshape(len(grey), -1)
        x = Dense(5 * height * width, kernel_init=init)(x)
        return Dense(3 * height * width, kernel_init=init)(x).reshape(len(x), height, width, 3)
