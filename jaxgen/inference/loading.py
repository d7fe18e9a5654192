"""Loading of trained models from run folders."""

import os
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from jaxgen import models
from jaxgen.distributed import devices
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io import workdir as workdirs
from jaxgen.io.checkpoint_files import read_latest_metadata
from jaxgen.io.checkpoints import CheckpointManager
from jaxgen.io.pytrees import first_mismatch, flatten_with_paths
from jaxgen.models import GenerativeModel
from jaxgen.models.colorizer import Colorizer
from jaxgen.optimization import seeds
from jaxgen.types import DatasetSpec, Params, Stats


def load_model(workdir: str | os.PathLike, step: int | str | None = None, seed: int | None = None) -> TrainedModel:
    """Loads the model of a run; see `jaxgen.load`. The data set is not needed: the checkpoint describes it."""
    workdir = Path(workdir)
    config = ConfigDict(workdirs.read_config(workdir))
    meta = read_latest_metadata(workdir / "checkpoints")
    if meta is None:
        raise ValueError(
            f"{workdir} holds no checkpoint yet; train it: python launch.py --config=… --workdir={workdir}"
        )
    info = read_dataset_spec(meta["info"])
    model = models.build_model(config, info)
    index = seed_index(config, seed)
    init = seeds.vmap_init(model.init, config.num_seeds)
    target = devices.abstract_like(jax.eval_shape(init, seeds.seed_keys(config)), devices.data_mesh())
    with CheckpointManager(workdir / "checkpoints", best=(f"validation/{config.best_metric}", "min")) as checkpoints:
        restored = checkpoints.restore(target, step)
    results = workdirs.read_results(workdir)
    metrics = {}
    if results and results["step"] == restored.step:
        metrics = results["per_seed"][index] if "per_seed" in results else results["metrics"]
    state = seeds.unstack_seeds(restored.state, config.num_seeds)[index]
    return TrainedModel(model, state.params, state.stats, config.to_dict(), restored.step, metrics)


def read_dataset_spec(info: dict) -> DatasetSpec:
    """Returns the properties of the data set that a checkpoint describes; older ones have no names of the classes."""
    shape, names = tuple(info["image_shape"]), tuple(info.get("class_names", ()))
    return DatasetSpec(info["name"], shape, info["num_classes"], names)


def attach_base_model(model: GenerativeModel) -> GenerativeModel:
    """Returns the model with the trained base model that its config names, if there is one.

    Raises:
      ValueError: the base model cannot be loaded, or does not fit.
    """
    if not isinstance(model, Colorizer) or not model.base_model_workdir:
        return model
    workdir = model.base_model_workdir
    try:
        trained = load_model(workdir)
    except ValueError as error:
        reason = str(error).partition("; ")[0]  # without its advice, which would train any recipe there
        name = type(model).__name__
        raise ValueError(
            f"{name} cannot load its base model: {reason}; train the base model first, with --workdir={workdir}"
        ) from error
    return model.with_base_model(trained)


class NetworkState(NamedTuple):
    """Parameters and statistics by network; with a leading seed axis in a run of several seeds."""

    params: dict[str, Params]
    stats: dict[str, Stats]


def load_initial_networks(config, model: GenerativeModel) -> NetworkState | None:
    """Returns the networks of the run `config.init_from` for each seed of this run; None if `init_from` is empty.

    Raises:
      ValueError: the run cannot be loaded, lacks a seed of this run, or has different networks.
    """
    if not config.init_from:
        return None
    trained_models = [load_model(config.init_from, seed=seed) for seed in seeds.seed_range(config)]
    initial = seeds.stack_seeds([NetworkState(trained.params, trained.stats) for trained in trained_models])
    state = jax.eval_shape(seeds.vmap_init(model.init, config.num_seeds), seeds.seed_keys(config))
    expected = flatten_with_paths(NetworkState(state.params, state.stats))
    if mismatch := first_mismatch(flatten_with_paths(initial), expected):
        raise ValueError(
            f"init_from={config.init_from} has different networks: {mismatch}; use the same sizes in both runs"
        )
    return initial


def seed_index(config, seed: int | None) -> int:
    """Returns the index of a seed in a run; 0 without a seed."""
    trained = seeds.seed_range(config)
    if seed is not None and seed not in trained:
        raise ValueError(
            f"seed={seed} was not trained in this run; its seeds are {trained.start} to {trained.stop - 1}"
        )
    return 0 if seed is None else trained.index(seed)
