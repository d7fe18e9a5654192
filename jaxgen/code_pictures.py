"""Pictures of what lies among a model's codes: for an evaluation by their names, and what the command line makes."""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxgen import figures
from jaxgen.data import Dataset
from jaxgen.model import Labels, Model
from jaxgen.types import Data

PAIRS, INTERIOR = 8, 7
STEPS, MOST_DIMS = 9, 16
SPREAD_OF = 1000  # images whose codes say which dimensions vary most

Images = Float[np.ndarray, "N H W C"]


class Some(NamedTuple):
    """Images, and the labels to encode and decode them under."""

    images: Images
    labels: Labels  # None where none are known


def some(model: Model, split: Data, index: Int[np.ndarray, " N"] | slice) -> Some:
    """The examples of a split at some places; where the encoder reads a category, that stands for the label."""
    images = split.image[index].astype(np.float32) / 255
    known = split.label[index]
    labels = None if model.algorithm.reads_category or known.min() < 0 else known
    return Some(images, model.labels_of(images, labels))


def pairs(model: Model, split: Data, count: int = PAIRS) -> tuple[Some, Some]:
    """The first `count` pairs of neighbours in a split; where the decoder needs a label, of neighbours of one class.

    Under a label, an image of another class would be interpolated as something that it is not.
    """
    index = np.arange(len(split.label))
    if model.algorithm.decoder_needs_label:
        members = [np.flatnonzero(split.label == label) for label in np.unique(split.label)]
        members = [of[: len(of) // 2 * 2].reshape(-1, 2) for of in members]
        rounds = range(max(len(of) for of in members))
        index = np.array([of[turn] for turn in rounds for of in members if turn < len(of)], int).reshape(-1)
    index = index[: min(2 * count, len(index) // 2 * 2)]
    if not len(index):
        raise ValueError(f"{len(split.label)} images make no pair to interpolate; two of one class are needed")
    return some(model, split, index[::2]), some(model, split, index[1::2])


def paths(model: Model, first: Some, second: Some, spherical: bool) -> Float[np.ndarray, "N S H W C"]:
    """Decoded paths between the codes of pairs of images, the ends' reconstructions included."""
    rows = []
    for number, (a, b) in enumerate(zip(first.images, second.images, strict=True)):
        labels = None if first.labels is None else np.array([first.labels[number], second.labels[number]])
        rows.append(model.interpolate(a, b, INTERIOR, spherical, labels))
    return np.stack(rows)


def path_rows(first: Some, second: Some, decoded: Float[np.ndarray, "N S H W C"]) -> figures.Picture:
    """A row is a pair: an image, the decoded path with its share of the way over each column, the other image."""
    rows = np.concatenate([first.images[:, None], decoded, second.images[:, None]], axis=1)
    steps = decoded.shape[1] - 1
    return figures.captioned(rows, ["from", "0", *(f"{step}/{steps}" for step in range(1, steps)), "1", "to"])


def interpolation(model: Model, dataset: Dataset, split: Data, spherical: bool = False) -> figures.Picture:
    """Pairs of images and what the decoder makes of the way between their codes: straight, or at one norm."""
    del dataset
    first, second = pairs(model, split)
    return path_rows(first, second, paths(model, first, second, spherical))


def widest_dims(model: Model, split: Data, most: int = MOST_DIMS) -> Int[np.ndarray, " D"]:
    """The dimensions in which the codes of a split vary most, widest first; all in order where there are no more."""
    if model.algorithm.latent_size <= most:
        return np.arange(model.algorithm.latent_size)
    return np.argsort(-spread(model, split), kind="stable")[:most]


def spread(model: Model, split: Data) -> Float[np.ndarray, " Z"]:
    """The std of the codes of a split, by dimension."""
    images, labels = some(model, split, slice(SPREAD_OF))
    return model.mean_codes(images, labels).std(axis=0)


def stride(model: Model, split: Data) -> float | Float[np.ndarray, " Z"]:
    """What a dimension is moved by: the prior's std, or the codes' own where nothing draws them to a prior."""
    return model.algorithm.prior.std if model.algorithm.has_prior else spread(model, split)


def traversal_rows(
    image: Float[np.ndarray, "H W C"], decoded: Float[np.ndarray, "D S H W C"], dims: Int[np.ndarray, " D"]
) -> figures.Picture:
    """A row is a dimension: the image, and the dimension moved, by stds from where the code is; or its bit."""
    originals = np.broadcast_to(image, (len(decoded), 1, *image.shape))
    moves = np.linspace(-3, 3, STEPS) if decoded.shape[1] > 2 else ()
    headings = ["image", *(f"{move:+.3g}" if move else "code" for move in moves)] if len(moves) else None
    headings = headings or ["image", "code", "flipped"]
    return figures.captioned(np.concatenate([originals, decoded], axis=1), headings, [f"z{dim}" for dim in dims])


def traversal(model: Model, dataset: Dataset, split: Data) -> figures.Picture:
    """Around the code of the split's first image: a row moves one dimension by up to 3 stds either way."""
    del dataset
    (image,), labels = some(model, split, slice(1))
    dims = widest_dims(model, split)
    decoded = model.traverse(image, STEPS, dims, std=stride(model, split), label=labels)
    return traversal_rows(image, decoded, dims)


def first_reconstructions(model: Model, dataset: Dataset, split: Data, count: int = 18) -> figures.Picture:
    """The split's first images above what the decoder makes of their codes, nine a row."""
    del dataset
    images, labels = some(model, split, slice(count))
    return figures.reconstruction_pairs(images, model.reconstruct(images, labels), columns=9)


def random_grid(model: Model, dataset: Dataset, split: Data, side: int) -> figures.Picture:
    """Decoded draws from the prior, side × side of them; the labels in turn where the decoder needs one."""
    del dataset, split
    return figures.tiled(model.sample(side * side, labels_in_turn(model, side * side), seed=0), side)


def labels_in_turn(model: Model, count: int) -> Int[np.ndarray, "{count}"] | None:
    """0, 1, …, K - 1, 0, … where the decoder needs labels, else None."""
    return np.arange(count) % model.algorithm.num_labels if model.algorithm.decoder_needs_label else None


def drawn_paths(model: Model, count: int = PAIRS, spherical: bool = True) -> Float[np.ndarray, "N S H W C"]:
    """Decoded paths between pairs of codes drawn from the prior, each under one label where the decoder needs one."""
    codes, labels = model.prior_codes(2 * count, seed=0).reshape(count, 2, -1), labels_in_turn(model, count)
    labels = [None] * count if labels is None else labels
    return np.stack([model.path(*ends, INTERIOR, spherical, label) for ends, label in zip(codes, labels, strict=True)])


def drawn_interpolation(model: Model, dataset: Dataset, split: Data) -> figures.Picture:
    """What the decoder makes of the way between drawn codes: a row is a pair."""
    del dataset, split
    return drawn_path_rows(drawn_paths(model))


def drawn_path_rows(decoded: Float[np.ndarray, "N S H W C"]) -> figures.Picture:
    """A row is a path, its share of the way over each column."""
    steps = decoded.shape[1] - 1
    return figures.captioned(decoded, ["0", *(f"{step}/{steps}" for step in range(1, steps)), "1"])


CODE_PICTURES = {
    "drawn_interpolation": drawn_interpolation,
    "interpolation": interpolation,
    "interpolation_spherical": partial(interpolation, spherical=True),
    "traversal": traversal,
    "reconstructions_18": first_reconstructions,
    "random_25": partial(random_grid, side=5),
    "random_100": partial(random_grid, side=10),
}
