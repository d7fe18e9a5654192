"""GAN losses of critic and generator, per example [B], from the critic's logits. No networks."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Logits = Float[Array, " B"]
# Largest logit magnitude, in nats, for which the ratio of generator and critic slope is computed. Beyond it the
# generator's gradient fades to zero, because the critic's slope underflows float32 at about 90 nats.
MAX_CONFIDENT_LOGIT = 60.0


def binary_critic_loss(
    real_logits: Float[Array, " B"], fake_logits: Float[Array, " B"], eps: float = 0.0
) -> Float[Array, " B"]:
    """Returns the critic's cross-entropy of real against fake, in nats (Goodfellow et al. 2014, eq. 1, negated).

    See `negative_log_sigmoid` for `eps`.
    """
    return negative_log_sigmoid(real_logits, eps) + negative_log_sigmoid(-fake_logits, eps)


def non_saturating_loss(fake_logits: Float[Array, " B"], eps: float = 0.0) -> Float[Array, " B"]:
    """Returns the generator's non-saturating loss, in nats (Goodfellow et al. 2014, section 3).

    See `negative_log_sigmoid` for `eps`.
    """
    return negative_log_sigmoid(fake_logits, eps)


def negative_log_sigmoid(logits: Float[Array, " B"], eps: float = 0.0) -> Float[Array, " B"]:
    """Returns -log(sigmoid(logits)), in nats; with `eps`, -log(sigmoid(logits) + eps) computed literally.

    Tutorials write the literal form. Its gradient vanishes where the sigmoid falls below `eps`; models/tutorial_aae.py
    reproduces it.
    """
    return -jnp.log(jax.nn.sigmoid(logits) + eps) if eps else jax.nn.softplus(-logits)


class GANLoss(NamedTuple):
    """The losses of the two players of a GAN.

    Attributes:
      critic: maps the logits of reals and of fakes to the critic's loss.
      generator: maps the logits of fakes to the generator's loss.
      generator_to_critic_slope: maps the logits of fakes to the ratio of the generator loss's derivative to the critic
        loss's; None if the critic's derivative can be zero. Needed by `kernels.shared_fake_backward`.
    """

    critic: Callable[[Logits, Logits], Logits]
    generator: Callable[[Logits], Logits]
    generator_to_critic_slope: Callable[[Logits], Logits] | None = None


GAN_LOSSES = {
    # Goodfellow et al. 2014 (arXiv 1406.2661), section 3.
    "non_saturating": GANLoss(
        binary_critic_loss, non_saturating_loss, lambda fake: -jnp.exp(jnp.minimum(-fake, MAX_CONFIDENT_LOGIT))
    ),
    # Mao et al. 2017 (arXiv 1611.04076), eq. 9: target 1 for reals, 0 for fakes.
    "least_squares": GANLoss(
        lambda real, fake: 0.5 * (jnp.square(real - 1) + jnp.square(fake)), lambda fake: 0.5 * jnp.square(fake - 1)
    ),
    # Lim & Ye 2017 (arXiv 1705.02894).
    "hinge": GANLoss(lambda real, fake: jax.nn.relu(1 - real) + jax.nn.relu(1 + fake), lambda fake: -fake),
    # Arjovsky et al. 2017 (arXiv 1701.07875), eq. 3; the critic needs a bounded slope, by a penalty or spectral norm.
    "wasserstein": GANLoss(lambda real, fake: fake - real, lambda fake: -fake, lambda fake: -jnp.ones_like(fake)),
}
