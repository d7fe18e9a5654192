"""Quality and diversity of generated images, measured on features of an independent classifier."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxgen.data import Dataset, epoch_permutation, fingerprint, to_float_images
from jaxgen.evaluation.feature_classifier import FeatureClassifier, describe_task, load_or_train_classifier
from jaxgen.inference import samplers
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.metrics import precision_recall
from jaxgen.metrics.frechet import frechet_distance
from jaxgen.metrics.mmd import imq_mmd, polynomial_mmd
from jaxgen.metrics.precision_recall import COLLAPSE_THRESHOLD, diversity, precision_and_recall
from jaxgen.types import EvaluationMetrics, Split

CHECKPOINT_METRICS = ("frechet_distance", "kernel_distance")  # lower is better; allowed as `best_metric`
PIXEL_METRIC = "pixel_mmd"  # selects checkpoints if the metrics above cannot be measured
BASELINE = "_train_baseline"  # suffix: the same metric of equally many training images
MIN_CLASSIFIER_STEPS = 500  # a classifier with fewer steps has other features, so other distances
MIN_SHARE = precision_recall.MIN_SHARE
MIN_PROBE_EPOCHS = 20  # a probe with fewer epochs finds no class in any code
MIN_IMAGES = 30  # in the split and among the samples; distances between smaller sets are mostly their bias
MAX_PIXEL_IMAGES = 1000  # images of each set in `pixel_mmd`, whose time is quadratic in this number


def find_obstacle(config, data: Split) -> str:
    """Returns why samples cannot be compared with a split by the classifier's features, or "" if they can."""
    if config.evaluation.classifier_steps < MIN_CLASSIFIER_STEPS:
        return find_classifier_obstacle(config)
    if (count := len(data.label)) < MIN_IMAGES:
        return f"the {config.evaluation.split} split has {count} images, fewer than {MIN_IMAGES}"
    if (count := config.evaluation.num_samples) < MIN_IMAGES:
        return f"evaluation.num_samples={count} is below {MIN_IMAGES}"
    return ""


def find_classifier_obstacle(config) -> str:
    """Returns why the independent classifier is not used, or ""."""
    steps = config.evaluation.classifier_steps
    return f"evaluation.classifier_steps={steps} is below {MIN_CLASSIFIER_STEPS}" * (steps < MIN_CLASSIFIER_STEPS)


def measure_sample_quality(trained: TrainedModel, dataset: Dataset, data: Split, config) -> EvaluationMetrics:
    """Returns distances between generated images and a split, and the metrics of `measure_precision_recall_diversity`.

    `frechet_distance` and `kernel_distance` are for codes from the prior; a suffix names another sampler. Names that
    end in `_train_baseline` are the same metrics for equally many training images. No model can be expected to be
    better, because the Fréchet distance of finite sets is above 0. Conditional models use the labels of the split.
    If the features cannot be used (see `find_obstacle`), the only metric is `pixel_mmd`.
    """
    count = min(config.evaluation.num_samples, len(dataset.train.image))
    needs_pixels = config.best_metric == PIXEL_METRIC or find_obstacle(config, data)
    metrics = measure_pixel_mmd(trained, data, min(count, MAX_PIXEL_IMAGES), config.seed) if needs_pixels else {}
    if find_obstacle(config, data):
        return metrics
    classifier = load_dataset_classifier(dataset, config.evaluation.classifier_steps)
    expected = classifier.features(to_float_images(data.image))
    subset = epoch_permutation(config.seed, 0, len(dataset.train.image))[:count]  # a file may be sorted by class
    training_images = to_float_images(dataset.train.image[subset])
    baseline = compare_features(classifier, training_images, expected, dataset.num_classes)
    metrics |= {f"{name}{BASELINE}": value for name, value in baseline.items() if not isinstance(value, list)}
    labels = select_sample_labels(trained, data, count)
    for name in config.evaluation.samplers if trained.model.has_encoder else (samplers.PRIOR,):
        try:
            generated = samplers.sample_images(trained, dataset.train, name, count, config.seed, labels)
        except (ValueError, np.linalg.LinAlgError):
            if name == samplers.PRIOR:
                raise
            continue  # codes of a diverged model; `diagnostics.explain_omissions` reports it
        if name == samplers.PRIOR:
            metrics |= compare_features(classifier, generated, expected, dataset.num_classes)
        else:
            measured = measure_distances(classifier.features(generated), expected)
            metrics |= {f"{metric}_{name}": value for metric, value in measured.items()}
    return metrics


def compare_features(classifier: Any, images: np.ndarray, expected: np.ndarray, num_classes: int) -> EvaluationMetrics:
    """Returns every metric of images beside the features of held-out images."""
    features = classifier.features(images)
    others = measure_precision_recall_diversity(classifier, images, features, expected, num_classes)
    return {**measure_distances(features, expected), **others}


def measure_distances(features: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Returns the Fréchet and the kernel distance between two sets of features."""
    return {
        "frechet_distance": frechet_distance(features, expected),
        "kernel_distance": polynomial_mmd(features, expected),
    }


def measure_pixel_mmd(trained: TrainedModel, data: Split, count: int, seed: int) -> dict[str, float]:
    """Returns `pixel_mmd`, the squared MMD between the pixels of samples and of a split; {} for a single image.

    It needs no classifier and few images, so it can select checkpoints where the other metrics cannot be measured.
    """
    real = to_float_images(data.image[:MAX_PIXEL_IMAGES]).reshape(-1, np.prod(data.image.shape[1:]))
    if min(len(real), count) < 2:
        return {}
    generated = trained.sample(count, select_sample_labels(trained, data, count), seed, None)
    return {PIXEL_METRIC: imq_mmd(generated.reshape(count, -1), real, max(float(real.std(axis=0).mean()), 1e-3))}


def describe_features(dataset: Dataset, data: Split, steps: int) -> str:
    """Describes the feature extractor and its accuracy on a split, for `results.json` and the table."""
    accuracy = load_dataset_classifier(dataset, steps).accuracy(data)
    task = describe_task(dataset.num_classes, dataset.image_shape)
    return f"classifier of {task}, {steps} steps on the training split, accuracy {accuracy:.1%} on this split"


def describe_counts(dataset: Dataset, data: Split, config) -> str:
    """Describes how many images the sample metrics compare."""
    count = min(config.evaluation.num_samples, len(dataset.train.image))
    return f"{count:,} samples and {count:,} training images, each beside {len(data.label):,} held-out images"


def measure_reconstruction_quality(trained: TrainedModel, dataset: Dataset, data: Split, config) -> EvaluationMetrics:
    """Returns the Fréchet and kernel distances between the images of a split and their reconstructions, or {}."""
    if find_obstacle(config, data):
        return {}
    classifier = load_dataset_classifier(dataset, config.evaluation.classifier_steps)
    images, labels = to_float_images(data.image), None if trained.model.predicts_category else data.label
    features, expected = classifier.features(trained.reconstruct(images, labels)), classifier.features(images)
    return {f"reconstruction_{name}": value for name, value in measure_distances(features, expected).items()}


def measure_precision_recall_diversity(
    classify: Callable[[np.ndarray], np.ndarray],
    generated: np.ndarray,
    features: np.ndarray,
    expected: np.ndarray,
    num_classes: int,
) -> EvaluationMetrics:
    """Returns `precision`, `recall`, `coverage`, `diversity` (see `metrics.precision_recall`) and class fractions.

    `precision` is omitted if recall or coverage is near 0, because noise in the neighborhood of a single outlier has a
    precision of 1. `class_fractions`: the fraction of generated images that the classifier assigns to each class;
    `min_class_fraction`: the smallest of them. Both are omitted for data of a single class.
    """
    precision, recall = precision_and_recall(features, expected)
    coverage = precision_recall.coverage(features, expected)
    is_meaningful = precision_recall.is_precision_meaningful(recall, coverage)
    metrics = {
        **({"precision": precision} if is_meaningful else {}),
        "recall": recall,
        "coverage": coverage,
        "diversity": diversity(features, expected),
    }
    if num_classes < 2:
        return metrics
    fractions = np.bincount(classify(generated), minlength=num_classes) / len(generated)
    return {**metrics, "min_class_fraction": float(fractions.min()), "class_fractions": fractions.tolist()}


def detect_mode_collapse(metrics: EvaluationMetrics) -> EvaluationMetrics:
    """Returns `mode_collapse`, 1 if the diversity is below COLLAPSE_THRESHOLD; {} without a diversity."""
    return {"mode_collapse": float(metrics["diversity"] < COLLAPSE_THRESHOLD)} if "diversity" in metrics else {}


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
