"""TODO: jaxgen.losses.regularizers."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.kernels import random
from jaxgen.losses.adversarial import Logits
from jaxgen.losses.reconstruction import sum_over_pixels


def wgan_gp_penalty(score: Callable, real: Float[Array, "B *pixels"], fake: Float[Array, "B *pixels"], rng) -> Logits:
    """(‖∇ score‖ - 1)² at a random point between each real and its fake (Gulrajani et al. 2017, eq. 3).

    `score` takes images to logits one by one, [B, ...] -> [B].
    """
    share = random.uniform(rng, (len(real), *[1] * (real.ndim - 1)))
    length = jnp.sqrt(
        squared_gradient_norm(score, share * real + (1 - share) * fake) + 1e-12
    )  # whose own slope at 0 is so 0
    return jnp.square(length - 1)


VAT_XI = 0.1  # the length of the step that finds the direction of `worst_change`


def r1_penalty(score: Callable, at: Float[Array, "B *shape"]) -> Float[Array, " B"]:
    """½ ‖∇ score‖² at each example (Mescheder et al. 2018, section 4.1: R1 at real examples, R2 at fakes).

    Without it a critic goes on pulling where real and fake already agree, and the game circles its equilibrium.
    `score` takes examples to logits, [B, ...] -> [B], one by one. No gradient goes to whoever made `at`.
    """
    return 0.5 * squared_gradient_norm(score, at)


def squared_gradient_norm(score: Callable, at: Float[Array, "B *shape"]) -> Float[Array, " B"]:
    """‖∇ score‖² at each example; no gradient goes to whoever made `at`."""
    slope = jax.grad(lambda x: score(x).sum())(jax.lax.stop_gradient(at))
    return sum_over_pixels(jnp.square(slope))


def add_gradient_penalty(
    loss: Float[Array, ""], score: Callable, real: Array, fake: Array, weight: float
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """A critic's mean loss plus `weight` times its slope's penalty at reals and at fakes, and what it consists of."""
    if not weight:
        return loss, {"loss": loss}
    penalty = (r1_penalty(score, real) + r1_penalty(score, fake)).mean()
    return loss + weight * penalty, {"loss": loss, "r1_r2": penalty}


def vat_perturbation(divergence: Callable, rng: Array, shape: tuple[int, ...], size: float) -> Float[Array, "B *shape"]:
    """Of the changes of norm `size` of each example, nearly the one that raises its divergence [B] most.

    One power iteration from a random direction (Miyato et al. 2018, section 3.3); it carries no gradient.
    """
    start = random.normal(rng, shape)
    slope = jax.grad(lambda change: divergence(change).sum())(VAT_XI * normalize_per_example(start))
    return size * normalize_per_example(jax.lax.stop_gradient(slope))


def normalize_per_example(change: Float[Array, "B *shape"]) -> Float[Array, "B *shape"]:
    """The same directions at length 1 for each example."""
    length = jnp.sqrt(jnp.square(change).sum(range(1, change.ndim), keepdims=True))
    return change / (length + 1e-12)


def mutual_information_terms(logits: Float[Array, "B K"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """What keeps categories from telling all they could of their examples, in nats: doubt and imbalance.

    I(x; y) = log K - doubt - imbalance, where doubt is the mean entropy of q(y | x), and imbalance the KL from uniform
    of the batch's mean q(y).
    """
    log_q = jax.nn.log_softmax(logits)
    doubt = -(jnp.exp(log_q) * log_q).sum(-1).mean()
    log_mean = jax.nn.logsumexp(log_q, axis=0) - math.log(len(logits))
    imbalance = (jnp.exp(log_mean) * log_mean).sum() + math.log(logits.shape[-1])
    return doubt, imbalance
