"""What the command line does with a trained model: evaluate it again, sample from it. More is in `exploring.py`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxgen import copies, figures, results, samplers
from jaxgen import workdir as workdirs
from jaxgen.checkpoint_folder import newest_meta
from jaxgen.config import validate
from jaxgen.data import Dataset, is_other, load_dataset
from jaxgen.files import write_arrays
from jaxgen.loading import accompanied, load_model
from jaxgen.model import Model
from jaxgen.telemetry import Telemetry

STYLES, COLUMNS = 10, 10  # rows of the sampled grid, and columns where they stand for no label


class Options(NamedTuple):
    """The command line's flags for the modes that use a model."""

    sampler: str = samplers.PRIOR
    images: str = ""  # a folder, or files with commas between; "": held-out images
    count: int | None = None  # how many of what the mode makes; None: its own default
    spherical: bool = False


DEFAULTS = Options()


def evaluate(config, workdir: str | Path) -> dict:
    """Measures the newest good checkpoint by `config.evaluation`, whatever the run had there; writes `results.json`.

    Raises:
      ValueError: the workdir is no run, holds another config's run, or has no checkpoint.
    """
    validate(config)
    runs_own = workdirs.read_config(workdir)  # a folder that is no run is refused, not made into one
    dataset = load_dataset(config.data)
    # The run's own way to be measured stays its config's, so that the run's own command goes on.
    claimed = {**config.to_dict(), "evaluation": runs_own.get("evaluation")}
    with workdirs.claim(workdir, claimed, free=workdirs.PLACES) as workdir:
        models = [with_companion(load_model(workdir, seed=seed)) for seed in copies.seeds_of(config)]
        before = workdirs.read_results(workdir) or {}
        meta = newest_meta(workdir / "checkpoints")
        with Telemetry(workdir, config.steps, config.steps) as telemetry:
            if is_other(meta.get("data", ""), dataset.identity):
                telemetry.message(
                    f"{dataset.name} has other images here than the run was trained on: those may be held out now"
                )
            return results.write(models, dataset, config, before.get("seconds"), workdir, telemetry)


def with_companion(model: Model) -> Model:
    """The model with the trained model that it works with, where there is one."""
    algorithm = accompanied(model.algorithm)
    return Model(algorithm, model.params, model.stats, model.config, model.step, model.metrics)


def open_model(config, workdir: str | Path) -> Model:
    """The run's model, which has to be of the config's family.

    Raises:
      ValueError: the workdir is no run, has no checkpoint, or holds another family's.
    """
    model = load_model(workdir)
    if model.config["algorithm"] != config.algorithm:
        raise ValueError(
            f"workdir={workdir} holds a run of algorithm={model.config['algorithm']}, and --config says "
            f"{config.algorithm}; name the run's own config, or another --workdir"
        )
    return model


def sample(config, workdir: str | Path, options: Options = DEFAULTS) -> Path:
    """Draws codes and decodes them: `samples.png`, and `samples.npz` with images, labels, codes; see `named`.

    Where the decoder needs a label, every label in ten styles, or in as many as `count` images take; else a hundred
    images, or `count`, labelled -1. Without a fitted sampler the data set need not be at hand.

    Raises:
      ValueError: the workdir is no run or has no checkpoint.
    """
    workdir = Path(workdir)
    model = open_model(config, workdir)
    needs_label, classes = model.algorithm.decoder_needs_label, model.algorithm.num_labels
    count = options.count or STYLES * (classes if needs_label else COLUMNS)
    rows = -(-count // classes)
    sampler = sampler_of(model, config, workdir, options.sampler)
    codes = model.draw_codes(rows if needs_label else count, config.seed, sampler)
    codes = np.repeat(codes, classes, axis=0) if needs_label else codes
    labels = np.tile(np.arange(classes, dtype=np.int32), rows) if needs_label else None
    images = model.decode(codes, labels)
    stored = np.full(len(codes), -1, np.int32) if labels is None else labels
    name = named("samples", options.sampler)
    still, arrays = workdir / f"{name}.png", workdir / f"{name}.npz"
    write_arrays(arrays, images=images, labels=stored, codes=codes)
    if needs_label:
        picture = figures.style_grid(images.reshape(rows, classes, *images.shape[1:]))
    else:
        picture = figures.tiled(images, min(count, COLUMNS))
    figures.write_png(still, picture)
    print(f"wrote {still} and {arrays} ({len(images)} images)")
    return still


def named(what: str, sampler: str) -> str:
    """What a sampler other than the prior has drawn bears its name: `samples_mixture`."""
    return what if sampler == samplers.PRIOR else f"{what}_{sampler}"


def sampler_of(model: Model, config, workdir: Path, name: str) -> samplers.Sampler | None:
    """The sampler of that name, fitted to the run's training images or found in its workdir; None for the prior."""
    if name == samplers.PRIOR:
        return None
    return samplers.fitted(model, dataset_of(model, config).train, name, workdir)


def dataset_of(model: Model, config) -> Dataset:
    """The data set that the model was trained on, from where the command line says that it lies."""
    data = ConfigDict(model.config["data"])
    data.path = config.data.path or data.path
    data.download, data.budget = config.data.download, config.data.budget
    return load_dataset(data)
