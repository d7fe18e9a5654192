"""TODO: jaxgen.networks.learned_constants."""

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.initializers import zeros
from jaxtyping import Array, Float


class LearnedImage(nn.Module):
    """An image, learnt, that begins grey (0.5); it has no input.

    The parameter is a tenth of its distance from grey: so it arrives in tens of steps, before a decoder beside it has
    learnt to draw the mean image out of codes, which would then have to lie away from 0.
    """

    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, *, train: bool) -> Float[Array, "H W C"]:
        del train
        return 0.5 + 10 * self.param("tenth", zeros, self.image_shape)


class LearnedLogScale(nn.Module):
    """The logarithm of one positive number, learnt, that begins at `start`; it has no input."""

    start: float

    @nn.compact
    def __call__(self, *, train: bool) -> Float[Array, ""]:
        del train
        return self.param("log", lambda _: jnp.log(jnp.float32(self.start)))
