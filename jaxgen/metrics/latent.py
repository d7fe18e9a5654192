"""What a set of codes says of the encoder that made it."""

import numpy as np
from jaxtyping import Float


def active_units(mean_codes: Float[np.ndarray, "N Z"], threshold: float = 0.01) -> int:
    """How many dimensions of the code depend on the image: Var_x(E[z|x]) > threshold (Burda et al. 2016, section 5).

    `mean_codes` are the posterior's means, not draws from it, whose noise would make every dimension vary; the
    threshold is meant for a prior of variance 1.
    """
    return int((mean_codes.var(axis=0, dtype=np.float64) > threshold).sum())
