"""`jax.random`, bit for bit, with Threefry's 20 rounds unrolled.

On a CPU, jax 0.10 to 0.12 lowers the generator to a loop over its rounds, to save compile time. 78,400 normal numbers
take 0.65 ms then, and 0.18 ms here.

A step with `jax.random` takes 1.34 times as long for anime_vae, 1.08 for vae, 1.07 for denoising_ae, 1.06 for gan, 1.05
for cond_aae and semi_aae, and 0.99 to 1.01 for aae, hash_ae and cluster_aae: medians of 9 or 11 alternating runs of
0.7 s in two processes, two cores of an Intel Xeon, jax 0.10.2, December 2026.

jax PR #37872, "threefry2x32: use unrolled loops in CPU lowering", is merged, but the wheels of 0.10.2, 0.11.2 and
0.12.0 still register the loop. Delete this module once jax unrolls the rounds on a CPU, and import `random` from jax.

The kernels cover float32, 32-bit integers and Threefry keys. They leave other dtypes and generators to `jax.random`.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int32, Integer, UInt32

from jaxgen.kernels.switch import replaces

THREEFRY = "threefry2x32"  # jax's default generator
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # in bits; the two rows alternate between groups of four rounds
PARITY = np.uint32(0x1BD11BDA)
ONE_BITS = np.uint32(0x3F800000)  # the bits of 1.0 in float32
LOWEST_UNIFORM = float(np.nextafter(np.float32(-1), np.float32(0)))  # above -1, whose inverse error function is -inf


@replaces(jax.random.normal)
def normal(key: Array, shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.float32) -> Float[Array, "*shape"]:
    """Samples N(0, 1), as `jax.random.normal`."""
    if not has_fast_form(key, dtype, jnp.float32):
        return jax.random.normal(key, shape, dtype)
    return np.float32(math.sqrt(2)) * lax.erf_inv(uniform(key, shape, minval=LOWEST_UNIFORM))


@replaces(jax.random.bernoulli)
def bernoulli(key: Array, p: float | Float[Array, "..."] = 0.5, shape: tuple[int, ...] | None = None) -> Array:
    """Samples True with probability p, as `jax.random.bernoulli`. The shape is that of p by default."""
    return uniform(key, jnp.shape(p) if shape is None else shape) < p


@replaces(jax.random.uniform)
def uniform(
    key: Array,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = jnp.float32,
    minval: float = 0.0,
    maxval: float = 1.0,
) -> Float[Array, "*shape"]:
    """Samples uniformly from [minval, maxval), as `jax.random.uniform`."""
    if not has_fast_form(key, dtype, jnp.float32):
        return jax.random.uniform(key, shape, dtype, minval, maxval)
    low, high = np.float32(minval), np.float32(maxval)
    mantissa = lax.shift_right_logical(bits(key, shape), np.uint32(9))
    fraction = lax.bitcast_convert_type(mantissa | ONE_BITS, jnp.float32) - np.float32(1)
    return jnp.maximum(low, fraction * (high - low) + low)


@replaces(jax.random.randint)
def randint(
    key: Array, shape: tuple[int, ...], minval: int, maxval: int, dtype: DTypeLike = jnp.int32
) -> Int32[Array, "*shape"]:
    """Samples integers uniformly from [minval, maxval), as `jax.random.randint`."""
    if not has_fast_form(key, dtype, jnp.int32):
        return jax.random.randint(key, shape, minval, maxval, dtype)
    span = np.uint32(maxval - minval)
    high, low = (bits(half, shape) % span for half in split(key))
    high_weight = np.uint32((2**16 % int(span)) ** 2 % 2**32 % int(span))
    return minval + lax.convert_element_type((high * high_weight + low) % span, jnp.int32)


@replaces(jax.random.split)
def split(key: Array, num: int = 2) -> Array:
    """Splits a key into `num` new keys, as `jax.random.split`."""
    if not has_fast_form(key):
        return jax.random.split(key, num)
    return derive_keys(key, lax.iota(jnp.uint32, num))


@replaces(jax.random.fold_in)
def fold_in(key: Array, data: int | Integer[Array, ""]) -> Array:
    """Derives a new key from a key and an integer, as `jax.random.fold_in`."""
    if not has_fast_form(key):
        return jax.random.fold_in(key, data)
    return derive_keys(key, jnp.uint32(data))


@replaces(jax.random.bits)
def bits(key: Array, shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.uint32) -> UInt32[Array, "*shape"]:
    """Samples 32 random bits for each of fewer than 2³² elements, as `jax.random.bits`."""
    if not has_fast_form(key, dtype, jnp.uint32):
        return jax.random.bits(key, shape, dtype)
    counter = lax.iota(jnp.uint32, math.prod(shape))
    first, second = threefry(jax.random.key_data(key), jnp.zeros_like(counter), counter)
    # The reshape comes last. XLA hoists the computation of counters of several axes out of a loop over steps, once for
    # each sample.
    return (first ^ second).reshape(shape)


def has_fast_form(key: Array, dtype: DTypeLike = None, covered: DTypeLike = None) -> bool:
    """Returns whether a key's generator is Threefry and a dtype the covered one."""
    return str(jax.random.key_impl(key)) == THREEFRY and (covered is None or jnp.dtype(dtype) == covered)


def derive_keys(key: Array, data: UInt32[Array, "*shape"]) -> Array:
    """Derives one key from each integer in `data`."""
    pair = threefry(jax.random.key_data(key), jnp.zeros_like(data), data)
    # The barrier makes XLA compute a key once. Otherwise each fused loop that samples with the key derives it again,
    # and cond_aae takes twice as long to compile.
    return jax.random.wrap_key_data(lax.optimization_barrier(jnp.stack(pair, -1)), impl=THREEFRY)


def threefry(key: UInt32[Array, "2"], x: UInt32[Array, "*shape"], y: UInt32[Array, "*shape"]) -> tuple[Array, Array]:
    """Returns Threefry-2x32 with 20 rounds (Salmon et al. 2011, section 3.3) of the counters (x, y)."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ PARITY)
    x, y = x + keys[0], y + keys[1]
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            x = x + y
            y = (y << np.uint32(turn) | y >> np.uint32(32 - turn)) ^ x
        x, y = x + keys[(group + 1) % 3], y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y
