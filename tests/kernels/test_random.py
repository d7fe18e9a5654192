"""Our draws are those of jax.random, bit for bit, and no loops."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgen.kernels import random
from jaxgen.kernels.dropout import Dropout

SHAPES = [(), (1,), (7,), (100, 784), (3, 5, 2), (0, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_numbers_are_those_of_jax(shape):
    rng = jax.random.fold_in(jax.random.key(3), 1)
    for ours, theirs in (
        (lambda r: random.random_bits(r, shape), lambda r: jax.random.bits(r, shape)),
        (lambda r: random.uniform(r, shape), lambda r: jax.random.uniform(r, shape)),
        (
            lambda r: random.uniform(r, shape, minval=-0.3, maxval=2.7),
            lambda r: jax.random.uniform(r, shape, minval=-0.3, maxval=2.7),
        ),
        (lambda r: random.normal(r, shape), lambda r: jax.random.normal(r, shape)),
        (lambda r: random.bernoulli(r, shape=shape), lambda r: jax.random.bernoulli(r, shape=shape)),
        (lambda r: random.bernoulli(r, 0.3, shape), lambda r: jax.random.bernoulli(r, 0.3, shape)),
    ):
        found, asked = jax.jit(ours)(rng), jax.jit(theirs)(rng)
        assert found.dtype == asked.dtype
        np.testing.assert_array_equal(found, asked)


@pytest.mark.parametrize(("minval", "maxval"), [(0, 10), (-3, 7), (4, 5), (0, 2**16), (5, 100_000), (0, 2**31 - 1)])
def test_whole_numbers_are_those_of_jax(minval, maxval):
    rng = jax.random.key(3)
    found = random.randint(rng, (50, 3), minval, maxval)
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, jax.random.randint(rng, (50, 3), minval, maxval))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_new_keys_are_those_of_jax(number, count):
    rng = jax.random.key(number)
    assert (random.split(rng, count) == jax.random.split(rng, count)).all()
    assert random.fold_in(rng, jnp.uint32(number)) == jax.random.fold_in(rng, jnp.uint32(number))
    assert random.fold_in(rng, count) == jax.random.fold_in(rng, count)


def test_the_largest_number_is_folded_in_as_by_jax():
    rng = jax.random.key(0)
    assert random.fold_in(rng, 2**32 - 1) == jax.random.fold_in(rng, 2**32 - 1)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_key_gives_what_it_gives_jax(seed):
    rng = jax.random.key(seed)
    np.testing.assert_array_equal(random.random_bits(rng, (33,)), jax.random.bits(rng, (33,)))


def test_a_probability_each_gives_what_it_gives_jax():
    rng, p = jax.random.key(0), jnp.linspace(0, 1, 12).reshape(3, 4)
    np.testing.assert_array_equal(random.bernoulli(rng, p), jax.random.bernoulli(rng, p))


def test_each_of_several_keys_draws_its_own():
    keys = jax.random.split(jax.random.key(0), 3)
    found = jax.vmap(lambda rng: random.normal(rng, (4,)))(keys)
    np.testing.assert_array_equal(found, jnp.stack([jax.random.normal(rng, (4,)) for rng in keys]))


def test_another_generator_is_left_to_jax():
    rng = jax.random.key(0, impl="rbg")
    np.testing.assert_array_equal(random.normal(rng, (5,)), jax.random.normal(rng, (5,)))
    assert (random.split(rng) == jax.random.split(rng)).all()
    assert random.fold_in(rng, 1) == jax.random.fold_in(rng, 1)


def test_a_draw_is_no_loop():
    def draw(rng):
        one, other = random.split(random.fold_in(rng, 1))
        return random.normal(one, (10,)) + random.bernoulli(other, 0.3, (10,)) + random.randint(other, (10,), 0, 3)

    draw = jax.jit(draw)
    assert "while" not in draw.lower(jax.random.key(0)).as_text()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_dropout_is_that_of_flax(dtype):
    class Net(nn.Module):
        kind: type

        @nn.compact
        def __call__(self, x):
            first = self.kind(0.3, deterministic=False)(x)  # named alike, by which flax splits the key
            return self.kind(0.0, deterministic=False)(first), self.kind(0.3, deterministic=True)(x)

    def found(kind):
        return Net(kind).apply({}, jnp.ones((5, 7), dtype), rngs={"dropout_rate": jax.random.key(1)})

    dropped, kept = found(Dropout)
    assert dropped.dtype == dtype
    assert 0 < float((dropped == 0).mean()) < 1
    for ours, theirs in zip((dropped, kept), found(nn.Dropout), strict=True):
        np.testing.assert_array_equal(ours, theirs)
