"""Batch normalisation that is one over all devices, however they are told their share of the batch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import ones, zeros
from jaxtyping import Array, Float

AXIS = "data"  # the axis that the steps are mapped over under pmap; see parallel.py
KEPT = 0.99  # of the running statistics, a step
EPSILON = 1e-5


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) by the whole batch in training, else by running statistics.

    Under jit a batch split over devices is one array; under pmap each device sees its share, and the statistics are
    averaged over them.

    flax's own has its statistics in the shape of x. XLA moves those shapes about by what else needs them, and then no
    longer sees that two players' forward passes are the same; these are vectors, and it merges the two.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B *pixels C"], train: bool) -> Float[Array, "B *pixels C"]:
        shape = x.shape[-1:]
        scale, bias = self.param("scale", ones, shape), self.param("bias", zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        if not train:
            return (x - mean.value) * (scale * jax.lax.rsqrt(var.value + EPSILON)) + bias
        its_mean, its_var = moments(x)
        if not self.is_initializing():
            mean.value = KEPT * mean.value + (1 - KEPT) * its_mean
            var.value = KEPT * var.value + (1 - KEPT) * its_var
        return (x - its_mean) * (scale * jax.lax.rsqrt(its_var + EPSILON)) + bias


def moments(x: Float[Array, "B *pixels C"]) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
    """Mean and variance of each channel, over the batch of all devices."""
    axes = tuple(range(x.ndim - 1))
    mean, square = x.mean(axes), jnp.square(x).mean(axes)
    if is_mapped():
        mean, square = jax.lax.pmean((mean, square), AXIS)
    return mean, jnp.maximum(square - jnp.square(mean), 0)


def is_mapped() -> bool:
    """Whether what is being traced is mapped over devices, each with its share of the batch."""
    try:
        jax.lax.axis_size(AXIS)
    except NameError:
        return False
    return True
