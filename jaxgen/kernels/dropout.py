"""`flax.linen.Dropout`, bit for bit, with masks from `jaxgen.kernels.random`."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.kernels import random
from jaxgen.kernels.switch import use_reference


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014): zeroes units with probability `rate` and divides the others by 1 - `rate`.

    TODO numbers
    """

    reference = nn.Dropout

    def __call__(
        self, inputs: Float[Array, "..."], deterministic: bool | None = None, rng: Array | None = None
    ) -> Float[Array, "..."]:
        """Applies a random mask, as `flax.linen.Dropout`."""
        is_off = nn.merge_param("deterministic", self.deterministic, deterministic) or self.rate in (0, 1)
        if use_reference() or is_off or self.broadcast_dims:
            return super().__call__(inputs, deterministic, rng)
        rng = self.make_rng(self.rng_collection) if rng is None else rng
        keep = 1 - self.rate
        return jnp.where(random.bernoulli(rng, keep, inputs.shape), inputs / keep, jnp.zeros_like(inputs))
