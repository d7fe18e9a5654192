"""Separation of style and content in a latent code.

Independent models measure it: an image classifier reads the content of decoded images, and a probe reads the label from
codes. Neither takes part in the training of the model.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Decode = Callable[[Float[np.ndarray, "N Z"], Int[np.ndarray, " N"]], Float[np.ndarray, "N H W C"]]
MAX_PRODUCT_DIMENSIONS = 30  # of a code, whose products are features of the quadratic probe
Classify = Callable[[Float[np.ndarray, "N H W C"]], Int[np.ndarray, " N"]]


class LabeledCodes(NamedTuple):
    """Codes with the labels of the images that they came from."""

    code: Float[np.ndarray, "N Z"]
    label: Int[np.ndarray, " N"]


def content_accuracy(code: Float[np.ndarray, "N Z"], decode: Decode, classify: Classify, num_classes: int) -> float:
    """Returns how often the classifier reads `label` from decode(code, label), over all codes and labels.

    In [0, 1]; higher is better. Chance is 1 / num_classes.
    """
    return float(label_matches(code, decode, classify, num_classes).mean())


def is_at_chance(accuracy: float, chance: float) -> bool:
    """Returns whether an accuracy is hardly above chance: by less than 5 percentage points, or half the chance."""
    return accuracy < chance + min(0.05, chance / 2)


def swap_accuracy(codes: LabeledCodes, decode: Decode, classify: Classify, num_classes: int) -> float:
    """Returns `content_accuracy` for codes of images, over all labels except the label of the image.

    The label of the image is left out because decoding with it is reconstruction instead of transfer.
    """
    matches = label_matches(codes.code, decode, classify, num_classes)
    other = np.arange(num_classes)[None, :] != codes.label[:, None]
    return float(matches[other].mean())


def label_matches(
    code: Float[np.ndarray, "N Z"], decode: Decode, classify: Classify, num_classes: int, chunk: int = 1000
) -> np.ndarray:
    """Returns whether the classifier reads each label from the code decoded with it: [N, K] bool."""
    matches = np.zeros((len(code), num_classes), bool)
    for label in range(num_classes):
        for start in range(0, len(code), chunk):
            part = code[start : start + chunk]
            images = decode(part, np.full(len(part), label, np.int32))
            matches[start : start + chunk, label] = classify(images) == label
    return matches


def style_consistency(code: Float[np.ndarray, "N Z"], decode: Decode, num_classes: int) -> float:
    """Returns how consistently a code means the same style under every label: 1 the same, 0 unrelated.

    The metric is the correlation over codes between the images of two labels, of the ink (mean pixel) and of the slant
    of the strokes, averaged over the pairs of labels and both quantities. It complements `style_leakage`: a decoder
    with a separate coordinate system for each label also hides the label, but its codes do not represent a handwriting.
    """
    measures = [stroke_measures(decode(code, np.full(len(code), label, np.int32))) for label in range(num_classes)]
    pairs = np.triu_indices(num_classes, 1)
    return float(np.mean([np.corrcoef(measure)[pairs].mean() for measure in np.stack(measures).transpose(2, 0, 1)]))


def stroke_measures(images: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N 2"]:
    """Returns ink (mean pixel) and slant (pixels to the right per pixel up) of bright strokes on a dark background."""
    ink = images.mean(-1).astype(np.float64) + 1e-9
    row, column = np.mgrid[: ink.shape[1], : ink.shape[2]]
    total = ink.sum((1, 2))
    vertical = row - (ink * row).sum((1, 2))[:, None, None] / total[:, None, None]
    horizontal = column - (ink * column).sum((1, 2))[:, None, None] / total[:, None, None]
    slant = -(ink * vertical * horizontal).sum((1, 2)) / (ink * vertical**2).sum((1, 2))
    return np.stack([ink.mean((1, 2)), slant], axis=1)


def style_leakage(train: LabeledCodes, held_out: LabeledCodes, epochs: int, seed: int = 0) -> float:
    """Returns the accuracy of an MLP probe that reads the label from the code; lower is better.

    Chance is the fraction of the largest class. The probe (256-256 ReLU, Adam 1e-3, batch 200, standardized codes)
    trains on the codes of training images. It stops after `epochs`, or after 10 epochs without improvement on
    a held-out tenth of them. Its accuracy is measured on `held_out`.
    """
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Early stopping holds out 10% of each class. It is off if that is less than one example of a class.
    counts = np.unique(train.label, return_counts=True)[1]
    has_enough = counts.min() >= 2 and np.ceil(0.1 * counts.sum()) >= len(counts)
    probe = MLPClassifier((256, 256), early_stopping=bool(has_enough), max_iter=epochs, random_state=seed)
    pipeline = make_pipeline(StandardScaler(), probe)
    with suppress_convergence_warnings():
        pipeline.fit(train.code, train.label)
    return float(pipeline.score(held_out.code, held_out.label))


def quadratic_style_leakage(train: LabeledCodes, held_out: LabeledCodes, num_classes: int) -> float:
    """Returns the accuracy of a least-squares probe on the code and its products; lower is better.

    It takes milliseconds, and finds classes that differ in mean or covariance. The probe of `style_leakage` finds more.
    Chance is the fraction of the largest class.
    """
    mean, std = train.code.mean(0), train.code.std(0) + 1e-6
    first, second = np.triu_indices(min(train.code.shape[1], MAX_PRODUCT_DIMENSIONS))

    def to_features(codes: LabeledCodes) -> Float[np.ndarray, "N F"]:
        """Returns a constant, the standardized codes and their products."""
        code = (codes.code - mean) / std
        return np.concatenate([np.ones((len(code), 1)), code, code[:, first] * code[:, second]], axis=1)

    features, targets = to_features(train), np.eye(num_classes)[train.label]
    ridge = np.eye(features.shape[1])  # keeps the system solvable for few codes
    weights = np.linalg.solve(features.T @ features + ridge, features.T @ targets)
    return float(((to_features(held_out) @ weights).argmax(1) == held_out.label).mean())


def suppress_convergence_warnings():
    """Suppresses the warning of scikit-learn that `epochs` ended before convergence."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)
