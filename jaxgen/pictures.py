"""Pictures of a model, by the names that an algorithm lists in `pictures`. Measures live in `evaluation`."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import figures
from jaxgen.algorithms.autoencoder import noised
from jaxgen.code_pictures import CODE_PICTURES, traversal_rows
from jaxgen.data import Dataset, as_images
from jaxgen.model import Model
from jaxgen.objectives import grey as grey_of
from jaxgen.types import Batch, Data

SHOWN_CODES = 2000  # in a scatter of codes: more only hide each other


def draw(model: Model, dataset: Dataset, split: Data) -> dict[str, np.ndarray]:
    """All pictures that the model's family lists, by file name: uint8 [H, W, 3] each."""
    return {name: PICTURES[name](model, dataset, split) for name in model.algorithm.pictures}


def prior_styles(model: Model, dataset: Dataset, split: Data, rows: int = 10) -> np.ndarray:
    """A row is one code drawn from the prior, a column a label."""
    del split
    return figures.style_grid(every_label(model, model.prior_codes(rows, seed=0), dataset.num_classes))


def image_styles(model: Model, dataset: Dataset, split: Data, rows: int = 10) -> np.ndarray:
    """A row is the code of one image, the image itself in the first column, a column a label."""
    some = first_of_each(split, rows)
    images = as_images(split.image[some])
    grid = every_label(model, model.encode(images, split.label[some]), dataset.num_classes)
    return figures.style_grid(grid, images)


def reconstructions(model: Model, dataset: Dataset, split: Data, count: int = 40) -> np.ndarray:
    """Images beside what the decoder makes of their codes."""
    del dataset
    images = as_images(split.image[:count])
    labels = None if model.algorithm.reads_category else split.label[:count]
    return figures.reconstruction_pairs(images, model.reconstruct(images, labels))


def code_cloud(model: Model, dataset: Dataset, split: Data) -> np.ndarray:
    """The codes of images against draws from the prior."""
    images, labels = as_images(split.image[:SHOWN_CODES]), split.label[:SHOWN_CODES]
    codes, expected = model.encode(images, labels), model.prior_codes(len(images), seed=0)
    return figures.codes_against_prior(codes, expected, labels, dataset.class_names)


def code_plane(model: Model, dataset: Dataset, split: Data, side: int = 14) -> np.ndarray:
    """What the points of a code plane draw: rows and columns at even quantiles of the prior's coordinates.

    Of the codes' own where training does not draw them to a prior.
    """
    del dataset
    at = (np.arange(side) + 0.5) / side
    drawn = model.algorithm.has_prior
    codes = model.prior_codes(SHOWN_CODES, seed=0) if drawn else model.mean_codes(as_images(split.image))
    across, up = np.quantile(codes, at, axis=0).T
    codes = np.stack(np.meshgrid(across, up[::-1]), axis=-1)
    images = model.decode(codes.reshape(-1, 2))
    headings, marks = ([f"{value:.2f}" for value in values] for values in (across, up[::-1]))
    return figures.captioned(images.reshape(side, side, *images.shape[1:]), headings, marks)


def places(model: Model, dataset: Dataset, split: Data) -> np.ndarray:
    """Where style and category, added up, place images, against what the prior says: styles around every head."""
    algorithm, count = model.algorithm, min(SHOWN_CODES, len(split.image))
    drawn = jax.nn.one_hot(np.arange(count) % algorithm.num_labels, algorithm.num_labels)
    expected = algorithm.place(model.params, model.stats, model.prior_codes(count), drawn)
    found = jax.jit(algorithm.places)(model.params, model.stats, as_images(split.image[:count]))
    return figures.codes_against_prior(found, expected, split.label[:count], dataset.class_names)


def cluster_rows(model: Model, dataset: Dataset, split: Data, columns: int = 16) -> np.ndarray:
    """A row is one cluster: its head, drawn for the style 0, and the first images of the split that lie in it."""
    del dataset
    heads = model.algorithm.num_labels
    found = model.categorise(as_images(split.image))
    drawn = model.decode(np.zeros((heads, model.algorithm.latent_size), np.float32), np.arange(heads))
    rows = np.ones((heads, columns, *drawn.shape[1:]), np.float32)  # white where there are fewer
    for head in range(heads):
        members = as_images(split.image[found == head][: columns - 1])
        rows[head, 0], rows[head, 1 : 1 + len(members)] = drawn[head], members
    return figures.captioned(rows, ["head", *map(str, range(1, columns))], [str(head) for head in range(heads)])


def code_scatter(model: Model, dataset: Dataset, split: Data) -> np.ndarray:
    """The codes of images by their labels, in the plane or in space."""
    return figures.code_scatter(model.mean_codes(as_images(split.image)), split.label, dataset.class_names)


def denoised(model: Model, dataset: Dataset, split: Data, count: int = 20) -> np.ndarray:
    """Images under the noise that the model is trained against, what it makes of them, and the clean ones."""
    del dataset
    clean = as_images(split.image[:count])
    noisy = np.asarray(noised(jnp.asarray(clean), jax.random.key(0), model.algorithm.noise))
    return figures.marked_rows({"noisy": noisy, "denoised": model.reconstruct(noisy), "clean": clean})


def neighbours(model: Model, dataset: Dataset, split: Data, queries: int = 12, nearest: int = 9) -> np.ndarray:
    """A row is an image and the training images whose codes of bits differ least from its own."""
    images = as_images(split.image[:queries])
    codes, base = model.mean_codes(images), model.mean_codes(as_images(dataset.train.image))
    distance = np.abs(codes[:, None] - base[None]).sum(-1)
    found = as_images(dataset.train.image[np.argsort(distance, axis=1, kind="stable")[:, :nearest]])
    rows = np.concatenate([images[:, None], found], axis=1)
    return figures.captioned(rows, ["query", *map(str, range(1, nearest + 1))])


def coloured(model: Model, dataset: Dataset, split: Data, count: int = 20) -> np.ndarray:
    """What a colorizer is shown, what it makes of it, and the originals."""
    del dataset
    originals = as_images(split.image[:count])
    batch = Batch(jnp.asarray(originals), split.label[:count], np.ones(len(originals), np.float32))
    grey = np.asarray(model.algorithm.shown(batch))
    seen = "grey" if model.algorithm.companion is None else "the VAE's"
    return figures.marked_rows({seen: grey, "coloured": model.colour(grey), "original": originals})


def coloured_samples(model: Model, dataset: Dataset, split: Data, count: int = 40) -> np.ndarray:
    """Random images of the colorizer's VAE, grey and coloured."""
    del dataset, split
    grey = model.algorithm.companion.sample(count, seed=0)
    return figures.marked_rows({"grey": grey, "coloured": model.colour(grey)})


def coloured_traversal(model: Model, dataset: Dataset, split: Data) -> np.ndarray:
    """The VAE's code of the split's first image with one dimension at a time moved, coloured."""
    del dataset
    image = np.asarray(grey_of(jnp.asarray(as_images(split.image[:1]))))[0]
    grey = model.algorithm.companion.traverse(image)
    coloured = model.colour(np.concatenate([image[None], grey.reshape(-1, *grey.shape[2:])]))
    return traversal_rows(coloured[0], coloured[1:].reshape(*grey.shape[:-1], 3), np.arange(len(grey)))


def real(model: Model, dataset: Dataset, split: Data, side: int = 10) -> np.ndarray:
    """Images of the split, to set beside drawn ones; one of each class after another where a decoder needs labels."""
    del dataset
    count = side * side
    some = first_of_each(split, count) if model.algorithm.decoder_needs_label else np.arange(len(split.label))
    return figures.tiled(as_images(split.image[some[:count]]), side)


PICTURES = {
    "real": real,
    "clusters": cluster_rows,
    "walk": code_plane,
    "prior_styles": prior_styles,
    "test_styles": image_styles,
    "reconstructions": reconstructions,
    "codes": code_cloud,
    "places": places,
    "code_scatter": code_scatter,
    "denoised": denoised,
    "neighbours": neighbours,
    "coloured": coloured,
    "coloured_samples": coloured_samples,
    "coloured_traversal": coloured_traversal,
    **CODE_PICTURES,
}


def every_label(model: Model, codes: np.ndarray, num_classes: int) -> np.ndarray:
    """Each code decoded under each label: [R, Z] -> [R, K, H, W, C]."""
    labels = np.tile(np.arange(num_classes), len(codes))
    images = model.decode(np.repeat(codes, num_classes, axis=0), labels)
    return images.reshape(len(codes), num_classes, *images.shape[1:])


def first_of_each(split: Data, count: int) -> np.ndarray:
    """Indices of `count` examples that go through the classes in turn; of fewer where a class has not so many."""
    by_class = [np.flatnonzero(split.label == label) for label in np.unique(split.label)]
    turns = min(len(members) for members in by_class)
    in_turn = np.concatenate([[members[turn] for members in by_class] for turn in range(turns)])
    return in_turn[:count]
