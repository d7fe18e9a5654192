"""Convolutions as matrix products, forwards and backwards: on a CPU many times as fast as XLA's own at small sizes.

A convolution is a product of the patches, side by side, with the kernel; its transpose is a product with the kernel,
whose pieces are then laid over one another. What is differentiated is slices, pads and products.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.initializers import lecun_normal, zeros
from jax import lax
from jaxtyping import Array, Float


class Kernel(nn.Module):
    """What a convolution and its transpose share: a kernel of [size, size, C, features] and a bias.

    Attributes:
      features: channels of the output.
      size: side of the kernel, in pixels.
      stride, padding: in pixels, on all sides.
      kernel_init: what the kernel is drawn from.
    """

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    kernel_init: Callable = lecun_normal()

    def weights(self, channels: int) -> tuple[Float[Array, "K K C F"], Float[Array, "F"]]:
        kernel = self.param("kernel", self.kernel_init, (self.size, self.size, channels, self.features))
        return kernel, self.param("bias", zeros, (self.features,))


class Conv(Kernel):
    """A convolution, with a bias: output side (side + 2 padding - size) / stride + 1."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        kernel, bias = self.weights(x.shape[-1])
        return patches(x, self.size, self.stride, self.padding) @ kernel.reshape(-1, self.features) + bias


class ConvTranspose(Kernel):
    """The transpose of such a convolution, with a bias: output side (side - 1) stride - 2 padding + size.

    Pixel (i, j) of the input adds its product with kernel[a, b] to pixel (i stride + a - padding, j stride + b -
    padding) of the output, as in PyTorch.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        kernel, bias = self.weights(x.shape[-1])
        pieces = x @ kernel.transpose(2, 0, 1, 3).reshape(x.shape[-1], -1)
        pieces = pieces.reshape(*x.shape[:3], self.size, self.size, self.features)
        return overlaid(pieces, self.stride, self.padding) + bias


def patches(x: Float[Array, "B H W C"], size: int, stride: int, padding: int) -> Float[Array, "B h w P"]:
    """The patches of a convolution as channels, row by row: P = size · size · C."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    high, wide = ((side - size) // stride + 1 for side in x.shape[1:3])
    corners = [(row, column) for row in range(size) for column in range(size)]
    parts = [
        x[:, row : row + stride * (high - 1) + 1 : stride, column : column + stride * (wide - 1) + 1 : stride]
        for row, column in corners
    ]
    return jnp.concatenate(parts, axis=-1)


def overlaid(pieces: Float[Array, "B H W K K F"], stride: int, padding: int) -> Float[Array, "B h w F"]:
    """Pieces of K × K pixels, `stride` apart, added up; `padding` pixels are cut off all around."""
    _, height, width, size, _, _ = pieces.shape
    zero = jnp.zeros((), pieces.dtype)
    total = 0.0
    for row in range(size):
        for column in range(size):
            around = [(row, size - 1 - row, stride - 1), (column, size - 1 - column, stride - 1)]
            total += lax.pad(pieces[:, :, :, row, column], zero, [(0, 0, 0), *around, (0, 0, 0)])
    high, wide = ((side - 1) * stride + size - 2 * padding for side in (height, width))
    return total[:, padding : padding + high, padding : padding + wide]
