"""Dropout equals Flax's bit for bit, forward and backward."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.kernels.dropout import Dropout

pytestmark = pytest.mark.usefixtures("kernels")


class Net(nn.Module):
    """Layers of one class or the other, with equal names, by which Flax splits the key."""

    kind: type

    @nn.compact
    def __call__(self, x):
        first = self.kind(0.3, deterministic=False)(x)
        second = self.kind(0.5, broadcast_dims=(0,), deterministic=False)(x)
        outputs = [first, second, self.kind(0.0, deterministic=False)(first), self.kind(0.3, deterministic=True)(x)]
        return [*outputs, self.kind(1.0, deterministic=False)(x), self.kind(0.5)(x, deterministic=False)]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_dropout_equals_flaxs_with_gradients(dtype):
    x = jnp.linspace(-1, 1, 35).reshape(5, 7).astype(dtype)

    def run(kind):
        outputs, vjp = jax.vjp(lambda x: Net(kind).apply({}, x, rngs={"dropout": jax.random.key(1)}), x)
        return outputs, vjp(jax.tree.map(jnp.cos, outputs))

    found = run(Dropout)
    assert found[0][0].dtype == dtype
    assert 0 < float((found[0][0] == 0).mean()) < 1
    jax.tree.map(np.testing.assert_array_equal, found, run(nn.Dropout))


def test_an_rng_may_be_given():
    x, rng = jnp.ones((5, 7)), jax.random.key(3)
    found, expected = (kind(0.3, deterministic=False).apply({}, x, rng=rng) for kind in (Dropout, Dropout.reference))
    np.testing.assert_array_equal(found, expected)


def test_the_reference_is_flaxs():
    assert Dropout.reference is nn.Dropout
