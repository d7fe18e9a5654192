"""The same codes drawn again as training goes on: a row for each of some epochs, and a moving picture.

Each snapshot is a file of its own in the workdir, so that a run that was cut off loses none.
"""

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxgen import plotting
from jaxgen.evaluation.latent_figures import cycle_labels
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io.atomic import write_bytes_atomic

FOLDER = "snapshots"
SIDE = 10  # of the moving picture's grid, and images in a row of the still one
FRAME_MS = 500


def is_due(config, examples: int, start: int, stop: int, evaluated: bool) -> bool:
    """Whether one of `config.snapshot_epochs` ends in the steps after `start`, up to `stop`, or the model is shown."""
    return any(evaluated or start < last_step(config, examples, epoch) <= stop for epoch in snapshot_epochs(config))


def snapshot_epochs(config) -> tuple[int, ...]:
    """`config.snapshot_epochs`; none of a recipe without that key, which takes no snapshots."""
    return config.get("snapshot_epochs", ())


def last_step(config, examples: int, epoch: int) -> int:
    """The step that ends an epoch of so many examples."""
    return math.ceil(epoch * examples / config.batch_size)


def epoch_label(config, examples: int, step: int) -> str:
    """The epochs that are complete after so many steps, as pictures name them."""
    return f"epoch {step * config.batch_size // examples}"


def save_snapshot(model: TrainedModel, workdir: Path, step: int) -> None:
    """Draws the codes and keeps the images, uint8 [SIDE², H, W, C]; where the decoder needs labels, these in turn."""
    drawn = model.sample(SIDE * SIDE, cycle_labels(model, SIDE * SIDE), seed=0)
    file = io.BytesIO()
    np.save(file, np.round(255 * drawn).astype(np.uint8))
    folder = workdir / FOLDER
    folder.mkdir(exist_ok=True)
    write_bytes_atomic(folder / f"{step:09d}.npy", file.getvalue())


def load_snapshots(workdir: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Steps and images in [0, 1], in order."""
    for path in sorted((workdir / FOLDER).glob("*.npy")):
        yield int(path.stem), np.load(path, allow_pickle=False).astype(np.float32) / 255


def snapshot_figure(config, examples: int, workdir: Path) -> plotting.Picture | None:
    """The first codes at each of `config.snapshot_epochs` so far and at the last snapshot, a row each; None before one.

    A snapshot is taken where the dispatch ends in which the epoch does; a row bears the epochs that were complete then.
    """
    found, shown = list(load_snapshots(workdir)), {}
    at_ends = [
        [each for each in found if each[0] >= last_step(config, examples, epoch)] for epoch in snapshot_epochs(config)
    ]
    for later in (*at_ends, found[-1:]):
        for step, images in later[:1]:
            shown[epoch_label(config, examples, step)] = images[:SIDE]
    return plotting.labeled_grid(np.stack(list(shown.values())), None, list(shown)) if shown else None


def write_snapshot_gif(config, examples: int, workdir: Path, path: Path) -> None:
    """Writes all snapshots as a GIF whose frames bear their epochs, where there are some."""
    frames = [
        plotting.add_title(plotting.tile_images(images, SIDE), epoch_label(config, examples, step))
        for step, images in load_snapshots(workdir)
    ]
    if frames:
        plotting.write_gif(path, frames, FRAME_MS)
