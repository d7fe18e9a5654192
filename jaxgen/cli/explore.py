"""What the command line shows of a trained model's codes: paths, traversals, walks, reconstructions, attributes.

Each mode writes its pictures into the workdir and says which.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxgen import plotting
from jaxgen.cli.commands import (
    DEFAULTS,
    ModeOptions,
    get_sampler,
    load_run_model,
    load_training_dataset,
    sample_run,
    with_sampler_suffix,
)
from jaxgen.config.base import validate_config
from jaxgen.data import Dataset
from jaxgen.data.image_files import read_user_images
from jaxgen.evaluation import latent_figures
from jaxgen.evaluation.latent_figures import LabeledImages
from jaxgen.inference.samplers import MAX_CODES
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io.atomic import write_npz_atomic
from jaxgen.models.base import LatentVariableModel
from jaxgen.types import Split

FRAME_MS = 80
RECONSTRUCTED, WALKS, ANCHORS, BETWEEN = 40, 8, 5, 11
SHOWN_FRAMES = 12  # of a walk, in its still picture
STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # of an attribute's direction
MOST_ATTRIBUTES = 16
PATHS = ("linear", "spherical")

Paths = Mapping[str, Float[np.ndarray, "N S H W C"]]


class LoadedRun(NamedTuple):
    """A run with the data that it was trained on."""

    trained: TrainedModel
    dataset: Dataset
    held_out: Split
    workdir: Path


def load_run(config, workdir: str | Path) -> LoadedRun:
    """The run's model and data. `config` says where the data lie, and which split is held out."""
    validate_config(config)
    trained = load_run_model(config, workdir)
    dataset = load_training_dataset(trained, config)
    return LoadedRun(trained, dataset, getattr(dataset, config.evaluation.split), Path(workdir))


def interpolate(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """Seven images between each of eight pairs, on the straight line and on the sphere, and a moving one of them.

    The pairs are of images; of drawn codes, where images have none.
    """
    this = _with_code(config, workdir, "interpolate")
    between = _between_images if this.model.model.has_encoder else _between_draws
    decoded, rows = between(this, options)
    written = [_png(this, f"interpolate_{name}", rows(each)) for name, each in decoded.items()]
    moving = decoded["spherical" if options.spherical else "linear"]
    return _said([*written, _gif(this, "interpolate", moving.swapaxes(0, 1))])


def _between_images(this: LoadedRun, options: ModeOptions) -> tuple[Paths, Callable]:
    first, second = _pairs(this, options)
    decoded = {
        name: latent_figures.decode_interpolations(this.model, first, second, name == "spherical") for name in PATHS
    }
    return decoded, partial(latent_figures.interpolation_grid, first, second)


def _between_draws(this: LoadedRun, options: ModeOptions) -> tuple[Paths, Callable]:
    if options.images:
        raise ValueError(
            f"images={options.images} have no codes: {type(this.model.model).__name__} encodes no images; leave "
            "--images out for paths between drawn codes"
        )
    count = options.count or latent_figures.PAIRS
    decoded = {
        name: latent_figures.decode_prior_interpolations(this.model, count, name == "spherical") for name in PATHS
    }
    return decoded, latent_figures.prior_interpolation_grid


def traverse(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """One image's code with one dimension at a time moved, a row each."""
    this = _with_encoder(config, workdir, "traverse")
    (image, *_), labels = _images(this, options, 1)
    label = None if labels is None else labels[:1]
    dims = latent_figures.highest_variance_dims(this.model, this.held_out, options.count or latent_figures.MOST_DIMS)
    stride = latent_figures.traversal_scale(this.model, this.held_out)
    decoded = this.model.traverse(image, latent_figures.STEPS, dims, std=stride, label=label)
    still = _png(this, "traverse", latent_figures.traversal_grid(image, decoded, dims))
    return _said([still, _gif(this, "traverse", decoded.swapaxes(0, 1))])


def latent_walk(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """Closed walks through codes of the prior or of a sampler: one under every label where one is needed, else eight.

    Without a fitted sampler the data set need not be at hand.
    """
    trained, workdir = load_run_model(config, workdir), Path(workdir)
    _check_code(trained, "latent_walk")
    sampler, anchors = get_sampler(trained, config, workdir, options.sampler), options.count or ANCHORS
    if trained.model.is_conditional:
        labels, seeds = range(trained.model.num_conditions), [config.seed] * trained.model.num_conditions
    else:
        labels, seeds = [None] * WALKS, range(config.seed, config.seed + WALKS)
    walks = np.stack(
        [trained.latent_walk(anchors, BETWEEN, label, seed, sampler) for label, seed in zip(labels, seeds, strict=True)]
    )
    shown = walks[:, np.linspace(0, walks.shape[1], SHOWN_FRAMES, endpoint=False).astype(int)]
    name = with_sampler_suffix("latent_walk", options.sampler)
    still, moving = workdir / f"{name}.png", workdir / f"{name}.gif"
    marks = [str(label) for label in labels] if trained.model.is_conditional else None
    plotting.write_png(still, plotting.labeled_grid(shown, marks=marks))
    plotting.write_gif(moving, [_tiled(frame) for frame in walks.swapaxes(0, 1)], FRAME_MS)
    return _said([still, moving])


def reconstruct(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """Images above what the decoder makes of their codes; `reconstruct.npz` holds both, and the codes."""
    this = _with_encoder(config, workdir, "reconstruct")
    images, labels = _images(this, options, options.count or (None if options.images else RECONSTRUCTED))
    arrays = {"images": images, "reconstructions": this.model.reconstruct(images, labels)}
    arrays["codes"] = this.model.encode_mean(images, labels)
    still = _png(this, "reconstruct", plotting.reconstruction_pairs(images, arrays["reconstructions"]))
    write_npz_atomic(this.workdir / "reconstruct.npz", **arrays)
    return _said([still, this.workdir / "reconstruct.npz"])


def attributes(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """A row for each class: an image of another class moved from the mean code of the others to that of the class.

    Raises:
      ValueError: the data set has no two classes whose means could differ, or the codes are without the class.
    """
    del options
    this = _with_encoder(config, workdir, "attributes")
    if this.model.model.is_conditional:
        raise ValueError(
            f"attributes are directions between classes, and the codes of {type(this.model.model).__name__} are "
            "without the class, which stands beside them; --mode=sample draws every class"
        )
    classes = np.unique(this.dataset.train.label[this.dataset.train.label >= 0])
    if len(classes) < 2:
        raise ValueError(
            f"attributes are directions between classes; {this.dataset.name} has {len(classes)}, must have at least 2"
        )
    known = Split(*(array[:MAX_CODES] for array in this.dataset.train))
    images, labels = latent_figures.select_examples(this.model, known, slice(None))
    rows = []
    for number, label in enumerate(classes[:MOST_ATTRIBUTES]):
        others = np.flatnonzero(this.held_out.label != label)
        start = latent_figures.select_examples(this.model, this.held_out, others[[number % len(others)]])
        direction = this.model.attribute_vector(images, known.label == label, labels)
        moved = this.model.apply_direction(start.images, direction, STRENGTHS, start.labels)
        rows.append(np.concatenate([start.images, moved[0]]))
    headings = ["image", *(f"{strength:+g}" if strength else "code" for strength in STRENGTHS)]
    names = [f"to {this.dataset.class_name(label)}" for label in classes[:MOST_ATTRIBUTES]]
    picture = plotting.labeled_grid(np.stack(rows), headings, names)
    return _said([_png(this, "attributes", picture)])


MODES: dict[str, Callable] = {
    "sample": sample_run,
    "interpolate": interpolate,
    "traverse": traverse,
    "latent_walk": latent_walk,
    "reconstruct": reconstruct,
    "attributes": attributes,
}


def _with_code(config, workdir: str | Path, mode: str) -> LoadedRun:
    this = load_run(config, workdir)
    _check_code(this.model, mode)
    return this


def _check_code(trained: TrainedModel, mode: str) -> None:
    if not isinstance(trained.model, LatentVariableModel):
        raise ValueError(f"{type(trained.model).__name__} has no code, which --mode={mode} needs")


def _with_encoder(config, workdir: str | Path, mode: str) -> LoadedRun:
    this = _with_code(config, workdir, mode)
    _check_encodes(this.model, mode)
    return this


def _check_encodes(trained: TrainedModel, mode: str) -> None:
    if not trained.model.has_encoder:
        raise ValueError(
            f"{type(trained.model).__name__} encodes no images, which --mode={mode} needs; choose sample, latent_walk or "
            "interpolate"
        )


def _images(this: LoadedRun, options: ModeOptions, count: int | None) -> LabeledImages:
    """The first `count` of the user's own images, or of the held-out ones; None: all of the former."""
    if not options.images:
        return latent_figures.select_examples(this.model, this.held_out, slice(count))
    images = read_user_images(options.images, this.model.model.info.image_shape)[:count]
    labels = this.model.resolve_labels(images)
    if labels is None and this.model.model.is_conditional:
        raise ValueError(
            f"images={options.images} have no labels, which {type(this.model.model).__name__} decodes under; "
            "leave --images out for held-out images, or use model.reconstruct(images, labels) in Python"
        )
    return LabeledImages(images, labels)


def _pairs(this: LoadedRun, options: ModeOptions) -> tuple[LabeledImages, LabeledImages]:
    """Pairs of held-out images, or of the user's own: the first with the second, and so on."""
    if not options.images:
        return latent_figures.interpolation_pairs(this.model, this.held_out, options.count or latent_figures.PAIRS)
    images, labels = _images(this, options, None)
    if len(images) < 2:
        raise ValueError(f"images={options.images} is one image; a path needs two")
    first, second = (slice(start, len(images) // 2 * 2, 2) for start in (0, 1))
    return tuple(LabeledImages(images[part], None if labels is None else labels[part]) for part in (first, second))


def _tiled(images: Float[np.ndarray, "N H W C"]) -> plotting.Picture:
    """A frame: images in rows of four, or of five where so none stays empty."""
    columns = 5 if len(images) % 4 and not len(images) % 5 else 4
    return plotting.tile_images(images, min(columns, len(images)))


def _png(this: LoadedRun, name: str, picture: plotting.Picture) -> Path:
    plotting.write_png(this.workdir / f"{name}.png", picture)
    return this.workdir / f"{name}.png"


def _gif(this: LoadedRun, name: str, frames: Float[np.ndarray, "F N H W C"]) -> Path:
    """Writes frames that go there and back."""
    path = this.workdir / f"{name}.gif"
    plotting.write_gif(path, plotting.ping_pong([_tiled(frame) for frame in frames]), 2 * FRAME_MS)
    return path


def _said(written: list[Path]) -> list[Path]:
    print(f"wrote {', '.join(str(path) for path in written)}")
    return written
