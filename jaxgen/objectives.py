"""Losses per example, [B], in nats, from logits. No networks, no averaging over the batch."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxgen import prng

PROBE = 0.1  # the length of the step that finds the direction of `worst_change`


def bernoulli_nll(logits: Float[Array, "B *pixels"], targets: Float[Array, "B *pixels"]) -> Float[Array, " B"]:
    """-log p(x | z) of each example in nats, summed over pixels.

    Grey targets in [0, 1] are taken as probabilities, so the value is a cross-entropy and its minimum is not 0.
    """
    logits, targets = flat(logits), flat(targets)
    # Of softplus(l) - x l: five times as fast on a CPU as with optax's two log-sigmoids, gradient included.
    return (jnp.maximum(logits, 0) + jnp.log1p(jnp.exp(-jnp.abs(logits))) - targets * logits).sum(-1)


def gaussian_nll(
    mean: Float[Array, "B *pixels"], targets: Float[Array, "B *pixels"], std: float | Float[Array, ""] = 1.0
) -> Float[Array, " B"]:
    """-log N(x; mean, std² I) of each example in nats, summed over pixels, the normaliser included."""
    off = flat(targets - mean) / std
    return (0.5 * jnp.square(off) + jnp.log(std) + 0.5 * math.log(2 * math.pi)).sum(-1)


def gaussian_log_density(
    value: Float[Array, "*S B Z"], mean: Float[Array, "B Z"], log_std: Float[Array, "B Z"]
) -> Float[Array, "*S B"]:
    """Log N(value; mean, exp(log_std)²) of each example, in nats, summed over Z."""
    off = (value - mean) * jnp.exp(-log_std)
    return -(0.5 * jnp.square(off) + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)


def squared_error(reconstruction: Float[Array, "B *pixels"], targets: Float[Array, "B *pixels"]) -> Float[Array, " B"]:
    """Squared error of each example, averaged over pixels: the MSE of pixels in [0, 1]."""
    return jnp.square(flat(reconstruction) - flat(targets)).mean(-1)


def critic_loss(
    real_logits: Float[Array, " B"], fake_logits: Float[Array, " B"], eps: float = 0.0
) -> Float[Array, " B"]:
    """Cross-entropy of telling real from fake, in nats (Goodfellow et al. 2014, eq. 1, as a minimisation).

    See `minus_log_sigmoid` for `eps`.
    """
    return minus_log_sigmoid(real_logits, eps) + minus_log_sigmoid(-fake_logits, eps)


def gradient_penalty(score: Callable, at: Float[Array, "B *shape"]) -> Float[Array, " B"]:
    """½ ‖∇ score‖² at each example (Mescheder et al. 2018, section 4.1: R1 at real examples, R2 at fakes).

    Without it a critic goes on pulling where real and fake already agree, and the game circles its equilibrium.
    `score` takes examples to logits, [B, ...] -> [B], one by one. No gradient goes to whoever made `at`.
    """
    return 0.5 * squared_slope(score, at)


def squared_slope(score: Callable, at: Float[Array, "B *shape"]) -> Float[Array, " B"]:
    """‖∇ score‖² at each example; no gradient goes to whoever made `at`."""
    slope = jax.grad(lambda x: score(x).sum())(jax.lax.stop_gradient(at))
    return sum_over_pixels(jnp.square(slope))


def penalised(
    loss: Float[Array, ""], score: Callable, real: Array, fake: Array, weight: float
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """A critic's mean loss plus `weight` times its slope's penalty at reals and at fakes, and what it consists of."""
    if not weight:
        return loss, {"loss": loss}
    penalty = (gradient_penalty(score, real) + gradient_penalty(score, fake)).mean()
    return loss + weight * penalty, {"loss": loss, "penalty": penalty}


def grey(image: Float[Array, "*B H W 3"]) -> Float[Array, "*B H W 1"]:
    """Colour as grey: .30 R + .59 G + .11 B (ITU-R BT.601)."""
    return image @ jnp.array([[0.30], [0.59], [0.11]])


def opponent(image: Float[Array, "B H W 3"], red_blue: float, green: float) -> Float[Array, "B H W 3"]:
    """Colours along orthonormal axes: brightness; red less blue and green less both, times the two numbers.

    Of pictures, colours differ less than brightness (Ruderman et al. 1998): of our faces, their variances are .80, .09
    and .02. Times 3 and 6 they are as one, and what is told or compared by all weighs them alike.
    """
    axes = jnp.array([[1, red_blue, -green], [1, 0, 2 * green], [1, -red_blue, -green]])
    kernel = (axes / jnp.sqrt(jnp.array([3.0, 2.0, 6.0])))[None, None]
    # Not image @ axes: a matrix product of three columns takes a CPU 20 times as long.
    kinds, precision = ("NHWC", "HWIO", "NHWC"), jax.lax.Precision.HIGHEST
    return jax.lax.conv_general_dilated(image, kernel, (1, 1), "VALID", dimension_numbers=kinds, precision=precision)


def reconstruction_measures(
    logits: Float[Array, "B *pixels"], targets: Float[Array, "B *pixels"]
) -> dict[str, Float[Array, " B"]]:
    """`nll` in nats and `mse` of pixels in [0, 1], of each example's pixel logits."""
    logits, targets = flat(logits), flat(targets)
    return {"nll": bernoulli_nll(logits, targets), "mse": squared_error(jax.nn.sigmoid(logits), targets)}


def worst_change(divergence: Callable, rng: Array, shape: tuple[int, ...], size: float) -> Float[Array, "B *shape"]:
    """Of the changes of norm `size` of each example, nearly the one that raises its divergence [B] most.

    One power iteration from a random direction (Miyato et al. 2018, section 3.3); it carries no gradient.
    """
    start = prng.normal(rng, shape)
    slope = jax.grad(lambda change: divergence(change).sum())(PROBE * unit(start))
    return size * unit(jax.lax.stop_gradient(slope))


def unit(change: Float[Array, "B *shape"]) -> Float[Array, "B *shape"]:
    """The same directions at length 1 for each example."""
    length = jnp.sqrt(jnp.square(change).sum(range(1, change.ndim), keepdims=True))
    return change / (length + 1e-12)


def fooling_loss(fake_logits: Float[Array, " B"], eps: float = 0.0) -> Float[Array, " B"]:
    """The non-saturating loss of whoever makes the fakes, in nats (Goodfellow et al. 2014, section 3)."""
    return minus_log_sigmoid(fake_logits, eps)


def minus_log_sigmoid(logits: Float[Array, " B"], eps: float = 0.0) -> Float[Array, " B"]:
    """-log(sigmoid(logits)); with `eps`, -log(sigmoid(logits) + eps) computed literally.

    Tutorials write the latter. Its gradient vanishes where the sigmoid falls below eps; it is kept to be measured.
    """
    return -jnp.log(jax.nn.sigmoid(logits) + eps) if eps else jax.nn.softplus(-logits)


def uninformative(logits: Float[Array, "B K"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """What keeps categories from telling all they could of their examples, in nats: doubt and imbalance.

    I(x; y) = log K - doubt - imbalance, where doubt is the mean entropy of q(y | x), and imbalance the KL from uniform
    of the batch's mean q(y).
    """
    log_q = jax.nn.log_softmax(logits)
    doubt = -(jnp.exp(log_q) * log_q).sum(-1).mean()
    log_mean = jax.nn.logsumexp(log_q, axis=0) - math.log(len(logits))
    imbalance = (jnp.exp(log_mean) * log_mean).sum() + math.log(logits.shape[-1])
    return doubt, imbalance


def categorical_nll(logits: Float[Array, "B K"], label: Int[Array, " B"]) -> Float[Array, " B"]:
    """-log p(label) of each example in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, label)


def flat(values: Float[Array, "B *pixels"]) -> Float[Array, "B N"]:
    """Each example's pixels in one row; a CPU sums rows up 50 times as fast as images of one channel."""
    return values.reshape(len(values), -1)


def sum_over_pixels(values: Float[Array, "B *pixels"]) -> Float[Array, " B"]:
    """Sums all axes but the first."""
    return flat(values).sum(-1)
