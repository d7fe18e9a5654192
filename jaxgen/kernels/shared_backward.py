"""The game of an adversarial autoencoder whose critic is piecewise linear, with one way back through it for all.

Between two bends of its ReLUs a critic is l(x) = s · x + what its biases make; a score(x, one), whose biases are times
`one`, is linear in the two together. The way back that gives s, the slope at an example, gives everything else too:

    the encoder's gradient   by an example, s times its loss's slope at the logit
    the critic's gradient    of its loss, c = its slope at each logit, plus weight · ½ ‖s‖²: that of the one sum
                             Σ ∂score · (c x + weight s, c), the derivative of the score along that direction; for
                             Σ c l(x) is the derivative along (c x, c), and the gradient of ½ ‖s‖² that along (s, 0)

Apart these are three ways back, and two products for the gradient of every kernel where here there is one: a step of
cond_aae takes a fifth less (two cores). The losses and gradients are the same but for rounding.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.losses.adversarial import binary_critic_loss, non_saturating_loss

Score = Callable[[Float[Array, "B N"], Float[Array, " B"]], Float[Array, " B"]]  # of examples, and of `one`


def critic_loss_with_penalty(
    score: Score, real: Float[Array, "B N"], fake: Float[Array, "B N"], weight: float
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """A critic's mean loss plus `weight` times ½ ‖slope‖² at reals and at fakes, and what it consists of.

    No gradient goes to whoever made the fakes.
    """
    at, one = interleave(real, fake), jnp.ones(2 * len(real))
    logits, slope = logits_and_slopes(score, at)
    loss, share = jax.value_and_grad(lambda logits: binary_critic_loss(logits[::2], logits[1::2]).mean())(logits)
    penalty = 0.5 * jnp.square(slope).sum() / len(real)
    direction = share[:, None] * at + weight / len(real) * slope
    _, along = jax.jvp(score, (at, one), (direction, share))
    sides = jax.lax.stop_gradient((loss, penalty))
    total = sides[0] + weight * sides[1] + (along.sum() - jax.lax.stop_gradient(along.sum()))
    return total, {"loss": loss, "r1_r2": penalty}


def generator_loss_from_slope(score: Score, real: Float[Array, "B N"], fake: Float[Array, "B N"]) -> Float[Array, ""]:
    """The mean loss of whoever makes the fakes, with its gradient by them.

    With the critic's examples at the same point, the compiler merges this pass with that of `told_apart`.
    """
    logits, slope = (each[1::2] for each in logits_and_slopes(score, interleave(real, fake)))
    loss, share = jax.value_and_grad(lambda logits: non_saturating_loss(logits).mean())(logits)
    return attach_gradient(loss, share[:, None] * slope, fake)


def logits_and_slopes(score: Score, at: Float[Array, "B N"]) -> tuple[Float[Array, " B"], Float[Array, "B N"]]:
    """The logits of examples and the critic's slopes there; neither carries a gradient."""
    one = jnp.ones(len(at))
    logits, way_back = jax.vjp(lambda at: score(at, one), at)
    return jax.lax.stop_gradient((logits, *way_back(one)))


def interleave(real: Float[Array, "B N"], fake: Float[Array, "B N"]) -> Float[Array, "2*B N"]:
    """One batch of the two, a real and a fake by turns; no gradient goes to whoever made them.

    It costs less than two batches. Of a batch that devices share, each then has its reals next to its fakes: one after
    the other, they are exchanged, or the parts of a kernel's gradient are one by one.
    """
    return jax.lax.stop_gradient(jnp.stack([real, fake], 1).reshape(2 * len(real), -1))


@jax.custom_vjp
def attach_gradient(value: Float[Array, ""], gradient: Any, at: Any) -> Float[Array, ""]:
    """The value, which is differentiated as if that were its gradient by `at`."""
    del gradient, at
    return value


attach_gradient.defvjp(
    lambda value, gradient, _: (value, gradient),
    lambda gradient, g: (None, None, jax.tree.map(lambda each: g * each, gradient)),
)
