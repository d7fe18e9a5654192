"""Games between a critic and a generator of fakes: their losses per example, [B], from the critic's logits.

The penalties on a critic's slope that make some of them converge are here too. No networks, no averaging over a batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen import prng
from jaxgen.objectives import critic_loss, fooling_loss, squared_slope

Logits = Float[Array, " B"]


class Game(NamedTuple):
    """What each side descends."""

    critic: Callable[[Logits, Logits], Logits]  # of the logits of reals and of fakes
    generator: Callable[[Logits], Logits]  # of the logits of fakes


GAMES = {
    # Goodfellow et al. 2014 (arXiv 1406.2661), section 3.
    "non_saturating": Game(critic_loss, fooling_loss),
    # Mao et al. 2017 (arXiv 1611.04076), eq. 9: real is 1, fake 0.
    "least_squares": Game(
        lambda real, fake: 0.5 * (jnp.square(real - 1) + jnp.square(fake)), lambda fake: 0.5 * jnp.square(fake - 1)
    ),
    # Lim & Ye 2017 (arXiv 1705.02894).
    "hinge": Game(lambda real, fake: jax.nn.relu(1 - real) + jax.nn.relu(1 + fake), lambda fake: -fake),
    # Arjovsky et al. 2017 (arXiv 1701.07875); the critic has to be kept from steepness.
    "wasserstein": Game(lambda real, fake: fake - real, lambda fake: -fake),
}


def slope_penalty(score: Callable, real: Float[Array, "B *pixels"], fake: Float[Array, "B *pixels"], rng) -> Logits:
    """(‖∇ score‖ - 1)² at a random point between each real and its fake (Gulrajani et al. 2017, eq. 3).

    `score` takes images to logits one by one, [B, ...] -> [B].
    """
    share = prng.uniform(rng, (len(real), *[1] * (real.ndim - 1)))
    length = jnp.sqrt(squared_slope(score, share * real + (1 - share) * fake) + 1e-12)  # whose own slope at 0 is so 0
    return jnp.square(length - 1)
