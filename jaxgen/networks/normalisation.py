"""Statistics of a batch that are one over all devices, however they are told their share of it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

AXIS = "data"  # the axis that the steps are mapped over under pmap; see parallel.py


def batch_norm(train: bool) -> nn.BatchNorm:
    """Batch normalisation (Ioffe & Szegedy 2015) by the whole batch in training, else by running statistics.

    Under jit a batch split over devices is one array; under pmap each device sees its share, and the statistics are
    averaged over them. The running ones keep 0.99 of themselves a step.
    """
    return nn.BatchNorm(use_running_average=not train, momentum=0.99, axis_name=AXIS if is_mapped() else None)


def batch_mean(x: Float[Array, "..."]) -> Float[Array, ""]:
    """The mean over the whole batch, of all devices."""
    mean = jnp.mean(x)
    return jax.lax.pmean(mean, AXIS) if is_mapped() else mean


def batch_std(x: Float[Array, "B ..."]) -> Float[Array, ""]:
    """The mean over features of their standard deviation over the whole batch, of all devices, in float32."""
    x = x.astype(jnp.float32)
    mean, square = jnp.mean(x, axis=0), jnp.mean(jnp.square(x), axis=0)
    if is_mapped():
        mean, square = jax.lax.pmean((mean, square), AXIS)
    variance = jnp.maximum(square - jnp.square(mean), 0)
    return jnp.mean(jnp.sqrt(variance + 1e-8))  # whose slope at 0 is finite so


def is_mapped() -> bool:
    """Whether what is being traced is mapped over devices, each with its share of the batch."""
    try:
        jax.lax.axis_size(AXIS)
    except NameError:
        return False
    return True
