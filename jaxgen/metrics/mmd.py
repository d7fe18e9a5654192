"""How far two sets of codes are apart."""

import numpy as np
from jaxtyping import Float

from jaxgen.metrics.frechet import Features

CHUNK = 1000  # rows of the kernel matrix at once


def imq_mmd(first: Float[np.ndarray, "N Z"], second: Float[np.ndarray, "M Z"], scale: float) -> float:
    """Squared maximum mean discrepancy of two samples, unbiased, so that it can fall below 0.

    Kernel: inverse multiquadratic c / (c + |a - b|²) with c = 2 Z scale², the expected squared distance of two draws
    from N(0, scale² I) (Tolstikhin et al. 2018, section 4; Gretton et al. 2012, eq. 3).
    """
    constant = 2 * first.shape[1] * scale**2

    def kernel(a, b):
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
        return constant / (constant + np.maximum(squared, 0))

    def within(a):
        values = kernel(a, a)
        return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

    first, second = first.astype(np.float64), second.astype(np.float64)
    return float(within(first) + within(second) - 2 * kernel(first, second).mean())


def polynomial_mmd(first: Features, second: Features) -> float:
    """Squared maximum mean discrepancy under (x·y / F + 1)³, unbiased, so that it can fall below 0.

    Over all pairs at once, not as a mean over blocks (Bińkowski et al. 2018, section 4); at least two of each.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    within = [_kernel_sum(each, each) - _kernel(each, each).sum() for each in (first, second)]
    pairs = [len(each) * (len(each) - 1) for each in (first, second)]
    across = _kernel_sum(first, second) / (len(first) * len(second))
    return float(within[0] / pairs[0] + within[1] / pairs[1] - 2 * across)


def _kernel(first: Features, second: Features) -> Float[np.ndarray, " _"]:
    """The kernel of each row with the row beside it."""
    return ((first * second).sum(1) / first.shape[1] + 1) ** 3


def _kernel_sum(first: Features, second: Features) -> float:
    """The kernel summed over all pairs of rows."""
    parts = (first[start : start + CHUNK] @ second.T for start in range(0, len(first), CHUNK))
    return float(sum(((part / first.shape[1] + 1) ** 3).sum() for part in parts))
