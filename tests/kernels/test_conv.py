"""Convolutions equal Flax's and XLA's, forward and backward."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgen.kernels import conv_im2col, conv_winograd, conv_xla
from jaxgen.kernels.conv import conv, conv_transpose
from jaxgen.kernels.conv_im2col import ConvShape
from jaxgen.networks.conv import BlurConvTranspose, Conv, ConvTranspose


def slow(*cases):
    return [pytest.param(*case, marks=pytest.mark.slow) for case in cases]


MORE_SHAPES = [(4, 1, 2), (1, 1, 1), (3, 2, 1), (5, 2, 2), (5, 3, 0), (2, 2, 1), (1, 1, 0)]
SHAPES = [(3, 1, 1), (4, 2, 1), *slow(*MORE_SHAPES)]
SHAPES_AND_EXTRA = [(3, 1, 1, 0), (4, 2, 1, 0), *slow(*((*shape, 0) for shape in MORE_SHAPES), (5, 2, 2, 1))]
X = jax.random.normal(jax.random.key(0), (2, 8, 11, 3))
ON_A_CPU = pytest.mark.skipif(jax.default_backend() != "cpu", reason="on other devices XLA convolves")


@pytest.mark.parametrize(("size", "stride", "padding"), SHAPES)
def test_a_convolution_and_its_gradients_equal_flaxs(kernels, size, stride, padding):
    del kernels
    flax_layer = nn.Conv(5, (size, size), stride, [(padding, padding)] * 2)
    assert_same_with_gradients(Conv(5, size, stride, padding), flax_layer, lambda params: params)


@pytest.mark.parametrize(("size", "stride", "padding", "extra"), SHAPES_AND_EXTRA)
def test_a_transposed_convolution_equals_flaxs_with_the_kernel_flipped(kernels, size, stride, padding, extra):
    del kernels
    before = size - 1 - padding
    flax_layer = nn.ConvTranspose(5, (size, size), (stride, stride), [(before, before + extra)] * 2)
    layer = ConvTranspose(5, size, stride, padding, extra=extra)
    assert_same_with_gradients(layer, flax_layer, lambda params: {**params, "kernel": params["kernel"][::-1, ::-1]})


def assert_same_with_gradients(layer, flax_layer, to_flax):
    """Compares outputs and the gradients by kernel, bias and image, up to float32's rounding."""
    params = {**layer.init(jax.random.key(1), X)["params"], "bias": jnp.arange(5.0)}
    found = value_and_gradients(lambda params, x: layer.apply({"params": params}, x), params, X)
    expected = value_and_gradients(lambda params, x: flax_layer.apply({"params": to_flax(params)}, x), params, X)
    assert_close(found, expected)


def value_and_gradients(function, *inputs):
    output, vjp = jax.vjp(function, *inputs)
    return output, *vjp(jnp.cos(output))


def assert_close(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


# (K, C, F) and the image's height and width: im2col, Winograd and XLA on a CPU.
KERNELS = [(4, 3, 5, (8, 9)), (4, 20, 5, (8, 12)), (5, 20, 5, (8, 12))]


@pytest.mark.parametrize(("size", "channels", "features", "sides"), KERNELS)
@pytest.mark.parametrize("padding", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_conv_equals_the_library_call_with_gradients(kernels, size, channels, features, sides, padding):
    x = jax.random.normal(jax.random.key(0), (2, *sides, channels))
    kernel = jax.random.normal(jax.random.key(1), (size, size, channels, features))
    names = ("NHWC", "HWIO", "NHWC")
    arguments = ((2, 2), [(padding, padding)] * 2)
    library = [lambda x, k: lax.conv_general_dilated(x, k, *arguments, dimension_numbers=names)]
    library += [lambda x, k: conv.reference(x, k, *arguments)]
    for expected in library:
        found = value_and_gradients(lambda x, k: conv(x, k, *arguments), x, kernel)
        assert_close(found, value_and_gradients(expected, x, kernel))
    if kernels == "reference":
        np.testing.assert_array_equal(conv(x, kernel, *arguments), library[0](x, kernel))


@pytest.mark.parametrize(("size", "channels", "features", "sides"), KERNELS)
@pytest.mark.parametrize(("padding", "extra"), [(1, 1), *slow((0, 0), (1, 0))])
def test_conv_transpose_equals_the_library_call_with_gradients(
    kernels, size, channels, features, sides, padding, extra
):
    y = jax.random.normal(jax.random.key(0), (2, *sides, features))
    kernel = jax.random.normal(jax.random.key(1), (size, size, channels, features))
    arguments = ((2, 2), [(size - 1 - padding, size - 1 - padding + extra)] * 2)
    names = ("NHWC", "HWIO", "NHWC")

    def library(y, k):
        return lax.conv_transpose(y, k, *arguments, dimension_numbers=names, transpose_kernel=True)

    found = value_and_gradients(lambda y, k: conv_transpose(y, k, *arguments), y, kernel)
    assert_close(found, value_and_gradients(library, y, kernel))
    if kernels == "reference":
        np.testing.assert_array_equal(conv_transpose(y, kernel, *arguments), library(y, kernel))


def test_the_reference_has_no_custom_gradient(monkeypatch):
    arguments = (X, jnp.ones((4, 4, 3, 5)), (2, 2), [(1, 1)] * 2)

    def program():
        return str(
            jax.make_jaxpr(lambda: conv(*arguments).sum() + conv_transpose(conv(*arguments), *arguments[1:]).sum())()
        )

    monkeypatch.setenv("JAXGEN_REFERENCE_KERNELS", "0")
    assert "custom_vjp" in program()
    monkeypatch.setenv("JAXGEN_REFERENCE_KERNELS", "1")
    assert "custom_vjp" not in program()
    assert "conv_general_dilated" in program()


@pytest.mark.parametrize(("size", "stride", "padding"), [*SHAPES, *slow((4, 4, 0))])
def test_im2col_equals_xla(size, stride, padding):
    assert_same_as_xla(conv_im2col, ConvShape(X.shape, (size, size, 3, 5), stride, padding))


@pytest.mark.parametrize(
    ("sides", "stride", "padding"),
    [((8, 12), 2, 1), *slow(((9, 13), 2, 1), ((10, 6), 2, 0), ((9, 16), 3, 0), ((5, 7), 1, 0), ((14, 18), 2, 1))],
)
def test_winograd_equals_xla(sides, stride, padding):
    shape = ConvShape((2, *sides, 3), (2 * stride, 2 * stride, 3, 5), stride, padding)
    assert conv_winograd.is_applicable(shape)
    assert_same_as_xla(conv_winograd, shape)


@pytest.mark.parametrize(
    "shape", [ConvShape((2, 6, 10, 3), (4, 4, 3, 5), 2, 1), ConvShape((2, 8, 8, 3), (3, 3, 3, 5), 2, 1)]
)
def test_winograd_does_not_apply_to_few_odd_outputs_or_other_kernels(shape):
    assert not conv_winograd.is_applicable(shape)


@ON_A_CPU
@pytest.mark.parametrize(("dtype", "is_xla"), [("float32", False), ("bfloat16", True)])
def test_winograd_runs_in_float32_alone_on_a_cpu(monkeypatch, dtype, is_xla):
    """In bfloat16, differences of pixels and sums of products would round too coarsely."""
    monkeypatch.setenv("JAXGEN_REFERENCE_KERNELS", "0")
    x, layer = jnp.zeros((2, 8, 12, 20)), Conv(32, 4, 2, 1)
    inputs = jax.tree.map(lambda x: x.astype(dtype), (layer.init(jax.random.key(0), x), x))
    assert ("stablehlo.convolution" in jax.jit(layer.apply).lower(*inputs).as_text()) == is_xla


def assert_same_as_xla(module, shape):
    """Compares an implementation's three functions with XLA's, up to float32's rounding."""
    x, kernel = (jax.random.normal(jax.random.key(i), sides) for i, sides in enumerate(shape[:2]))
    y = conv_xla.conv(x, kernel, shape)
    for name, inputs in (("conv", (x, kernel)), ("conv_transpose", (y, kernel)), ("conv_kernel_grad", (x, y))):
        found, expected = (getattr(each, name)(*inputs, shape) for each in (module, conv_xla))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "padding"), [(3, 1), (3, 0), (2, 1), (5, 4), (1, 0)])
def test_a_kernel_gradient_is_the_same_with_image_and_output_swapped(size, padding):
    shape = ConvShape(X.shape, (size, size, 3, 5), 1, padding)
    y = conv_xla.conv(X, jnp.zeros(shape.kernel), shape)
    y = jax.random.normal(jax.random.key(1), y.shape)
    swapped, straight = (f(X, y, shape) for f in (conv_xla.conv_kernel_grad_swapped, conv_xla.conv_kernel_grad))
    np.testing.assert_allclose(swapped, straight, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
@pytest.mark.parametrize(("sides", "channels"), [((8, 9), 3), ((8, 12), 20)])  # im2col and Winograd on a CPU
def test_gradients_of_gradients_equal_xlas(kernels, layer, sides, channels):
    """A gradient penalty differentiates the image's gradient by image and kernel."""
    del kernels
    x = jax.random.normal(jax.random.key(0), (2, *sides, channels))
    module = layer(channels + 1, 4, 2, 1)
    params = module.init(jax.random.key(1), x)["params"]

    def apply_xla(params, x):
        names = ("NHWC", "HWIO", "NHWC")
        if layer is Conv:
            y = lax.conv_general_dilated(x, params["kernel"], (2, 2), [(1, 1)] * 2, dimension_numbers=names)
            return y + params["bias"]
        flipped = params["kernel"][::-1, ::-1]
        y = lax.conv_general_dilated(x, flipped, (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2), dimension_numbers=names)
        return y + params["bias"]

    def penalty(apply):
        return lambda params, x: (jax.grad(lambda x: jnp.tanh(apply(params, x)).sum())(x) ** 2).sum()

    found = jax.grad(penalty(lambda params, x: module.apply({"params": params}, x)), (0, 1))(params, x)
    assert_close(found, jax.grad(penalty(apply_xla), (0, 1))(params, x))


def test_a_blurred_transpose_is_the_transpose_by_the_smaller_kernel_and_then_the_mean_of_2_by_2_pixels(kernels):
    del kernels
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
    blurred, sharp = BlurConvTranspose(4, 4, 2, 0), ConvTranspose(4, 3, 2, 0)
    variables = blurred.init(jax.random.key(1), x)
    y = jnp.pad(sharp.apply(variables, x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = (y[:, 1:, 1:] + y[:, :-1, 1:] + y[:, 1:, :-1] + y[:, :-1, :-1]) / 4
    np.testing.assert_allclose(blurred.apply(variables, x), expected, atol=1e-5)


def test_a_blurred_transpose_of_a_constant_has_no_grid():
    x = jnp.ones((1, 6, 6, 3))
    for layer, least, most in ((BlurConvTranspose(4, 4, 2, 1), 0, 1e-5), (ConvTranspose(4, 4, 2, 1), 0.1, 10)):
        y = layer.apply(layer.init(jax.random.key(1), x), x)
        assert least <= float(y[:, 2:-2, 2:-2].std((1, 2)).max()) <= most
