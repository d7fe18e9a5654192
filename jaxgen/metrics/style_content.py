"""How far a code holds the style and not the content, and whether a decoder draws the content it is asked for.

Every figure rests on a judge that had no part in the training: an image classifier for what is drawn, a probe for
what a code gives away.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Decode = Callable[[Float[np.ndarray, "N Z"], Int[np.ndarray, " N"]], Float[np.ndarray, "N H W C"]]
Classify = Callable[[Float[np.ndarray, "N H W C"]], Int[np.ndarray, " N"]]


class LabeledCodes(NamedTuple):
    """Codes with the labels of the images that they came from."""

    code: Float[np.ndarray, "N Z"]
    label: Int[np.ndarray, " N"]


def content_accuracy(code: Float[np.ndarray, "N Z"], decode: Decode, classify: Classify, num_classes: int) -> float:
    """How often the classifier reads the asked label from decode(code, label), over all codes × labels."""
    return float(label_matches(code, decode, classify, num_classes).mean())


def swap_accuracy(codes: LabeledCodes, decode: Decode, classify: Classify, num_classes: int) -> float:
    """`content_accuracy` for the codes of images, over all labels but the image's own.

    The image's own label is left out: reading that one back is reconstruction, not transfer.
    """
    right = label_matches(codes.code, decode, classify, num_classes)
    other = np.arange(num_classes)[None, :] != codes.label[:, None]
    return float(right[other].mean())


def label_matches(
    code: Float[np.ndarray, "N Z"], decode: Decode, classify: Classify, num_classes: int, chunk: int = 1000
) -> np.ndarray:
    """Whether each code is read as each label that it is decoded with: [N, K] bool."""
    right = np.zeros((len(code), num_classes), bool)
    for label in range(num_classes):
        for start in range(0, len(code), chunk):
            part = code[start : start + chunk]
            drawn = decode(part, np.full(len(part), label, np.int32))
            right[start : start + chunk, label] = classify(drawn) == label
    return right


def style_consistency(code: Float[np.ndarray, "N Z"], decode: Decode, num_classes: int) -> float:
    """How far a code means the same style under every label: 1 the same, 0 unrelated.

    The correlation over codes between what is drawn under two labels, of the ink (mean pixel) and of the slant of the
    strokes; mean over the pairs of labels and the two measures. A separation without it is hollow: a decoder that
    gives each label a coordinate system of its own hides the label as well, but a code is no handwriting then.
    """
    drawn = [stroke_measures(decode(code, np.full(len(code), label, np.int32))) for label in range(num_classes)]
    pairs = np.triu_indices(num_classes, 1)
    return float(np.mean([np.corrcoef(measure)[pairs].mean() for measure in np.stack(drawn).transpose(2, 0, 1)]))


def stroke_measures(images: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N 2"]:
    """Ink (the mean pixel) and slant (pixels to the right for each pixel up) of bright strokes on a dark ground."""
    ink = images.mean(-1).astype(np.float64) + 1e-9
    row, column = np.mgrid[: ink.shape[1], : ink.shape[2]]
    total = ink.sum((1, 2))
    down = row - (ink * row).sum((1, 2))[:, None, None] / total[:, None, None]
    right = column - (ink * column).sum((1, 2))[:, None, None] / total[:, None, None]
    slant = -(ink * down * right).sum((1, 2)) / (ink * down**2).sum((1, 2))
    return np.stack([ink.mean((1, 2)), slant], axis=1)


def style_leakage(train: LabeledCodes, held_out: LabeledCodes, epochs: int, seed: int = 0) -> float:
    """Accuracy of an MLP probe that reads the label from the code; chance is the share of the largest class.

    The probe (256-256 ReLU, Adam 1e-3, batch 200, standardised codes) learns on the codes of training images, stops
    when a tenth of them, held out, gains nothing for 10 epochs or after `epochs`, and is judged on `held_out`.
    """
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Early stopping holds out 10% of each class; where that is less than one example of each, it goes without.
    counts = np.unique(train.label, return_counts=True)[1]
    enough = counts.min() >= 2 and np.ceil(0.1 * counts.sum()) >= len(counts)
    probe = MLPClassifier((256, 256), early_stopping=bool(enough), max_iter=epochs, random_state=seed)
    reader = make_pipeline(StandardScaler(), probe)
    with suppress_convergence_warnings():
        reader.fit(train.code, train.label)
    return float(reader.score(held_out.code, held_out.label))


def suppress_convergence_warnings():
    """Silences scikit-learn's remark that `epochs` came before convergence."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)
