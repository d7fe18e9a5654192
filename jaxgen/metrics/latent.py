"""Metrics of latent codes."""

import numpy as np
from jaxtyping import Float


def active_units(mean_codes: Float[np.ndarray, "N Z"], threshold: float = 0.01) -> int:
    """Returns the number of dimensions with Var_x(E[z|x]) > threshold (Burda et al. 2016, section 5), in [0, Z].

    `mean_codes` are posterior means: the noise of posterior samples would make every dimension vary. The threshold
    assumes a prior of variance 1.
    """
    return int((mean_codes.var(axis=0, dtype=np.float64) > threshold).sum())
