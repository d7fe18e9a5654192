"""jaxgen: the autoencoder family in JAX and Flax. `load` opens a trained model; the command line trains one.

Imports no jax until `load` is called.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxgen.inference.trained_model import TrainedModel

__version__ = "0.2.0"


def load(workdir: str | os.PathLike, step: int | str | None = None, seed: int | None = None) -> "TrainedModel":
    """Loads the trained model of a run.

    Args:
      workdir: the folder of a run.
      step: step of a checkpoint, or "best" for the best by the run's validation metric; None for the newest good one.
      seed: one of the run's seeds, if it has several; None for the first.

    Returns:
      A model with `encode`, `decode`, `sample`, `reconstruct`, `interpolate`, `traverse`, `latent_walk`,
      `attribute_vector`, `apply_direction`, `config`, `step` and `metrics`.

    Raises:
      ValueError: the folder is not a run, or has no such checkpoint or seed.
    """
    from jaxgen.inference.loading import load_model

    return load_model(workdir, step, seed)
