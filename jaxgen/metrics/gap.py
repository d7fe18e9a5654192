"""How far two sets of codes are apart."""

import numpy as np
from jaxtyping import Float


def kernel_distance(first: Float[np.ndarray, "N Z"], second: Float[np.ndarray, "M Z"], scale: float) -> float:
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
