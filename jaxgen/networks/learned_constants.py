"""Networks without an input: a learned image and a learned scale."""

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.initializers import zeros
from jaxtyping import Array, Float


class LearnedImage(nn.Module):
    """Learned image that starts at gray, 0.5; it has no input.

    The parameter is a tenth of the difference from gray. The image is therefore learned in tens of steps, before a
    decoder trained beside it has learned to generate the mean image from codes. Such codes would lie far from 0.

    Attributes:
      image_shape: H, W, C.
    """

    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, *, train: bool) -> Float[Array, "H W C"]:
        """Returns the image."""
        del train
        return 0.5 + 10 * self.param("tenth", zeros, self.image_shape)


class LearnedLogScale(nn.Module):
    """Logarithm of one learned positive number; it has no input.

    Attributes:
      start: the number's initial value.
    """

    start: float

    @nn.compact
    def __call__(self, *, train: bool) -> Float[Array, ""]:
        """Returns the logarithm."""
        del train
        return self.param("log", lambda _: jnp.log(jnp.float32(self.start)))
