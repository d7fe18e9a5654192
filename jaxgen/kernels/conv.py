"""Convolutions and transposed convolutions whose gradients are fast on a CPU, also inside a loop over steps.

`conv` and `conv_transpose` replace `jax.lax.conv_general_dilated` and `jax.lax.conv_transpose` for channels-last images
and square kernels. On a GPU they run XLA's convolutions. On a CPU each runs the fastest of three implementations:

    conv_xla        XLA's convolutions
    conv_im2col     matrix products over windows
    conv_winograd   Winograd's minimal filters, F(2 × 2, 2 × 2)

The file follows stylegan2-ada's `torch_utils/ops/conv2d_gradfix.py`: the same problem in PyTorch, one file and one
switch back to the library.

XLA runs a convolution inside a loop by naive code on a CPU where its axes are out of order: jax issue #12868,
"Convolution is significantly slower inside a loop body (CPU)", open since 2022. The gradients that JAX derives have
axes out of order, or convolve dilated images. One kernel gradient took 3 s instead of 16 ms (64 images of
16 × 16 × 64, a 4 × 4 kernel to 128 channels, stride 2, one core). Hence the custom gradients here, whose axes are in
order. A convolution is linear in the image x and in the kernel k, so three functions suffice:

    conv(x, k)               images by kernel
    conv_transpose(y, k)     the adjoint of conv in x
    conv_kernel_grad(x, y)   the adjoint of conv in k

The gradients of each are the other two, to every order.
"""

from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jaxgen.kernels import conv_im2col, conv_winograd, conv_xla
from jaxgen.kernels.conv_im2col import ConvShape, Images, Kernels, Outputs
from jaxgen.kernels.switch import replaces

MAX_WINDOWS_PER_PIXEL, MAX_CHANNELS = 4, 16  # see `fastest_cpu_implementation`
CHANNELS_LAST = ("NHWC", "HWIO", "NHWC")
Padding = Sequence[tuple[int, int]]  # pixels before and after: of rows, of columns


@replaces(partial(lax.conv_general_dilated, dimension_numbers=CHANNELS_LAST))
def conv(lhs: Images, rhs: Kernels, window_strides: tuple[int, int], padding: Padding) -> Outputs:
    """Returns the convolution of images by a kernel, as `jax.lax.conv_general_dilated` of channels-last images.

    Args:
      lhs: images.
      rhs: a square kernel.
      window_strides: two equal strides, in pixels.
      padding: four equal numbers of pixels.
    """
    (before, _), _ = padding
    assert rhs.shape[0] == rhs.shape[1], rhs.shape
    assert len(set(window_strides)) == 1, window_strides
    assert {pixels for pair in padding for pixels in pair} == {before}, padding
    return conv_with_gradients(lhs, rhs, ConvShape(lhs.shape, rhs.shape, window_strides[0], before))


@replaces(partial(lax.conv_transpose, dimension_numbers=CHANNELS_LAST, transpose_kernel=True))
def conv_transpose(lhs: Outputs, rhs: Kernels, strides: tuple[int, int], padding: Padding) -> Images:
    """Returns the transposed convolution, as `jax.lax.conv_transpose` with `transpose_kernel=True`.

    Args:
      lhs: images [B h w F].
      rhs: the square kernel [K K C F] of the convolution whose adjoint this is.
      strides: two equal strides of that convolution, in pixels.
      padding: for rows and for columns, the pixels before and after the dilated images: before, K - 1 minus the
        padding of that convolution.
    """
    size, stride, (before, after) = rhs.shape[0], strides[0], padding[0]
    assert rhs.shape[0] == rhs.shape[1], rhs.shape
    assert strides[0] == strides[1], strides
    assert padding[0] == padding[1], padding
    height, width = ((side - 1) * stride + before + after - size + 2 for side in lhs.shape[1:3])
    image = (len(lhs), height, width, rhs.shape[2])
    return conv_transpose_with_gradients(lhs, rhs, ConvShape(image, rhs.shape, stride, size - 1 - before))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_with_gradients(x: Images, kernel: Kernels, shape: ConvShape) -> Outputs:
    """Returns the convolution of images by a kernel."""
    fastest = fastest_cpu_implementation(x, shape)
    return dispatch_by_platform(fastest.conv, conv_xla.conv, x, kernel, shape)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_transpose_with_gradients(y: Outputs, kernel: Kernels, shape: ConvShape) -> Images:
    """Returns the adjoint of the convolution in the images."""
    fastest = fastest_cpu_implementation(y, shape, extracts_windows=False)
    return dispatch_by_platform(fastest.conv_transpose, conv_xla.conv_transpose, y, kernel, shape)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_kernel_grad(x: Images, y: Outputs, shape: ConvShape) -> Kernels:
    """Returns the adjoint of the convolution in the kernel: the gradient of the kernel for a gradient of the output."""
    fastest = fastest_cpu_implementation(x, shape)
    # XLA's convolution is slower with fewer output channels. Swapping the roles of image and output takes 0.63 ms
    # instead of 0.86 (128 images of 7 × 7, a 3 × 3 kernel from 32 to 16 channels, two cores).
    has_fewer_outputs = shape.kernel[2] > shape.kernel[3]
    can_swap = fastest is conv_xla and shape.stride == 1 and shape.padding < shape.kernel[0]
    on_cpu = conv_xla.conv_kernel_grad_swapped if can_swap and has_fewer_outputs else fastest.conv_kernel_grad
    return dispatch_by_platform(on_cpu, conv_xla.conv_kernel_grad, x, y, shape)


def dispatch_by_platform(on_cpu: Callable, elsewhere: Callable, a: Array, b: Array, shape: ConvShape) -> Array:
    """Returns the result of one of two implementations, chosen by the platform that the program is lowered for."""
    if on_cpu is elsewhere:
        return elsewhere(a, b, shape)
    return lax.platform_dependent(a, b, cpu=partial(on_cpu, shape=shape), default=partial(elsewhere, shape=shape))


def fastest_cpu_implementation(a: Array, shape: ConvShape, extracts_windows: bool = True) -> ModuleType:
    """Returns the module that computes a convolution fastest on a CPU.

    Args:
      a: the first input.
      shape: the convolution's.
      extracts_windows: whether im2col copies every window of an image, as `conv` and `conv_kernel_grad` do.
    """
    # XLA's strided convolutions do not use all cores of a CPU well: a step of a DCGAN with 32 channels took 57 ms by
    # them and 46 ms by im2col (two cores). Copying the windows costs more than it saves where a pixel is in many
    # windows or has many channels. There Winograd's filters take 0.77 of the time of this step, 0.73 with 64
    # channels and 0.79 for a VAE/GAN (two cores of an EPYC, with the flags of `distributed/compiler_options.py`).
    # With 16 channels they are no faster than im2col.
    if conv_winograd.is_applicable(shape) and not has_few_channels(shape) and a.dtype == jnp.float32:
        return conv_winograd
    return conv_im2col if has_few_windows(shape) and (has_few_channels(shape) or not extracts_windows) else conv_xla


def has_few_windows(shape: ConvShape) -> bool:
    """Returns whether a pixel is in few windows."""
    return (shape.kernel[0] / shape.stride) ** 2 <= MAX_WINDOWS_PER_PIXEL


def has_few_channels(shape: ConvShape) -> bool:
    """Returns whether the images have few channels."""
    return shape.kernel[2] <= MAX_CHANNELS


def _save_inputs(function: Callable) -> Callable:
    """Returns the forward pass of a custom gradient, which saves both inputs for the backward pass."""
    return lambda a, b, shape: (function(a, b, shape), (a, b))


conv_with_gradients.defvjp(
    _save_inputs(conv_with_gradients),
    lambda shape, saved, g: (
        conv_transpose_with_gradients(g, saved[1], shape),
        conv_kernel_grad(saved[0], g, shape),
    ),
)
conv_transpose_with_gradients.defvjp(
    _save_inputs(conv_transpose_with_gradients),
    lambda shape, saved, g: (
        conv_with_gradients(g, saved[1], shape),
        conv_kernel_grad(g, saved[0], shape),
    ),
)
conv_kernel_grad.defvjp(
    _save_inputs(conv_kernel_grad),
    lambda shape, saved, g: (
        conv_transpose_with_gradients(saved[1], g, shape),
        conv_with_gradients(saved[0], g, shape),
    ),
)
