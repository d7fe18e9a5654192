"""How good and how varied the images are that a model draws, by an independent classifier's features."""

import logging
from collections.abc import Callable

import numpy as np

from jaxgen import samplers
from jaxgen.data import Dataset, as_images, fingerprint, permutation
from jaxgen.metrics.classifier import Classifier, trained_classifier
from jaxgen.metrics.coverage import COLLAPSED, diversity, precision_and_recall
from jaxgen.metrics.frechet import frechet_distance, kernel_distance_of_features
from jaxgen.model import Model
from jaxgen.types import Data, Measures

WATCHED = ("frechet_distance", "kernel_distance")  # smaller is better: what a checkpoint can be the best by

log = logging.getLogger("jaxgen")


def report(model: Model, dataset: Dataset, data: Data, config) -> Measures:
    """Distances of drawn images from those of a split by the classifier's features, and what else they tell.

    `frechet_distance` and `kernel_distance` (`metrics.frechet`) of codes drawn from the prior, and the same with a
    fitted sampler's name behind them. Beside them that of as many training images, which no model can be expected to
    undercut: the Fréchet distance of finite sets is above 0, the more the fewer they are. Labels, where a code needs
    one, come as in the split. Of the prior's images also what `variety` says.
    """
    judge = classifier_of(dataset, config.evaluation.classifier_steps)
    count = min(config.evaluation.quality_samples, len(dataset.train.image))
    some = permutation(config.seed, 0, len(dataset.train.image))[:count]  # a file may hold them by class
    expected, floor = (judge.features(as_images(images)) for images in (data.image, dataset.train.image[some]))
    metrics: dict[str, float | list[float]] = {"frechet_distance_floor": frechet_distance(floor, expected)}
    for name in config.evaluation.samplers if model.algorithm.encodes else (samplers.PRIOR,):
        labels = labels_to_draw(model, data, count)
        drawn = samplers.draw_with(model, dataset.train, name, count, config.seed, labels)
        found, behind = judge.features(drawn), "" if name == samplers.PRIOR else f"_{name}"
        metrics[f"frechet_distance{behind}"] = frechet_distance(found, expected)
        metrics[f"kernel_distance{behind}"] = kernel_distance_of_features(found, expected)
        if name == samplers.PRIOR:
            metrics |= variety(judge, drawn, found, expected, dataset.num_classes)
    return metrics


def features_of(dataset: Dataset, data: Data, steps: int) -> str:
    """Whose features the distances are of, and how well that classifier reads a split: for `results.json`."""
    told = f"{dataset.num_classes} classes" if dataset.num_classes > 1 else "rotations by quarter turns"
    share = classifier_of(dataset, steps).accuracy(data)
    return f"of a classifier of {told}, {steps} steps on the training split, which reads {share:.1%} of this rightly"


def of_reconstructions(model: Model, dataset: Dataset, data: Data, config) -> Measures:
    """`reconstruction_kernel_distance` and `reconstruction_frechet_distance` of a split's reconstructions from it."""
    judge = classifier_of(dataset, config.evaluation.classifier_steps)
    images, labels = as_images(data.image), None if model.algorithm.reads_category else data.label
    found, expected = judge.features(model.reconstruct(images, labels)), judge.features(images)
    return {
        "reconstruction_frechet_distance": frechet_distance(found, expected),
        "reconstruction_kernel_distance": kernel_distance_of_features(found, expected),
    }


def variety(
    classify: Callable[[np.ndarray], np.ndarray],
    drawn: np.ndarray,
    found: np.ndarray,
    expected: np.ndarray,
    num_classes: int,
) -> Measures:
    """`precision`, `recall`, `diversity` (`metrics.coverage`); `collapsed`, 1 where that is low; `class_shares`.

    Those are the shares of the drawn images that the classifier takes for each class, where there is more than one,
    the least of them being `class_share_min`.
    """
    precision, recall = precision_and_recall(found, expected)
    varied = diversity(found, expected)
    if varied < COLLAPSED:
        log.warning("collapsed: what is drawn is %.2g times as varied as the data; see diversity", varied)
    metrics = {"precision": precision, "recall": recall, "diversity": varied, "collapsed": float(varied < COLLAPSED)}
    if num_classes < 2:
        return metrics
    shares = np.bincount(classify(drawn), minlength=num_classes) / len(drawn)
    return {**metrics, "class_share_min": float(shares.min()), "class_shares": shares.tolist()}


def single(metrics: Measures) -> dict[str, float]:
    """Those that are one number: what is logged and tabled."""
    return {name: value for name, value in metrics.items() if not isinstance(value, list)}


def labels_to_draw(model: Model, data: Data, count: int) -> np.ndarray | None:
    """The labels of a split over and over, or the categories read there; None where a code needs none."""
    if not model.algorithm.decoder_needs_label:
        return None
    found = model.categorise(as_images(data.image)) if model.algorithm.reads_category else data.label
    return np.resize(found, count)


def classifier_of(dataset: Dataset, steps: int) -> Classifier:
    """The data set's independent classifier: trained on its training split at the first call, then cached."""
    key = f"{dataset.name}-{fingerprint(dataset.train)[:16]}"
    return trained_classifier(dataset.train, dataset.num_classes, steps, key)
