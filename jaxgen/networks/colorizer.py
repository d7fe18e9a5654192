"""Networks that map grayscale images to color."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.networks.conv import Conv, ConvTranspose
from jaxgen.networks.dense import Dense
from jaxgen.networks.mlp import INITIALIZERS, MLP


class CoarseColorizer(nn.Module):
    """Adds smooth colors to a grayscale image: x -> (1 + gain) x + shift, per channel, on a coarse grid.

    The fine detail of a picture is in its brightness; colors change slowly, so few numbers describe them. An MLP
    predicts gain and shift on a grid of `grid_size` pixels, and bilinear interpolation fills in the rest.

    Attributes:
      hidden: units of the MLP's hidden layers.
      grid_size: distance of the grid's points, in pixels.
      dropout: share of the hidden units dropped in training.
      kernel_init: a name in `mlp.INITIALIZERS`.
    """

    hidden: tuple[int, ...]
    grid_size: int
    dropout: float = 0.0
    kernel_init: str = "he_normal"

    @nn.compact
    def __call__(self, gray: Float[Array, "B H W 1"], *, train: bool) -> Float[Array, "B H W 3"]:
        """Returns the colors, not clipped to [0, 1]."""
        batch, height, width, _ = gray.shape
        grid = (-(-height // self.grid_size), -(-width // self.grid_size), 6)
        tints = MLP(self.hidden, grid, self.dropout, kernel_init=self.kernel_init)(gray, train=train)
        gain, shift = jnp.split(jax.image.resize(tints, (batch, height, width, 6), "linear"), 2, axis=-1)
        return (1 + gain) * gray + shift


class TutorialColorizer(nn.Module):
    """The tutorial's network: transposed convolution, convolution, two dense layers without activation between them.

    For images of 30 × 30 pixels it has 90 million parameters.

    Attributes:
      size: H, W.
      kernel_init: a name in `mlp.INITIALIZERS`.
    """

    size: tuple[int, int]
    kernel_init: str = "torch"

    @nn.compact
    def __call__(self, gray: Float[Array, "B H W 1"], *, train: bool) -> Float[Array, "B H W 3"]:
        """Returns the colors, not clipped to [0, 1]."""
        del train
        height, width = self.size
        init = INITIALIZERS[self.kernel_init][0]
        x = nn.relu(ConvTranspose(10, 5, 2, kernel_init=init)(gray))
        x = nn.relu(Conv(5, 5, kernel_init=init)(x)).reshape(len(gray), -1)
        x = Dense(5 * height * width, kernel_init=init)(x)
        return Dense(3 * height * width, kernel_init=init)(x).reshape(len(x), height, width, 3)
