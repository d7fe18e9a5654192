"""Parzen-window estimate of the log-likelihood of a sampler, as adversarial papers of 2014 to 2016 report it.

The estimate is a poor metric in high dimensions (Theis et al. 2016, section 3.3). It serves for comparison.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

STDS = tuple(float(std) for std in np.geomspace(0.08, 0.4, 12))  # candidates for the std of the kernel
CHUNK = 250  # images per call


class ParzenEstimate(NamedTuple):
    """Mean log density of the held-out images in nats (higher is better), and the std of the kernel."""

    log_likelihood: float
    std: float


def parzen_log_likelihood(
    samples: Float[np.ndarray, "N D"],
    validation: Float[np.ndarray, "M D"],
    held_out: Float[np.ndarray, "L D"],
    stds: Sequence[float] = STDS,
) -> ParzenEstimate:
    """Returns the mean log density of held-out images under Gaussians of one std around the samples.

    The std is the candidate with the highest density on the validation images. Pixels lie in [0, 1] (Breuleux et al.
    2011; Goodfellow et al. 2014, section 5).
    """
    best = max(stds, key=dict(zip(stds, mean_log_density(samples, validation, stds), strict=True)).get)
    return ParzenEstimate(float(mean_log_density(samples, held_out, [best])[0]), best)


def mean_log_density(
    samples: Float[np.ndarray, "N D"], images: Float[np.ndarray, "M D"], stds: Sequence[float]
) -> Float[np.ndarray, " S"]:
    """Returns the mean over images x of log (1/N) Σ_n N(x; sample_n, std² I), in nats, for each std."""
    total = np.zeros(len(stds))
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        padded = np.pad(part, ((0, CHUNK - len(part)), (0, 0)))  # one shape, so one compilation
        total += np.asarray(_log_densities(samples, padded, jnp.asarray(stds)))[:, : len(part)].sum(1, dtype=np.float64)
    return total / len(images)


@jax.jit
def _log_densities(samples: Array, images: Array, stds: Array) -> Float[Array, "S M"]:
    """Returns the log density of each image for each std."""
    squared = (images**2).sum(1)[:, None] - 2 * images @ samples.T + (samples**2).sum(1)[None, :]
    count, size = samples.shape

    def log_density(std):
        kernels = jax.nn.logsumexp(-squared / (2 * std**2), axis=1)
        return kernels - jnp.log(count) - size * (jnp.log(std) + 0.5 * jnp.log(2 * jnp.pi))

    return jax.lax.map(log_density, stds)
