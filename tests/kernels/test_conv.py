"""Our convolutions equal flax's and XLA's own, forwards and backwards."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.kernels import conv_im2col, conv_winograd, conv_xla
from jaxgen.kernels.conv_im2col import ConvShape
from jaxgen.networks.conv import BlurConvTranspose, Conv, ConvTranspose

SHAPES = [(3, 1, 1), (4, 1, 2), (1, 1, 1), (3, 2, 1), (4, 2, 1), (5, 2, 2), (5, 3, 0), (2, 2, 1), (1, 1, 0)]
X = jax.random.normal(jax.random.key(0), (2, 8, 11, 3))


@pytest.mark.parametrize(("size", "stride", "padding"), SHAPES)
def test_a_convolution_is_flaxs_and_so_are_its_gradients(size, stride, padding):
    theirs = nn.Conv(5, (size, size), stride, [(padding, padding)] * 2)
    same_with_gradients(Conv(5, size, stride, padding), theirs, lambda params: params)


@pytest.mark.parametrize(("size", "stride", "padding", "extra"), [*((*shape, 0) for shape in SHAPES), (5, 2, 2, 1)])
def test_a_transposed_convolution_is_flaxs_by_the_kernel_turned_round(size, stride, padding, extra):
    before = size - 1 - padding
    theirs = nn.ConvTranspose(5, (size, size), (stride, stride), [(before, before + extra)] * 2)
    ours = ConvTranspose(5, size, stride, padding, extra=extra)
    same_with_gradients(ours, theirs, lambda params: {**params, "kernel": params["kernel"][::-1, ::-1]})


def same_with_gradients(ours, theirs, as_theirs):
    """Outputs, and gradients by kernel, bias and image, to float32's rounding."""
    params = {**ours.init(jax.random.key(1), X)["params"], "bias": jnp.arange(5.0)}

    def value(apply):
        out, way_back = jax.vjp(apply, params, X)
        return out, *way_back(jnp.cos(out))

    found = value(lambda params, x: ours.apply({"params": params}, x))
    expected = value(lambda params, x: theirs.apply({"params": as_theirs(params)}, x))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


@pytest.mark.parametrize(("size", "stride", "padding"), [*SHAPES, (4, 4, 0)])
def test_windows_give_the_librarys_maps(size, stride, padding):
    same_maps(conv_im2col, ConvShape(X.shape, (size, size, 3, 5), stride, padding))


@pytest.mark.parametrize(
    ("sides", "stride", "padding"),
    [((8, 12), 2, 1), ((9, 13), 2, 1), ((10, 6), 2, 0), ((9, 16), 3, 0), ((5, 7), 1, 0), ((14, 18), 2, 1)],
)
def test_filters_give_the_librarys_maps(sides, stride, padding):
    shape = ConvShape((2, *sides, 3), (2 * stride, 2 * stride, 3, 5), stride, padding)
    assert conv_winograd.is_applicable(shape)
    same_maps(conv_winograd, shape)


@pytest.mark.parametrize(
    "shape", [ConvShape((2, 6, 10, 3), (4, 4, 3, 5), 2, 1), ConvShape((2, 8, 8, 3), (3, 3, 3, 5), 2, 1)]
)
def test_filters_do_not_fit_few_odd_outputs_or_other_kernels(shape):
    assert not conv_winograd.is_applicable(shape)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere the library convolves")
@pytest.mark.parametrize(("dtype", "library_does"), [("float32", False), ("bfloat16", True)])
def test_on_a_cpu_filters_are_of_float32_alone(dtype, library_does):
    """Of bfloat16, differences of pixels and sums of products would round too coarsely."""
    x, layer = jnp.zeros((2, 8, 12, 20)), Conv(32, 4, 2, 1)
    given = jax.tree.map(lambda x: x.astype(dtype), (layer.init(jax.random.key(0), x), x))
    assert ("stablehlo.convolution" in jax.jit(layer.apply).lower(*given).as_text()) == library_does


def same_maps(form, shape):
    """By a form and by the library, to float32's rounding."""
    x, kernel = (jax.random.normal(jax.random.key(i), sides) for i, sides in enumerate(shape[:2]))
    y = conv_xla.conv(x, kernel, shape)
    for name, arguments in (("convolve", (x, kernel)), ("transpose", (y, kernel)), ("kernel_product", (x, y))):
        found, expected = (getattr(module, name)(*arguments, shape) for module in (form, conv_xla))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "padding"), [(3, 1), (3, 0), (2, 1), (5, 4), (1, 0)])
def test_a_kernels_gradient_is_the_same_from_the_other_side(size, padding):
    shape = ConvShape(X.shape, (size, size, 3, 5), 1, padding)
    y = conv_xla.conv(X, jnp.zeros(shape.kernel), shape)
    y = jax.random.normal(jax.random.key(1), y.shape)
    turned, straight = (of(X, y, shape) for of in (conv_xla.conv_kernel_grad_swapped, conv_xla.conv_kernel_grad))
    np.testing.assert_allclose(turned, straight, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
@pytest.mark.parametrize(("sides", "channels"), [((8, 9), 3), ((8, 12), 20)])  # by windows, by filters on a CPU
def test_gradients_of_gradients_are_those_of_xlas_own(layer, sides, channels):
    """What a penalty on a critic's slope descends: that of the image, in turn, by image and by kernel."""
    x = jax.random.normal(jax.random.key(0), (2, *sides, channels))
    ours = layer(channels + 1, 4, 2, 1)
    params = ours.init(jax.random.key(1), x)["params"]

    def theirs(params, x):
        if layer is Conv:
            around = [(1, 1)] * 2
            y = jax.lax.conv_general_dilated(
                x, params["kernel"], (2, 2), around, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            return y + params["bias"]
        turned = params["kernel"][::-1, ::-1]
        y = jax.lax.conv_general_dilated(
            x, turned, (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y + params["bias"]

    def penalty(apply):
        return lambda params, x: (jax.grad(lambda x: jnp.tanh(apply(params, x)).sum())(x) ** 2).sum()

    found = jax.grad(penalty(lambda params, x: ours.apply({"params": params}, x)), (0, 1))(params, x)
    expected = jax.grad(penalty(theirs), (0, 1))(params, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


def test_a_smooth_transpose_is_the_transpose_by_the_smaller_kernel_and_then_the_mean_of_2_by_2_pixels():
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
    smooth, sharp = BlurConvTranspose(4, 4, 2, 0), ConvTranspose(4, 3, 2, 0)
    variables = smooth.init(jax.random.key(1), x)
    y = jnp.pad(sharp.apply(variables, x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = (y[:, 1:, 1:] + y[:, :-1, 1:] + y[:, 1:, :-1] + y[:, :-1, :-1]) / 4
    np.testing.assert_allclose(smooth.apply(variables, x), expected, atol=1e-5)


def test_a_smooth_transpose_paints_no_grid_of_a_constant():
    x = jnp.ones((1, 6, 6, 3))
    for layer, least, most in ((BlurConvTranspose(4, 4, 2, 1), 0, 1e-5), (ConvTranspose(4, 4, 2, 1), 0.1, 10)):
        y = layer.apply(layer.init(jax.random.key(1), x), x)
        assert least <= float(y[:, 2:-2, 2:-2].std((1, 2)).max()) <= most
