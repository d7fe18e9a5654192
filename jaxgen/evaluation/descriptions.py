"""What each metric means: its direction, its reference and a phrase, for the table at the end of a run.

docs/metrics.md has the definitions of the same names.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from jaxgen.data import Dataset, to_float_images
from jaxgen.evaluation.sample_quality import BASELINE
from jaxgen.metrics.image_similarity import psnr
from jaxgen.types import Split

UP, DOWN, NEITHER = "↑", "↓", "–"


class Description(NamedTuple):
    """A metric's row in the table.

    Attributes:
      direction: whether larger (↑) or smaller (↓) is better; – for neither.
      phrase: what is measured, in a few words.
      label: name of the reference, such as "chance" or "train".
      baselines: metrics that are shown as references beside this one, instead of rows, by label.
      constant: the reference, if it is always the same number.
    """

    direction: str
    phrase: str
    label: str = ""
    baselines: Mapping[str, str] = MappingProxyType({})
    constant: float | None = None


def describe_sample_metric(name: str, direction: str, phrase: str) -> Description:
    """Returns the description of a metric of samples, whose reference is its value for training images."""
    return Description(direction, phrase, baselines={"train": f"{name}{BASELINE}"})


FRECHET, KERNEL = "Fréchet distance", "kernel distance"
BY_SAMPLER = {
    f"{metric}_{name}": Description(DOWN, f"{phrase}, {sampler}", baselines={"train": f"{metric}{BASELINE}"})
    for metric, phrase in (("frechet_distance", FRECHET), ("kernel_distance", KERNEL))
    for name, sampler in (("mixture", "mixture sampler"), ("two_stage", "two-stage codes"))
}
SAMPLE_METRICS = {
    name: describe_sample_metric(name, direction, phrase)
    for name, direction, phrase in (
        ("frechet_distance", DOWN, f"{FRECHET}, samples"),
        ("kernel_distance", DOWN, f"{KERNEL}, samples"),
        ("precision", UP, "samples within the real images"),
        ("recall", UP, "real images within the samples"),
        ("coverage", UP, "real images matched by a sample"),
        ("diversity", NEITHER, "variety relative to the data"),
        ("min_class_fraction", UP, "share of the rarest class"),
    )
}
DESCRIPTIONS = {
    "mse": Description(DOWN, "squared error per pixel", "mean image"),
    "nll": Description(DOWN, "negative log-likelihood, nats", "mean image"),
    "elbo": Description(UP, "evidence lower bound, nats", "mean image"),
    "negative_elbo": Description(DOWN, "distortion + kl, nats", "mean image"),
    "distortion": Description(DOWN, "-log p(image given code), nats", "mean image"),
    "kl": Description(NEITHER, "information in the code, nats"),
    "active_units": Description(UP, "code dimensions in use"),
    "psnr": Description(UP, "similarity of reconstructions, dB", "mean image"),
    "ssim": Description(UP, "structural similarity", "equal", constant=1.0),
    "psnr_denoised": Description(UP, "similarity to clean images, dB", baselines={"noisy": "psnr_noisy"}),
    "psnr_gain": Description(UP, "gain by denoising, dB", "none", constant=0.0),
    "denoised_mse": Description(DOWN, "squared error after denoising", "mean image"),
    "color_mse": Description(DOWN, "squared error of the colors", baselines={"gray input": "grayscale_baseline_mse"}),
    "reconstruction_frechet_distance": Description(DOWN, f"{FRECHET}, reconstructions", "equal", constant=0.0),
    "reconstruction_kernel_distance": Description(DOWN, f"{KERNEL}, reconstructions", "equal", constant=0.0),
    "content_accuracy": Description(UP, "samples of the requested class", "chance"),
    "swap_accuracy": Description(UP, "class swaps that succeed", "chance"),
    "style_leakage": Description(DOWN, "class read from the code", "chance"),
    "style_consistency": Description(UP, "same style in every class", "unrelated", constant=0.0),
    "quadratic_style_leakage": Description(DOWN, "class read by a fast probe", "chance"),
    "classifier_accuracy": Description(UP, "the classifier, on real images", "chance"),
    "prior_mmd": Description(DOWN, "distance of codes from the prior", baselines={"noise": "prior_mmd_baseline"}),
    "code_std_min": Description(NEITHER, "smallest std of a code dimension", "prior", constant=1.0),
    "code_std_max": Description(NEITHER, "largest std of a code dimension", "prior", constant=1.0),
    "prior_component_accuracy": Description(
        UP,
        "codes in their class's component",
        "chance",
        {"at most": "prior_component_accuracy_of_prior"},
    ),
    "test_error": Description(DOWN, "images with a wrong class", "chance"),
    "error": Description(DOWN, "images with a wrong class", "chance"),
    "class_nll": Description(DOWN, "cross-entropy of classes, nats", "chance"),
    "cluster_error": Description(DOWN, "images in a wrong cluster", "chance"),
    "clusters_used": Description(UP, "clusters with at least one image"),
    "retrieval_map": Description(
        UP,
        "precision of search by code",
        "chance",
        {"PCA signs": "retrieval_map_pca_sign", "pixels": "retrieval_map_pixels"},
    ),
    "parzen_log_likelihood": Description(UP, "Parzen log density, nats"),
    "parzen_std": Description(NEITHER, "std of the Parzen kernel"),
    **SAMPLE_METRICS,
    **BY_SAMPLER,
    "pixel_mmd": Description(DOWN, "kernel distance of pixels", "equal", constant=0.0),
    "mode_collapse": Description(DOWN, "1: samples lack variety", "no", constant=0.0),
    "class_fractions": Description(NEITHER, "share of each class"),
    "d_real": Description(NEITHER, "critic's P(real), real images", "undecided", constant=0.5),
    "d_fake": Description(NEITHER, "critic's P(real), samples", "undecided", constant=0.5),
}
UNKNOWN = Description(NEITHER, "")  # a metric of a model from outside the package


def known_names() -> set[str]:
    """Returns the names of all metrics of an evaluation: the described ones, and those that are shown beside them."""
    return {*DESCRIPTIONS, *(name for one in DESCRIPTIONS.values() for name in one.baselines.values())}


def compute_references(names, dataset: Dataset, data: Split, model) -> dict[str, float]:
    """Returns the reference values of metrics: chance for K classes, or what the mean training image gives.

    Args:
      names: names of the metrics.
      dataset: the data set, whose training images have the mean.
      data: the evaluated split.
      model: the model; a likelihood of pixels other than Bernoulli has no reference.
    """
    found = {**chance_levels(dataset.num_classes, data.label)}
    if {"mse", "nll", "psnr", "distortion", "elbo", "denoised_mse"} & set(names):
        found |= mean_image_metrics(dataset.train, data, getattr(model, "likelihood", "bernoulli") == "bernoulli")
    constants = {name: one.constant for name, one in DESCRIPTIONS.items() if one.constant is not None}
    return {name: value for name, value in (constants | found).items() if name in names}


def name_references(names, dataset: Dataset, model) -> dict[str, tuple[str, float]]:
    """Returns label and value of each reference on the validation split, for training curves."""
    found = compute_references(names, dataset, dataset.validation, model)
    return {name: (DESCRIPTIONS[name].label, value) for name, value in found.items() if name in DESCRIPTIONS}


def chance_levels(num_classes: int, label: np.ndarray) -> dict[str, float]:
    """Returns the values of metrics of classes for a random or constant guess."""
    if num_classes < 2 or not len(label) or label.min() < 0:
        return {}
    uniform, largest = 1 / num_classes, float(np.bincount(label).max() / len(label))
    same_class = float(np.square(np.bincount(label) / len(label)).sum())  # probability of two images of one class
    return {
        **dict.fromkeys(("content_accuracy", "swap_accuracy", "prior_component_accuracy"), uniform),
        **dict.fromkeys(("style_leakage", "quadratic_style_leakage", "classifier_accuracy"), largest),
        **dict.fromkeys(("test_error", "error", "cluster_error"), 1 - largest),
        "retrieval_map": same_class,
        "class_nll": float(np.log(num_classes)),
    }


def mean_image_metrics(train: Split, data: Split, is_bernoulli: bool) -> dict[str, float]:
    """Returns the metrics of a model that reconstructs every image as the mean training image."""
    mean, images = train.image.mean(axis=0, dtype=np.float64) / 255, to_float_images(data.image)
    squared = float(np.square(images - mean).mean(dtype=np.float64))
    similarity = float(psnr(images, np.broadcast_to(mean, images.shape).astype(np.float32)).mean())
    found = {"mse": squared, "denoised_mse": squared, "psnr": similarity}
    if is_bernoulli:
        pixel = np.clip(mean, 1e-3, 1 - 1e-3)
        average = images.mean(axis=0, dtype=np.float64)
        nll = float(-(average * np.log(pixel) + (1 - average) * np.log(1 - pixel)).sum())
        found |= {"nll": nll, "distortion": nll, "negative_elbo": nll, "elbo": -nll}
    return found


def format_reference(name: str, metrics: Mapping, references: Mapping[str, float]) -> str:
    """Returns the text beside a metric, such as "chance 0.1" or "train 12.3"; "" without a reference."""
    description = DESCRIPTIONS.get(name, UNKNOWN)
    parts = [f"{label} {metrics[key]:.3g}" for label, key in description.baselines.items() if key in metrics]
    if name in references:
        parts.insert(0, f"{description.label} {references[name]:.3g}")
    return ", ".join(parts)
