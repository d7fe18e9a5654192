"""Regularizers of critics, encoders and classifiers: gradient penalties, VAT, mutual information."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.kernels import random
from jaxgen.losses.reconstruction import sum_over_pixels

VAT_XI = 0.1  # ξ of Miyato et al. 2018: length of the finite-difference step in the power iteration


def wgan_gp_penalty(
    score: Callable[[Array], Array], real: Float[Array, "B *pixels"], fake: Float[Array, "B *pixels"], rng: Array
) -> Float[Array, " B"]:
    """Returns (‖∇ score‖ - 1)² at a random point between each real and its fake (Gulrajani et al. 2017, eq. 3).

    Args:
      score: maps examples [B, ...] to logits [B], each example on its own.
      real: examples of the data.
      fake: generated examples.
      rng: key of the interpolation weights.
    """
    weight = random.uniform(rng, (len(real), *[1] * (real.ndim - 1)))
    # The constant keeps the gradient of the norm finite at 0.
    norm = jnp.sqrt(squared_gradient_norm(score, weight * real + (1 - weight) * fake) + 1e-12)
    return jnp.square(norm - 1)


def r1_penalty(score: Callable[[Array], Array], inputs: Float[Array, "B *shape"]) -> Float[Array, " B"]:
    """Returns ½ ‖∇ score‖² at each input (Mescheder et al. 2018, section 4.1: R1 at real inputs, R2 at fakes).

    Without it a critic keeps a slope where real and fake already agree, and training circles its equilibrium.
    `score` maps inputs [B, ...] to logits [B], each on its own. The inputs receive no gradient.
    """
    return 0.5 * squared_gradient_norm(score, inputs)


def squared_gradient_norm(score: Callable[[Array], Array], inputs: Float[Array, "B *shape"]) -> Float[Array, " B"]:
    """Returns ‖∇ score‖² at each input; the inputs receive no gradient."""
    gradient = jax.grad(lambda x: score(x).sum())(jax.lax.stop_gradient(inputs))
    return sum_over_pixels(jnp.square(gradient))


def vat_perturbation(
    divergence: Callable[[Array], Array], rng: Array, shape: tuple[int, ...], epsilon: float
) -> Float[Array, "B *shape"]:
    """Returns the perturbation of norm `epsilon` that raises each example's divergence most, approximately.

    One power iteration from a random direction (Miyato et al. 2018, section 3.3). It carries no gradient.

    Args:
      divergence: maps perturbations [B, ...] to divergences [B].
      rng: key of the first direction.
      shape: shape of the perturbations.
      epsilon: norm of each example's perturbation, in the units of the input.
    """
    direction = VAT_XI * normalize_per_example(random.normal(rng, shape))
    gradient = jax.grad(lambda perturbation: divergence(perturbation).sum())(direction)
    return epsilon * normalize_per_example(jax.lax.stop_gradient(gradient))


def normalize_per_example(values: Float[Array, "B *shape"]) -> Float[Array, "B *shape"]:
    """Scales each example to norm 1."""
    norm = jnp.sqrt(jnp.square(values).sum(range(1, values.ndim), keepdims=True))
    return values / (norm + 1e-12)


def mutual_information_terms(logits: Float[Array, "B K"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns the conditional entropy and the marginal KL of q(y | x), in nats (RIM, Krause et al. 2010).

    The mutual information of input and category is I(x; y) = log K - conditional entropy - marginal KL. The first term
    is the mean entropy of q(y | x), the second the KL of the batch's mean q(y) from the uniform distribution.
    """
    log_q = jax.nn.log_softmax(logits)
    conditional_entropy = -(jnp.exp(log_q) * log_q).sum(-1).mean()
    log_marginal = jax.nn.logsumexp(log_q, axis=0) - math.log(len(logits))
    marginal_kl = (jnp.exp(log_marginal) * log_marginal).sum() + math.log(logits.shape[-1])
    return conditional_entropy, marginal_kl
