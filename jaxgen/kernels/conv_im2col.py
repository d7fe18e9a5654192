"""The three maps of a convolution as matrix products over the windows of all pixels of its output."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Images, Kernels, Outputs = Float[Array, "B H W C"], Float[Array, "K K C F"], Float[Array, "B h w F"]


class ConvShape(NamedTuple):
    """What the three maps have in common."""

    image: tuple[int, ...]  # of x
    kernel: tuple[int, ...]
    stride: int
    padding: int


def conv(x: Images, kernel: Kernels, shape: ConvShape) -> Outputs:
    windows = im2col(x, shape)
    return (flatten_trailing(windows, 3) @ flatten_trailing(kernel, 1)).reshape(*windows.shape[:3], -1)


def conv_transpose(y: Outputs, kernel: Kernels, shape: ConvShape) -> Images:
    windows = (flatten_trailing(y, 1) @ flatten_trailing(kernel, 1).T).reshape(*y.shape[:3], *shape.kernel[:3])
    by_row = col2im(windows, 1, shape.image[1], shape)
    return col2im(by_row, 2, shape.image[2], shape)


def conv_kernel_grad(x: Images, y: Outputs, shape: ConvShape) -> Kernels:
    # The product of two tall matrices takes half as long with the fewer columns first; without the barrier, XLA turns
    # it round again.
    product = lax.dot_general(flatten_trailing(y, 1), flatten_trailing(im2col(x, shape), 3), (((0,), (0,)), ((), ())))
    return lax.optimization_barrier(product).T.reshape(shape.kernel)


def flatten_trailing(x: Array, last: int) -> Float[Array, "M N"]:
    """A matrix whose columns are the last so many axes."""
    return x.reshape(-1, math.prod(x.shape[-last:]))


def im2col(x: Images, shape: ConvShape) -> Float[Array, "B h w K K C"]:
    """What each pixel of the output sees."""
    size, stride, around = shape.kernel[0], shape.stride, shape.padding
    x = jnp.pad(x, ((0, 0), (around, around), (around, around), (0, 0)))

    def seen(row: int, column: int) -> Array:
        return strided_slice(strided_slice(x, row, 1, size, stride), column, 2, size, stride)

    return jnp.stack([jnp.stack([seen(row, column) for column in range(size)], 3) for row in range(size)], 3)


def strided_slice(x: Array, first: int, axis: int, size: int, stride: int) -> Array:
    """Along one axis, the pixels that are `first` in their windows."""
    last = first + (x.shape[axis] - size) // stride * stride
    return lax.slice_in_dim(x, first, last + 1, stride, axis)


def col2im(windows: Array, axis: int, side: int, shape: ConvShape) -> Array:
    """The sum, along one axis, of windows laid over one another; their pixels are axis 3, which goes."""
    size, stride = shape.kernel[0], shape.stride
    most = -(-size // stride)  # windows over a pixel
    phases = []
    for phase in range(stride):
        parts = [
            pad_axis(lax.index_in_dim(windows, place, 3, keepdims=False), axis, shift, most - 1 - shift)
            for shift, place in enumerate(range(phase, size, stride))
        ]
        phases.append(sum_float32(parts))
    x = jnp.stack(phases, axis + 1)
    x = x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
    missing = shape.padding + side - x.shape[axis]  # pixels that no window reaches
    return lax.slice_in_dim(pad_axis(x, axis, 0, max(missing, 0)), shape.padding, shape.padding + side, axis=axis)


def sum_float32(parts: Iterable[Array]) -> Array:
    """Their sum, made in float32."""
    first, *others = parts
    return sum((part.astype(jnp.float32) for part in others), first.astype(jnp.float32)).astype(first.dtype)


def pad_axis(x: Array, axis: int, before: int, after: int) -> Array:
    """With so many zeros along one axis."""
    return jnp.pad(x, [(before, after) if each == axis else (0, 0) for each in range(x.ndim)])
