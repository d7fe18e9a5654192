"""Games between a critic and a generator of fakes: their losses per example, [B], from the critic's logits.

The penalties on a critic's slope that make some of them converge are here too. No networks, no averaging over a batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen import prng
from jaxgen.objectives import critic_loss, fooling_loss, squared_slope

Logits = Float[Array, " B"]
# Nats. Of a fake that its critic is surer of a generator hears less and less, and at 90 nothing: the critic's own slope
# there comes near the least that float32 holds.
SUREST = 60.0


class Game(NamedTuple):
    """What each side descends."""

    critic: Callable[[Logits, Logits], Logits]  # of the logits of reals and of fakes
    generator: Callable[[Logits], Logits]  # of the logits of fakes
    turned: Callable[[Logits], Logits] | None = None  # generator's slope over critic's, at a fake; None: that may be 0


GAMES = {
    # Goodfellow et al. 2014 (arXiv 1406.2661), section 3.
    "non_saturating": Game(critic_loss, fooling_loss, lambda fake: -jnp.exp(jnp.minimum(-fake, SUREST))),
    # Mao et al. 2017 (arXiv 1611.04076), eq. 9: real is 1, fake 0.
    "least_squares": Game(
        lambda real, fake: 0.5 * (jnp.square(real - 1) + jnp.square(fake)), lambda fake: 0.5 * jnp.square(fake - 1)
    ),
    # Lim & Ye 2017 (arXiv 1705.02894).
    "hinge": Game(lambda real, fake: jax.nn.relu(1 - real) + jax.nn.relu(1 + fake), lambda fake: -fake),
    # Arjovsky et al. 2017 (arXiv 1701.07875); the critic has to be kept from steepness.
    "wasserstein": Game(lambda real, fake: fake - real, lambda fake: -fake, lambda fake: -jnp.ones_like(fake)),
}


def told_and_fooled(
    game: Game, score: Callable, params: Any, fake: Float[Array, "B *shape"]
) -> tuple[Logits, Float[Array, ""], Float[Array, ""], Any]:
    """What a critic says of fakes, and what it and their generator descend by that, with one way back for the two.

    The sides' gradients by a fake differ by a factor, the ratio of their slopes at its logit: that of the critic, which
    its own gradient needs on the way, is turned into the generator's.

    Args:
      game: one that has `turned`.
      score: `score(params, fake)` gives logits, each of its fake alone, and anything beside.
      params: the critic's.
      fake: what it sees.

    Returns:
      The logits, which carry no gradient; a 0 that carries, by `params`, that of the critic's mean loss of these fakes;
      the generator's mean loss, which carries its gradient by `fake`; what was beside the logits.
    """
    logits, way_back, beside = jax.vjp(score, *jax.lax.stop_gradient((params, fake)), has_aux=True)
    slope = jax.grad(lambda fake: game.critic(jnp.zeros_like(fake), fake).mean())(logits)
    by_params, by_fake = way_back(slope)
    turned = by_fake * game.turned(logits).reshape(-1, *[1] * (fake.ndim - 1))
    fooling = with_gradient(game.generator(logits).mean(), turned, fake)
    return logits, with_gradient(jnp.zeros(()), by_params, params), fooling, beside


@jax.custom_vjp
def with_gradient(value: Float[Array, ""], gradient: Any, at: Any) -> Float[Array, ""]:
    """The value, which is differentiated as if that were its gradient by `at`."""
    del gradient, at
    return value


with_gradient.defvjp(
    lambda value, gradient, _: (value, gradient),
    lambda gradient, g: (None, None, jax.tree.map(lambda each: g * each, gradient)),
)


def slope_penalty(score: Callable, real: Float[Array, "B *pixels"], fake: Float[Array, "B *pixels"], rng) -> Logits:
    """(‖∇ score‖ - 1)² at a random point between each real and its fake (Gulrajani et al. 2017, eq. 3).

    `score` takes images to logits one by one, [B, ...] -> [B].
    """
    share = prng.uniform(rng, (len(real), *[1] * (real.ndim - 1)))
    length = jnp.sqrt(squared_slope(score, share * real + (1 - share) * fake) + 1e-12)  # whose own slope at 0 is so 0
    return jnp.square(length - 1)
