"""Titles of figures, by file name."""

from typing import Any

from jaxgen import plotting

TITLES = {
    "attributes": "Codes of images, moved towards each class",
    "cluster_embedding": "Sum of style and cluster head: found in images (colored) and expected from the prior (gray)",
    "clusters": "Decoded head of each cluster, and held-out images assigned to it",
    "code_scatter": "Codes of held-out images",
    "codes_vs_prior": "Codes of held-out images and samples of the prior",
    "colorized": "Colorization of held-out images",
    "colorized_samples": "Colorization of samples of the VAE",
    "colorized_traversal": "Colorized traversal around the code of one held-out image",
    "denoised": "Held-out images with noise, and their denoised outputs",
    "image_styles": "Styles of held-out images, decoded with every class",
    "interpolate_linear": "Linear paths between codes",
    "interpolate_spherical": "Spherical paths between codes",
    "interpolation": "Linear paths between the codes of held-out images",
    "interpolation_spherical": "Spherical paths between the codes of held-out images",
    "latent_manifold": "Decoded points of the latent plane, at even quantiles of both dimensions",
    "latent_walk": "Closed paths through sampled codes, from left to right",
    "nearest_neighbors": "Held-out images, and the training images with the nearest codes",
    "prior_interpolation": "Spherical paths between samples of the prior",
    "prior_styles": "Samples of the prior, decoded with every class",
    "real_images": "Held-out images, for comparison with samples",
    "reconstruct": "Images and their reconstructions",
    "reconstructions": "Held-out images and their reconstructions",
    "samples": "Decoded samples",
    "samples_100": "Decoded samples of the prior",
    "samples_25": "Decoded samples of the prior",
    "samples_by_epoch": "The same codes during training",
    "traversal": "One latent dimension at a time, around the code of a held-out image",
    "traverse": "One latent dimension at a time, around the code of an image",
}


def add_figure_title(picture: plotting.Picture, name: str, dataset_name: str, note: str = "") -> plotting.Picture:
    """Returns a figure below the name of the data set, its title and a note; without a title, its name is shown."""
    title = TITLES.get(name, name.replace("_", " "))
    return plotting.add_title(picture, f"{dataset_name}: {title}{f' ({note})' if note else ''}")


def add_curves_title(picture: plotting.Picture, dataset_name: str, config: Any) -> plotting.Picture:
    """Returns training curves below the names of data set and model, and the number of seeds if there are several."""
    seeds = f" (mean and standard deviation of {config.num_seeds} seeds)" if config.num_seeds > 1 else ""
    return plotting.add_title(picture, f"{dataset_name}: training of {config.model}{seeds}")
