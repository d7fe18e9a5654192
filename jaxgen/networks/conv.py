"""TODO: jaxgen.networks.conv."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.initializers import lecun_normal, zeros
from jaxtyping import Array, Float

from jaxgen.kernels.conv import conv, conv_transpose
from jaxgen.kernels.conv_im2col import ConvShape, Kernels, sum_float32
from jaxgen.networks.dense import add_bias


class _ConvBase(nn.Module):
    """What a convolution and its transpose share: a kernel of [size, size, C, features] and a bias.

    Attributes:
      features: channels of the output.
      size: side of the kernel, in pixels.
      stride, padding: in pixels, on all sides.
      kernel_init: what the kernel is drawn from.
      use_bias: whether there is one.
    """

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    kernel_init: Callable = lecun_normal()
    use_bias: bool = True

    def weights(self, channels: int, size: int) -> Kernels:
        return self.param("kernel", self.kernel_init, (size, size, channels, self.features))

    def biased(self, x: Float[Array, "B h w F"]) -> Float[Array, "B h w F"]:
        return add_bias(x, self.param("bias", zeros, (self.features,))) if self.use_bias else x


class Conv(_ConvBase):
    """A convolution, with a bias: output side (side + 2 padding - size) / stride + 1."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        kernel = self.weights(x.shape[-1], self.size)
        return self.biased(conv(x, kernel, ConvShape(x.shape, kernel.shape, self.stride, self.padding)))


class ConvTranspose(_ConvBase):
    """The transpose of such a convolution, with a bias: output side (side - 1) stride - 2 padding + size + extra.

    Pixel (i, j) of the input adds its product with kernel[a, b] to pixel (i stride + a - padding, j stride + b -
    padding) of the output, as in PyTorch, whose output_padding is `extra`.
    """

    extra: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        high, wide = ((side - 1) * self.stride - 2 * self.padding + self.size + self.extra for side in x.shape[1:3])
        kernel = self.weights(x.shape[-1], self.size).swapaxes(2, 3)  # of the convolution from our output to our input
        shape = ConvShape((len(x), high, wide, self.features), kernel.shape, self.stride, self.padding)
        return self.biased(conv_transpose(x, kernel, shape))


class BlurConvTranspose(ConvTranspose):
    """Such a transpose by a kernel of size - 1, then the mean of every 2 × 2 pixels: one kernel does both.

    By stride 2 it paints a constant of a constant; a free kernel paints a grid, and a critic's features need not see
    it. A filter behind what makes an image larger is as in StyleGAN (Karras et al. 2019, arXiv 1812.04948, section 2).
    """

    def weights(self, channels: int, size: int) -> Kernels:
        return blur_kernel(super().weights(channels, size - 1))


def blur_kernel(kernel: Kernels) -> Float[Array, "K+1 K+1 C F"]:
    """The mean of every 2 × 2 neighbours, one pixel larger."""
    shifted = (jnp.pad(kernel, ((a, 1 - a), (b, 1 - b), (0, 0), (0, 0))) for a in (0, 1) for b in (0, 1))
    return sum_float32(shifted) / 4
