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


class Codes(NamedTuple):
    """Codes with the labels of the images that they came from."""

    code: Float[np.ndarray, "N Z"]
    label: Int[np.ndarray, " N"]


def content_accuracy(code: Float[np.ndarray, "N Z"], decode: Decode, classify: Classify, num_classes: int) -> float:
    """How often the classifier reads the asked label from decode(code, label), over all codes × labels."""
    return float(drawn_as_asked(code, decode, classify, num_classes).mean())


def swap_accuracy(codes: Codes, decode: Decode, classify: Classify, num_classes: int) -> float:
    """`content_accuracy` for the codes of images, over all labels but the image's own.

    The image's own label is left out: reading that one back is reconstruction, not transfer.
    """
    right = drawn_as_asked(codes.code, decode, classify, num_classes)
    other = np.arange(num_classes)[None, :] != codes.label[:, None]
    return float(right[other].mean())


def drawn_as_asked(
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


def style_leakage(train: Codes, held_out: Codes, epochs: int, seed: int = 0) -> float:
    """Accuracy of an MLP probe that reads the label from the code; chance is the share of the largest class.

    The probe (256-256 ReLU, Adam 1e-3, batch 200, standardised codes) learns on the codes of training images, stops
    when a tenth of them, held out, gains nothing for 10 epochs or after `epochs`, and is judged on `held_out`.
    """
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Early stopping holds out 10% of each class, so it needs a few examples of each.
    probe = MLPClassifier((256, 256), early_stopping=True, max_iter=epochs, random_state=seed)
    reader = make_pipeline(StandardScaler(), probe)
    with ignore_unconverged():
        reader.fit(train.code, train.label)
    return float(reader.score(held_out.code, held_out.label))


def ignore_unconverged():
    """Silences scikit-learn's remark that `epochs` came before convergence."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)
