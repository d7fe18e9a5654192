"""Pictures of what lies among a model's codes: for an evaluation by their names, and what the command line makes."""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxgen import plotting
from jaxgen.data import Dataset
from jaxgen.inference.trained_model import Labels, TrainedModel
from jaxgen.types import Split

PAIRS, INTERIOR = 8, 7
STEPS, MOST_DIMS = 9, 16
NUM_STD_IMAGES = 1000  # images whose codes say which dimensions vary most

Images = Float[np.ndarray, "N H W C"]


class LabeledImages(NamedTuple):
    """Images, and the labels to encode and decode them under."""

    images: Images
    labels: Labels  # None where none are known


def select_examples(trained: TrainedModel, split: Split, index: Int[np.ndarray, " N"] | slice) -> LabeledImages:
    """The examples of a split at some places; where the encoder reads a category, that stands for the label."""
    images = split.image[index].astype(np.float32) / 255
    known = split.label[index]
    labels = None if trained.model.predicts_category or known.min() < 0 else known
    return LabeledImages(images, trained.resolve_labels(images, labels))


def interpolation_pairs(trained: TrainedModel, split: Split, count: int = PAIRS) -> tuple[LabeledImages, LabeledImages]:
    """The first `count` pairs of neighbours in a split; where the decoder needs a label, of neighbours of one class.

    Under a label, an image of another class would be interpolated as something that it is not.
    """
    index = np.arange(len(split.label))
    if trained.model.is_conditional:
        members = [np.flatnonzero(split.label == label) for label in np.unique(split.label)]
        members = [of[: len(of) // 2 * 2].reshape(-1, 2) for of in members]
        rounds = range(max(len(of) for of in members))
        index = np.array([of[turn] for turn in rounds for of in members if turn < len(of)], int).reshape(-1)
    index = index[: min(2 * count, len(index) // 2 * 2)]
    if not len(index):
        raise ValueError(f"{len(split.label)} images make no pair to interpolate; two of one class are needed")
    return select_examples(trained, split, index[::2]), select_examples(trained, split, index[1::2])


def decode_interpolations(
    trained: TrainedModel, first: LabeledImages, second: LabeledImages, spherical: bool
) -> Float[np.ndarray, "N S H W C"]:
    """Decoded paths between the codes of pairs of images, the ends' reconstructions included."""
    rows = []
    for number, (a, b) in enumerate(zip(first.images, second.images, strict=True)):
        labels = None if first.labels is None else np.array([first.labels[number], second.labels[number]])
        rows.append(trained.interpolate(a, b, INTERIOR, spherical, labels))
    return np.stack(rows)


def interpolation_grid(
    first: LabeledImages, second: LabeledImages, decoded: Float[np.ndarray, "N S H W C"]
) -> plotting.Picture:
    """A row is a pair: an image, the decoded path with its share of the way over each column, the other image."""
    rows = np.concatenate([first.images[:, None], decoded, second.images[:, None]], axis=1)
    steps = decoded.shape[1] - 1
    return plotting.labeled_grid(rows, ["from", "0", *(f"{step}/{steps}" for step in range(1, steps)), "1", "to"])


def interpolation_figure(
    trained: TrainedModel, dataset: Dataset, split: Split, spherical: bool = False
) -> plotting.Picture:
    """Pairs of images and what the decoder makes of the way between their codes: straight, or at one norm."""
    del dataset
    first, second = interpolation_pairs(trained, split)
    return interpolation_grid(first, second, decode_interpolations(trained, first, second, spherical))


def highest_variance_dims(trained: TrainedModel, split: Split, most: int = MOST_DIMS) -> Int[np.ndarray, " D"]:
    """The dimensions in which the codes of a split vary most, widest first; all in order where there are no more."""
    if trained.model.latent_size <= most:
        return np.arange(trained.model.latent_size)
    return np.argsort(-latent_std(trained, split), kind="stable")[:most]


def latent_std(trained: TrainedModel, split: Split) -> Float[np.ndarray, " Z"]:
    """The std of the codes of a split, by dimension."""
    images, labels = select_examples(trained, split, slice(NUM_STD_IMAGES))
    return trained.encode_mean(images, labels).std(axis=0)


def traversal_scale(trained: TrainedModel, split: Split) -> float | Float[np.ndarray, " Z"]:
    """What a dimension is moved by: the prior's std, or the codes' own where nothing draws them to a prior."""
    return trained.model.prior.std if trained.model.matches_prior else latent_std(trained, split)


def traversal_grid(
    image: Float[np.ndarray, "H W C"], decoded: Float[np.ndarray, "D S H W C"], dims: Int[np.ndarray, " D"]
) -> plotting.Picture:
    """A row is a dimension: the image, and the dimension moved, by stds from where the code is; or its bit."""
    originals = np.broadcast_to(image, (len(decoded), 1, *image.shape))
    moves = np.linspace(-3, 3, STEPS) if decoded.shape[1] > 2 else ()
    headings = ["image", *(f"{move:+.3g}" if move else "code" for move in moves)] if len(moves) else None
    headings = headings or ["image", "code", "flipped"]
    return plotting.labeled_grid(np.concatenate([originals, decoded], axis=1), headings, [f"z{dim}" for dim in dims])


def traversal_figure(trained: TrainedModel, dataset: Dataset, split: Split) -> plotting.Picture:
    """Around the code of the split's first image: a row moves one dimension by up to 3 stds either way."""
    del dataset
    (image,), labels = select_examples(trained, split, slice(1))
    dims = highest_variance_dims(trained, split)
    decoded = trained.traverse(image, STEPS, dims, std=traversal_scale(trained, split), label=labels)
    return traversal_grid(image, decoded, dims)


def sample_grid(trained: TrainedModel, dataset: Dataset, split: Split, side: int) -> plotting.Picture:
    """Decoded draws from the prior, side × side of them; the labels in turn where the decoder needs one."""
    del dataset, split
    return plotting.tile_images(trained.sample(side * side, cycle_labels(trained, side * side), seed=0), side)


def cycle_labels(trained: TrainedModel, count: int) -> Int[np.ndarray, "{count}"] | None:
    """0, 1, …, K - 1, 0, … where the decoder needs labels, else None."""
    return np.arange(count) % trained.model.num_conditions if trained.model.is_conditional else None


def decode_prior_interpolations(
    trained: TrainedModel, count: int = PAIRS, spherical: bool = True
) -> Float[np.ndarray, "N S H W C"]:
    """Decoded paths between pairs of codes drawn from the prior, each under one label where the decoder needs one."""
    codes, labels = trained.sample_prior(2 * count, seed=0).reshape(count, 2, -1), cycle_labels(trained, count)
    labels = [None] * count if labels is None else labels
    return np.stack(
        [
            trained.interpolate_codes(*ends, INTERIOR, spherical, label)
            for ends, label in zip(codes, labels, strict=True)
        ]
    )


def prior_interpolation_figure(trained: TrainedModel, dataset: Dataset, split: Split) -> plotting.Picture:
    """What the decoder makes of the way between drawn codes: a row is a pair."""
    del dataset, split
    return prior_interpolation_grid(decode_prior_interpolations(trained))


def prior_interpolation_grid(decoded: Float[np.ndarray, "N S H W C"]) -> plotting.Picture:
    """A row is a path, its share of the way over each column."""
    steps = decoded.shape[1] - 1
    return plotting.labeled_grid(decoded, ["0", *(f"{step}/{steps}" for step in range(1, steps)), "1"])


LATENT_FIGURES = {
    "prior_interpolation": prior_interpolation_figure,
    "interpolation": interpolation_figure,
    "interpolation_spherical": partial(interpolation_figure, spherical=True),
    "traversal": traversal_figure,
    "samples_25": partial(sample_grid, side=5),
    "samples_100": partial(sample_grid, side=10),
}
