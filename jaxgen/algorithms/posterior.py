"""q(z | x): what an encoder says of the code of each example."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen import prng
from jaxgen.distributions import gaussian_kl_by_dimension

LOG_STD_RANGE = (-7.0, 3.0)


class Posterior(NamedTuple):
    """N(mean, exp(log_std)²) of each example; a point where `log_std` is None."""

    mean: Float[Array, "B Z"]
    log_std: Float[Array, "B Z"] | None

    def draw(self, rng: Array, *draws: int) -> Float[Array, "*draws B Z"]:
        """Codes, of a Gaussian, through which gradients go to mean and std (Kingma & Welling 2014, section 2.4)."""
        return self.mean + jnp.exp(self.log_std) * prng.normal(rng, (*draws, *self.mean.shape))

    def kl_by_dimension(self) -> Float[Array, "B Z"]:
        """What each dimension adds to KL(q(z | x) || N(0, I)), in nats."""
        return gaussian_kl_by_dimension(self.mean, 2 * self.log_std)


def as_posterior(
    output: Float[Array, "B 2 Z"], bounds: tuple[float, float] = LOG_STD_RANGE, start: float = 0.0
) -> Posterior:
    """Of an encoder's output: the mean, and the logarithm of the std less `start`, kept in `bounds`."""
    return Posterior(output[:, 0], jnp.clip(output[:, 1] + start, *bounds))
