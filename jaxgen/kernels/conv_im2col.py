"""Convolutions as matrix products over windows (im2col): one row of a matrix for each output pixel.

The three functions equal those of `conv_xla`. `ConvShape` and the small helpers serve the other implementations too.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Images, Kernels, Outputs = Float[Array, "B H W C"], Float[Array, "K K C F"], Float[Array, "B h w F"]


class ConvShape(NamedTuple):
    """The static arguments of a convolution, which its adjoints share."""

    image: tuple[int, ...]  # of the convolution's input, [B, H, W, C]
    kernel: tuple[int, ...]  # [K, K, C, F]
    stride: int
    padding: int  # pixels on each side


def conv(x: Images, kernel: Kernels, shape: ConvShape) -> Outputs:
    """Returns the convolution of images by a kernel."""
    windows = im2col(x, shape)
    return (flatten_trailing(windows, 3) @ flatten_trailing(kernel, 1)).reshape(*windows.shape[:3], -1)


def conv_transpose(y: Outputs, kernel: Kernels, shape: ConvShape) -> Images:
    """Returns the adjoint of the convolution in the images."""
    windows = (flatten_trailing(y, 1) @ flatten_trailing(kernel, 1).T).reshape(*y.shape[:3], *shape.kernel[:3])
    rows_summed = col2im(windows, 1, shape.image[1], shape)
    return col2im(rows_summed, 2, shape.image[2], shape)


def conv_kernel_grad(x: Images, y: Outputs, shape: ConvShape) -> Kernels:
    """Returns the adjoint of the convolution in the kernel."""
    # The product of two tall matrices takes half the time with the narrower one first. Without the barrier, XLA swaps
    # them back.
    product = lax.dot_general(flatten_trailing(y, 1), flatten_trailing(im2col(x, shape), 3), (((0,), (0,)), ((), ())))
    return lax.optimization_barrier(product).T.reshape(shape.kernel)


def flatten_trailing(x: Array, num_axes: int) -> Float[Array, "M N"]:
    """Returns a matrix whose columns are the last `num_axes` axes of x."""
    return x.reshape(-1, math.prod(x.shape[-num_axes:]))


def im2col(x: Images, shape: ConvShape) -> Float[Array, "B h w K K C"]:
    """Returns the window of each output pixel."""
    size, stride, padding = shape.kernel[0], shape.stride, shape.padding
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def select(row: int, column: int) -> Array:
        return strided_slice(strided_slice(x, row, 1, size, stride), column, 2, size, stride)

    return jnp.stack([jnp.stack([select(row, column) for column in range(size)], 3) for row in range(size)], 3)


def strided_slice(x: Array, first: int, axis: int, size: int, stride: int) -> Array:
    """Returns the pixels at position `first` of each window along an axis."""
    last = first + (x.shape[axis] - size) // stride * stride
    return lax.slice_in_dim(x, first, last + 1, stride, axis)


def col2im(windows: Array, axis: int, side: int, shape: ConvShape) -> Array:
    """Returns the sum of overlapping windows along one axis: the adjoint of `im2col` along that axis.

    Args:
      windows: windows whose pixels along the axis are axis 3, which the sum removes.
      axis: 1 for rows, 2 for columns.
      side: pixels of the result along the axis.
      shape: the convolution's.
    """
    size, stride = shape.kernel[0], shape.stride
    windows_per_pixel = -(-size // stride)
    phases = []
    for phase in range(stride):
        parts = [
            pad_axis(lax.index_in_dim(windows, place, 3, keepdims=False), axis, shift, windows_per_pixel - 1 - shift)
            for shift, place in enumerate(range(phase, size, stride))
        ]
        phases.append(sum_float32(parts))
    x = jnp.stack(phases, axis + 1)
    x = x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
    missing = shape.padding + side - x.shape[axis]  # pixels outside all windows
    return lax.slice_in_dim(pad_axis(x, axis, 0, max(missing, 0)), shape.padding, shape.padding + side, axis=axis)


def sum_float32(parts: Iterable[Array]) -> Array:
    """Returns the sum of arrays, accumulated in float32, in the dtype of the first."""
    first, *others = parts
    return sum((part.astype(jnp.float32) for part in others), first.astype(jnp.float32)).astype(first.dtype)


def pad_axis(x: Array, axis: int, before: int, after: int) -> Array:
    """Pads one axis with zeros."""
    return jnp.pad(x, [(before, after) if number == axis else (0, 0) for number in range(x.ndim)])
