"""Importance-weighted lower bound on log p(x), which approaches log p(x) as the number of samples grows.

Burda et al. 2016 (arXiv 1509.00519), eq. 8, estimated with many samples.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxgen.types import Batch

SAMPLES_AT_ONCE = 50  # memory: SAMPLES_AT_ONCE × IMAGES_AT_ONCE × pixels, in floats
IMAGES_AT_ONCE = 100
LogWeights = Callable[..., Float[Array, "S B"]]  # (params, stats, batch, rng, num_samples)


class Bounds(NamedTuple):
    """Lower bounds on log p(x) of each image, in nats; higher is better."""

    importance_weighted: Float[np.ndarray, " N"]
    elbo: Float[np.ndarray, " N"]


def compile_likelihood_bounds(log_weights: LogWeights, num_samples: int) -> Callable[..., tuple[Array, Array]]:
    """Compiles `(params, stats, batch, rng) -> (log 1/S Σ w_s, mean of log w_s)` per example.

    S is `num_samples`. Samples are processed in chunks and only running sums are kept, so memory does not grow with S.
    """
    num_chunks, remainder = divmod(num_samples, SAMPLES_AT_ONCE)

    def bounds(params, stats, batch: Batch, rng):
        def chunk_sums(number, size):
            log_w = log_weights(params, stats, batch, jax.random.fold_in(rng, number), size)
            return jax.nn.logsumexp(log_w, axis=0), log_w.sum(0)

        def add_chunk(sums, number):
            log_sum, total = chunk_sums(number, SAMPLES_AT_ONCE)
            return (jnp.logaddexp(sums[0], log_sum), sums[1] + total), None

        start = (jnp.full(len(batch.label), -jnp.inf), jnp.zeros(len(batch.label)))
        (log_sum, total), _ = jax.lax.scan(add_chunk, start, jnp.arange(num_chunks))
        if remainder:
            log_rest, rest = chunk_sums(num_chunks, remainder)
            log_sum, total = jnp.logaddexp(log_sum, log_rest), total + rest
        return log_sum - jnp.log(num_samples), total / num_samples

    return jax.jit(bounds)


def likelihood_bounds(log_weights: LogWeights, params, stats, batches, num_samples: int, seed: int = 0) -> Bounds:
    """Returns both bounds of every image, in nats, without the padding of the batches.

    Args:
      log_weights: `(params, stats, batch, rng, num_samples) -> [num_samples, B]`: log p(x, z) - log q(z | x) for
        samples z of q(z | x).
      params: parameters by network.
      stats: statistics by network.
      batches: numpy batches of one size.
      num_samples: number of samples per image.
      seed: seed of the samples.
    """
    compiled = compile_likelihood_bounds(log_weights, num_samples)
    parts = []
    for number, batch in enumerate(batches):
        both = compiled(params, stats, batch, jax.random.fold_in(jax.random.key(seed), number))
        parts.append(np.stack([np.asarray(bound)[batch.mask > 0] for bound in both]))
    return Bounds(*np.concatenate(parts, axis=1))
