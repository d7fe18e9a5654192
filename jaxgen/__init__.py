"""jaxgen: the autoencoder family in JAX and Flax. `load` opens a trained model, and `load_data` its images.

Imports no jax until one of them is called.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxgen.data import Dataset
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
      `attribute_vector`, `apply_direction`, `config`, `step`, `classes`, `metrics` and `metrics_by_split`. Pickling it
      keeps the place of the run; the process that receives it loads the model again.

    Raises:
      ValueError: the folder is not a run, or has no such checkpoint or seed.
    """
    from jaxgen.inference.loading import load_model

    return load_model(workdir, step, seed)


def load_data(workdir: str | os.PathLike, path: str | os.PathLike = "") -> "Dataset":
    """Loads the data set of a run as its model saw it: prepared, split and, if the run does so, binarized.

    Args:
      workdir: the folder of a run.
      path: the folder of the images, if it has moved since the training.

    Returns:
      A `Dataset` with the splits `train`, `validation` and `test`, each of `image`, uint8 [N, H, W, C] (divide by 255
      for the model's methods), and `label` [N]; and with `class_names`.

    Raises:
      ValueError: the folder is not a run, or its images cannot be loaded or have another size.
    """
    from jaxgen.inference.loading import load_run_data

    return load_run_data(workdir, path)
