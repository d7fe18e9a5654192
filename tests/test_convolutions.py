"""Convolutions as matrix products equal XLA's own, forwards and backwards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgen.networks.convolutions import Conv, ConvTranspose

SHAPES = [(3, 1, 1), (3, 2, 1), (5, 3, 0), (2, 2, 1), (1, 1, 0)]
X = jax.random.normal(jax.random.key(0), (2, 8, 11, 3))


def with_bias(module):
    params = module.init(jax.random.key(1), X)["params"]
    return {**params, "bias": jnp.arange(5.0)}


@pytest.mark.parametrize(("size", "stride", "padding"), SHAPES)
def test_a_convolution_is_xlas(size, stride, padding):
    module = Conv(5, size, stride, padding)
    params = with_bias(module)

    def other(params, x):
        around = [(padding, padding)] * 2
        dimensions = ("NHWC", "HWIO", "NHWC")
        out = lax.conv_general_dilated(x, params["kernel"], (stride, stride), around, dimension_numbers=dimensions)
        return out + params["bias"]

    same_with_gradients(lambda params, x: module.apply({"params": params}, x), other, params)


@pytest.mark.parametrize(("size", "stride", "padding"), SHAPES)
def test_a_transposed_convolution_is_the_gradient_of_the_convolution(size, stride, padding):
    """Transposed, a convolution from 5 channels to 3 maps what has 3 channels to what has 5."""
    module = ConvTranspose(5, size, stride, padding)
    params = with_bias(module)
    high, wide = ((side - 1) * stride - 2 * padding + size for side in X.shape[1:3])

    def other(params, x):
        kernel = params["kernel"].transpose(0, 1, 3, 2)  # of the convolution: [size, size, 5, 3]
        around, dimensions = [(padding, padding)] * 2, ("NHWC", "HWIO", "NHWC")

        def forward(y):
            return lax.conv_general_dilated(y, kernel, (stride, stride), around, dimension_numbers=dimensions)

        _, back = jax.vjp(forward, jnp.zeros((2, high, wide, 5)))
        return back(x)[0] + params["bias"]

    same_with_gradients(lambda params, x: module.apply({"params": params}, x), other, params)


def same_with_gradients(one, other, params):
    assert one(params, X).shape == other(params, X).shape
    np.testing.assert_allclose(one(params, X), other(params, X), rtol=1e-4, atol=1e-5)
    slopes = [jax.grad(lambda p, f=f: jnp.square(f(p, X)).sum())(params)["kernel"] for f in (one, other)]
    np.testing.assert_allclose(*slopes, rtol=1e-3, atol=1e-3)
