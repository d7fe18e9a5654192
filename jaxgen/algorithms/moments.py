"""The moments of the codes of all images together, and codes that are given those of the prior."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.algorithms.posterior import Posterior
from jaxgen.games import with_gradient
from jaxgen.networks.normalisation import over_devices


class Moments(NamedTuple):
    """Of the codes of all images together: dimension by dimension, and of the standardised ones every two of them."""

    mean: Float[Array, " Z"]
    square: Float[Array, " Z"]
    covariance: Float[Array, "Z Z"]


def moments_of(posterior: Posterior) -> Moments:
    """Of codes drawn from the posteriors of the whole batch, of all devices."""
    square = jnp.square(posterior.mean) + jnp.exp(2 * posterior.log_std)
    mean, square = over_devices((posterior.mean.mean(0), square.mean(0)))
    code, log_std = standard(posterior, mean, square)
    covariance = code.T @ code / len(code) + jnp.diag(jnp.exp(2 * log_std).mean(0))
    return Moments(mean, square, over_devices(covariance))


def standard(posterior: Posterior, mean: Float[Array, " Z"], square: Float[Array, " Z"]) -> Posterior:
    """The posteriors that shift and scale codes of these moments to a mean of 0 and a variance of 1."""
    std = jnp.sqrt(jnp.maximum(square - jnp.square(mean), 1e-8))
    return Posterior((posterior.mean - mean) / std, posterior.log_std - jnp.log(std))


def squared_off_diagonal(so_far: Float[Array, "Z Z"], now: Float[Array, "Z Z"]) -> Float[Array, ""]:
    """Of covariances, their running mean up to the batch's; its gradient is as if the batch were all of it.

    A batch alone says little: of fewer codes than dimensions, some always seem to go together.
    """
    away = so_far * (1 - jnp.eye(len(so_far)))
    return with_gradient(jnp.square(away).sum(), 2 * away, now)
