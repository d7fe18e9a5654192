"""What the command line does with a trained model: evaluate it again, sample from it."""

from pathlib import Path

import numpy as np

from jaxgen import copies, figures, training
from jaxgen import workdir as workdirs
from jaxgen.data import load_dataset
from jaxgen.loading import load_model
from jaxgen.telemetry import Telemetry

STYLES = 10  # rows of the sampled grid


def evaluate(config, workdir: str | Path) -> dict:
    """Measures the newest good checkpoint by `config.evaluation`, whatever the run had there; writes `results.json`.

    Raises:
      ValueError: the workdir is no run, holds another config's run, or has no checkpoint.
    """
    workdirs.read_config(workdir)  # a folder that is no run is refused, not made into one
    dataset = load_dataset(config.data)
    with workdirs.claim(workdir, config.to_dict(), free=(*workdirs.PLACES, "evaluation")) as workdir:
        models = [load_model(workdir, seed=seed) for seed in copies.seeds_of(config)]
        before = workdirs.read_results(workdir) or {}
        with Telemetry(workdir, config.steps, config.steps) as telemetry:
            return training.write_results(models, dataset, config, before.get("seconds"), workdir, telemetry)


def sample(config, workdir: str | Path) -> Path:
    """Draws every label in ten styles from the prior: `samples.png`, and `samples.npz` with images, labels, codes.

    Raises:
      ValueError: the workdir is no run or has no checkpoint.
    """
    workdir = Path(workdir)
    model = load_model(workdir)
    classes = model.algorithm.num_labels
    codes = np.repeat(model.prior_codes(STYLES, seed=config.seed), classes, axis=0)
    labels = np.tile(np.arange(classes, dtype=np.int32), STYLES)
    images = model.decode(codes, labels)
    np.savez(workdir / "samples.npz", images=images, labels=labels, codes=codes)
    figures.write_png(workdir / "samples.png", figures.style_grid(images.reshape(STYLES, classes, *images.shape[1:])))
    print(f"wrote {workdir / 'samples.png'} and {workdir / 'samples.npz'} ({len(images)} images)")
    return workdir / "samples.png"
