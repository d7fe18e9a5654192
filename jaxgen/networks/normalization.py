"""Statistics of a batch that are one over all devices, however they are told their share of it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.types import DATA_AXIS

MOMENTUM = 0.99  # what running statistics keep of themselves a step


def batch_norm(train: bool) -> nn.BatchNorm:
    """Batch normalisation (Ioffe & Szegedy 2015) by the whole batch in training, else by running statistics.

    Under jit a batch split over devices is one array; under pmap each device sees its share, and the statistics are
    averaged over them. The running ones keep KEPT of themselves a step.
    """
    return nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, axis_name=DATA_AXIS if is_mapped() else None)


def batch_mean(x: Float[Array, "..."]) -> Float[Array, ""]:
    """The mean over the whole batch, of all devices."""
    return pmean_if_mapped(jnp.mean(x))


def running_mean(mean, now, kept: float):
    """A tree's running mean, of which it keeps so much a step, with its present values; no gradient goes through it."""
    return jax.lax.stop_gradient(jax.tree.map(lambda old, new: kept * old + (1 - kept) * new, mean, now))


class MinibatchStd(nn.Module):
    """Adds a channel: how far the batch's features lie apart, in training; after it, a running mean of that.

    The mean over features of their standard deviation over the whole batch, of all devices, in float32. The running
    one keeps KEPT of itself a step.
    """

    train: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B *shape C"]) -> Float[Array, "B *shape C+1"]:
        running = self.variable("batch_stats", "std", lambda: jnp.ones(()))
        spread = minibatch_std(x) if self.train else running.value
        if self.train and not self.is_initializing():
            running.value = running_mean(running.value, spread, MOMENTUM)
        return jnp.concatenate([x, jnp.broadcast_to(spread.astype(x.dtype), (*x.shape[:-1], 1))], axis=-1)


def minibatch_std(x: Float[Array, "B ..."]) -> Float[Array, ""]:
    x = x.astype(jnp.float32)
    mean, square = pmean_if_mapped((jnp.mean(x, axis=0), jnp.mean(jnp.square(x), axis=0)))
    variance = jnp.maximum(square - jnp.square(mean), 0)
    return jnp.mean(jnp.sqrt(variance + 1e-8))  # whose slope at 0 is finite so


def pmean_if_mapped(means):
    """Means over a share of the batch, of equal shares, as those over the whole of it."""
    return jax.lax.pmean(means, DATA_AXIS) if is_mapped() else means


def is_mapped() -> bool:
    """Whether what is being traced is mapped over devices, each with its share of the batch."""
    try:
        jax.lax.axis_size(DATA_AXIS)
    except NameError:
        return False
    return True
