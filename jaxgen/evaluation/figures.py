"""Figures: functions (trained, dataset, split) -> image, by the names that models list in `figures`."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import plotting
from jaxgen.data import Dataset, to_float_images
from jaxgen.data.transforms import add_gaussian_noise, rgb_to_grayscale
from jaxgen.evaluation import titles
from jaxgen.evaluation.latent_figures import (
    LATENT_FIGURES,
    column_names,
    draw_cluster_embedding,
    draw_code_scatter,
    draw_codes_vs_prior,
    draw_latent_manifold,
    make_traversal_grid,
)
from jaxgen.evaluation.optional import skip_on_failure
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.types import Batch, Split


def draw_figures(trained: TrainedModel, dataset: Dataset, split: Split) -> dict[str, np.ndarray]:
    """Returns the figures of the model by file name, uint8 [H, W, 3] each, without those that cannot be made."""
    images: dict[str, np.ndarray] = {}
    for name in trained.model.figures:
        with skip_on_failure(f"figure {name}"):
            picture = FIGURES[name](trained, dataset, split)
            images[name] = titles.add_figure_title(picture, name, dataset.name)
    return images


def draw_prior_styles(trained: TrainedModel, dataset: Dataset, split: Split, rows: int = 10) -> np.ndarray:
    """Returns a grid with a row per prior sample and a column per label."""
    del split
    grid = decode_all_labels(trained, trained.sample_prior(rows, seed=0), dataset.num_classes)
    return name_style_axes(plotting.style_grid(grid, names=dataset.class_names))


def draw_image_styles(trained: TrainedModel, dataset: Dataset, split: Split, rows: int = 10) -> np.ndarray:
    """Returns a grid with a row per image, which is the first column, and a column per label."""
    index = cycle_classes(split, rows)
    images = to_float_images(split.image[index])
    grid = decode_all_labels(trained, trained.encode(images, split.label[index]), dataset.num_classes)
    return name_style_axes(plotting.style_grid(grid, images, names=dataset.class_names))


def draw_reconstructions(trained: TrainedModel, dataset: Dataset, split: Split, count: int = 40) -> np.ndarray:
    """Returns images and their reconstructions."""
    del dataset
    images = to_float_images(split.image[:count])
    labels = None if trained.model.predicts_category else split.label[:count]
    return plotting.reconstruction_pairs(images, trained.reconstruct(images, labels))


def draw_clusters(trained: TrainedModel, dataset: Dataset, split: Split, columns: int = 16) -> np.ndarray:
    """Returns a grid with a row per cluster: its decoded head with style 0, and the first images assigned to it.

    The rows are numbered like the categories that `predict_category` returns.
    """
    del dataset
    num_clusters = trained.model.num_conditions
    assigned = trained.predict_category(to_float_images(split.image))
    heads = trained.decode(np.zeros((num_clusters, trained.model.latent_size), np.float32), np.arange(num_clusters))
    rows = np.ones((num_clusters, columns, *heads.shape[1:]), np.float32)  # white beyond the last image
    for cluster in range(num_clusters):
        members = to_float_images(split.image[assigned == cluster][: columns - 1])
        rows[cluster, 0], rows[cluster, 1 : 1 + len(members)] = heads[cluster], members
    headings = ["head", "members →", *[""] * (columns - 2)]
    grid = plotting.labeled_grid(rows, headings[:columns], [str(cluster) for cluster in range(num_clusters)])
    return plotting.name_axes(grid, rows="cluster")


def draw_denoising(trained: TrainedModel, dataset: Dataset, split: Split, count: int = 20) -> np.ndarray:
    """Returns rows of noisy images, of the denoised outputs, and of the clean images."""
    del dataset
    clean = to_float_images(split.image[:count])
    noisy = np.asarray(add_gaussian_noise(jnp.asarray(clean), jax.random.key(0), trained.model.input_noise_std))
    return plotting.labeled_rows({"noisy": noisy, "denoised": trained.reconstruct(noisy), "clean": clean})


def draw_nearest_neighbors(
    trained: TrainedModel, dataset: Dataset, split: Split, queries: int = 12, nearest: int = 9
) -> np.ndarray:
    """Returns a grid with a row per image and the training images with the smallest Hamming distance between codes."""
    images = to_float_images(split.image[:queries])
    codes, database = trained.encode_mean(images), trained.encode_mean(to_float_images(dataset.train.image))
    distance = np.abs(codes[:, None] - database[None]).sum(-1)
    found = to_float_images(dataset.train.image[np.argsort(distance, axis=1, kind="stable")[:, :nearest]])
    rows = np.concatenate([images[:, None], found], axis=1)
    return plotting.labeled_grid(rows, ["query", "nearest →", *[""] * (nearest - 1)][: nearest + 1])


def draw_colorized(trained: TrainedModel, dataset: Dataset, split: Split, count: int = 20) -> np.ndarray:
    """Returns rows of the gray inputs, of the colorized images, and of the originals."""
    del dataset
    originals = to_float_images(split.image[:count])
    batch = Batch(jnp.asarray(originals), jnp.asarray(split.label[:count]), jnp.ones(len(originals)))
    gray = np.asarray(trained.model.grayscale_inputs(batch))
    label = "gray" if trained.model.base_model is None else "VAE output"
    return plotting.labeled_rows({label: gray, "colorized": trained.colorize(gray), "original": originals})


def draw_colorized_samples(trained: TrainedModel, dataset: Dataset, split: Split, count: int = 40) -> np.ndarray:
    """Returns rows of gray samples of the VAE, and of the colorized samples."""
    del dataset, split
    gray = trained.model.base_model.sample(count, seed=0)
    return plotting.labeled_rows({"gray": gray, "colorized": trained.colorize(gray)})


def draw_colorized_traversal(trained: TrainedModel, dataset: Dataset, split: Split) -> np.ndarray:
    """Returns a colorized traversal around the code of the first image in the VAE."""
    del dataset
    image = np.asarray(rgb_to_grayscale(jnp.asarray(to_float_images(split.image[:1]))))[0]
    gray = trained.model.base_model.traverse(image)
    colorized = trained.colorize(np.concatenate([image[None], gray.reshape(-1, *gray.shape[2:])]))
    decoded = colorized[1:].reshape(*gray.shape[:-1], 3)
    return make_traversal_grid(colorized[0], decoded, np.arange(len(gray)), "standard deviations of the VAE's prior")


def draw_real_images(trained: TrainedModel, dataset: Dataset, split: Split, side: int = 10) -> np.ndarray:
    """Returns images of the split for comparison with samples; the classes cycle for conditional models."""
    count = side * side
    index = cycle_classes(split, count) if trained.model.is_conditional else np.arange(len(split.label))
    images = to_float_images(split.image[index[:count]])
    return plotting.tile_images(images, side, column_names(trained, dataset, side))


FIGURES = {
    "real_images": draw_real_images,
    "clusters": draw_clusters,
    "latent_manifold": draw_latent_manifold,
    "prior_styles": draw_prior_styles,
    "image_styles": draw_image_styles,
    "reconstructions": draw_reconstructions,
    "codes_vs_prior": draw_codes_vs_prior,
    "cluster_embedding": draw_cluster_embedding,
    "code_scatter": draw_code_scatter,
    "denoised": draw_denoising,
    "nearest_neighbors": draw_nearest_neighbors,
    "colorized": draw_colorized,
    "colorized_samples": draw_colorized_samples,
    "colorized_traversal": draw_colorized_traversal,
    **LATENT_FIGURES,
}


def decode_all_labels(trained: TrainedModel, codes: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns each code decoded with each label: [R, Z] -> [R, K, H, W, C]."""
    labels = np.tile(np.arange(num_classes), len(codes))
    images = trained.decode(np.repeat(codes, num_classes, axis=0), labels)
    return images.reshape(len(codes), num_classes, *images.shape[1:])


def name_style_axes(picture: plotting.Picture) -> plotting.Picture:
    """Returns a grid of styles with the names of its axes."""
    return plotting.name_axes(picture, "class of the decoded image", "style")


def cycle_classes(split: Split, count: int) -> np.ndarray:
    """Returns the indices of up to `count` examples whose classes cycle; fewer if a class has too few examples."""
    by_class = [np.flatnonzero(split.label == label) for label in np.unique(split.label)]
    rounds = min(len(members) for members in by_class)
    return np.concatenate([[members[i] for members in by_class] for i in range(rounds)])[:count]
