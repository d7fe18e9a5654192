"""Which dimensions of a code say anything of the image."""

import numpy as np
from jaxtyping import Float


def active_units(mean_code: Float[np.ndarray, "N Z"], threshold: float = 0.01) -> int:
    """How many dimensions vary with the image: Var_x(E[z | x]) above a threshold (Burda et al. 2016, section 5)."""
    return int((mean_code.var(0) > threshold).sum())
