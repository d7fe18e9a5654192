"""Opening what a run left in its workdir."""

import os
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from jaxgen import algorithms, copies, parallel
from jaxgen import workdir as workdirs
from jaxgen.algorithms import Algorithm
from jaxgen.checkpoint_folder import newest_meta
from jaxgen.checkpoints import Checkpoints
from jaxgen.model import Model
from jaxgen.trees import difference, leaves_by_path
from jaxgen.types import Info, Params, Stats


def load_model(workdir: str | os.PathLike, step: int | str | None = None, seed: int | None = None) -> Model:
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
    copy = copy_of(config, seed)
    init = copies.init(algorithm.init, config.seeds)
    target = parallel.like(jax.eval_shape(init, copies.keys(config)), parallel.data_mesh())
    with Checkpoints(workdir / "checkpoints", best=(f"validation/{config.best_metric}", "min")) as checkpoints:
        restored = checkpoints.restore(target, step)
    results = workdirs.read_results(workdir)
    metrics = {}
    if results and results["step"] == restored.step:
        metrics = results["of_each_seed"][copy] if "of_each_seed" in results else results["metrics"]
    state = copies.split(restored.state, config.seeds)[copy]
    return Model(algorithm, state.params, state.stats, config.to_dict(), restored.step, metrics)


def accompanied(algorithm: Algorithm) -> Algorithm:
    """The algorithm with the trained model that it works with, where there is one.

    Raises:
      ValueError: that model cannot be opened, or does not fit.
    """
    workdir = algorithm.companion_workdir
    if not workdir:
        return algorithm
    try:
        model = load_model(workdir)
    except ValueError as error:
        reason = str(error).partition("; ")[0]  # its way out makes any run there, which need not be one that serves
        name = type(algorithm).__name__
        raise ValueError(
            f"{name} cannot open the model that it works with: {reason}; train that one first, with --workdir={workdir}"
        ) from error
    return algorithm.with_companion(model)


class Networks(NamedTuple):
    """Every network's parameters and statistics, of each copy where a run has several."""

    params: dict[str, Params]
    stats: dict[str, Stats]


def inherited(config, algorithm: Algorithm) -> Networks | None:
    """The networks of the run `config.start_from`, those of each of our seeds; None without one.

    Raises:
      ValueError: that run cannot be opened, lacks one of our seeds, or has other networks.
    """
    if not config.start_from:
        return None
    models = [load_model(config.start_from, seed=seed) for seed in copies.seeds_of(config)]
    theirs = copies.join([Networks(model.params, model.stats) for model in models])
    state = jax.eval_shape(copies.init(algorithm.init, config.seeds), copies.keys(config))
    ours = leaves_by_path(Networks(state.params, state.stats))
    if differs := difference(leaves_by_path(theirs), ours):
        raise ValueError(
            f"start_from={config.start_from} is a run of other networks: {differs}; give both the same sizes"
        )
    return theirs


def copy_of(config, seed: int | None) -> int:
    """The place of a seed among a run's copies; the first without one."""
    seeds = copies.seeds_of(config)
    if seed is not None and seed not in seeds:
        raise ValueError(f"seed={seed} is none of this run's, {seeds.start} to {seeds.stop - 1}")
    return 0 if seed is None else seeds.index(seed)
