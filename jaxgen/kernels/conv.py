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

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jaxgen.kernels import conv_im2col, conv_winograd, conv_xla
from jaxgen.kernels.conv_im2col import ConvShape, Images, Kernels, Outputs

MOST_COPIES, MOST_CHANNELS = 4, 16  # see `on_a_cpu`


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(x: Images, kernel: Kernels, shape: ConvShape) -> Outputs:
    """The convolution of images."""
    form = fastest_cpu_implementation(x, shape)
    return dispatch_by_platform(form.conv, conv_xla.conv, x, kernel, shape)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_transpose(y: Outputs, kernel: Kernels, shape: ConvShape) -> Images:
    """The adjoint of `convolve` in x."""
    form = fastest_cpu_implementation(y, shape, lays_out=False)
    return dispatch_by_platform(form.conv_transpose, conv_xla.conv_transpose, y, kernel, shape)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_kernel_grad(x: Images, y: Outputs, shape: ConvShape) -> Kernels:
    """The adjoint of `convolve` in the kernel."""
    form = fastest_cpu_implementation(x, shape)
    # XLA's convolution is the slower, the fewer channels it has to make: .63 ms for .86 by the other side (128 images
    # of 7 × 7, a kernel of 3 × 3 from 32 to 16 channels, two cores).
    turns = form is conv_xla and shape.stride == 1 and shape.kernel[2] > shape.kernel[3]
    best = conv_xla.conv_kernel_grad_swapped if turns and shape.padding < shape.kernel[0] else form.conv_kernel_grad
    return dispatch_by_platform(best, conv_xla.conv_kernel_grad, x, y, shape)


def dispatch_by_platform(on_cpu: Callable, elsewhere: Callable, a: Array, b: Array, shape: ConvShape) -> Array:
    """What one of two forms gives."""
    if on_cpu is elsewhere:
        return elsewhere(a, b, shape)
    return lax.platform_dependent(a, b, cpu=partial(on_cpu, shape=shape), default=partial(elsewhere, shape=shape))


def fastest_cpu_implementation(a: Array, shape: ConvShape, lays_out: bool = True) -> ModuleType:
    """The module whose form of a map is the fastest there, for a map that lays out an image's windows or does not."""
    # XLA's convolutions on a CPU do not use its cores well where the stride is above 1: a step of a DCGAN of 32
    # channels took 57 ms by them and 46 by windows (two cores). Where a pixel lies in many windows, or has many
    # channels, laying the windows out costs more than it spares. There filters take .77 of the time of such a step,
    # .73 of one of 64 channels, .79 of one of a VAE/GAN (two cores of an EPYC, the library as `parallel.py` asks for
    # it); of 16 channels they are no faster than windows.
    if conv_winograd.is_applicable(shape) and not has_few_channels(shape) and a.dtype == jnp.float32:
        return conv_winograd
    return conv_im2col if has_few_windows(shape) and (has_few_channels(shape) or not lays_out) else conv_xla


def has_few_windows(shape: ConvShape) -> bool:
    """Whether a pixel lies in few."""
    return (shape.kernel[0] / shape.stride) ** 2 <= MOST_COPIES


def has_few_channels(shape: ConvShape) -> bool:
    """Whether images have few."""
    return shape.kernel[2] <= MOST_CHANNELS


def _with_inputs(of: Callable) -> Callable:
    """A map of two arrays, and the two for its gradients."""
    return lambda a, b, shape: (of(a, b, shape), (a, b))


conv.defvjp(
    _with_inputs(conv),
    lambda shape, saved, g: (conv_transpose(g, saved[1], shape), conv_kernel_grad(saved[0], g, shape)),
)
conv_transpose.defvjp(
    _with_inputs(conv_transpose),
    lambda shape, saved, g: (conv(g, saved[1], shape), conv_kernel_grad(g, saved[0], shape)),
)
conv_kernel_grad.defvjp(
    _with_inputs(conv_kernel_grad),
    lambda shape, saved, g: (conv_transpose(saved[1], g, shape), conv(saved[0], g, shape)),
)
