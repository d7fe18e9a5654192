"""What the command line shows of a trained model's codes: paths, traversals, walks, reconstructions, attributes.

Each mode writes its pictures into the workdir and says which.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxgen import code_pictures, figures
from jaxgen.code_pictures import Some
from jaxgen.config import validate
from jaxgen.data import Dataset
from jaxgen.data.own_images import read_images
from jaxgen.files import write_arrays
from jaxgen.model import Model
from jaxgen.samplers import MOST_CODES
from jaxgen.types import Data
from jaxgen.using import DEFAULTS, Options, dataset_of, named, open_model, sample, sampler_of

FRAME_MS = 80
RECONSTRUCTED, WALKS, ANCHORS, BETWEEN = 40, 8, 5, 11
SHOWN_FRAMES = 12  # of a walk, in its still picture
STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # of an attribute's direction
MOST_ATTRIBUTES = 16
PATHS = ("linear", "spherical")

Paths = Mapping[str, Float[np.ndarray, "N S H W C"]]


class Opened(NamedTuple):
    """A run with the data that it was trained on."""

    model: Model
    dataset: Dataset
    held_out: Data
    workdir: Path


def opened(config, workdir: str | Path) -> Opened:
    """The run's model and data. `config` says where the data lie, and which split is held out."""
    validate(config)
    model = open_model(config, workdir)
    dataset = dataset_of(model, config)
    return Opened(model, dataset, getattr(dataset, config.evaluation.split), Path(workdir))


def interpolate(config, workdir: str | Path, options: Options = DEFAULTS) -> list[Path]:
    """Seven images between each of eight pairs, on the straight line and on the sphere, and a moving one of them.

    The pairs are of images; of drawn codes, where images have none.
    """
    this = _with_code(config, workdir, "interpolate")
    between = _between_images if this.model.algorithm.encodes else _between_draws
    decoded, rows = between(this, options)
    written = [_png(this, f"interpolate_{name}", rows(each)) for name, each in decoded.items()]
    moving = decoded["spherical" if options.spherical else "linear"]
    return _said([*written, _gif(this, "interpolate", moving.swapaxes(0, 1))])


def _between_images(this: Opened, options: Options) -> tuple[Paths, Callable]:
    first, second = _pairs(this, options)
    decoded = {name: code_pictures.paths(this.model, first, second, name == "spherical") for name in PATHS}
    return decoded, partial(code_pictures.path_rows, first, second)


def _between_draws(this: Opened, options: Options) -> tuple[Paths, Callable]:
    if options.images:
        raise ValueError(
            f"images={options.images} have no codes: {type(this.model.algorithm).__name__} encodes no images; leave "
            "--images out for paths between drawn codes"
        )
    count = options.count or code_pictures.PAIRS
    decoded = {name: code_pictures.drawn_paths(this.model, count, name == "spherical") for name in PATHS}
    return decoded, code_pictures.drawn_path_rows


def traverse(config, workdir: str | Path, options: Options = DEFAULTS) -> list[Path]:
    """One image's code with one dimension at a time moved, a row each."""
    this = _with_encoder(config, workdir, "traverse")
    (image, *_), labels = _images(this, options, 1)
    label = None if labels is None else labels[:1]
    dims = code_pictures.widest_dims(this.model, this.held_out, options.count or code_pictures.MOST_DIMS)
    stride = code_pictures.stride(this.model, this.held_out)
    decoded = this.model.traverse(image, code_pictures.STEPS, dims, std=stride, label=label)
    still = _png(this, "traverse", code_pictures.traversal_rows(image, decoded, dims))
    return _said([still, _gif(this, "traverse", decoded.swapaxes(0, 1))])


def walk(config, workdir: str | Path, options: Options = DEFAULTS) -> list[Path]:
    """Closed walks through codes of the prior or of a sampler: one under every label where one is needed, else eight.

    Without a fitted sampler the data set need not be at hand.
    """
    model, workdir = open_model(config, workdir), Path(workdir)
    _check_code(model, "walk")
    sampler, anchors = sampler_of(model, config, workdir, options.sampler), options.count or ANCHORS
    if model.algorithm.decoder_needs_label:
        labels, seeds = range(model.algorithm.num_labels), [config.seed] * model.algorithm.num_labels
    else:
        labels, seeds = [None] * WALKS, range(config.seed, config.seed + WALKS)
    walks = np.stack(
        [model.walk(anchors, BETWEEN, label, seed, sampler) for label, seed in zip(labels, seeds, strict=True)]
    )
    shown = walks[:, np.linspace(0, walks.shape[1], SHOWN_FRAMES, endpoint=False).astype(int)]
    name = named("walk", options.sampler)
    still, moving = workdir / f"{name}.png", workdir / f"{name}.gif"
    marks = [str(label) for label in labels] if model.algorithm.decoder_needs_label else None
    figures.write_png(still, figures.captioned(shown, marks=marks))
    figures.write_gif(moving, [_tiled(frame) for frame in walks.swapaxes(0, 1)], FRAME_MS)
    return _said([still, moving])


def reconstruct(config, workdir: str | Path, options: Options = DEFAULTS) -> list[Path]:
    """Images above what the decoder makes of their codes; `reconstruct.npz` holds both, and the codes."""
    this = opened(config, workdir)
    _check_encodes(this.model, "reconstruct")
    images, labels = _images(this, options, options.count or (None if options.images else RECONSTRUCTED))
    arrays = {"images": images, "reconstructions": this.model.reconstruct(images, labels)}
    if this.model.algorithm.has_code:
        arrays["codes"] = this.model.mean_codes(images, labels)
    still = _png(this, "reconstruct", figures.reconstruction_pairs(images, arrays["reconstructions"]))
    write_arrays(this.workdir / "reconstruct.npz", **arrays)
    return _said([still, this.workdir / "reconstruct.npz"])


def attributes(config, workdir: str | Path, options: Options = DEFAULTS) -> list[Path]:
    """A row for each class: an image of another class moved from the mean code of the others to that of the class.

    Raises:
      ValueError: the data set has no two classes whose means could differ, or the codes are without the class.
    """
    del options
    this = _with_encoder(config, workdir, "attributes")
    if this.model.algorithm.decoder_needs_label:
        raise ValueError(
            f"attributes are directions between classes, and the codes of {type(this.model.algorithm).__name__} are "
            "without the class, which stands beside them; --mode=sample draws every class"
        )
    classes = np.unique(this.dataset.train.label[this.dataset.train.label >= 0])
    if len(classes) < 2:
        raise ValueError(
            f"attributes are directions between classes; {this.dataset.name} has {len(classes)}, must have at least 2"
        )
    known = Data(*(array[:MOST_CODES] for array in this.dataset.train))
    images, labels = code_pictures.some(this.model, known, slice(None))
    rows = []
    for number, label in enumerate(classes[:MOST_ATTRIBUTES]):
        others = np.flatnonzero(this.held_out.label != label)
        start = code_pictures.some(this.model, this.held_out, others[[number % len(others)]])
        direction = this.model.attribute(images, known.label == label, labels)
        moved = this.model.move(start.images, direction, STRENGTHS, start.labels)
        rows.append(np.concatenate([start.images, moved[0]]))
    headings = ["image", *(f"{strength:+g}" if strength else "code" for strength in STRENGTHS)]
    names = [f"to {this.dataset.name_of(label)}" for label in classes[:MOST_ATTRIBUTES]]
    picture = figures.captioned(np.stack(rows), headings, names)
    return _said([_png(this, "attributes", picture)])


MODES: dict[str, Callable] = {
    "sample": sample,
    "interpolate": interpolate,
    "traverse": traverse,
    "walk": walk,
    "reconstruct": reconstruct,
    "attributes": attributes,
}


def _with_code(config, workdir: str | Path, mode: str) -> Opened:
    this = opened(config, workdir)
    _check_code(this.model, mode)
    return this


def _check_code(model: Model, mode: str) -> None:
    if not model.algorithm.has_code:
        raise ValueError(f"{type(model.algorithm).__name__} has no code, which --mode={mode} needs")


def _with_encoder(config, workdir: str | Path, mode: str) -> Opened:
    this = _with_code(config, workdir, mode)
    _check_encodes(this.model, mode)
    return this


def _check_encodes(model: Model, mode: str) -> None:
    if not model.algorithm.encodes:
        raise ValueError(
            f"{type(model.algorithm).__name__} encodes no images, which --mode={mode} needs; choose sample, walk or "
            "interpolate"
        )


def _images(this: Opened, options: Options, count: int | None) -> Some:
    """The first `count` of the user's own images, or of the held-out ones; None: all of the former."""
    if not options.images:
        return code_pictures.some(this.model, this.held_out, slice(count))
    images = read_images(options.images, this.model.algorithm.info.image_shape)[:count]
    labels = this.model.labels_of(images)
    if labels is None and this.model.algorithm.decoder_needs_label:
        raise ValueError(
            f"images={options.images} have no labels, which {type(this.model.algorithm).__name__} decodes under; "
            "leave --images out for held-out images, or use model.reconstruct(images, labels) in Python"
        )
    return Some(images, labels)


def _pairs(this: Opened, options: Options) -> tuple[Some, Some]:
    """Pairs of held-out images, or of the user's own: the first with the second, and so on."""
    if not options.images:
        return code_pictures.pairs(this.model, this.held_out, options.count or code_pictures.PAIRS)
    images, labels = _images(this, options, None)
    if len(images) < 2:
        raise ValueError(f"images={options.images} is one image; a path needs two")
    first, second = (slice(start, len(images) // 2 * 2, 2) for start in (0, 1))
    return tuple(Some(images[part], None if labels is None else labels[part]) for part in (first, second))


def _tiled(images: Float[np.ndarray, "N H W C"]) -> figures.Picture:
    """A frame: images in rows of four, or of five where so none stays empty."""
    columns = 5 if len(images) % 4 and not len(images) % 5 else 4
    return figures.tiled(images, min(columns, len(images)))


def _png(this: Opened, name: str, picture: figures.Picture) -> Path:
    figures.write_png(this.workdir / f"{name}.png", picture)
    return this.workdir / f"{name}.png"


def _gif(this: Opened, name: str, frames: Float[np.ndarray, "F N H W C"]) -> Path:
    """Writes frames that go there and back."""
    path = this.workdir / f"{name}.gif"
    figures.write_gif(path, figures.there_and_back([_tiled(frame) for frame in frames]), 2 * FRAME_MS)
    return path


def _said(written: list[Path]) -> list[Path]:
    print(f"wrote {', '.join(str(path) for path in written)}")
    return written
