"""Priors over codes: draw from them and score under them. No networks, no losses."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """The isotropic normal N(0, std² I) over codes of `size` dimensions.

    Raises:
      ValueError: `size` is below 1 or `std` is not positive.
    """

    size: int
    std: float = 1.0

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"latent_size={self.size} must be at least 1; try --config.latent_size=15")
        if not self.std > 0:
            raise ValueError(f"prior_std={self.std} must be positive; try --config.prior_std=1.0")

    def sample(self, rng: Array, count: int) -> Float[Array, "{count} {self.size}"]:
        """Draws `count` codes."""
        return self.std * jax.random.normal(rng, (count, self.size))

    def log_prob(self, code: Float[Array, "B Z"]) -> Float[Array, " B"]:
        """The log density of each code, in nats, summed over Z."""
        log_normaliser = self.size * (jnp.log(self.std) + 0.5 * jnp.log(2 * jnp.pi))
        return -0.5 * jnp.sum(jnp.square(code / self.std), axis=-1) - log_normaliser


def gaussian_kl(mean: Float[Array, "B Z"], logvar: Float[Array, "B Z"]) -> Float[Array, " B"]:
    """KL(N(mean, exp(logvar)) || N(0, I)) of each example, in nats.

    Summed over Z, not averaged (Kingma & Welling 2014, app. B).
    """
    return 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(logvar) - 1.0 - logvar, axis=-1)
