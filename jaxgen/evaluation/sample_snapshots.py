"""Snapshots: images of the same latent codes during training, as a figure with a row per epoch and as a GIF.

Each snapshot is a separate file in the workdir, so an interrupted run loses none.
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
SIDE = 10  # side of the grid of the GIF, and images in a row of the figure
FRAME_MS = 500


def is_due(config, examples: int, start: int, stop: int, evaluated: bool) -> bool:
    """Returns whether a snapshot is due: `evaluated`, or an epoch of `snapshot_epochs` ends in (start, stop]."""
    return any(evaluated or start < last_step(config, examples, epoch) <= stop for epoch in snapshot_epochs(config))


def snapshot_epochs(config) -> tuple[int, ...]:
    """Returns `config.snapshot_epochs`; recipes without this key save no snapshots."""
    return config.get("snapshot_epochs", ())


def last_step(config, examples: int, epoch: int) -> int:
    """Returns the last step of an epoch of `examples` examples."""
    return math.ceil(epoch * examples / config.batch_size)


def epoch_label(config, examples: int, step: int) -> str:
    """Returns the label of the last epoch that is complete after `step` steps."""
    return f"epoch {step * config.batch_size // examples}"


def save_snapshot(trained: TrainedModel, workdir: Path, step: int) -> None:
    """Decodes the fixed codes and saves the images, uint8 [SIDE², H, W, C]; labels cycle for conditional models."""
    images = trained.sample(SIDE * SIDE, cycle_labels(trained, SIDE * SIDE), seed=0)
    file = io.BytesIO()
    np.save(file, np.round(255 * images).astype(np.uint8))
    folder = workdir / FOLDER
    folder.mkdir(exist_ok=True)
    write_bytes_atomic(folder / f"{step:09d}.npy", file.getvalue())


def load_snapshots(workdir: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yields steps and images in [0, 1], in order."""
    for path in sorted((workdir / FOLDER).glob("*.npy")):
        yield int(path.stem), np.load(path, allow_pickle=False).astype(np.float32) / 255


def draw_snapshots(config, examples: int, workdir: Path) -> plotting.Picture | None:
    """Returns a figure with a row per epoch of `config.snapshot_epochs` and the last snapshot; None without snapshots.

    A snapshot is saved at the end of the dispatch that completes the epoch. The label of a row is the number of
    complete epochs at that time.
    """
    snapshots, rows = list(load_snapshots(workdir)), {}
    ends = [last_step(config, examples, epoch) for epoch in snapshot_epochs(config)]
    after_epochs = [[snapshot for snapshot in snapshots if snapshot[0] >= end] for end in ends]
    for candidates in (*after_epochs, snapshots[-1:]):
        for step, images in candidates[:1]:
            rows[epoch_label(config, examples, step)] = images[:SIDE]
    return plotting.labeled_grid(np.stack(list(rows.values())), None, list(rows)) if rows else None


def write_snapshot_gif(config, examples: int, workdir: Path, path: Path) -> None:
    """Writes all snapshots as a GIF with the epoch above each frame; nothing without snapshots."""
    frames = [
        plotting.add_title(plotting.tile_images(images, SIDE), epoch_label(config, examples, step))
        for step, images in load_snapshots(workdir)
    ]
    if frames:
        write_bytes_atomic(path, plotting.encode_gif(frames, FRAME_MS))
