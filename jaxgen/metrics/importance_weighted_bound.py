"""The importance-weighted bound on log p(x), which nears it as the draws grow. No model is known here.

Burda et al. 2016 (arXiv 1509.00519), eq. 8, as an estimate with many draws.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxgen.types import Batch

DRAWS_AT_ONCE = 50  # with IMAGES_AT_ONCE, what bounds the memory: their product times the pixels, in floats
IMAGES_AT_ONCE = 100
LogWeights = Callable[..., Float[Array, "S B"]]  # (params, stats, batch, rng, draws)


class Bounds(NamedTuple):
    """Of each image, in nats."""

    importance_weighted: Float[np.ndarray, " N"]
    elbo: Float[np.ndarray, " N"]


def compile_likelihood_bounds(log_weights: LogWeights, draws: int) -> Callable[..., tuple[Array, Array]]:
    """Compiles `(params, stats, batch, rng) -> (log 1/S Σ w_s, mean of log w_s)` of each example, S = `draws`.

    Draws come in chunks, of which only running sums are kept: memory does not grow with their number.
    """
    whole, left_over = divmod(draws, DRAWS_AT_ONCE)

    def bounds(params, stats, batch: Batch, rng):
        def sums(number, size):
            log_w = log_weights(params, stats, batch, jax.random.fold_in(rng, number), size)
            return jax.nn.logsumexp(log_w, axis=0), log_w.sum(0)

        def add(so_far, number):
            log_sum, total = sums(number, DRAWS_AT_ONCE)
            return (jnp.logaddexp(so_far[0], log_sum), so_far[1] + total), None

        start = (jnp.full(len(batch.label), -jnp.inf), jnp.zeros(len(batch.label)))
        (log_sum, total), _ = jax.lax.scan(add, start, jnp.arange(whole))
        if left_over:
            log_rest, rest = sums(whole, left_over)
            log_sum, total = jnp.logaddexp(log_sum, log_rest), total + rest
        return log_sum - jnp.log(draws), total / draws

    return jax.jit(bounds)


def likelihood_bounds(log_weights: LogWeights, params, stats, batches, draws: int, seed: int = 0) -> Bounds:
    """Both bounds of every image, in nats; of each batch what is masked is left out.

    Args:
      log_weights: `(params, stats, batch, rng, draws) -> [draws, B]`, log p(x, z) - log q(z | x) of draws of q(z | x).
      params: by network.
      stats: by network.
      batches: numpy batches of one size.
      draws: how many for each image.
      seed: of the draws.
    """
    compiled = compile_likelihood_bounds(log_weights, draws)
    parts = []
    for number, batch in enumerate(batches):
        both = compiled(params, stats, batch, jax.random.fold_in(jax.random.key(seed), number))
        parts.append(np.stack([np.asarray(each)[batch.mask > 0] for each in both]))
    return Bounds(*np.concatenate(parts, axis=1))
