"""Convolutions and their transposes, with gradients of every order that XLA is fast at.

A convolution is linear in the image and in the kernel. So there are three maps, and the gradients of each are the other
two:

    convolve(x, k)           images by kernel
    transpose(y, k)          its adjoint in x: the transposed convolution
    kernel_product(x, y)     its adjoint in k: what the gradient of a kernel is

Left to itself, differentiation gives some of these as convolutions of dilated images or with axes out of order. On a
CPU XLA is slow at the former, and inside a loop over steps it leaves the latter to naive loops: a gradient of a kernel
took 3 s where 16 ms do (64 images of 16 × 16 × 64, a kernel of 4 × 4 to 128 channels, stride 2, one core). Every
platform is given the same form, with the axes in order.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
from flax.linen.initializers import lecun_normal, zeros
from jax import lax
from jaxtyping import Array, Float

Images, Kernels = Float[Array, "B H W C"], Float[Array, "K K C F"]


class Shape(NamedTuple):
    """What the three maps have in common."""

    image: tuple[int, ...]  # of x
    kernel: tuple[int, ...]
    stride: int
    padding: int


class Kernel(nn.Module):
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

    def weights(self, channels: int) -> tuple[Kernels, Float[Array, " F"] | float]:
        kernel = self.param("kernel", self.kernel_init, (self.size, self.size, channels, self.features))
        return kernel, self.param("bias", zeros, (self.features,)) if self.use_bias else 0.0


class Conv(Kernel):
    """A convolution, with a bias: output side (side + 2 padding - size) / stride + 1."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        kernel, bias = self.weights(x.shape[-1])
        return convolve(x, kernel, Shape(x.shape, kernel.shape, self.stride, self.padding)) + bias


class ConvTranspose(Kernel):
    """The transpose of such a convolution, with a bias: output side (side - 1) stride - 2 padding + size.

    Pixel (i, j) of the input adds its product with kernel[a, b] to pixel (i stride + a - padding, j stride + b -
    padding) of the output, as in PyTorch.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        kernel, bias = self.weights(x.shape[-1])
        high, wide = ((side - 1) * self.stride - 2 * self.padding + self.size for side in x.shape[1:3])
        kernel = kernel.swapaxes(2, 3)  # of the convolution from our output to our input
        shape = Shape((len(x), high, wide, self.features), kernel.shape, self.stride, self.padding)
        return transpose(x, kernel, shape) + bias


# What XLA is given: channels last, the kernel's features last.
_convolution = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: Images, kernel: Kernels, shape: Shape) -> Float[Array, "B h w F"]:
    """The convolution of images."""
    around, stride = [(shape.padding, shape.padding)] * 2, (shape.stride, shape.stride)
    return _convolution(x, kernel, stride, around)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def transpose(y: Float[Array, "B h w F"], kernel: Kernels, shape: Shape) -> Images:
    """The adjoint of `convolve` in x."""
    size, stride = shape.kernel[0], shape.stride
    before = size - 1 - shape.padding
    sides = zip(shape.image[1:3], y.shape[1:3], strict=True)
    around = [(before, large + size - 2 - before - (small - 1) * stride) for large, small in sides]
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return _convolution(y, turned, (1, 1), around, lhs_dilation=(stride, stride))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def kernel_product(x: Images, y: Float[Array, "B h w F"], shape: Shape) -> Kernels:
    """The adjoint of `convolve` in the kernel."""
    size, stride, before = shape.kernel[0], shape.stride, shape.padding
    sides = zip(x.shape[1:3], y.shape[1:3], strict=True)
    around = [(before, size + (small - 1) * stride - large - before) for large, small in sides]
    by_channel, by_pixel = x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3)
    product = _convolution(by_channel, by_pixel, (1, 1), around, rhs_dilation=(stride, stride))
    return product.transpose(1, 2, 0, 3)


def _with_inputs(of: Callable) -> Callable:
    """A map of two arrays, and the two for its gradients."""
    return lambda a, b, shape: (of(a, b, shape), (a, b))


convolve.defvjp(
    _with_inputs(convolve),
    lambda shape, saved, g: (transpose(g, saved[1], shape), kernel_product(saved[0], g, shape)),
)
transpose.defvjp(
    _with_inputs(transpose),
    lambda shape, saved, g: (convolve(g, saved[1], shape), kernel_product(g, saved[0], shape)),
)
kernel_product.defvjp(
    _with_inputs(kernel_product),
    lambda shape, saved, g: (transpose(saved[1], g, shape), convolve(saved[0], g, shape)),
)
