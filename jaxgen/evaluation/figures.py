"""Pictures of a model, by the names that an algorithm lists in `pictures`. Measures live in `evaluation`."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import plotting
from jaxgen.data import Dataset, to_float_images
from jaxgen.data.transforms import add_gaussian_noise
from jaxgen.data.transforms import rgb_to_grayscale as grey_of
from jaxgen.evaluation.latent_figures import LATENT_FIGURES, traversal_grid
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.types import Batch, Split

SHOWN_CODES = 2000  # in a scatter of codes: more only hide each other


def draw_figures(trained: TrainedModel, dataset: Dataset, split: Split) -> dict[str, np.ndarray]:
    """All pictures that the model's family lists, by file name: uint8 [H, W, 3] each."""
    return {name: FIGURES[name](trained, dataset, split) for name in trained.model.figures}


def style_grid_prior(trained: TrainedModel, dataset: Dataset, split: Split, rows: int = 10) -> np.ndarray:
    """A row is one code drawn from the prior, a column a label."""
    del split
    return plotting.style_grid(decode_all_labels(trained, trained.sample_prior(rows, seed=0), dataset.num_classes))


def style_grid_images(trained: TrainedModel, dataset: Dataset, split: Split, rows: int = 10) -> np.ndarray:
    """A row is the code of one image, the image itself in the first column, a column a label."""
    some = cycle_classes(split, rows)
    images = to_float_images(split.image[some])
    grid = decode_all_labels(trained, trained.encode(images, split.label[some]), dataset.num_classes)
    return plotting.style_grid(grid, images)


def reconstructions(trained: TrainedModel, dataset: Dataset, split: Split, count: int = 40) -> np.ndarray:
    """Images beside what the decoder makes of their codes."""
    del dataset
    images = to_float_images(split.image[:count])
    labels = None if trained.model.predicts_category else split.label[:count]
    return plotting.reconstruction_pairs(images, trained.reconstruct(images, labels))


def codes_vs_prior(trained: TrainedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """The codes of images against draws from the prior."""
    images, labels = to_float_images(split.image[:SHOWN_CODES]), split.label[:SHOWN_CODES]
    codes, expected = trained.encode(images, labels), trained.sample_prior(len(images), seed=0)
    return plotting.plot_codes_vs_prior(codes, expected, labels, dataset.class_names)


def latent_manifold(trained: TrainedModel, dataset: Dataset, split: Split, side: int = 14) -> np.ndarray:
    """What the points of a code plane draw: rows and columns at even quantiles of the prior's coordinates.

    Of the codes' own where training does not draw them to a prior.
    """
    del dataset
    at = (np.arange(side) + 0.5) / side
    drawn = trained.model.matches_prior
    codes = trained.sample_prior(SHOWN_CODES, seed=0) if drawn else trained.encode_mean(to_float_images(split.image))
    across, up = np.quantile(codes, at, axis=0).T
    codes = np.stack(np.meshgrid(across, up[::-1]), axis=-1)
    images = trained.decode(codes.reshape(-1, 2))
    headings, marks = ([f"{value:.2f}" for value in values] for values in (across, up[::-1]))
    return plotting.labeled_grid(images.reshape(side, side, *images.shape[1:]), headings, marks)


def cluster_embedding_scatter(trained: TrainedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """Where style and category, added up, place images, against what the prior says: styles around every head."""
    model, count = trained.model, min(SHOWN_CODES, len(split.image))
    drawn = jax.nn.one_hot(np.arange(count) % model.num_conditions, model.num_conditions)
    expected = model.add_cluster_head(trained.params, trained.stats, trained.sample_prior(count), drawn)
    found = jax.jit(model.cluster_embeddings)(trained.params, trained.stats, to_float_images(split.image[:count]))
    return plotting.plot_codes_vs_prior(found, expected, split.label[:count], dataset.class_names)


def clusters(trained: TrainedModel, dataset: Dataset, split: Split, columns: int = 16) -> np.ndarray:
    """A row is one cluster: its head, drawn for the style 0, and the first images of the split that lie in it."""
    del dataset
    heads = trained.model.num_conditions
    found = trained.predict_category(to_float_images(split.image))
    drawn = trained.decode(np.zeros((heads, trained.model.latent_size), np.float32), np.arange(heads))
    rows = np.ones((heads, columns, *drawn.shape[1:]), np.float32)  # white where there are fewer
    for head in range(heads):
        members = to_float_images(split.image[found == head][: columns - 1])
        rows[head, 0], rows[head, 1 : 1 + len(members)] = drawn[head], members
    return plotting.labeled_grid(rows, ["head", *map(str, range(1, columns))], [str(head) for head in range(heads)])


def code_scatter(trained: TrainedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """The codes of images by their labels, in the plane or in space."""
    return plotting.plot_codes_by_label(
        trained.encode_mean(to_float_images(split.image)), split.label, dataset.class_names
    )


def denoising(trained: TrainedModel, dataset: Dataset, split: Split, count: int = 20) -> np.ndarray:
    """Images under the noise that the model is trained against, what it makes of them, and the clean ones."""
    del dataset
    clean = to_float_images(split.image[:count])
    noisy = np.asarray(add_gaussian_noise(jnp.asarray(clean), jax.random.key(0), trained.model.input_noise_std))
    return plotting.labeled_rows({"noisy": noisy, "denoised": trained.reconstruct(noisy), "clean": clean})


def nearest_neighbors(
    trained: TrainedModel, dataset: Dataset, split: Split, queries: int = 12, nearest: int = 9
) -> np.ndarray:
    """A row is an image and the training images whose codes of bits differ least from its own."""
    images = to_float_images(split.image[:queries])
    codes, base = trained.encode_mean(images), trained.encode_mean(to_float_images(dataset.train.image))
    distance = np.abs(codes[:, None] - base[None]).sum(-1)
    found = to_float_images(dataset.train.image[np.argsort(distance, axis=1, kind="stable")[:, :nearest]])
    rows = np.concatenate([images[:, None], found], axis=1)
    return plotting.labeled_grid(rows, ["query", *map(str, range(1, nearest + 1))])


def colorized(trained: TrainedModel, dataset: Dataset, split: Split, count: int = 20) -> np.ndarray:
    """What a colorizer is shown, what it makes of it, and the originals."""
    del dataset
    originals = to_float_images(split.image[:count])
    batch = Batch(jnp.asarray(originals), split.label[:count], np.ones(len(originals), np.float32))
    grey = np.asarray(trained.model.grayscale_inputs(batch))
    seen = "grey" if trained.model.base_model is None else "the VAE's"
    return plotting.labeled_rows({seen: grey, "colorized": trained.colorize(grey), "original": originals})


def colorized_samples(trained: TrainedModel, dataset: Dataset, split: Split, count: int = 40) -> np.ndarray:
    """Random images of the colorizer's VAE, grey and coloured."""
    del dataset, split
    grey = trained.model.base_model.sample(count, seed=0)
    return plotting.labeled_rows({"grey": grey, "colorized": trained.colorize(grey)})


def colorized_traversal(trained: TrainedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """The VAE's code of the split's first image with one dimension at a time moved, coloured."""
    del dataset
    image = np.asarray(grey_of(jnp.asarray(to_float_images(split.image[:1]))))[0]
    grey = trained.model.base_model.traverse(image)
    coloured = trained.colorize(np.concatenate([image[None], grey.reshape(-1, *grey.shape[2:])]))
    return traversal_grid(coloured[0], coloured[1:].reshape(*grey.shape[:-1], 3), np.arange(len(grey)))


def real_images(trained: TrainedModel, dataset: Dataset, split: Split, side: int = 10) -> np.ndarray:
    """Images of the split, to set beside drawn ones; one of each class after another where a decoder needs labels."""
    del dataset
    count = side * side
    some = cycle_classes(split, count) if trained.model.is_conditional else np.arange(len(split.label))
    return plotting.tile_images(to_float_images(split.image[some[:count]]), side)


FIGURES = {
    "real_images": real_images,
    "clusters": clusters,
    "latent_manifold": latent_manifold,
    "prior_styles": style_grid_prior,
    "image_styles": style_grid_images,
    "reconstructions": reconstructions,
    "codes_vs_prior": codes_vs_prior,
    "cluster_embedding": cluster_embedding_scatter,
    "code_scatter": code_scatter,
    "denoised": denoising,
    "nearest_neighbors": nearest_neighbors,
    "colorized": colorized,
    "colorized_samples": colorized_samples,
    "colorized_traversal": colorized_traversal,
    **LATENT_FIGURES,
}


def decode_all_labels(trained: TrainedModel, codes: np.ndarray, num_classes: int) -> np.ndarray:
    """Each code decoded under each label: [R, Z] -> [R, K, H, W, C]."""
    labels = np.tile(np.arange(num_classes), len(codes))
    images = trained.decode(np.repeat(codes, num_classes, axis=0), labels)
    return images.reshape(len(codes), num_classes, *images.shape[1:])


def cycle_classes(split: Split, count: int) -> np.ndarray:
    """Indices of `count` examples that go through the classes in turn; of fewer where a class has not so many."""
    by_class = [np.flatnonzero(split.label == label) for label in np.unique(split.label)]
    turns = min(len(members) for members in by_class)
    in_turn = np.concatenate([[members[turn] for members in by_class] for turn in range(turns)])
    return in_turn[:count]
