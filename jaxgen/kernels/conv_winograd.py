"""The three maps of a convolution in 9 products for 16, where its kernel is twice as long as its stride.

Two neighbouring outputs of a filter of two taps, y0 = d0 g0 + d1 g1 and y1 = d1 g0 + d2 g1, cost three products:

    m0 = (d0 - d1) g0,  m1 = d1 (g0 + g1),  m2 = (d2 - d1) g1;    y0 = m0 + m1,  y1 = m1 + m2

and 2 × 2 outputs nine: F(2 × 2, 2 × 2) of Winograd's minimal filters (Lavin & Gray 2016, arXiv 1509.09308, section
4.1). A kernel of two strides is such a filter of blocks of stride × stride pixels, whose pixels are more channels. So
the products are of matrices, a row for each 2 × 2 outputs. Differences of pixels round as sums do: results are to
float32's rounding those of the other forms.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxgen.kernels.conv_im2col import ConvShape, Images, Kernels, Outputs, flatten_trailing, pad_axis

Grid = Sequence[Sequence[Array]]  # by row and column: of blocks 3 × 3, of outputs 2 × 2
MOST_PRODUCTS = 0.75  # of the definition's, where it pays


def is_applicable(shape: ConvShape) -> bool:
    """Whether the kernel is of two strides, and three quarters of the products do, the last of odd outputs included."""
    if shape.kernel[0] != 2 * shape.stride:
        return False
    high, wide = output_size(shape)
    return 9 * ceil_half(high) * ceil_half(wide) < MOST_PRODUCTS * 4 * high * wide


def output_size(shape: ConvShape) -> tuple[int, int]:
    """Rows and columns."""
    return tuple((side + 2 * shape.padding - shape.kernel[0]) // shape.stride + 1 for side in shape.image[1:3])


def ceil_half(side: int) -> int:
    """So many pairs, the last with a zero where there is an odd number."""
    return -(-side // 2)


def conv(x: Images, kernel: Kernels, shape: ConvShape) -> Outputs:
    pairs = apply_2d(
        output_transform, map_grid(jnp.matmul, transform_inputs(x, shape), kernel_transform(kernel, shape))
    )
    high, wide = output_size(shape)
    blocks = (len(x), ceil_half(high), ceil_half(wide), shape.kernel[3])
    y = stack_grid(map_grid(lambda pair: pair.reshape(blocks), pairs), 2, 3)
    return y.reshape(len(x), 2 * blocks[1], 2 * blocks[2], -1)[:, :high, :wide]


def conv_transpose(y: Outputs, kernel: Kernels, shape: ConvShape) -> Images:
    products = map_grid(
        lambda pair, weight: pair @ weight.T, transform_output_grads(y), kernel_transform(kernel, shape)
    )
    high, wide = (ceil_half(side) for side in y.shape[1:3])
    stride, channels = shape.stride, shape.kernel[2]

    def by_row(column: Sequence[Array]) -> Float[Array, "B H w N"]:
        # Without the barrier, the sums along columns would make each of these again.
        blocks = [each.reshape(-1, high, wide, stride, stride * channels) for each in column]
        rows = jnp.stack(input_transform_adjoint(*blocks, 1), 2).swapaxes(3, 4)
        return lax.optimization_barrier(rows.reshape(len(y), -1, wide, stride * channels))

    columns = jnp.stack(input_transform_adjoint(*map(by_row, zip(*products, strict=True)), 2), 3)
    x = columns.reshape(len(y), columns.shape[1], -1, channels)
    _, tall, broad, _ = shape.image
    return x[:, shape.padding : shape.padding + tall, shape.padding : shape.padding + broad]


def conv_kernel_grad(x: Images, y: Outputs, shape: ConvShape) -> Kernels:
    products = map_grid(lambda blocks, pair: blocks.T @ pair, transform_inputs(x, shape), transform_output_grads(y))
    blocks = (shape.stride, shape.stride, *shape.kernel[2:])
    return stack_grid(map_grid(lambda tap: tap.reshape(blocks), apply_2d(output_transform, products)), 0, 1).reshape(
        shape.kernel
    )


# Along one axis. As matrices, `spread` and `sums` are each other's transposes, `differences` and `laid_back` too.


def input_transform(a: Array, b: Array, c: Array) -> tuple[Array, Array, Array]:
    """Of the blocks that two neighbouring outputs see."""
    return a - b, b, c - b


def output_grad_transform(a: Array, b: Array) -> tuple[Array, Array, Array]:
    return a, a + b, b


def output_transform(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    return a + b, b + c


def input_transform_adjoint(a: Array, b: Array, c: Array, axis: int) -> tuple[Array, Array]:
    """To the even and the odd blocks of an axis: the last block of a pair of outputs is the first of the next."""
    return pad_axis(a, axis, 0, 1) + pad_axis(c, axis, 1, 0), pad_axis(b - a - c, axis, 0, 1)


# Along both.


def apply_2d(of: Callable, grid: Grid) -> Grid:
    """A map of some arrays, over each row of a grid and then over each column."""
    columns = zip(*(of(*row) for row in grid), strict=True)
    return list(zip(*(of(*column) for column in columns), strict=True))


def map_grid(of: Callable, *grids: Grid) -> Grid:
    return [[of(*each) for each in zip(*rows, strict=True)] for rows in zip(*grids, strict=True)]


def stack_grid(grid: Grid, row: int, column: int) -> Array:
    """A grid as two axes of one array."""
    return jnp.stack([jnp.stack(each, column) for each in grid], row)


def kernel_transform(kernel: Kernels, shape: ConvShape) -> Grid:
    """[S S C, F] each."""
    stride = shape.stride
    taps = kernel.reshape(2, stride, 2, stride, *shape.kernel[2:])
    grid = apply_2d(output_grad_transform, [[taps[i, :, j] for j in (0, 1)] for i in (0, 1)])
    return map_grid(lambda tap: flatten_trailing(tap, 1), grid)


def transform_output_grads(y: Outputs) -> Grid:
    """[B h/2 w/2, F] each."""
    for axis in (1, 2):
        y = pad_axis(y, axis, 0, y.shape[axis] % 2)
    batch, high, wide, features = y.shape
    pairs = y.reshape(batch, high // 2, 2, wide // 2, 2, features)
    grid = apply_2d(output_grad_transform, [[pairs[:, :, i, :, j] for j in (0, 1)] for i in (0, 1)])
    return map_grid(lambda pair: flatten_trailing(pair, 1), grid)


def transform_inputs(x: Images, shape: ConvShape) -> Grid:
    """The differences of the blocks that each 2 × 2 outputs see, [B h/2 w/2, S S C] each."""
    stride = shape.stride
    for axis, side in enumerate(output_size(shape), 1):
        x = pad_axis(x, axis, shape.padding, 2 * stride * (ceil_half(side) + 1) - x.shape[axis] - shape.padding)
    # Without the barrier, those along rows would make each of these again.
    columns = [lax.optimization_barrier(each) for each in input_transform(*input_blocks(x, 2, stride))]
    by_row = zip(*(input_transform(*input_blocks(each, 1, stride)) for each in columns), strict=True)
    return map_grid(
        lambda blocks: flatten_trailing(jnp.stack([blocks[:, :, row] for row in range(stride)], 3), 3), list(by_row)
    )


def input_blocks(x: Array, axis: int, stride: int) -> list[Array]:
    """Along one axis, the first, second and third block that each pair of outputs sees: two axes, pair and pixel."""
    pairs = x.shape[axis] // (2 * stride) - 1
    x = x.reshape(*x.shape[:axis], pairs + 1, 2, stride, *x.shape[axis + 1 :])

    def block(first: int, place: int) -> Array:
        return lax.index_in_dim(lax.slice_in_dim(x, first, first + pairs, axis=axis), place, axis + 1, keepdims=False)

    return [block(0, 0), block(0, 1), block(1, 0)]
