"""The modes that evaluate a trained model or sample from it. The other modes are in `explore.py`."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxgen import plotting
from jaxgen.config.automatic import resolve_auto
from jaxgen.config.base import validate_config
from jaxgen.config.overrides import NO_COMMAND, Command
from jaxgen.data import Dataset, is_different_dataset, load_dataset
from jaxgen.evaluation import results
from jaxgen.evaluation.latent_figures import condition_name
from jaxgen.evaluation.titles import add_figure_title
from jaxgen.inference import samplers
from jaxgen.inference.loading import attach_base_model, load_model, require_same_images
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io import workdir as workdirs
from jaxgen.io.atomic import write_bytes_atomic, write_npz_atomic
from jaxgen.io.checkpoint_files import read_latest_metadata
from jaxgen.io.paths import resolve_path
from jaxgen.io.run_logger import RunLogger
from jaxgen.optimization import seeds
from jaxgen.training.effects import require_effect

STYLES, COLUMNS = 10, 10  # rows of the grid of samples; its columns for unconditional models


class ModeOptions(NamedTuple):
    """The command line's flags for the modes that use a trained model."""

    sampler: str = samplers.PRIOR
    images: str | Sequence[str] = ""  # folders and files; "" or empty for held-out images
    count: int | None = None  # number of images, pairs, dimensions or codes; None for the mode's default
    spherical: bool = False
    step: int | str | None = None  # of the checkpoint, or "best"; None for the newest
    out: str = ""  # folder of the written files; "" for the workdir


DEFAULTS = ModeOptions()


def evaluate_run(
    config, workdir: str | Path, step: int | str | None = None, command: Command = NO_COMMAND, out: str = ""
) -> dict:
    """Evaluates a checkpoint as `config.evaluation` says, and writes `results.json`.

    The evaluation keys may differ from those in the run's own config, which stays as it is.

    Args:
      config: the recipe's config.
      workdir: folder of the run.
      step: of the checkpoint, or "best"; None for the newest good one.
      command: what the command line says; a value without an effect is refused.
      out: folder of the results and the log, for a workdir that cannot be written; "" for the workdir.

    Returns:
      The contents of `results.json`.

    Raises:
      ValueError: the workdir is not a run, holds a run with another config, or has no such checkpoint.
    """
    validate_config(config)
    config = resolve_auto(config)
    stored_config = workdirs.read_config(workdir)  # refuses a folder that is not a run, before a lock file is made
    dataset = load_dataset(config.data)
    # config.json keeps the run's own evaluation keys, so that the command which trained the run still resumes it.
    identity = {**config.to_dict(), "evaluation": stored_config.get("evaluation")}
    workdir, out_dir = resolve_path(workdir, "--workdir"), output_folder(workdir, out)
    with workdirs.lock_workdir(out_dir, identity, free=workdirs.MACHINE_KEYS):
        trained_models = [with_base_model(load_model(workdir, step, seed)) for seed in seeds.seed_range(config)]
        require_effect(command, config, trained_models[0].model)
        previous = workdirs.read_results(workdir, config.evaluation.split) or workdirs.read_results(workdir) or {}
        metadata = read_latest_metadata(workdir / "checkpoints")
        with RunLogger(out_dir, config.steps, config.steps) as logger:
            require_same_images(dataset, metadata, workdir)
            if is_different_dataset(metadata.get("data", ""), dataset.content_id):
                logger.log_message(
                    f"{dataset.name} has other images here than the run was trained on: those may be held out now"
                )
            newest = trained_models[0].step == metadata["step"]
            suffix = "" if newest else f"_step{trained_models[0].step}"
            return results.write_results(
                trained_models, dataset, config, previous.get("seconds"), out_dir, logger, suffix
            )


def with_base_model(trained: TrainedModel) -> TrainedModel:
    """Returns the model with its base model attached, if its family uses one."""
    model = attach_base_model(trained.model, trained.source[0] if trained.source else None)
    return TrainedModel(model, trained.params, trained.stats, trained.config, trained.step, trained.metrics)


def output_folder(workdir: str | Path, out: str = "") -> Path:
    """Returns the folder that a mode writes to: `out` or, by default, the run's folder.

    Raises:
      ValueError: the folder cannot be written.
    """
    folder = resolve_path(out, "--out") if out else resolve_path(workdir, "--workdir")
    folder = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder  # as the user names it
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}); name a writable folder: --out=DIR") from error


def load_run_model(config, workdir: str | Path, step: int | str | None = None) -> TrainedModel:
    """Loads the run's model, whose class must be the config's, at a step, "best" or the newest.

    Raises:
      ValueError: the workdir is not a run, has no such checkpoint, or holds a model of another class.
    """
    trained = load_model(workdir, step)
    if trained.config["model"] != config.model:
        raise ValueError(workdirs.describe_other_model(workdir, trained.config["model"], config.model))
    print(f"{config.model} of workdir={workdir} at step {trained.step:,}", file=sys.stderr)
    return trained


def sample_run(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> Path:
    """Samples codes and decodes them: `samples.png`, and `samples.npz` with images, labels and codes.

    A conditional model decodes each code under every label; `count` images, by default ten codes, are rounded up to
    whole rows. Any other model gives `count` images, by default a hundred, with label -1. The data set is loaded only
    to fit a sampler.

    Args:
      config: the recipe's config.
      workdir: folder of the run, where the files are written; see `with_sampler_suffix`.
      options: the sampler and the number of images.

    Returns:
      The path of the picture.

    Raises:
      ValueError: the workdir is not a run, or has no checkpoint.
    """
    trained, out_dir = load_run_model(config, workdir, options.step), output_folder(workdir, options.out)
    trained.require_latent()
    is_conditional, num_labels = trained.model.is_conditional, trained.model.num_conditions
    count = options.count or STYLES * (num_labels if is_conditional else COLUMNS)
    rows = -(-count // num_labels)
    sampler = get_sampler(trained, config, out_dir, options.sampler)
    codes = trained.sample_codes(rows if is_conditional else count, config.seed, sampler)
    codes = np.repeat(codes, num_labels, axis=0) if is_conditional else codes
    labels = np.tile(np.arange(num_labels, dtype=np.int32), rows) if is_conditional else None
    images = trained.decode(codes, labels)
    stored_labels = np.full(len(codes), -1, np.int32) if labels is None else labels
    name = with_step_suffix(with_sampler_suffix("samples", options.sampler), options, trained)
    picture_path, arrays_path = out_dir / f"{name}.png", out_dir / f"{name}.npz"
    write_npz_atomic(arrays_path, images=images, labels=stored_labels, codes=codes)
    if is_conditional:
        names = [condition_name(trained, label, get_class_names(trained)) for label in range(num_labels)]
        picture = plotting.style_grid(images.reshape(rows, num_labels, *images.shape[1:]), names=names)
    else:
        picture = plotting.tile_images(images, min(count, COLUMNS))
    picture = add_figure_title(picture, "samples", trained.model.info.name, f"sampler: {options.sampler}")
    write_bytes_atomic(picture_path, plotting.encode_png(picture))
    print(f"wrote {picture_path} and {arrays_path} ({len(images)} images)")
    return picture_path


def get_class_names(trained: TrainedModel) -> tuple[str, ...]:
    """Returns the names of the classes by label, () if the run does not store them or a label is its own name."""
    return tuple(getattr(trained, "classes", ()) or ())


def with_step_suffix(name: str, options: ModeOptions, trained: TrainedModel) -> str:
    """Returns a file name that ends in the step of the model, such as `traverse_step1000`, if the command names one."""
    return name if options.step is None else f"{name}_step{trained.step}"


def with_sampler_suffix(name: str, sampler: str) -> str:
    """Returns a file name that ends in the sampler's name, such as `samples_mixture`, unless it is the prior."""
    return name if sampler == samplers.PRIOR else f"{name}_{sampler}"


def get_sampler(trained: TrainedModel, config, workdir: Path, name: str) -> samplers.LatentSampler | None:
    """Returns the sampler of that name, loaded or fitted to the training images; None for the prior."""
    if name == samplers.PRIOR:
        return None
    return samplers.load_or_fit_sampler(trained, load_training_dataset(trained, config).train, name, workdir)


def load_training_dataset(trained: TrainedModel, config) -> Dataset:
    """Loads the data set that the model was trained on, from the place that the command line gives."""
    data = ConfigDict(trained.config["data"])
    data.path = config.data.path or data.path
    data.download, data.memory_budget_mib = config.data.download, config.data.memory_budget_mib
    return load_dataset(data)
