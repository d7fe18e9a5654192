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

from collections.abc import Callable
from functools import partial
from types import ModuleType

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import lecun_normal, zeros
from jax import lax
from jaxtyping import Array, Float

from jaxgen.networks import filters, library, windows
from jaxgen.networks.linear import plus_bias
from jaxgen.networks.windows import Images, Kernels, Outputs, Shape, total

MOST_COPIES, MOST_CHANNELS = 4, 16  # see `on_a_cpu`


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
    form = on_a_cpu(x, shape)
    return where_it_runs(form.convolve, library.convolve, x, kernel, shape)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def transpose(y: Outputs, kernel: Kernels, shape: Shape) -> Images:
    """The adjoint of `convolve` in x."""
    form = on_a_cpu(y, shape, lays_out=False)
    return where_it_runs(form.transpose, library.transpose, y, kernel, shape)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def kernel_product(x: Images, y: Outputs, shape: Shape) -> Kernels:
    """The adjoint of `convolve` in the kernel."""
    form = on_a_cpu(x, shape)
    # XLA's convolution is the slower, the fewer channels it has to make: .63 ms for .86 by the other side (128 images
    # of 7 × 7, a kernel of 3 × 3 from 32 to 16 channels, two cores).
    turns = form is library and shape.stride == 1 and shape.kernel[2] > shape.kernel[3]
    best = library.turned_kernel_product if turns and shape.padding < shape.kernel[0] else form.kernel_product
    return where_it_runs(best, library.kernel_product, x, y, shape)


def where_it_runs(on_cpu: Callable, elsewhere: Callable, a: Array, b: Array, shape: Shape) -> Array:
    """What one of two forms gives."""
    if on_cpu is elsewhere:
        return elsewhere(a, b, shape)
    return lax.platform_dependent(a, b, cpu=partial(on_cpu, shape=shape), default=partial(elsewhere, shape=shape))


def on_a_cpu(a: Array, shape: Shape, lays_out: bool = True) -> ModuleType:
    """The module whose form of a map is the fastest there, for a map that lays out an image's windows or does not."""
    # XLA's convolutions on a CPU do not use its cores well where the stride is above 1: a step of a DCGAN of 32
    # channels took 57 ms by them and 46 by windows (two cores). Where a pixel lies in many windows, or has many
    # channels, laying the windows out costs more than it spares. There filters take .77 of the time of such a step,
    # .73 of one of 64 channels, .79 of one of a VAE/GAN (two cores of an EPYC, the library as `parallel.py` asks for
    # it); of 16 channels they are no faster than windows.
    if filters.fits(shape) and not few_channels(shape) and a.dtype == jnp.float32:
        return filters
    return windows if few_windows(shape) and (few_channels(shape) or not lays_out) else library


def few_windows(shape: Shape) -> bool:
    """Whether a pixel lies in few."""
    return (shape.kernel[0] / shape.stride) ** 2 <= MOST_COPIES


def few_channels(shape: Shape) -> bool:
    """Whether images have few."""
    return shape.kernel[2] <= MOST_CHANNELS


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
