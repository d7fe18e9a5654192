"""Figures of the latent space: codes, the latent manifold, interpolations, traversals and samples."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxgen import plotting
from jaxgen.data import Dataset, to_float_images
from jaxgen.inference.trained_model import Labels, TrainedModel
from jaxgen.models.clustering_aae import ClusteringAAE
from jaxgen.types import Split

PAIRS, INTERIOR = 8, 7
STEPS, MOST_DIMS = 9, 16
PATH_AXIS = "position on the path between both codes"
MAX_SCATTER_POINTS = 2000  # more points only hide each other
NUM_STD_IMAGES = 1000  # images that the std of each code dimension is computed from

Images = Float[np.ndarray, "N H W C"]


class LabeledImages(NamedTuple):
    """Images and the labels that condition encoder and decoder."""

    images: Images
    labels: Labels  # None if unknown


def select_examples(trained: TrainedModel, split: Split, index: Int[np.ndarray, " N"] | slice) -> LabeledImages:
    """Returns examples of a split; a model that predicts the category supplies it as the label."""
    images = split.image[index].astype(np.float32) / 255
    known = split.label[index]
    labels = None if trained.model.predicts_category or known.min() < 0 else known
    return LabeledImages(images, trained.resolve_labels(images, labels))


def select_interpolation_pairs(
    trained: TrainedModel, split: Split, count: int = PAIRS
) -> tuple[LabeledImages, LabeledImages]:
    """Returns the first `count` pairs of consecutive images of a split; for conditional models, of one class each.

    With one label for both, an image of another class would be decoded as the wrong class.
    """
    index = np.arange(len(split.label))
    if trained.model.is_conditional:
        members = [np.flatnonzero(split.label == label) for label in np.unique(split.label)]
        pairs = [index[: len(index) // 2 * 2].reshape(-1, 2) for index in members]
        rounds = range(max(len(pair) for pair in pairs))
        index = np.array([pair[i] for i in rounds for pair in pairs if i < len(pair)], int).reshape(-1)
    index = index[: min(2 * count, len(index) // 2 * 2)]
    if not len(index):
        raise ValueError(
            f"{len(split.label)} images contain no pair to interpolate; two images of one class are needed"
        )
    return select_examples(trained, split, index[::2]), select_examples(trained, split, index[1::2])


def decode_interpolations(
    trained: TrainedModel, first: LabeledImages, second: LabeledImages, spherical: bool
) -> Float[np.ndarray, "N S H W C"]:
    """Returns decoded paths between the codes of pairs of images, including the reconstructions of both ends."""
    rows = []
    for number, (a, b) in enumerate(zip(first.images, second.images, strict=True)):
        labels = None if first.labels is None else np.array([first.labels[number], second.labels[number]])
        rows.append(trained.interpolate(a, b, INTERIOR, spherical, labels))
    return np.stack(rows)


def make_interpolation_grid(
    first: LabeledImages, second: LabeledImages, decoded: Float[np.ndarray, "N S H W C"]
) -> plotting.Picture:
    """Returns a grid with a row per pair: an image, the decoded path with column labels, and the other image."""
    rows = np.concatenate([first.images[:, None], decoded, second.images[:, None]], axis=1)
    steps = decoded.shape[1] - 1
    grid = plotting.labeled_grid(rows, ["from", "0", *(f"{step}/{steps}" for step in range(1, steps)), "1", "to"])
    return plotting.name_axes(grid, PATH_AXIS, "pair of images")


def draw_interpolation(
    trained: TrainedModel, dataset: Dataset, split: Split, spherical: bool = False
) -> plotting.Picture:
    """Returns decoded interpolations between the codes of image pairs: linear, or spherical."""
    del dataset
    first, second = select_interpolation_pairs(trained, split)
    return make_interpolation_grid(first, second, decode_interpolations(trained, first, second, spherical))


def find_highest_variance_dims(trained: TrainedModel, split: Split, most: int = MOST_DIMS) -> Int[np.ndarray, " D"]:
    """Returns the `most` code dimensions of highest variance, highest first; all in order if there are no more."""
    if trained.model.latent_size <= most:
        return np.arange(trained.model.latent_size)
    return np.argsort(-latent_std(trained, split), kind="stable")[:most]


def latent_std(trained: TrainedModel, split: Split) -> Float[np.ndarray, " Z"]:
    """Returns the std of the codes of a split in each dimension."""
    images, labels = select_examples(trained, split, slice(NUM_STD_IMAGES))
    return trained.encode_mean(images, labels).std(axis=0)


def traversal_scale(trained: TrainedModel, split: Split) -> float | Float[np.ndarray, " Z"]:
    """Returns the step unit of a traversal: the std of the prior, or of the codes if the model matches no prior."""
    return trained.model.prior.std if trained.model.matches_prior else latent_std(trained, split)


def describe_traversal_scale(trained: TrainedModel) -> str:
    """Returns the step unit of a traversal in words; see `traversal_scale`."""
    return f"standard deviations of the {'prior' if trained.model.matches_prior else 'codes of the data'}"


def make_traversal_grid(
    image: Float[np.ndarray, "H W C"],
    decoded: Float[np.ndarray, "D S H W C"],
    dims: Int[np.ndarray, " D"],
    unit: str = "standard deviations",
) -> plotting.Picture:
    """Returns a grid with a row per dimension: the image, the dimension changed by -3 to 3 stds, or its bit flipped."""
    originals = np.broadcast_to(image, (len(decoded), 1, *image.shape))
    columns, headings = "", ["image", "code", "flipped"]
    if decoded.shape[1] > 2:
        offsets = np.linspace(-3, 3, STEPS)
        columns = f"change of one dimension, in {unit}"
        headings = ["image", *(f"{offset:+.3g}" if offset else "code" for offset in offsets)]
    rows = np.concatenate([originals, decoded], axis=1)
    return plotting.name_axes(
        plotting.labeled_grid(rows, headings, [f"z{dim}" for dim in dims]),
        columns or "one bit flipped",
        "latent dimension",
    )


def draw_traversal(trained: TrainedModel, dataset: Dataset, split: Split) -> plotting.Picture:
    """Returns a traversal around the code of the first image: each row changes one dimension by up to 3 stds."""
    del dataset
    (image,), labels = select_examples(trained, split, slice(1))
    dims = find_highest_variance_dims(trained, split)
    decoded = trained.traverse(image, STEPS, dims, std=traversal_scale(trained, split), label=labels)
    return make_traversal_grid(image, decoded, dims, describe_traversal_scale(trained))


def draw_samples(trained: TrainedModel, dataset: Dataset, split: Split, side: int) -> plotting.Picture:
    """Returns a grid of side × side decoded prior samples; labels cycle for conditional models."""
    del split
    images = trained.sample(side * side, cycle_labels(trained, side * side), seed=0)
    return plotting.tile_images(images, side, column_names(trained, dataset, side))


def column_names(trained: TrainedModel, dataset: Dataset, columns: int) -> list[str] | None:
    """Returns the headings of a grid whose labels cycle; None unless each column has one label."""
    if not trained.model.is_conditional or columns % trained.model.num_conditions:
        return None
    return [condition_name(trained, label, dataset.class_names) for label in cycle_labels(trained, columns)]


def condition_name(trained: TrainedModel, label: int | np.integer, class_names: Sequence[str] = ()) -> str:
    """Returns the name of a value that the decoder is conditioned on: a class, or "cluster 3"."""
    if isinstance(trained.model, ClusteringAAE):
        return f"cluster {label}"
    return class_names[label] if len(class_names) else str(label)


def cycle_labels(trained: TrainedModel, count: int) -> Int[np.ndarray, "{count}"] | None:
    """Returns 0, 1, …, K - 1, 0, … for conditional models; otherwise None."""
    return np.arange(count) % trained.model.num_conditions if trained.model.is_conditional else None


def decode_prior_interpolations(
    trained: TrainedModel, count: int = PAIRS, spherical: bool = True
) -> Float[np.ndarray, "N S H W C"]:
    """Returns decoded paths between pairs of prior samples, each with one label for conditional models."""
    codes, labels = trained.sample_prior(2 * count, seed=0).reshape(count, 2, -1), cycle_labels(trained, count)
    labels = [None] * count if labels is None else labels
    return np.stack(
        [
            trained.interpolate_codes(*ends, INTERIOR, spherical, label)
            for ends, label in zip(codes, labels, strict=True)
        ]
    )


def draw_prior_interpolation(trained: TrainedModel, dataset: Dataset, split: Split) -> plotting.Picture:
    """Returns decoded interpolations between prior samples, one row per pair."""
    del dataset, split
    return make_prior_interpolation_grid(decode_prior_interpolations(trained))


def make_prior_interpolation_grid(decoded: Float[np.ndarray, "N S H W C"]) -> plotting.Picture:
    """Returns a grid with a row per path and the position on the path above each column."""
    steps = decoded.shape[1] - 1
    grid = plotting.labeled_grid(decoded, ["0", *(f"{step}/{steps}" for step in range(1, steps)), "1"])
    return plotting.name_axes(grid, PATH_AXIS, "pair of samples")


def draw_codes_vs_prior(trained: TrainedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """Returns a plot of the codes of images and of prior samples."""
    images, labels = to_float_images(split.image[:MAX_SCATTER_POINTS]), split.label[:MAX_SCATTER_POINTS]
    known = None if trained.model.predicts_category else labels  # a cluster is no class
    codes, prior = trained.encode(images, known), trained.sample_prior(len(images), seed=0)
    return plotting.plot_codes_vs_prior(codes, prior, labels, dataset.class_names)


def draw_latent_manifold(trained: TrainedModel, dataset: Dataset, split: Split, side: int = 14) -> np.ndarray:
    """Returns decoded points of a two-dimensional latent space at even quantiles of its coordinates.

    The quantiles are those of the prior, or of the codes if the model matches no prior (Kingma & Welling 2014, fig. 4).
    """
    del dataset
    quantiles = (np.arange(side) + 0.5) / side
    if trained.model.matches_prior:
        codes = trained.sample_prior(MAX_SCATTER_POINTS, seed=0)
    else:
        codes = trained.encode_mean(to_float_images(split.image))
    x, y = np.quantile(codes, quantiles, axis=0).T
    codes = np.stack(np.meshgrid(x, y[::-1]), axis=-1)
    images = trained.decode(codes.reshape(-1, 2))
    columns, rows = ([f"{value:.2f}" for value in values] for values in (x, y[::-1]))
    grid = plotting.labeled_grid(images.reshape(side, side, *images.shape[1:]), columns, rows)
    return plotting.name_axes(grid, "value of code dimension 0", "value of code dimension 1")


def draw_cluster_embedding(trained: TrainedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """Returns a plot of the sums of style and cluster embedding, and of the same sums for prior samples."""
    model, count = trained.model, min(MAX_SCATTER_POINTS, len(split.image))
    categories = jax.nn.one_hot(np.arange(count) % model.num_conditions, model.num_conditions)
    expected = model.add_cluster_head(trained.params, trained.stats, trained.sample_prior(count), categories)
    found = jax.jit(model.cluster_embeddings)(trained.params, trained.stats, to_float_images(split.image[:count]))
    return plotting.plot_codes_vs_prior(found, expected, split.label[:count], dataset.class_names)


def draw_code_scatter(trained: TrainedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """Returns a scatter plot of the codes of images by label, in two or three dimensions."""
    return plotting.plot_codes_by_label(
        trained.encode_mean(to_float_images(split.image)), split.label, dataset.class_names
    )


LATENT_FIGURES = {
    "prior_interpolation": draw_prior_interpolation,
    "interpolation": draw_interpolation,
    "interpolation_spherical": partial(draw_interpolation, spherical=True),
    "traversal": draw_traversal,
    "samples_25": partial(draw_samples, side=5),
    "samples_100": partial(draw_samples, side=10),
}
