"""Games between a critic and a generator of fakes: their losses per example, [B], from the critic's logits.

The penalties on a critic's slope that make some of them converge are here too. No networks, no averaging over a batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Logits = Float[Array, " B"]
# Nats. Of a fake that its critic is surer of a generator hears less and less, and at 90 nothing: the critic's own slope
# there comes near the least that float32 holds.
MAX_CONFIDENT_LOGIT = 60.0


def binary_critic_loss(
    real_logits: Float[Array, " B"], fake_logits: Float[Array, " B"], eps: float = 0.0
) -> Float[Array, " B"]:
    """Cross-entropy of telling real from fake, in nats (Goodfellow et al. 2014, eq. 1, as a minimisation).

    See `minus_log_sigmoid` for `eps`.
    """
    return negative_log_sigmoid(real_logits, eps) + negative_log_sigmoid(-fake_logits, eps)


def non_saturating_loss(fake_logits: Float[Array, " B"], eps: float = 0.0) -> Float[Array, " B"]:
    """The non-saturating loss of whoever makes the fakes, in nats (Goodfellow et al. 2014, section 3)."""
    return negative_log_sigmoid(fake_logits, eps)


def negative_log_sigmoid(logits: Float[Array, " B"], eps: float = 0.0) -> Float[Array, " B"]:
    """-log(sigmoid(logits)); with `eps`, -log(sigmoid(logits) + eps) computed literally.

    Tutorials write the latter. Its gradient vanishes where the sigmoid falls below eps; it is kept to be measured.
    """
    return -jnp.log(jax.nn.sigmoid(logits) + eps) if eps else jax.nn.softplus(-logits)


class GANLoss(NamedTuple):
    """What each side descends."""

    critic: Callable[[Logits, Logits], Logits]  # of the logits of reals and of fakes
    generator: Callable[[Logits], Logits]  # of the logits of fakes
    generator_to_critic_slope: Callable[[Logits], Logits] | None = (
        None  # generator's slope over critic's, at a fake; None: that may be 0
    )


GAN_LOSSES = {
    # Goodfellow et al. 2014 (arXiv 1406.2661), section 3.
    "non_saturating": GANLoss(
        binary_critic_loss, non_saturating_loss, lambda fake: -jnp.exp(jnp.minimum(-fake, MAX_CONFIDENT_LOGIT))
    ),
    # Mao et al. 2017 (arXiv 1611.04076), eq. 9: real is 1, fake 0.
    "least_squares": GANLoss(
        lambda real, fake: 0.5 * (jnp.square(real - 1) + jnp.square(fake)), lambda fake: 0.5 * jnp.square(fake - 1)
    ),
    # Lim & Ye 2017 (arXiv 1705.02894).
    "hinge": GANLoss(lambda real, fake: jax.nn.relu(1 - real) + jax.nn.relu(1 + fake), lambda fake: -fake),
    # Arjovsky et al. 2017 (arXiv 1701.07875); the critic has to be kept from steepness.
    "wasserstein": GANLoss(lambda real, fake: fake - real, lambda fake: -fake, lambda fake: -jnp.ones_like(fake)),
}
