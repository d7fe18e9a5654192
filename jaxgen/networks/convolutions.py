"""Convolutions and their transposes, with gradients of every order in the forms that are fast where they run.

A convolution is linear in the image and in the kernel. So there are three maps, and the gradients of each are the other
two:

    convolve(x, k)           images by kernel
    transpose(y, k)          its adjoint in x: the transposed convolution
    kernel_product(x, y)     its adjoint in k: what the gradient of a kernel is

Left to itself, differentiation gives some of these as convolutions of dilated images or with axes out of order, and
inside a loop over steps XLA leaves the latter to naive loops on a CPU: a gradient of a kernel took 3 s where 16 ms do
(64 images of 16 × 16 × 64, a kernel of 4 × 4 to 128 channels, stride 2, one core). Here the axes are in order.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import lecun_normal, zeros
from jax import lax
from jaxtyping import Array, Float

from jaxgen.networks.linear import plus_bias

Images, Kernels, Outputs = Float[Array, "B H W C"], Float[Array, "K K C F"], Float[Array, "B h w F"]
MOST_COPIES, MOST_CHANNELS = 4, 16  # see `where_it_runs`


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

    def weights(self, channels: int, size: int) -> Kernels:
        return self.param("kernel", self.kernel_init, (size, size, channels, self.features))

    def biased(self, x: Float[Array, "B h w F"]) -> Float[Array, "B h w F"]:
        return plus_bias(x, self.param("bias", zeros, (self.features,))) if self.use_bias else x


class Conv(Kernel):
    """A convolution, with a bias: output side (side + 2 padding - size) / stride + 1."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        kernel = self.weights(x.shape[-1], self.size)
        return self.biased(convolve(x, kernel, Shape(x.shape, kernel.shape, self.stride, self.padding)))


class ConvTranspose(Kernel):
    """The transpose of such a convolution, with a bias: output side (side - 1) stride - 2 padding + size + extra.

    Pixel (i, j) of the input adds its product with kernel[a, b] to pixel (i stride + a - padding, j stride + b -
    padding) of the output, as in PyTorch, whose output_padding is `extra`.
    """

    extra: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        high, wide = ((side - 1) * self.stride - 2 * self.padding + self.size + self.extra for side in x.shape[1:3])
        kernel = self.weights(x.shape[-1], self.size).swapaxes(2, 3)  # of the convolution from our output to our input
        shape = Shape((len(x), high, wide, self.features), kernel.shape, self.stride, self.padding)
        return self.biased(transpose(x, kernel, shape))


class SmoothTranspose(ConvTranspose):
    """Such a transpose by a kernel of size - 1, then the mean of every 2 × 2 pixels: one kernel does both.

    By stride 2 it paints a constant of a constant; a free kernel paints a grid, and a critic's features need not see
    it. A filter behind what makes an image larger is as in StyleGAN (Karras et al. 2019, arXiv 1812.04948, section 2).
    """

    def weights(self, channels: int, size: int) -> Kernels:
        return blurred(super().weights(channels, size - 1))


def blurred(kernel: Kernels) -> Float[Array, "K+1 K+1 C F"]:
    """The mean of every 2 × 2 neighbours, one pixel larger."""
    shifted = (jnp.pad(kernel, ((a, 1 - a), (b, 1 - b), (0, 0), (0, 0))) for a in (0, 1) for b in (0, 1))
    return total(shifted) / 4


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: Images, kernel: Kernels, shape: Shape) -> Outputs:
    """The convolution of images."""
    return where_it_runs(convolve_by_product, convolve_by_library, x, kernel, shape, windows_pay(shape))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def transpose(y: Outputs, kernel: Kernels, shape: Shape) -> Images:
    """The adjoint of `convolve` in x."""
    return where_it_runs(transpose_by_product, transpose_by_library, y, kernel, shape, few_windows(shape))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def kernel_product(x: Images, y: Outputs, shape: Shape) -> Kernels:
    """The adjoint of `convolve` in the kernel."""
    if shape.stride == 1 and shape.padding < shape.kernel[0]:
        return where_it_runs(kernel_by_halves, kernel_by_library, x, y, shape, shape.kernel[0] <= MOST_COPIES)
    return where_it_runs(kernel_by_product, kernel_by_library, x, y, shape, windows_pay(shape))


def where_it_runs(by_product: Callable, by_library: Callable, a: Array, b: Array, shape: Shape, pays: bool) -> Array:
    """What one of two forms gives: the product's on a CPU, where it `pays`."""
    # XLA's convolutions on a CPU do not use its cores well where the stride is above 1: a step of a DCGAN of 32
    # channels took 57 ms by them and 46 by matrix products (two cores). Where a pixel lies in many windows, or has many
    # channels, laying the windows out costs more than it spares: from 32 channels on by the library, that step takes
    # .92 of the time, one of 64 channels .96 (two cores of an EPYC, the library as `parallel.py` asks for it). Of
    # stride 1 only the kernel's gradient is better as a product: a step of conv_ae takes 12% less.
    if not pays:
        return by_library(a, b, shape)
    return lax.platform_dependent(a, b, cpu=partial(by_product, shape=shape), default=partial(by_library, shape=shape))


def few_windows(shape: Shape) -> bool:
    """Whether a pixel lies in few."""
    return (shape.kernel[0] / shape.stride) ** 2 <= MOST_COPIES


def windows_pay(shape: Shape) -> bool:
    """Whether it is worth while to lay the windows of the image out."""
    return few_windows(shape) and shape.kernel[2] <= MOST_CHANNELS


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


# As matrix products over the windows of all pixels of the output.


def convolve_by_product(x: Images, kernel: Kernels, shape: Shape) -> Outputs:
    windows = windows_of(x, shape)
    return (flat(windows, 3) @ flat(kernel, 1)).reshape(*windows.shape[:3], -1)


def transpose_by_product(y: Outputs, kernel: Kernels, shape: Shape) -> Images:
    windows = (flat(y, 1) @ flat(kernel, 1).T).reshape(*y.shape[:3], *shape.kernel[:3])
    by_row = laid_over(windows, 1, shape.image[1], shape)
    return laid_over(by_row, 2, shape.image[2], shape)


def kernel_by_product(x: Images, y: Outputs, shape: Shape) -> Kernels:
    # The product of two tall matrices takes half as long with the fewer columns first; without the barrier, XLA turns
    # it round again.
    product = lax.dot_general(flat(y, 1), flat(windows_of(x, shape), 3), (((0,), (0,)), ((), ())))
    return lax.optimization_barrier(product).T.reshape(shape.kernel)


def kernel_by_halves(x: Images, y: Outputs, shape: Shape) -> Kernels:
    """By the windows along rows of the image and those along columns of the output, at stride 1.

    A pixel is in as many of them as a kernel has rows, not in as many as it has places.
    """
    size, channels, features = shape.kernel[0], *shape.kernel[2:]
    along_row = neighbours(x, 2, size, shape.padding)  # of pixel (i, j): x[i, j + b - padding] for all b
    along_column = neighbours(y, 1, size, size - 1 - shape.padding)  # y[i - a + padding, j], for a from the last
    product = lax.dot_general(flat(along_column, 2), flat(along_row, 2), (((0,), (0,)), ((), ())))
    by_row = lax.optimization_barrier(product).reshape(size, features, size, channels)[::-1]
    return by_row.transpose(0, 2, 3, 1)


def neighbours(x: Array, axis: int, size: int, around: int) -> Float[Array, "B h w K N"]:
    """Each pixel's window along one axis, with so many zeros on either side."""
    x = padded(x, axis, around, around)
    return jnp.stack([strided(x, first, axis, size, 1) for first in range(size)], 3)


def flat(x: Array, last: int) -> Float[Array, "M N"]:
    """A matrix whose columns are the last so many axes."""
    return x.reshape(-1, math.prod(x.shape[-last:]))


def windows_of(x: Images, shape: Shape) -> Float[Array, "B h w K K C"]:
    """What each pixel of the output sees."""
    size, stride, around = shape.kernel[0], shape.stride, shape.padding
    x = jnp.pad(x, ((0, 0), (around, around), (around, around), (0, 0)))

    def seen(row: int, column: int) -> Array:
        return strided(strided(x, row, 1, size, stride), column, 2, size, stride)

    return jnp.stack([jnp.stack([seen(row, column) for column in range(size)], 3) for row in range(size)], 3)


def strided(x: Array, first: int, axis: int, size: int, stride: int) -> Array:
    """Along one axis, the pixels that are `first` in their windows."""
    last = first + (x.shape[axis] - size) // stride * stride
    return lax.slice_in_dim(x, first, last + 1, stride, axis)


def laid_over(windows: Array, axis: int, side: int, shape: Shape) -> Array:
    """The sum, along one axis, of windows laid over one another; their pixels are axis 3, which goes."""
    size, stride = shape.kernel[0], shape.stride
    most = -(-size // stride)  # windows over a pixel
    phases = []
    for phase in range(stride):
        parts = [
            padded(lax.index_in_dim(windows, place, 3, keepdims=False), axis, shift, most - 1 - shift)
            for shift, place in enumerate(range(phase, size, stride))
        ]
        phases.append(total(parts))
    x = jnp.stack(phases, axis + 1)
    x = x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
    missing = shape.padding + side - x.shape[axis]  # pixels that no window reaches
    return lax.slice_in_dim(padded(x, axis, 0, max(missing, 0)), shape.padding, shape.padding + side, axis=axis)


def total(parts: Iterable[Array]) -> Array:
    """Their sum, made in float32."""
    first, *others = parts
    return sum((part.astype(jnp.float32) for part in others), first.astype(jnp.float32)).astype(first.dtype)


def padded(x: Array, axis: int, before: int, after: int) -> Array:
    """With so many zeros along one axis."""
    return jnp.pad(x, [(before, after) if each == axis else (0, 0) for each in range(x.ndim)])


# As convolutions, every axis in order.

library = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def convolve_by_library(x: Images, kernel: Kernels, shape: Shape) -> Outputs:
    return library(x, kernel, (shape.stride,) * 2, [(shape.padding,) * 2] * 2)


def transpose_by_library(y: Outputs, kernel: Kernels, shape: Shape) -> Images:
    size, stride = shape.kernel[0], shape.stride
    before = size - 1 - shape.padding
    sides = zip(shape.image[1:3], y.shape[1:3], strict=True)
    around = [(before, large + size - 2 - before - (small - 1) * stride) for large, small in sides]
    return library(y, kernel[::-1, ::-1].swapaxes(2, 3), (1, 1), around, lhs_dilation=(stride, stride))


def kernel_by_library(x: Images, y: Outputs, shape: Shape) -> Kernels:
    size, stride, before = shape.kernel[0], shape.stride, shape.padding
    sides = zip(x.shape[1:3], y.shape[1:3], strict=True)
    around = [(before, size + (small - 1) * stride - large - before) for large, small in sides]
    by_channel, by_pixel = x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3)
    return library(by_channel, by_pixel, (1, 1), around, rhs_dilation=(stride, stride)).transpose(1, 2, 0, 3)
