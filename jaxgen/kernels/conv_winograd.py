"""Convolutions by Winograd's minimal filters, for kernels twice as long as their stride. CPU only, in float32.

They take 21–27 % off a DCGAN step (two cores of an EPYC): 27 % with 64 channels, 23 % with 32, and 21 % for a VAE/GAN.

Two neighboring outputs of a filter with two taps, y0 = d0 g0 + d1 g1 and y1 = d1 g0 + d2 g1, cost three products
instead of four:

    m0 = (d0 - d1) g0,  m1 = d1 (g0 + g1),  m2 = (d2 - d1) g1;    y0 = m0 + m1,  y1 = m1 + m2

Hence 2 × 2 outputs cost 9 products instead of 16: F(2 × 2, 2 × 2) in Lavin & Gray 2016 (arXiv 1509.09308, section
4.1). A convolution is there

    y = output_transform( input_transform(d) · kernel_transform(g) )

with elementwise products over a 3 × 3 grid, each transform applied along rows and columns. A kernel of two strides is
a 2 × 2 filter of blocks of stride × stride pixels, whose pixels count as channels. So each elementwise product is a
matrix product, with one row for each 2 × 2 outputs. Differences of inputs round as sums do: results agree with the
other implementations to float32's rounding.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxgen.kernels.conv_im2col import ConvShape, Images, Kernels, Outputs, flatten_trailing, pad_axis

Grid = Sequence[Sequence[Array]]  # by row and column: 3 × 3 in the transformed domain, 2 × 2 for outputs and taps
MAX_PRODUCT_RATIO = 0.75  # of the products in the definition of a convolution; above it, the transforms do not pay


def is_applicable(shape: ConvShape) -> bool:
    """Returns whether the kernel has two strides, and the products are below `MAX_PRODUCT_RATIO` of the definition's.

    A zero completes the last pair of an odd number of outputs, so small odd sides need relatively more products.
    """
    if shape.kernel[0] != 2 * shape.stride:
        return False
    height, width = output_size(shape)
    return 9 * ceil_half(height) * ceil_half(width) < MAX_PRODUCT_RATIO * 4 * height * width


def output_size(shape: ConvShape) -> tuple[int, int]:
    """Returns the height and width of the convolution's output."""
    return tuple((side + 2 * shape.padding - shape.kernel[0]) // shape.stride + 1 for side in shape.image[1:3])


def ceil_half(side: int) -> int:
    """Returns the number of pairs of outputs along a side; a zero completes the last pair of an odd side."""
    return -(-side // 2)


def conv(x: Images, kernel: Kernels, shape: ConvShape) -> Outputs:
    """Returns the convolution of images by a kernel."""
    products = map_grid(jnp.matmul, transform_inputs(x, shape), transform_kernel(kernel, shape))
    outputs = apply_2d(output_transform, products)
    height, width = output_size(shape)
    blocks = (len(x), ceil_half(height), ceil_half(width), shape.kernel[3])
    y = stack_grid(map_grid(lambda output: output.reshape(blocks), outputs), 2, 3)
    return y.reshape(len(x), 2 * blocks[1], 2 * blocks[2], -1)[:, :height, :width]


def conv_transpose(y: Outputs, kernel: Kernels, shape: ConvShape) -> Images:
    """Returns the adjoint of the convolution in the images."""
    weights = transform_kernel(kernel, shape)
    products = map_grid(lambda grad, weight: grad @ weight.T, transform_output_grads(y), weights)
    height, width = (ceil_half(side) for side in y.shape[1:3])
    stride, channels = shape.stride, shape.kernel[2]

    def sum_rows(column: Sequence[Array]) -> Float[Array, "B H w N"]:
        # Without the barrier, XLA recomputes these sums in the sums along columns.
        blocks = [product.reshape(-1, height, width, stride, stride * channels) for product in column]
        rows = jnp.stack(input_transform_adjoint(*blocks, 1), 2).swapaxes(3, 4)
        return lax.optimization_barrier(rows.reshape(len(y), -1, width, stride * channels))

    columns = jnp.stack(input_transform_adjoint(*map(sum_rows, zip(*products, strict=True)), 2), 3)
    x = columns.reshape(len(y), columns.shape[1], -1, channels)
    _, image_height, image_width, _ = shape.image
    return x[:, shape.padding : shape.padding + image_height, shape.padding : shape.padding + image_width]


def conv_kernel_grad(x: Images, y: Outputs, shape: ConvShape) -> Kernels:
    """Returns the adjoint of the convolution in the kernel."""
    products = map_grid(lambda inputs, grad: inputs.T @ grad, transform_inputs(x, shape), transform_output_grads(y))
    taps = apply_2d(output_transform, products)  # also the adjoint of `kernel_transform`
    blocks = (shape.stride, shape.stride, *shape.kernel[2:])
    return stack_grid(map_grid(lambda tap: tap.reshape(blocks), taps), 0, 1).reshape(shape.kernel)


# Transforms along one axis. As matrices, `kernel_transform` and `output_transform` are each other's transposes.


def input_transform(a: Array, b: Array, c: Array) -> tuple[Array, Array, Array]:
    """Transforms the three input blocks of two neighboring outputs."""
    return a - b, b, c - b


def input_transform_adjoint(a: Array, b: Array, c: Array, axis: int) -> tuple[Array, Array]:
    """Returns the even and the odd blocks along an axis: the adjoint of `input_blocks` and `input_transform`.

    The last block of a pair of outputs is the first block of the next pair.
    """
    return pad_axis(a, axis, 0, 1) + pad_axis(c, axis, 1, 0), pad_axis(b - a - c, axis, 0, 1)


def kernel_transform(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Transforms the two taps of a filter, or the gradients of two outputs (the adjoint of `output_transform`)."""
    return a, a + b, b


def output_transform(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """Returns two neighboring outputs from three products, or the gradients of two taps."""
    return a + b, b + c


# Transforms along rows and columns.


def transform_inputs(x: Images, shape: ConvShape) -> Grid:
    """Returns the transformed input blocks of each 2 × 2 outputs: 3 × 3 matrices [B h/2 w/2, S S C]."""
    stride = shape.stride
    for axis, side in enumerate(output_size(shape), 1):
        x = pad_axis(x, axis, shape.padding, 2 * stride * (ceil_half(side) + 1) - x.shape[axis] - shape.padding)
    # Without the barrier, XLA recomputes these differences in the differences along rows.
    columns = [lax.optimization_barrier(column) for column in input_transform(*input_blocks(x, 2, stride))]
    rows = zip(*(input_transform(*input_blocks(column, 1, stride)) for column in columns), strict=True)
    return map_grid(
        lambda blocks: flatten_trailing(jnp.stack([blocks[:, :, row] for row in range(stride)], 3), 3), list(rows)
    )


def transform_kernel(kernel: Kernels, shape: ConvShape) -> Grid:
    """Returns the transformed kernel: 3 × 3 matrices [S S C, F]."""
    stride = shape.stride
    taps = kernel.reshape(2, stride, 2, stride, *shape.kernel[2:])
    grid = apply_2d(kernel_transform, [[taps[i, :, j] for j in (0, 1)] for i in (0, 1)])
    return map_grid(lambda tap: flatten_trailing(tap, 1), grid)


def transform_output_grads(y: Outputs) -> Grid:
    """Returns the adjoint of the output transform: 3 × 3 matrices [B h/2 w/2, F]."""
    for axis in (1, 2):
        y = pad_axis(y, axis, 0, y.shape[axis] % 2)
    batch, height, width, features = y.shape
    pairs = y.reshape(batch, height // 2, 2, width // 2, 2, features)
    grid = apply_2d(kernel_transform, [[pairs[:, :, i, :, j] for j in (0, 1)] for i in (0, 1)])
    return map_grid(lambda pair: flatten_trailing(pair, 1), grid)


def input_blocks(x: Array, axis: int, stride: int) -> list[Array]:
    """Returns the three input blocks of each pair of outputs along an axis, which becomes two: pair and pixel."""
    pairs = x.shape[axis] // (2 * stride) - 1
    x = x.reshape(*x.shape[:axis], pairs + 1, 2, stride, *x.shape[axis + 1 :])

    def block(first: int, place: int) -> Array:
        return lax.index_in_dim(lax.slice_in_dim(x, first, first + pairs, axis=axis), place, axis + 1, keepdims=False)

    return [block(0, 0), block(0, 1), block(1, 0)]


def apply_2d(transform: Callable, grid: Grid) -> Grid:
    """Applies a transform to each row of a grid and then to each column."""
    columns = zip(*(transform(*row) for row in grid), strict=True)
    return list(zip(*(transform(*column) for column in columns), strict=True))


def map_grid(function: Callable, *grids: Grid) -> Grid:
    """Applies a function to corresponding elements of grids."""
    return [[function(*elements) for elements in zip(*rows, strict=True)] for rows in zip(*grids, strict=True)]


def stack_grid(grid: Grid, row: int, column: int) -> Array:
    """Stacks a grid into one array, with rows and columns as two new axes."""
    return jnp.stack([jnp.stack(elements, column) for elements in grid], row)
