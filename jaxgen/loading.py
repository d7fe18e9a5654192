"""Opening what a run left in its workdir."""

import os
from pathlib import Path

import jax
from ml_collections import ConfigDict

from jaxgen import algorithms, parallel
from jaxgen import workdir as workdirs
from jaxgen.checkpoints import Checkpoints, newest_meta
from jaxgen.model import Model
from jaxgen.types import Info


def load_model(workdir: str | os.PathLike, step: int | str | None = None) -> Model:
    """See `jaxgen.load`. The data set need not be at hand: the run says what its networks were built for."""
    workdir = Path(workdir)
    config = ConfigDict(workdirs.read_config(workdir))
    meta = newest_meta(workdir / "checkpoints")
    if meta is None:
        raise ValueError(
            f"{workdir} holds no checkpoint yet; train it: python launch.py --config=… --workdir={workdir}"
        )
    info = Info(meta["info"]["name"], tuple(meta["info"]["image_shape"]), meta["info"]["num_classes"])
    algorithm = algorithms.build(config, info)
    target = parallel.like(jax.eval_shape(algorithm.init, jax.random.key(0)), parallel.data_mesh())
    with Checkpoints(workdir / "checkpoints", best=(f"validation/{config.best_metric}", "min")) as checkpoints:
        restored = checkpoints.restore(target, step)
    results = workdirs.read_results(workdir)
    metrics = results["metrics"] if results and results["step"] == restored.step else {}
    state = restored.state
    return Model(algorithm, state.params, state.stats, config.to_dict(), restored.step, metrics)
