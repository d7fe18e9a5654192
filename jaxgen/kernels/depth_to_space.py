"""Rearranges channels into blocks of pixels (depth to space), fast for what follows on a CPU."""

import jax
from jaxtyping import Array, Float

from jaxgen.kernels.switch import replaces


def reshape_depth_to_space(x: Float[Array, "B h w c"], block: int) -> Float[Array, "B H W C"]:
    """Returns the same as `depth_to_space`, by reshape and transpose alone."""
    batch, rows, columns, features = x.shape
    channels = features // block**2
    x = x.reshape(batch, rows, columns, block, block, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, rows * block, columns * block, channels)


@replaces(reshape_depth_to_space)
def depth_to_space(x: Float[Array, "B h w c"], block: int) -> Float[Array, "B H W C"]:
    """Turns the channels of each pixel into block × block pixels.

    The barrier makes XLA store the image as rows. Without it, operations on the image are fused into loops over six
    axes, the last one of length 1: the sum of squared errors of conv_ae took 1.3 ms on a CPU, 0.14 ms with it.
    """
    batch, rows, columns, features = x.shape
    channels = features // block**2
    x = x.reshape(batch, rows, columns, block, block, channels).transpose(0, 1, 3, 2, 4, 5)
    pixels = jax.lax.optimization_barrier(x.reshape(batch, -1))
    return pixels.reshape(batch, rows * block, columns * block, channels)
