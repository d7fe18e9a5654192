"""Our convolutions equal flax's and XLA's own, forwards and backwards."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.networks import convolutions
from jaxgen.networks.convolutions import Conv, ConvTranspose, Shape, SmoothTranspose

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
def test_what_runs_on_a_cpu_and_what_runs_elsewhere_are_the_same_maps(size, stride, padding):
    kernel = jax.random.normal(jax.random.key(1), (size, size, 3, 5))
    shape = Shape(X.shape, kernel.shape, stride, padding)
    y = convolutions.convolve_by_product(X, kernel, shape)
    for name, arguments in (("convolve", (X, kernel)), ("transpose", (y, kernel)), ("kernel", (X, y))):
        by_product, by_library = (getattr(convolutions, f"{name}_by_{how}") for how in ("product", "library"))
        np.testing.assert_allclose(by_product(*arguments, shape), by_library(*arguments, shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "padding"), [(3, 1), (3, 0), (2, 1), (5, 4), (1, 0)])
def test_a_kernels_gradient_by_halves_is_the_same(size, padding):
    shape = Shape(X.shape, (size, size, 3, 5), 1, padding)
    high, wide = (side + 2 * padding - size + 1 for side in X.shape[1:3])
    y = jax.random.normal(jax.random.key(1), (len(X), high, wide, 5))
    by_halves, by_library = (of(X, y, shape) for of in (convolutions.kernel_by_halves, convolutions.kernel_by_library))
    np.testing.assert_allclose(by_halves, by_library, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
def test_gradients_of_gradients_are_those_of_xlas_own(layer):
    """What a penalty on a critic's slope descends: that of the image, in turn, by image and by kernel."""
    x = jax.random.normal(jax.random.key(0), (2, 8, 9, 3))
    ours = layer(4, 4, 2, 1)
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
    smooth, sharp = SmoothTranspose(4, 4, 2, 0), ConvTranspose(4, 3, 2, 0)
    variables = smooth.init(jax.random.key(1), x)
    y = jnp.pad(sharp.apply(variables, x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = (y[:, 1:, 1:] + y[:, :-1, 1:] + y[:, 1:, :-1] + y[:, :-1, :-1]) / 4
    np.testing.assert_allclose(smooth.apply(variables, x), expected, atol=1e-5)


def test_a_smooth_transpose_paints_no_grid_of_a_constant():
    x = jnp.ones((1, 6, 6, 3))
    for layer, least, most in ((SmoothTranspose(4, 4, 2, 1), 0, 1e-5), (ConvTranspose(4, 4, 2, 1), 0.1, 10)):
        y = layer.apply(layer.init(jax.random.key(1), x), x)
        assert least <= float(y[:, 2:-2, 2:-2].std((1, 2)).max()) <= most
