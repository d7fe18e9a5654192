"""Convolutions by XLA's own convolution, with every axis in order: the form on a GPU, and the slow one on a CPU.

These functions are written with `jax.lax.conv_general_dilated` alone. They are the reference for `conv_im2col` and
`conv_winograd`.
"""

from functools import partial

from jax import lax

from jaxgen.kernels.conv_im2col import ConvShape, Images, Kernels, Outputs

convolution = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def conv(x: Images, kernel: Kernels, shape: ConvShape) -> Outputs:
    """Returns the convolution of images by a kernel."""
    return convolution(x, kernel, (shape.stride,) * 2, [(shape.padding,) * 2] * 2)


def conv_transpose(y: Outputs, kernel: Kernels, shape: ConvShape) -> Images:
    """Returns the adjoint of the convolution in the images."""
    size, stride = shape.kernel[0], shape.stride
    before = size - 1 - shape.padding
    sides = zip(shape.image[1:3], y.shape[1:3], strict=True)
    padding = [(before, large + size - 2 - before - (small - 1) * stride) for large, small in sides]
    return convolution(y, kernel[::-1, ::-1].swapaxes(2, 3), (1, 1), padding, lhs_dilation=(stride, stride))


def conv_kernel_grad(x: Images, y: Outputs, shape: ConvShape) -> Kernels:
    """Returns the adjoint of the convolution in the kernel."""
    size, stride, before = shape.kernel[0], shape.stride, shape.padding
    sides = zip(x.shape[1:3], y.shape[1:3], strict=True)
    padding = [(before, size + (small - 1) * stride - large - before) for large, small in sides]
    by_channel, by_pixel = x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3)
    return convolution(by_channel, by_pixel, (1, 1), padding, rhs_dilation=(stride, stride)).transpose(1, 2, 0, 3)


def conv_kernel_grad_swapped(x: Images, y: Outputs, shape: ConvShape) -> Kernels:
    """Returns `conv_kernel_grad` at stride 1, with the roles of image and output swapped."""
    padding = [(shape.kernel[0] - 1 - shape.padding,) * 2] * 2
    by_feature, by_pixel = y.transpose(3, 1, 2, 0), x.transpose(1, 2, 0, 3)
    return convolution(by_feature, by_pixel, (1, 1), padding)[:, ::-1, ::-1].transpose(1, 2, 3, 0)
