"""Maximum mean discrepancy between two samples: of codes (inverse multiquadratic) and of features (polynomial)."""

import numpy as np
from jaxtyping import Float

from jaxgen.metrics.frechet import Features

CHUNK = 1000  # rows of the kernel matrix per product


def imq_mmd(first: Float[np.ndarray, "N Z"], second: Float[np.ndarray, "M Z"], scale: float) -> float:
    """Returns the unbiased squared maximum mean discrepancy of two samples; near 0 (or below) for equal distributions.

    Kernel: inverse multiquadratic c / (c + |a - b|²) with c = 2 Z scale², the expected squared distance of two samples
    of N(0, scale² I) (Tolstikhin et al. 2018, section 4; Gretton et al. 2012, eq. 3).
    """
    constant = 2 * first.shape[1] * scale**2

    def kernel(a, b):
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
        return constant / (constant + np.maximum(squared, 0))

    def mean_within(a):
        values = kernel(a, a)
        return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

    first, second = first.astype(np.float64), second.astype(np.float64)
    return float(mean_within(first) + mean_within(second) - 2 * kernel(first, second).mean())


def polynomial_mmd(first: Features, second: Features) -> float:
    """Returns the unbiased squared maximum mean discrepancy under (x·y / F + 1)³, the kernel of the KID.

    Near 0 (or below) for equal distributions; lower is better. Computed over all pairs at once instead of as a mean
    over blocks (Bińkowski et al. 2018, section 4). Each set needs at least two rows.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    within = [_kernel_sum(x, x) - _kernel(x, x).sum() for x in (first, second)]
    pairs = [len(x) * (len(x) - 1) for x in (first, second)]
    across = _kernel_sum(first, second) / (len(first) * len(second))
    return float(within[0] / pairs[0] + within[1] / pairs[1] - 2 * across)


def _kernel(first: Features, second: Features) -> Float[np.ndarray, " _"]:
    """Returns the kernel of each row of `first` with the same row of `second`."""
    return ((first * second).sum(1) / first.shape[1] + 1) ** 3


def _kernel_sum(first: Features, second: Features) -> float:
    """Returns the kernel summed over all pairs of rows."""
    parts = (first[start : start + CHUNK] @ second.T for start in range(0, len(first), CHUNK))
    return float(sum(((part / first.shape[1] + 1) ** 3).sum() for part in parts))
