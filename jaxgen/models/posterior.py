"""Approximate posteriors q(z | x), and the moments of the aggregate posterior, their mixture over all images."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.kernels import random
from jaxgen.kernels.shared_backward import attach_gradient
from jaxgen.networks.normalization import pmean_if_mapped

LOG_STD_RANGE = (-7.0, 3.0)


class DiagonalGaussian(NamedTuple):
    """N(mean, exp(log_std)²) of each example; a point mass if `log_std` is None."""

    mean: Float[Array, "B Z"]
    log_std: Float[Array, "B Z"] | None

    def sample(self, rng: Array, *shape: int) -> Float[Array, "*shape B Z"]:
        """Samples codes by the reparameterization trick (Kingma & Welling 2014, section 2.4)."""
        return self.mean + jnp.exp(self.log_std) * random.normal(rng, (*shape, *self.mean.shape))

    def kl_per_dim(self) -> Float[Array, "B Z"]:
        """Returns the contribution of each dimension to KL(q(z | x) || N(0, I)), in nats."""
        return gaussian_kl_per_dim(self.mean, 2 * self.log_std)


def diagonal_gaussian_from_output(
    output: Float[Array, "B 2 Z"], bounds: tuple[float, float] = LOG_STD_RANGE, start: float = 0.0
) -> DiagonalGaussian:
    """Splits an encoder's output into mean and log-std; `start` is added to the log-std before clipping to `bounds`."""
    return DiagonalGaussian(output[:, 0], jnp.clip(output[:, 1] + start, *bounds))


def gaussian_kl(mean: Float[Array, "B Z"], logvar: Float[Array, "B Z"]) -> Float[Array, " B"]:
    """Returns KL(N(mean, exp(logvar)) || N(0, I)) of each example, in nats.

    Summed over Z, not averaged (Kingma & Welling 2014, app. B).
    """
    return gaussian_kl_per_dim(mean, logvar).sum(-1)


def gaussian_kl_per_dim(mean: Float[Array, "B Z"], logvar: Float[Array, "B Z"]) -> Float[Array, "B Z"]:
    """Returns the contribution of each dimension to `gaussian_kl`, in nats."""
    return 0.5 * (jnp.square(mean) + jnp.exp(logvar) - 1.0 - logvar)


class LatentMoments(NamedTuple):
    """Moments of the aggregate posterior: two per dimension, and the covariance of the standardized codes."""

    mean: Float[Array, " Z"]
    second_moment: Float[Array, " Z"]
    covariance: Float[Array, "Z Z"]


def aggregate_posterior_moments(posterior: DiagonalGaussian) -> LatentMoments:
    """Returns the moments of the mixture of the batch's posteriors, over all devices."""
    square = jnp.square(posterior.mean) + jnp.exp(2 * posterior.log_std)
    mean, square = pmean_if_mapped((posterior.mean.mean(0), square.mean(0)))
    code, log_std = standardize_posterior(posterior, mean, square)
    covariance = code.T @ code / len(code) + jnp.diag(jnp.exp(2 * log_std).mean(0))
    return LatentMoments(mean, square, pmean_if_mapped(covariance))


def standardize_posterior(
    posterior: DiagonalGaussian, mean: Float[Array, " Z"], second_moment: Float[Array, " Z"]
) -> DiagonalGaussian:
    """Shifts and scales posteriors so that an aggregate with these moments gets mean 0 and variance 1."""
    std = jnp.sqrt(jnp.maximum(second_moment - jnp.square(mean), 1e-8))
    return DiagonalGaussian((posterior.mean - mean) / std, posterior.log_std - jnp.log(std))


def dip_vae_penalty(running: Float[Array, "Z Z"], batch: Float[Array, "Z Z"]) -> Float[Array, ""]:
    """Returns the sum of squared off-diagonal covariances (DIP-VAE-II, Kumar et al. 2018).

    A single batch is a poor estimate: with fewer codes than dimensions, some dimensions always seem correlated. The
    value therefore comes from the running covariance. The gradient with respect to the running covariance goes to the
    batch's covariance in full.

    Args:
      running: running mean of the covariance, this batch included.
      batch: covariance of this batch.
    """
    off_diagonal = running * (1 - jnp.eye(len(running)))
    return attach_gradient(jnp.square(off_diagonal).sum(), 2 * off_diagonal, batch)
