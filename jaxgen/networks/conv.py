"""Convolution layers for channels-last images."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.initializers import lecun_normal, zeros
from jaxtyping import Array, Float

from jaxgen.kernels.conv import conv, conv_transpose
from jaxgen.kernels.conv_im2col import Kernels, sum_float32
from jaxgen.networks.dense import add_bias


class _ConvBase(nn.Module):
    """Base of convolution layers: a kernel of shape [size, size, C, features] and a bias.

    Attributes:
      features: channels of the output.
      size: side of the kernel, in pixels.
      stride: in pixels.
      padding: pixels on each side of the image.
      kernel_init: initializer of the kernel.
      use_bias: whether a bias is added.
    """

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    kernel_init: Callable = lecun_normal()
    use_bias: bool = True

    def make_kernel(self, channels: int, size: int) -> Kernels:
        """Returns the kernel parameter for images of so many channels."""
        return self.param("kernel", self.kernel_init, (size, size, channels, self.features))

    def add_bias(self, x: Float[Array, "B h w F"]) -> Float[Array, "B h w F"]:
        """Adds the bias parameter, where the layer has one."""
        return add_bias(x, self.param("bias", zeros, (self.features,))) if self.use_bias else x


class Conv(_ConvBase):
    """A convolution. The output's side is (side + 2 padding - size) / stride + 1, rounded down."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        """Convolves images."""
        kernel = self.make_kernel(x.shape[-1], self.size)
        return self.add_bias(conv(x, kernel, (self.stride,) * 2, [(self.padding,) * 2] * 2))


class ConvTranspose(_ConvBase):
    """A transposed convolution. The output's side is (side - 1) stride - 2 padding + size + extra.

    Input pixel (i, j) adds its product with kernel[a, b] to output pixel (i stride + a - padding, j stride + b -
    padding), as in PyTorch.

    Attributes:
      extra: pixels added below and to the right, PyTorch's `output_padding`.
    """

    extra: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        """Applies the transposed convolution to images."""
        # The kernel of the convolution from this layer's output to its input.
        kernel = self.make_kernel(x.shape[-1], self.size).swapaxes(2, 3)
        before = self.size - 1 - self.padding
        return self.add_bias(conv_transpose(x, kernel, (self.stride,) * 2, [(before, before + self.extra)] * 2))


class BlurConvTranspose(ConvTranspose):
    """A transposed convolution by a kernel of size - 1, then a mean over 2 × 2 pixels. One kernel does both.

    With stride 2, a constant image stays constant. A free kernel produces a grid, which a critic's features may miss.
    StyleGAN blurs after upsampling too (Karras et al. 2019, arXiv 1812.04948, section 2).
    """

    def make_kernel(self, channels: int, size: int) -> Kernels:
        """Returns the blurred kernel."""
        return blur_kernel(super().make_kernel(channels, size - 1))


def blur_kernel(kernel: Kernels) -> Float[Array, "K+1 K+1 C F"]:
    """Returns the kernel averaged over 2 × 2 neighbors, one pixel larger."""
    shifted = (jnp.pad(kernel, ((a, 1 - a), (b, 1 - b), (0, 0), (0, 0))) for a in (0, 1) for b in (0, 1))
    return sum_float32(shifted) / 4
