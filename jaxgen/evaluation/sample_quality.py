"""How good and how varied the images are that a model draws, by an independent classifier's features."""

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

CHECKPOINT_METRICS = ("frechet_distance", "kernel_distance")  # smaller is better: what a checkpoint can be the best by

log = logging.getLogger("jaxgen")


def sample_quality(trained: TrainedModel, dataset: Dataset, data: Split, config) -> EvaluationMetrics:
    """Distances of drawn images from those of a split by the classifier's features, and what else they tell.

    `frechet_distance` and `kernel_distance` (`metrics.frechet`) of codes drawn from the prior, and the same with a
    fitted sampler's name behind them. Beside them that of as many training images, which no model can be expected to
    undercut: the Fréchet distance of finite sets is above 0, the more the fewer they are. Labels, where a code needs
    one, come as in the split. Of the prior's images also what `variety` says.
    """
    judge = dataset_classifier(dataset, config.evaluation.classifier_steps)
    count = min(config.evaluation.num_samples, len(dataset.train.image))
    some = epoch_permutation(config.seed, 0, len(dataset.train.image))[:count]  # a file may hold them by class
    expected, floor = (judge.features(to_float_images(images)) for images in (data.image, dataset.train.image[some]))
    metrics: dict[str, float | list[float]] = {"frechet_distance_train_baseline": frechet_distance(floor, expected)}
    for name in config.evaluation.samplers if trained.model.has_encoder else (samplers.PRIOR,):
        labels = labels_for_samples(trained, data, count)
        drawn = samplers.sample_images(trained, dataset.train, name, count, config.seed, labels)
        found, behind = judge.features(drawn), "" if name == samplers.PRIOR else f"_{name}"
        metrics[f"frechet_distance{behind}"] = frechet_distance(found, expected)
        metrics[f"kernel_distance{behind}"] = polynomial_mmd(found, expected)
        if name == samplers.PRIOR:
            metrics |= precision_recall_diversity(judge, drawn, found, expected, dataset.num_classes)
    return metrics


def describe_features(dataset: Dataset, data: Split, steps: int) -> str:
    """Whose features the distances are of, and how well that classifier reads a split: for `results.json`."""
    told = f"{dataset.num_classes} classes" if dataset.num_classes > 1 else "rotations by quarter turns"
    share = dataset_classifier(dataset, steps).accuracy(data)
    return f"of a classifier of {told}, {steps} steps on the training split, which reads {share:.1%} of this rightly"


def reconstruction_quality(trained: TrainedModel, dataset: Dataset, data: Split, config) -> EvaluationMetrics:
    """`reconstruction_kernel_distance` and `reconstruction_frechet_distance` of a split's reconstructions from it."""
    judge = dataset_classifier(dataset, config.evaluation.classifier_steps)
    images, labels = to_float_images(data.image), None if trained.model.predicts_category else data.label
    found, expected = judge.features(trained.reconstruct(images, labels)), judge.features(images)
    return {
        "reconstruction_frechet_distance": frechet_distance(found, expected),
        "reconstruction_kernel_distance": polynomial_mmd(found, expected),
    }


def precision_recall_diversity(
    classify: Callable[[np.ndarray], np.ndarray],
    drawn: np.ndarray,
    found: np.ndarray,
    expected: np.ndarray,
    num_classes: int,
) -> EvaluationMetrics:
    """`precision`, `recall`, `diversity` (`metrics.coverage`); `collapsed`, 1 where that is low; `class_fractions`.

    Those are the shares of the drawn images that the classifier takes for each class, where there is more than one,
    the least of them being `min_class_fraction`.
    """
    precision, recall = precision_and_recall(found, expected)
    varied = diversity(found, expected)
    if varied < COLLAPSE_THRESHOLD:
        log.warning("collapsed: what is drawn is %.2g times as varied as the data; see diversity", varied)
    metrics = {
        "precision": precision,
        "recall": recall,
        "diversity": varied,
        "mode_collapse": float(varied < COLLAPSE_THRESHOLD),
    }
    if num_classes < 2:
        return metrics
    shares = np.bincount(classify(drawn), minlength=num_classes) / len(drawn)
    return {**metrics, "min_class_fraction": float(shares.min()), "class_fractions": shares.tolist()}


def scalar_metrics(metrics: EvaluationMetrics) -> dict[str, float]:
    """Those that are one number: what is logged and tabled."""
    return {name: value for name, value in metrics.items() if not isinstance(value, list)}


def labels_for_samples(trained: TrainedModel, data: Split, count: int) -> np.ndarray | None:
    """The labels of a split over and over, or the categories read there; None where a code needs none."""
    if not trained.model.is_conditional:
        return None
    found = trained.predict_category(to_float_images(data.image)) if trained.model.predicts_category else data.label
    return np.resize(found, count)


def dataset_classifier(dataset: Dataset, steps: int) -> FeatureClassifier:
    """The data set's independent classifier: trained on its training split at the first call, then cached."""
    key = f"{dataset.name}-{fingerprint(dataset.train)[:16]}"
    return load_or_train_classifier(dataset.train, dataset.num_classes, steps, key)
