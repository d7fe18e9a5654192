"""Batch statistics over all devices, under jit and under pmap."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen.types import DATA_AXIS

MOMENTUM = 0.99  # decay per step of running statistics


def batch_norm(train: bool) -> nn.BatchNorm:
    """Returns batch normalization (Ioffe & Szegedy 2015): by the whole batch in training, by running statistics after.

    Under jit a batch on several devices is one array. Under pmap each device has a part of it, and the statistics are
    averaged over devices. Running statistics decay by `MOMENTUM` per step.
    """
    return nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, axis_name=DATA_AXIS if is_mapped() else None)


class MinibatchStd(nn.Module):
    """Appends a channel with the standard deviation over the batch, averaged over features (Karras et al. 2018).

    Computed over the batch of all devices, in float32, in training; after training its running mean, which decays by
    `MOMENTUM` per step.

    Attributes:
      train: whether to use the batch.
    """

    train: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B *shape C"]) -> Float[Array, "B *shape C+1"]:
        """Appends the channel."""
        running = self.variable("batch_stats", "std", lambda: jnp.ones(()))
        std = minibatch_std(x) if self.train else running.value
        if self.train and not self.is_initializing():
            running.value = optax.incremental_update(std, running.value, 1 - MOMENTUM)
        return jnp.concatenate([x, jnp.broadcast_to(std.astype(x.dtype), (*x.shape[:-1], 1))], axis=-1)


def minibatch_std(x: Float[Array, "B ..."]) -> Float[Array, ""]:
    """Returns the standard deviation over the batch of all devices, averaged over features, in float32."""
    x = x.astype(jnp.float32)
    mean, square = pmean_if_mapped((jnp.mean(x, axis=0), jnp.mean(jnp.square(x), axis=0)))
    variance = jnp.maximum(square - jnp.square(mean), 0)
    return jnp.mean(jnp.sqrt(variance + 1e-8))  # the constant keeps the gradient finite at 0


def batch_mean(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Returns the mean over the batch of all devices."""
    return pmean_if_mapped(jnp.mean(x))


def pmean_if_mapped(means: Any) -> Any:
    """Averages means over devices, under pmap; the devices have equal parts of the batch."""
    return jax.lax.pmean(means, DATA_AXIS) if is_mapped() else means


def is_mapped() -> bool:
    """Returns whether the function being traced is mapped over devices."""
    try:
        jax.lax.axis_size(DATA_AXIS)
    except NameError:
        return False
    return True
