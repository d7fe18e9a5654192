"""Loading of trained models from run folders."""

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from jaxgen import models
from jaxgen.data import Dataset, is_different_dataset, load_dataset
from jaxgen.distributed import devices
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io import workdir as workdirs
from jaxgen.io.checkpoint_files import read_latest_metadata
from jaxgen.io.checkpoints import CheckpointManager
from jaxgen.io.paths import find_moved_folder, resolve_path
from jaxgen.io.pytrees import first_mismatch, flatten_with_paths
from jaxgen.models import GenerativeModel
from jaxgen.models.colorizer import Colorizer
from jaxgen.optimization import seeds
from jaxgen.types import DatasetSpec, EvaluationMetrics, Params, Stats

log = logging.getLogger("jaxgen")


@devices.in_float32
def load_model(workdir: str | os.PathLike, step: int | str | None = None, seed: int | None = None) -> TrainedModel:
    """Loads the model of a run; see `jaxgen.load`. The data set is not needed: the checkpoint describes it."""
    workdir = resolve_path(workdir, "workdir")
    config = ConfigDict(workdirs.read_config(workdir))
    meta = read_latest_metadata(workdir / "checkpoints")
    if meta is None:
        raise ValueError(
            f"{workdir} holds no checkpoint yet; train it: python launch.py --config=… --workdir={workdir}"
        )
    model = models.build_model(config, read_dataset_spec(meta["info"]))
    index = seed_index(config, seed)
    init = seeds.vmap_init(model.init, config.num_seeds)
    target = devices.abstract_like(jax.eval_shape(init, seeds.seed_keys(config)), devices.data_mesh())
    best = (f"validation/{meta.get('best_metric', config.best_metric)}", "min")
    with CheckpointManager(workdir / "checkpoints", best=best) as checkpoints:
        restored = checkpoints.restore(target, step)
    state = seeds.unstack_seeds(restored.state, config.num_seeds)[index]
    trained = TrainedModel(model, state.params, state.stats, config.to_dict(), restored.step)
    trained.metrics_by_split = read_metrics(workdir, restored.step, index)
    trained.classes = model.info.class_names or tuple(map(str, range(model.info.num_classes)))
    trained.source = (str(workdir), restored.step, seed)
    return trained


def read_dataset_spec(info: dict) -> DatasetSpec:
    """Returns the properties of the data set that a checkpoint describes; older ones have no names of the classes."""
    shape, names = tuple(info["image_shape"]), tuple(info.get("class_names", ()))
    return DatasetSpec(info["name"], shape, info["num_classes"], names)


def read_metrics(workdir: Path, step: int, index: int) -> dict[str, EvaluationMetrics]:
    """Returns the metrics of one seed by split, as far as this step was evaluated."""
    results = {entry["split"]: entry for entry in workdirs.read_all_results(workdir) if entry["step"] == step}
    return {
        split: entry["per_seed"][index] if "per_seed" in entry else entry["metrics"] for split, entry in results.items()
    }


def load_run_data(workdir: str | os.PathLike, path: str | os.PathLike = "") -> Dataset:
    """Loads the data set of a run; see `jaxgen.load_data`."""
    workdir = resolve_path(workdir, "workdir")
    data = ConfigDict(workdirs.read_config(workdir)["data"])
    data.path = str(resolve_path(path, "path")) if path else data.path
    dataset = load_dataset(data)
    meta = read_latest_metadata(workdir / "checkpoints") or {}
    require_same_images(dataset, meta, workdir)
    if is_different_dataset(meta.get("data", ""), dataset.content_id):
        log.warning("%s has other images than %s was trained on: those may be held out here", dataset.name, workdir)
    return dataset


def require_same_images(dataset: Dataset, meta: dict[str, Any], workdir: str | os.PathLike) -> None:
    """Raises a ValueError if images have another size, or another number of classes, than those of a run."""
    if not meta:
        return
    there, here = read_dataset_spec(meta["info"]), dataset.spec
    if (there.image_shape, there.num_classes) != (here.image_shape, here.num_classes):
        raise ValueError(
            f"{here.name} has images {here.image_shape} in {here.num_classes} classes; workdir={workdir} was trained "
            f"on {there.image_shape} in {there.num_classes} classes. Use the images of that run: --config.data.path=DIR"
        )


def attach_base_model(model: GenerativeModel, workdir: str | os.PathLike | None = None) -> GenerativeModel:
    """Returns the model with the trained base model that its config names, if there is one.

    Args:
      model: the model.
      workdir: its run folder. If both runs were moved together, the base model is found beside it.

    Raises:
      ValueError: the base model cannot be loaded, or does not fit.
    """
    if not isinstance(model, Colorizer) or not model.base_model_workdir:
        return model
    neighbor = resolve_path(workdir or "run", "workdir")
    workdir = find_moved_folder(model.base_model_workdir, neighbor, "base_model_workdir")
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
    workdir = resolve_path(config.init_from, "--config.init_from")
    trained_models = [load_model(workdir, seed=seed) for seed in seeds.seed_range(config)]
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
