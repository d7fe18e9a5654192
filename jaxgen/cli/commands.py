"""What the command line does with a trained model: evaluate it again, sample from it. More is in `exploring.py`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxgen import plotting
from jaxgen.config.base import validate_config
from jaxgen.data import Dataset, is_different_dataset, load_dataset
from jaxgen.evaluation import results
from jaxgen.inference import samplers
from jaxgen.inference.loading import attach_base_model, load_model
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io import workdir as workdirs
from jaxgen.io.atomic import write_npz_atomic
from jaxgen.io.checkpoint_files import read_latest_metadata
from jaxgen.io.run_logger import RunLogger
from jaxgen.optimization import seeds

STYLES, COLUMNS = 10, 10  # rows of the sampled grid, and columns where they stand for no label


class ModeOptions(NamedTuple):
    """The command line's flags for the modes that use a model."""

    sampler: str = samplers.PRIOR
    images: str = ""  # a folder, or files with commas between; "": held-out images
    count: int | None = None  # how many of what the mode makes; None: its own default
    spherical: bool = False


DEFAULTS = ModeOptions()


def evaluate_run(config, workdir: str | Path) -> dict:
    """Measures the newest good checkpoint by `config.evaluation`, whatever the run had there; writes `results.json`.

    Raises:
      ValueError: the workdir is no run, holds another config's run, or has no checkpoint.
    """
    validate_config(config)
    runs_own = workdirs.read_config(workdir)  # a folder that is no run is refused, not made into one
    dataset = load_dataset(config.data)
    # The run's own way to be measured stays its config's, so that the run's own command goes on.
    claimed = {**config.to_dict(), "evaluation": runs_own.get("evaluation")}
    with workdirs.lock_workdir(workdir, claimed, free=workdirs.MACHINE_KEYS) as workdir:
        trained_models = [with_base_model(load_model(workdir, seed=seed)) for seed in seeds.seed_range(config)]
        before = workdirs.read_results(workdir) or {}
        meta = read_latest_metadata(workdir / "checkpoints")
        with RunLogger(workdir, config.steps, config.steps) as telemetry:
            if is_different_dataset(meta.get("data", ""), dataset.content_id):
                telemetry.log_message(
                    f"{dataset.name} has other images here than the run was trained on: those may be held out now"
                )
            return results.write_results(trained_models, dataset, config, before.get("seconds"), workdir, telemetry)


def with_base_model(trained: TrainedModel) -> TrainedModel:
    """The model with the trained model that it works with, where there is one."""
    model = attach_base_model(trained.model)
    return TrainedModel(model, trained.params, trained.stats, trained.config, trained.step, trained.metrics)


def load_run_model(config, workdir: str | Path) -> TrainedModel:
    """The run's model, which has to be of the config's family.

    Raises:
      ValueError: the workdir is no run, has no checkpoint, or holds another family's.
    """
    trained = load_model(workdir)
    if trained.config["model"] != config.model:
        raise ValueError(
            f"workdir={workdir} holds a run of algorithm={trained.config['algorithm']}, and --config says "
            f"{config.model}; name the run's own config, or another --workdir"
        )
    return trained


def sample_run(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> Path:
    """Draws codes and decodes them: `samples.png`, and `samples.npz` with images, labels, codes; see `named`.

    Where the decoder needs a label, every label in ten styles, or in as many as `count` images take; else a hundred
    images, or `count`, labelled -1. Without a fitted sampler the data set need not be at hand.

    Raises:
      ValueError: the workdir is no run or has no checkpoint.
    """
    workdir = Path(workdir)
    trained = load_run_model(config, workdir)
    trained.require_latent()
    needs_label, classes = trained.model.is_conditional, trained.model.num_conditions
    count = options.count or STYLES * (classes if needs_label else COLUMNS)
    rows = -(-count // classes)
    sampler = get_sampler(trained, config, workdir, options.sampler)
    codes = trained.sample_codes(rows if needs_label else count, config.seed, sampler)
    codes = np.repeat(codes, classes, axis=0) if needs_label else codes
    labels = np.tile(np.arange(classes, dtype=np.int32), rows) if needs_label else None
    images = trained.decode(codes, labels)
    stored = np.full(len(codes), -1, np.int32) if labels is None else labels
    name = with_sampler_suffix("samples", options.sampler)
    still, arrays = workdir / f"{name}.png", workdir / f"{name}.npz"
    write_npz_atomic(arrays, images=images, labels=stored, codes=codes)
    if needs_label:
        picture = plotting.style_grid(images.reshape(rows, classes, *images.shape[1:]))
    else:
        picture = plotting.tile_images(images, min(count, COLUMNS))
    plotting.write_png(still, picture)
    print(f"wrote {still} and {arrays} ({len(images)} images)")
    return still


def with_sampler_suffix(what: str, sampler: str) -> str:
    """What a sampler other than the prior has drawn bears its name: `samples_mixture`."""
    return what if sampler == samplers.PRIOR else f"{what}_{sampler}"


def get_sampler(trained: TrainedModel, config, workdir: Path, name: str) -> samplers.LatentSampler | None:
    """The sampler of that name, fitted to the run's training images or found in its workdir; None for the prior."""
    if name == samplers.PRIOR:
        return None
    return samplers.load_or_fit_sampler(trained, load_training_dataset(trained, config).train, name, workdir)


def load_training_dataset(trained: TrainedModel, config) -> Dataset:
    """The data set that the model was trained on, from where the command line says that it lies."""
    data = ConfigDict(trained.config["data"])
    data.path = config.data.path or data.path
    data.download, data.memory_budget_mib = config.data.download, config.data.memory_budget_mib
    return load_dataset(data)
