"""One backward pass through a ReLU critic for its loss, its gradient penalty and the loss of the encoder against it.

Between the kinks of its ReLUs a critic is affine in its input, l(u) = s · u + b. If every bias is multiplied by a
number `scale`, the logit is linear in (u, scale) together. Then one backward pass, which gives the gradient s at each
example, gives every derivative of a step:

    generator loss   its gradient by a code is s times the loss's derivative by the logit.
    critic loss      c, its derivative by each logit, gives Σ c l(u) as the directional derivative of l along
                     (c u, c) for (u, scale).
    penalty          ½ ‖s‖² and the directional derivative along (s, 0) have the same gradient by the parameters.

Critic loss plus w times penalty is one directional derivative, along (c u + w s, c). Its gradient by the parameters
needs one matrix product per kernel instead of two, and all losses share one forward and one backward pass instead of
three. Without it a step takes 1.18 times the processor time for cond_aae, 1.17 for aae, 1.22 for semi_aae and 1.23 for
cluster_aae: medians of 21 alternating runs in one process, two cores of an Intel Xeon, jax 0.10.2, other work beside
them. Losses and gradients differ by rounding only.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.kernels.switch import replaces

NO_DROPOUT = (None, None, None)


class Critic(NamedTuple):
    """A critic of codes, which may depend on a condition of each example.

    Attributes:
      apply: maps (params, *inputs, rng=None) to logits; an rng turns dropout on.
      params: the network's parameters.
      inputs: maps codes and conditions to the network's inputs; affine in the codes.
      condition: tree of arrays with one row for each example of a batch.
    """

    apply: Callable[..., Array]
    params: Any
    inputs: Callable[[Array, Any], tuple[Array, ...]]
    condition: Any

    def logits(self, codes: Float[Array, "B Z"], rng: Array | None = None) -> Float[Array, " B"]:
        """Returns the logits that codes come from the prior."""
        return self.apply(self.params, *self.inputs(codes, self.condition), rng=rng)


class CriticLosses(NamedTuple):
    """Mean losses of a critic and of the encoder that generates its fake codes.

    Attributes:
      critic: the critic's loss plus its weighted penalty.
      generator: the encoder's loss.
      metrics: the critic's `loss` and, with a weight, the penalty `r1_r2`.
    """

    critic: Float[Array, ""]
    generator: Float[Array, ""]
    metrics: dict[str, Float[Array, ""]]


def critic_losses(
    gan_loss: Any,
    critic: Critic,
    real: Float[Array, "B Z"],
    fake: Float[Array, "B Z"],
    weight: float,
    fused: bool,
    dropout_rngs: tuple[Array | None, ...] = NO_DROPOUT,
) -> CriticLosses:
    """Returns the losses of a critic and of the encoder.

    Args:
      gan_loss: a `losses.adversarial.GANLoss`.
      critic: the critic; with `fused`, of Dense layers and ReLUs without dropout.
      real: codes of the prior.
      fake: codes of images.
      weight: weight of the penalty ½ ‖∇ critic‖² at real and at fake codes (Mescheder et al. 2018, section 4.1).
      fused: whether both players share one backward pass. It needs a positive weight, and both players must update from
        the same parameters. The critic's loss then carries no gradient by the codes, nor the generator's by `params`.
      dropout_rngs: keys of the critic's dropout at real codes, at fake codes, and at fake codes in the encoder's loss.
    """
    losses = shared_critic_losses if fused else separate_critic_losses
    return losses(gan_loss, critic, real, fake, weight, dropout_rngs)


def separate_critic_losses(
    gan_loss: Any,
    critic: Critic,
    real: Float[Array, "B Z"],
    fake: Float[Array, "B Z"],
    weight: float,
    dropout_rngs: tuple[Array | None, ...] = NO_DROPOUT,
) -> CriticLosses:
    """Returns the losses of `critic_losses`, each with a backward pass of its own; the penalty has no dropout."""
    real_rng, fake_rng, generator_rng = dropout_rngs
    loss = gan_loss.critic(critic.logits(real, real_rng), critic.logits(fake, fake_rng)).mean()
    generator_loss = gan_loss.generator(critic.logits(fake, generator_rng)).mean()
    if not weight:
        return CriticLosses(loss, generator_loss, {"loss": loss})
    slopes = [jax.grad(lambda codes: critic.logits(codes).sum())(jax.lax.stop_gradient(x)) for x in (real, fake)]
    penalty = sum(0.5 * jnp.square(slope).sum(-1) for slope in slopes).mean()
    return CriticLosses(loss + weight * penalty, generator_loss, {"loss": loss, "r1_r2": penalty})


@replaces(separate_critic_losses)
def shared_critic_losses(
    gan_loss: Any,
    critic: Critic,
    real: Float[Array, "B Z"],
    fake: Float[Array, "B Z"],
    weight: float,
    dropout_rngs: tuple[Array | None, ...] = NO_DROPOUT,
) -> CriticLosses:
    """Returns the losses of `critic_losses` from one forward and one backward pass; see the module's docstring."""
    del dropout_rngs
    codes = interleave(real, fake)
    condition = jax.tree.map(lambda x: jnp.repeat(x, 2, axis=0), critic.condition)
    inputs, inputs_vjp = jax.vjp(lambda codes: critic.inputs(codes, condition), codes)

    def derivatives(inputs, scale):
        """Logits [2B], and the gradients of their sum by the parameters and by the inputs."""

        def logits_of(params, inputs):
            with scale_biases(scale):
                return critic.apply(params, *inputs)

        logits, vjp = jax.vjp(logits_of, jax.lax.stop_gradient(critic.params), inputs)
        return logits, *vjp(jnp.ones_like(logits))

    (logits, _, inputs_slope), jvp = jax.linearize(derivatives, inputs, jnp.ones(len(codes)))
    (slope,) = inputs_vjp(inputs_slope)
    loss, logit_slope = jax.value_and_grad(lambda x: gan_loss.critic(x[::2], x[1::2]).mean())(logits)
    penalty = 0.5 * jnp.square(slope).sum() / len(real)
    penalty_direction = jax.jvp(lambda x: critic.inputs(x, condition), (codes,), (weight / len(real) * slope,))[1]
    direction = jax.tree.map(lambda x, along: scale_rows(logit_slope, x) + along, inputs, penalty_direction)
    _, params_gradient, _ = jvp(direction, logit_slope)
    critic_loss = attach_gradient(loss + weight * penalty, params_gradient, critic.params)
    generator_loss, fake_slope = jax.value_and_grad(lambda x: gan_loss.generator(x).mean())(logits[1::2])
    generator_loss = attach_gradient(generator_loss, scale_rows(fake_slope, slope[1::2]), fake)
    return CriticLosses(critic_loss, generator_loss, {"loss": loss, "r1_r2": penalty})


def interleave(real: Float[Array, "B Z"], fake: Float[Array, "B Z"]) -> Float[Array, "2*B Z"]:
    """Returns one batch of real and fake codes in alternation, without gradients.

    One batch costs less than two. Where devices share it, each device holds its real codes next to its fake ones.
    Concatenated batches would be exchanged between devices, or each part of a kernel's gradient computed on its own.
    """
    return jax.lax.stop_gradient(jnp.stack([real, fake], 1).reshape(2 * len(real), -1))


def scale_rows(factor: Float[Array, " N"], x: Float[Array, "N *shape"]) -> Float[Array, "N *shape"]:
    """Returns each example multiplied by its factor."""
    return factor.reshape(-1, *[1] * (x.ndim - 1)) * x


def scale_biases(scale: Float[Array, " N"]) -> contextlib.AbstractContextManager:
    """Multiplies the biases of Flax modules by one number for each example, within a context."""

    def add_to_bias(call, args, kwargs, context):
        output = call(*args, **kwargs)
        if context.method_name != "__call__" or not context.module.has_variable("params", "bias"):
            return output
        bias = context.module.get_variable("params", "bias").astype(jnp.float32)
        return output + ((scale - 1)[:, None] * bias).astype(output.dtype)

    return nn.intercept_methods(add_to_bias)


@jax.custom_vjp
def attach_gradient(value: Float[Array, ""], gradient: Any, at: Any) -> Float[Array, ""]:
    """Returns the value, with `gradient` as its gradient with respect to the arrays `at`."""
    del gradient, at
    return value


attach_gradient.defvjp(
    lambda value, gradient, _: (value, gradient),
    lambda gradient, cotangent: (None, None, jax.tree.map(lambda leaf: cotangent * leaf, gradient)),
)
