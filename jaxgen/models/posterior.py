"""Approximate posteriors q(z | x) and the moments of the aggregate posterior."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.kernels import random
from jaxgen.kernels.shared_backward import attach_gradient
from jaxgen.networks.normalization import pmean_if_mapped

LOG_STD_RANGE = (-7.0, 3.0)


class DiagonalGaussian(NamedTuple):
    """N(mean, exp(log_std)²) of each example; a point where `log_std` is None."""

    mean: Float[Array, "B Z"]
    log_std: Float[Array, "B Z"] | None

    def sample(self, rng: Array, *draws: int) -> Float[Array, "*draws B Z"]:
        """Codes, of a Gaussian, through which gradients go to mean and std (Kingma & Welling 2014, section 2.4)."""
        return self.mean + jnp.exp(self.log_std) * random.normal(rng, (*draws, *self.mean.shape))

    def kl_per_dim(self) -> Float[Array, "B Z"]:
        """What each dimension adds to KL(q(z | x) || N(0, I)), in nats."""
        return gaussian_kl_per_dim(self.mean, 2 * self.log_std)


def diagonal_gaussian_from_output(
    output: Float[Array, "B 2 Z"], bounds: tuple[float, float] = LOG_STD_RANGE, start: float = 0.0
) -> DiagonalGaussian:
    """Of an encoder's output: the mean, and the logarithm of the std less `start`, kept in `bounds`."""
    return DiagonalGaussian(output[:, 0], jnp.clip(output[:, 1] + start, *bounds))


def gaussian_kl(mean: Float[Array, "B Z"], logvar: Float[Array, "B Z"]) -> Float[Array, " B"]:
    """KL(N(mean, exp(logvar)) || N(0, I)) of each example, in nats.

    Summed over Z, not averaged (Kingma & Welling 2014, app. B).
    """
    return gaussian_kl_per_dim(mean, logvar).sum(-1)


def gaussian_kl_per_dim(mean: Float[Array, "B Z"], logvar: Float[Array, "B Z"]) -> Float[Array, "B Z"]:
    """What each dimension adds to `gaussian_kl`, in nats."""
    return 0.5 * (jnp.square(mean) + jnp.exp(logvar) - 1.0 - logvar)


class LatentMoments(NamedTuple):
    """Of the codes of all images together: dimension by dimension, and of the standardised ones every two of them."""

    mean: Float[Array, " Z"]
    second_moment: Float[Array, " Z"]
    covariance: Float[Array, "Z Z"]


def aggregate_posterior_moments(posterior: DiagonalGaussian) -> LatentMoments:
    """Of codes drawn from the posteriors of the whole batch, of all devices."""
    square = jnp.square(posterior.mean) + jnp.exp(2 * posterior.log_std)
    mean, square = pmean_if_mapped((posterior.mean.mean(0), square.mean(0)))
    code, log_std = standardize_posterior(posterior, mean, square)
    covariance = code.T @ code / len(code) + jnp.diag(jnp.exp(2 * log_std).mean(0))
    return LatentMoments(mean, square, pmean_if_mapped(covariance))


def standardize_posterior(
    posterior: DiagonalGaussian, mean: Float[Array, " Z"], square: Float[Array, " Z"]
) -> DiagonalGaussian:
    """The posteriors that shift and scale codes of these moments to a mean of 0 and a variance of 1."""
    std = jnp.sqrt(jnp.maximum(square - jnp.square(mean), 1e-8))
    return DiagonalGaussian((posterior.mean - mean) / std, posterior.log_std - jnp.log(std))


def dip_vae_penalty(so_far: Float[Array, "Z Z"], now: Float[Array, "Z Z"]) -> Float[Array, ""]:
    """Of covariances, their running mean up to the batch's; its gradient is as if the batch were all of it.

    A batch alone says little: of fewer codes than dimensions, some always seem to go together.
    """
    away = so_far * (1 - jnp.eye(len(so_far)))
    return attach_gradient(jnp.square(away).sum(), 2 * away, now)
