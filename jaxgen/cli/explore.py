"""The modes that show a trained model's latent space: paths, traversals, walks, reconstructions and attributes.

Each mode writes its pictures into the workdir and prints their paths.
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
    get_class_names,
    get_sampler,
    load_run_model,
    load_training_dataset,
    output_folder,
    sample_run,
    with_sampler_suffix,
    with_step_suffix,
)
from jaxgen.config.base import validate_config
from jaxgen.data import Dataset
from jaxgen.data.user_images import describe_place
from jaxgen.evaluation import latent_figures
from jaxgen.evaluation.latent_figures import LabeledImages
from jaxgen.evaluation.titles import add_figure_title
from jaxgen.inference.samplers import MAX_CODES
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io.atomic import write_bytes_atomic, write_npz_atomic
from jaxgen.models.base import LatentVariableModel
from jaxgen.types import Split

FRAME_MS = 80
NUM_RECONSTRUCTIONS, NUM_WALKS = 40, 8
ANCHORS, BETWEEN = 5, 11  # sampled codes of a walk, and codes between two of them
STILL_FRAMES = 12  # frames of a walk in its still picture
STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # multiples of an attribute's direction
MAX_ATTRIBUTES = 16
PATHS = ("linear", "spherical")

Paths = Mapping[str, Float[np.ndarray, "N S H W C"]]


class LoadedRun(NamedTuple):
    """A trained model with the data set that it was trained on."""

    trained: TrainedModel
    dataset: Dataset
    held_out: Split
    workdir: Path  # folder of the written files
    on_bad_image: str  # "skip" or "stop", of the user's own images
    suffix: str = ""  # of file names: the step, if the command names one


def load_run(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> LoadedRun:
    """Loads the run's model at the step of `options`, and its data set.

    `config` gives the place of the data and the held-out split.
    """
    validate_config(config)
    trained = load_run_model(config, workdir, options.step)
    dataset = load_training_dataset(trained, config)
    held_out = getattr(dataset, config.evaluation.split)
    suffix = with_step_suffix("", options, trained)
    return LoadedRun(trained, dataset, held_out, output_folder(workdir, options.out), config.data.on_bad_image, suffix)


def interpolate(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """Decodes the linear and the spherical path between pairs of codes, and animates one of the two.

    The codes are those of image pairs, or samples of the prior if the model has no encoder.

    Args:
      config: the recipe's config.
      workdir: folder of the run, where the files are written unless `options` names another one.
      options: the user's own images, the number of pairs, and which path is animated.

    Returns:
      The paths of the pictures.
    """
    run = _load_latent_run(config, workdir, "interpolate", options)
    decode_paths = _interpolate_images if run.trained.model.has_encoder else _interpolate_samples
    decoded, make_grid = decode_paths(run, options)
    written = [_write_png(run, f"interpolate_{name}", make_grid(images)) for name, images in decoded.items()]
    animated = decoded["spherical" if options.spherical else "linear"]
    return _print_written([*written, _write_gif(run, "interpolate", animated.swapaxes(0, 1))])


def _interpolate_images(run: LoadedRun, options: ModeOptions) -> tuple[Paths, Callable]:
    first, second = _select_pairs(run, options)
    decoded = {
        name: latent_figures.decode_interpolations(run.trained, first, second, name == "spherical") for name in PATHS
    }
    return decoded, partial(latent_figures.make_interpolation_grid, first, second)


def _interpolate_samples(run: LoadedRun, options: ModeOptions) -> tuple[Paths, Callable]:
    if options.images:
        raise ValueError(
            f"images={describe_place(options.images)} cannot be encoded: {type(run.trained.model).__name__} has no "
            "encoder; leave --images out for paths between sampled codes"
        )
    count = options.count or latent_figures.PAIRS
    decoded = {
        name: latent_figures.decode_prior_interpolations(run.trained, count, name == "spherical") for name in PATHS
    }
    return decoded, latent_figures.make_prior_interpolation_grid


def traverse(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """Decodes one image's code with one latent dimension varied at a time, a row per dimension.

    Args:
      config: the recipe's config.
      workdir: folder of the run, where the files are written unless `options` names another one.
      options: the user's own images (only the first is used), and the number of dimensions.

    Returns:
      The paths of the pictures.
    """
    run = _load_encoder_run(config, workdir, "traverse", options)
    (image, *_), labels = _select_images(run, options, 1)
    label = None if labels is None else labels[:1]
    dims = latent_figures.find_highest_variance_dims(
        run.trained, run.held_out, options.count or latent_figures.MOST_DIMS
    )
    scale = latent_figures.traversal_scale(run.trained, run.held_out)
    unit = latent_figures.describe_traversal_scale(run.trained)
    decoded = run.trained.traverse(image, latent_figures.STEPS, dims, std=scale, label=label)
    still = _write_png(run, "traverse", latent_figures.make_traversal_grid(image, decoded, dims, unit))
    return _print_written([still, _write_gif(run, "traverse", decoded.swapaxes(0, 1))])


def latent_walk(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """Decodes closed paths through sampled codes: one path per label for conditional models, otherwise eight.

    The data set is loaded only to fit a sampler.

    Args:
      config: the recipe's config.
      workdir: folder of the run, where the files are written unless `options` names another one.
      options: the sampler, and the number of codes that a path passes through.

    Returns:
      The paths of the pictures.
    """
    trained, workdir = load_run_model(config, workdir, options.step), output_folder(workdir, options.out)
    _require_latent(trained, "latent_walk")
    sampler, anchors = get_sampler(trained, config, workdir, options.sampler), options.count or ANCHORS
    if trained.model.is_conditional:
        labels, seeds = range(trained.model.num_conditions), [config.seed] * trained.model.num_conditions
    else:
        labels, seeds = [None] * NUM_WALKS, range(config.seed, config.seed + NUM_WALKS)
    walks = np.stack(
        [trained.latent_walk(anchors, BETWEEN, label, seed, sampler) for label, seed in zip(labels, seeds, strict=True)]
    )
    still_frames = walks[:, np.linspace(0, walks.shape[1], STILL_FRAMES, endpoint=False).astype(int)]
    name = with_step_suffix(with_sampler_suffix("latent_walk", options.sampler), options, trained)
    still, animation = workdir / f"{name}.png", workdir / f"{name}.gif"
    known = [label for label in labels if label is not None]
    names = [latent_figures.condition_name(trained, label, get_class_names(trained)) for label in known]
    picture = plotting.labeled_grid(still_frames, row_labels=names or None)
    picture = add_figure_title(picture, "latent_walk", trained.model.info.name, f"sampler: {options.sampler}")
    write_bytes_atomic(still, plotting.encode_png(picture))
    frames = [_tile_frame(frame) for frame in walks.swapaxes(0, 1)]
    write_bytes_atomic(animation, plotting.encode_gif(frames, FRAME_MS))
    return _print_written([still, animation])


def reconstruct(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """Encodes and decodes images; `reconstruct.npz` holds the images, their reconstructions and their codes.

    Args:
      config: the recipe's config.
      workdir: folder of the run, where the files are written unless `options` names another one.
      options: the user's own images, and the number of images.

    Returns:
      The paths of the files.
    """
    run = _load_encoder_run(config, workdir, "reconstruct", options)
    images, labels = _select_images(run, options, options.count or (None if options.images else NUM_RECONSTRUCTIONS))
    arrays = {"images": images, "reconstructions": run.trained.reconstruct(images, labels)}
    arrays["codes"] = run.trained.encode_mean(images, labels)
    still = _write_png(run, "reconstruct", plotting.reconstruction_pairs(images, arrays["reconstructions"]))
    arrays_path = run.workdir / f"reconstruct{run.suffix}.npz"
    write_npz_atomic(arrays_path, **arrays)
    return _print_written([still, arrays_path])


def attributes(config, workdir: str | Path, options: ModeOptions = DEFAULTS) -> list[Path]:
    """Moves images towards each class, along the difference of the mean codes of that class and of all others.

    Args:
      config: the recipe's config.
      workdir: folder of the run, where the file is written unless `options` names another one.
      options: only the step is used.

    Returns:
      The path of the picture, which has a row per class.

    Raises:
      ValueError: the data set has fewer than two classes, or the model is conditional, so that its codes do not
        contain the class.
    """
    run = _load_encoder_run(config, workdir, "attributes", options)
    if run.trained.model.is_conditional:
        raise ValueError(
            f"--mode=attributes moves codes between classes, but {type(run.trained.model).__name__} is conditional: "
            "its codes do not contain the class; try --mode=sample, which samples every class"
        )
    classes = np.unique(run.dataset.train.label[run.dataset.train.label >= 0])
    if len(classes) < 2:
        raise ValueError(
            f"--mode=attributes moves codes between classes; {run.dataset.name} must have at least 2 labeled classes; "
            f"got {len(classes)}"
        )
    known = Split(*(array[:MAX_CODES] for array in run.dataset.train))
    images, labels = latent_figures.select_examples(run.trained, known, slice(None))
    rows = []
    for number, label in enumerate(classes[:MAX_ATTRIBUTES]):
        others = np.flatnonzero(run.held_out.label != label)
        start = latent_figures.select_examples(run.trained, run.held_out, others[[number % len(others)]])
        direction = run.trained.attribute_vector(images, known.label == label, labels)
        moved = run.trained.apply_direction(start.images, direction, STRENGTHS, start.labels)
        rows.append(np.concatenate([start.images, moved[0]]))
    headings = ["image", *(f"{strength:+g}" if strength else "code" for strength in STRENGTHS)]
    names = [f"to {run.dataset.class_name(label)}" for label in classes[:MAX_ATTRIBUTES]]
    picture = plotting.labeled_grid(np.stack(rows), headings, names)
    picture = plotting.name_axes(picture, "multiples of the difference of the mean codes", "direction")
    return _print_written([_write_png(run, "attributes", picture)])


MODES: dict[str, Callable] = {
    "sample": sample_run,
    "interpolate": interpolate,
    "traverse": traverse,
    "latent_walk": latent_walk,
    "reconstruct": reconstruct,
    "attributes": attributes,
}


def _load_latent_run(config, workdir: str | Path, mode: str, options: ModeOptions) -> LoadedRun:
    run = load_run(config, workdir, options)
    _require_latent(run.trained, mode)
    return run


def _require_latent(trained: TrainedModel, mode: str) -> None:
    if not isinstance(trained.model, LatentVariableModel):
        raise ValueError(f"--mode={mode} needs latent codes, which {type(trained.model).__name__} does not have")


def _load_encoder_run(config, workdir: str | Path, mode: str, options: ModeOptions) -> LoadedRun:
    run = _load_latent_run(config, workdir, mode, options)
    _require_encoder(run.trained, mode)
    return run


def _require_encoder(trained: TrainedModel, mode: str) -> None:
    if not trained.model.has_encoder:
        raise ValueError(
            f"--mode={mode} needs an encoder, which {type(trained.model).__name__} does not have; try --mode=sample, "
            "latent_walk or interpolate"
        )


def _select_images(run: LoadedRun, options: ModeOptions, count: int | None) -> LabeledImages:
    """Returns the first `count` images of the user, by default of the held-out split; None means all of the user's."""
    if not options.images:
        return latent_figures.select_examples(run.trained, run.held_out, slice(count))
    images = run.trained.prepare_images(options.images, count, run.on_bad_image)
    labels = run.trained.resolve_labels(images)
    if labels is None and run.trained.model.is_conditional:
        raise ValueError(
            f"images={describe_place(options.images)} have no labels, which the decoder of "
            f"{type(run.trained.model).__name__} needs; leave --images out for held-out images, or use "
            "model.reconstruct(images, labels) in Python"
        )
    return LabeledImages(images, labels)


def _select_pairs(run: LoadedRun, options: ModeOptions) -> tuple[LabeledImages, LabeledImages]:
    """Returns pairs of the user's images (the first with the second, …), by default of held-out images."""
    if not options.images:
        return latent_figures.select_interpolation_pairs(
            run.trained, run.held_out, options.count or latent_figures.PAIRS
        )
    images, labels = _select_images(run, options, None)
    if len(images) < 2:
        raise ValueError(f"images={describe_place(options.images)} must be at least 2 images; got {len(images)}")
    stop = 2 * min(len(images) // 2, options.count or len(images))
    first, second = (slice(start, stop, 2) for start in (0, 1))
    return tuple(LabeledImages(images[part], None if labels is None else labels[part]) for part in (first, second))


def _tile_frame(images: Float[np.ndarray, "N H W C"]) -> plotting.Picture:
    """Returns a frame: images in rows of four, or of five if that fills every row."""
    columns = 5 if len(images) % 4 and not len(images) % 5 else 4
    return plotting.tile_images(images, min(columns, len(images)))


def _write_png(run: LoadedRun, name: str, picture: plotting.Picture) -> Path:
    path = run.workdir / f"{name}{run.suffix}.png"
    picture = add_figure_title(picture, name, run.trained.model.info.name)
    write_bytes_atomic(path, plotting.encode_png(picture))
    return path


def _write_gif(run: LoadedRun, name: str, frames: Float[np.ndarray, "F N H W C"]) -> Path:
    """Writes an animation that runs forwards and then backwards."""
    path = run.workdir / f"{name}{run.suffix}.gif"
    looped = plotting.ping_pong([_tile_frame(frame) for frame in frames])
    write_bytes_atomic(path, plotting.encode_gif(looped, 2 * FRAME_MS))
    return path


def _print_written(written: list[Path]) -> list[Path]:
    print(f"wrote {', '.join(str(path) for path in written)}")
    return written
