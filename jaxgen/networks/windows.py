"""The three maps of a convolution as matrix products over the windows of all pixels of its output."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Images, Kernels, Outputs = Float[Array, "B H W C"], Float[Array, "K K C F"], Float[Array, "B h w F"]


class Shape(NamedTuple):
    """What the three maps have in common."""

    image: tuple[int, ...]  # of x
    kernel: tuple[int, ...]
    stride: int
    padding: int


def convolve(x: Images, kernel: Kernels, shape: Shape) -> Outputs:
    windows = windows_of(x, shape)
    return (flat(windows, 3) @ flat(kernel, 1)).reshape(*windows.shape[:3], -1)


def transpose(y: Outputs, kernel: Kernels, shape: Shape) -> Images:
    windows = (flat(y, 1) @ flat(kernel, 1).T).reshape(*y.shape[:3], *shape.kernel[:3])
    by_row = laid_over(windows, 1, shape.image[1], shape)
    return laid_over(by_row, 2, shape.image[2], shape)


def kernel_product(x: Images, y: Outputs, shape: Shape) -> Kernels:
    # The product of two tall matrices takes half as long with the fewer columns first; without the barrier, XLA turns
    # it round again.
    product = lax.dot_general(flat(y, 1), flat(windows_of(x, shape), 3), (((0,), (0,)), ((), ())))
    return lax.optimization_barrier(product).T.reshape(shape.kernel)


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
