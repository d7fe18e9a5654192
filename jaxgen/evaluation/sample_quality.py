"""Quality and diversity of generated images, measured on features of an independent classifier."""

import logging
from collections.abc import Callable

import numpy as np

from jaxgen.data import Dataset, epoch_permutation, fingerprint, to_float_images
from jaxgen.evaluation.feature_classifier import FeatureClassifier, load_or_train_classifier
from jaxgen.inference import samplers
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.metrics.frechet import frechet_distance
from jaxgen.metrics.mmd import polynomial_mmd
from jaxgen.metrics.precision_recall import COLLAPSE_THRESHOLD, diversity, precision_and_recall
from jaxgen.types import EvaluationMetrics, Split

CHECKPOINT_METRICS = ("frechet_distance", "kernel_distance")  # lower is better; allowed as `best_metric`

log = logging.getLogger("jaxgen")


def measure_sample_quality(trained: TrainedModel, dataset: Dataset, data: Split, config) -> EvaluationMetrics:
    """Returns distances between generated images and a split, and the metrics of `measure_precision_recall_diversity`.

    `frechet_distance` and `kernel_distance` are for codes from the prior; a suffix names another sampler.
    `frechet_distance_train_baseline` is the distance of equally many training images. No model can be expected to be
    better, because the Fréchet distance of finite sets is above 0. Conditional models use the labels of the split.
    """
    classifier = load_dataset_classifier(dataset, config.evaluation.classifier_steps)
    count = min(config.evaluation.num_samples, len(dataset.train.image))
    subset = epoch_permutation(config.seed, 0, len(dataset.train.image))[:count]  # a file may be sorted by class
    expected, baseline = (
        classifier.features(to_float_images(images)) for images in (data.image, dataset.train.image[subset])
    )
    metrics: dict[str, float | list[float]] = {"frechet_distance_train_baseline": frechet_distance(baseline, expected)}
    for name in config.evaluation.samplers if trained.model.has_encoder else (samplers.PRIOR,):
        labels = select_sample_labels(trained, data, count)
        generated = samplers.sample_images(trained, dataset.train, name, count, config.seed, labels)
        features, suffix = classifier.features(generated), "" if name == samplers.PRIOR else f"_{name}"
        metrics[f"frechet_distance{suffix}"] = frechet_distance(features, expected)
        metrics[f"kernel_distance{suffix}"] = polynomial_mmd(features, expected)
        if name == samplers.PRIOR:
            metrics |= measure_precision_recall_diversity(
                classifier, generated, features, expected, dataset.num_classes
            )
    return metrics


def describe_features(dataset: Dataset, data: Split, steps: int) -> str:
    """Describes the feature extractor and its accuracy on a split, for `results.json`."""
    task = f"{dataset.num_classes} classes" if dataset.num_classes > 1 else "rotations by quarter turns"
    accuracy = load_dataset_classifier(dataset, steps).accuracy(data)
    return f"classifier of {task}, {steps} steps on the training split, accuracy {accuracy:.1%} on this split"


def measure_reconstruction_quality(trained: TrainedModel, dataset: Dataset, data: Split, config) -> EvaluationMetrics:
    """Returns the Fréchet and kernel distances between the images of a split and their reconstructions."""
    classifier = load_dataset_classifier(dataset, config.evaluation.classifier_steps)
    images, labels = to_float_images(data.image), None if trained.model.predicts_category else data.label
    features, expected = classifier.features(trained.reconstruct(images, labels)), classifier.features(images)
    return {
        "reconstruction_frechet_distance": frechet_distance(features, expected),
        "reconstruction_kernel_distance": polynomial_mmd(features, expected),
    }


def measure_precision_recall_diversity(
    classify: Callable[[np.ndarray], np.ndarray],
    generated: np.ndarray,
    features: np.ndarray,
    expected: np.ndarray,
    num_classes: int,
) -> EvaluationMetrics:
    """Returns `precision`, `recall`, `diversity` (see `metrics.precision_recall`), `mode_collapse` and class fractions.

    `mode_collapse` is 1 if the diversity is below COLLAPSE_THRESHOLD. `class_fractions`: the fraction of generated
    images that the classifier assigns to each class; `min_class_fraction`: the smallest of them. Both are omitted for
    data of a single class.
    """
    precision, recall = precision_and_recall(features, expected)
    relative_diversity = diversity(features, expected)
    if relative_diversity < COLLAPSE_THRESHOLD:
        log.warning("mode_collapse: samples are %.2g times as varied as the data; see diversity", relative_diversity)
    metrics = {
        "precision": precision,
        "recall": recall,
        "diversity": relative_diversity,
        "mode_collapse": float(relative_diversity < COLLAPSE_THRESHOLD),
    }
    if num_classes < 2:
        return metrics
    fractions = np.bincount(classify(generated), minlength=num_classes) / len(generated)
    return {**metrics, "min_class_fraction": float(fractions.min()), "class_fractions": fractions.tolist()}


def select_scalars(metrics: EvaluationMetrics) -> dict[str, float]:
    """Returns the metrics that are single numbers, which are logged and printed."""
    return {name: value for name, value in metrics.items() if not isinstance(value, list)}


def select_sample_labels(trained: TrainedModel, data: Split, count: int) -> np.ndarray | None:
    """Returns the labels of a split, or the predicted categories, repeated `count` times; None without conditioning."""
    if not trained.model.is_conditional:
        return None
    labels = trained.predict_category(to_float_images(data.image)) if trained.model.predicts_category else data.label
    return np.resize(labels, count)


def load_dataset_classifier(dataset: Dataset, steps: int) -> FeatureClassifier:
    """Returns the independent classifier of the data set; the first call trains it on the training split."""
    key = f"{dataset.name}-{fingerprint(dataset.train)[:16]}"
    return load_or_train_classifier(dataset.train, dataset.num_classes, steps, key)
