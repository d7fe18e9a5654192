"""jaxgen: the autoencoder family in JAX and Flax. `load` opens a trained model; `launch.py` trains one."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxgen.inference.trained_model import TrainedModel

__version__ = "0.1.0"


def load(workdir: str | os.PathLike, step: int | str | None = None, seed: int | None = None) -> "TrainedModel":
    """Opens the model that a run left in its workdir.

    Args:
      workdir: the folder of a run.
      step: a checkpoint's step, or "best" by the run's validation metric; None is the newest good one.
      seed: which copy of a run of several seeds; None is the first.

    Returns:
      A model with `encode`, `decode`, `sample`, `reconstruct`, `interpolate`, `traverse`, `walk`, `attribute`, `move`,
      `config`, `step` and `metrics`.

    Raises:
      ValueError: the folder is no run, or holds no such checkpoint or seed.
    """
    from jaxgen.inference.loading import load_model

    return load_model(workdir, step, seed)
