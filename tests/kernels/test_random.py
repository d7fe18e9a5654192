"""Random numbers equal those of jax.random bit for bit, without loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgen.kernels import random
from jaxgen.kernels.switch import REFERENCE_VARIABLE

SHAPES = [(), (1,), (7,), (100, 784), (3, 5, 2), (0, 4)]
pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize("shape", SHAPES)
def test_numbers_equal_jaxs(shape):
    key = jax.random.fold_in(jax.random.key(3), 1)
    for ours, jaxs in (
        (lambda k: random.bits(k, shape), lambda k: jax.random.bits(k, shape)),
        (lambda k: random.uniform(k, shape), lambda k: jax.random.uniform(k, shape)),
        (
            lambda k: random.uniform(k, shape, minval=-0.3, maxval=2.7),
            lambda k: jax.random.uniform(k, shape, minval=-0.3, maxval=2.7),
        ),
        (lambda k: random.normal(k, shape), lambda k: jax.random.normal(k, shape)),
        (lambda k: random.bernoulli(k, shape=shape), lambda k: jax.random.bernoulli(k, shape=shape)),
        (lambda k: random.bernoulli(k, 0.3, shape), lambda k: jax.random.bernoulli(k, 0.3, shape)),
    ):
        found, expected = jax.jit(ours)(key), jax.jit(jaxs)(key)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("minval", "maxval"), [(0, 10), (-3, 7), (4, 5), (0, 2**16), (5, 100_000), (0, 2**31 - 1)])
def test_integers_equal_jaxs(minval, maxval):
    key = jax.random.key(3)
    found = random.randint(key, (50, 3), minval, maxval)
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, jax.random.randint(key, (50, 3), minval, maxval))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_new_keys_equal_jaxs(number, count):
    key = jax.random.key(number)
    assert (random.split(key, count) == jax.random.split(key, count)).all()
    assert random.fold_in(key, jnp.uint32(number)) == jax.random.fold_in(key, jnp.uint32(number))
    assert random.fold_in(key, count) == jax.random.fold_in(key, count)


def test_folding_in_the_largest_number_equals_jaxs():
    key = jax.random.key(0)
    assert random.fold_in(key, 2**32 - 1) == jax.random.fold_in(key, 2**32 - 1)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_bits_equal_jaxs_for_every_key(seed):
    key = jax.random.key(seed)
    np.testing.assert_array_equal(random.bits(key, (33,)), jax.random.bits(key, (33,)))


def test_coins_with_a_probability_each_equal_jaxs():
    key, p = jax.random.key(0), jnp.linspace(0, 1, 12).reshape(3, 4)
    np.testing.assert_array_equal(random.bernoulli(key, p), jax.random.bernoulli(key, p))


def test_each_of_several_keys_gives_its_own_numbers():
    keys = jax.random.split(jax.random.key(0), 3)
    found = jax.vmap(lambda key: random.normal(key, (4,)))(keys)
    np.testing.assert_array_equal(found, jnp.stack([jax.random.normal(key, (4,)) for key in keys]))


@pytest.mark.parametrize("impl", ["rbg", "threefry2x32"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_other_generators_and_dtypes_are_left_to_jax(impl, dtype):
    key = jax.random.key(0, impl=impl)
    for name in ("normal", "uniform"):
        found, expected = (getattr(module, name)(key, (5,), dtype) for module in (random, jax.random))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(random.bernoulli(key, 0.3, (5,)), jax.random.bernoulli(key, 0.3, (5,)))
    np.testing.assert_array_equal(random.randint(key, (5,), 2, 9), jax.random.randint(key, (5,), 2, 9))
    assert (random.split(key) == jax.random.split(key)).all()
    assert random.fold_in(key, 1) == jax.random.fold_in(key, 1)


def test_gradients_equal_jaxs():
    """Through the probability's comparison there is none; minval and maxval are static; scale and shift are outside."""
    key = jax.random.key(0)

    def loss(module):
        return lambda scale: jnp.square(scale * module.normal(key, (7,)) + module.uniform(key, (7,))).sum()

    found, expected = (jax.value_and_grad(loss(module))(jnp.float32(3.0)) for module in (random, jax.random))
    assert found == expected


@pytest.mark.parametrize("name", ["normal", "bernoulli", "uniform", "randint", "split", "fold_in", "bits"])
def test_the_reference_is_jaxs_function_of_the_same_name_and_takes_the_same_arguments(name):
    assert getattr(random, name).reference is getattr(jax.random, name)
    code = getattr(random, name).fast.__code__
    expected = (
        jax.random.__dict__[name].__wrapped__.__code__
        if hasattr(jax.random.__dict__[name], "__wrapped__")
        else (jax.random.__dict__[name].__code__)
    )
    names = code.co_varnames[: code.co_argcount]
    assert names == expected.co_varnames[: code.co_argcount]


def test_a_sample_has_no_loop_unless_jax_makes_it(kernels):
    @jax.jit
    def sample(key):
        one, other = random.split(random.fold_in(key, 1))
        return random.normal(one, (10,)) + random.bernoulli(other, 0.3, (10,)) + random.randint(other, (10,), 0, 3)

    assert ("while" in sample.lower(jax.random.key(0)).as_text()) == (kernels == "reference")
    assert REFERENCE_VARIABLE == "JAXGEN_REFERENCE_KERNELS"
