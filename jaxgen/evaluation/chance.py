"""Values that a guess would reach, which training curves show as dashed lines."""

import numpy as np

from jaxgen.models import GenerativeModel
from jaxgen.types import Split

EVEN_GUESSES = ("content_accuracy", "swap_accuracy")  # every class is requested equally often
FREQUENT_CLASS = (
    "style_leakage",
    "quadratic_style_leakage",
    "classifier_accuracy",
)  # the best guess is the most frequent class


def chance_levels(model: GenerativeModel, split: Split) -> dict[str, float]:
    """Returns the chance level of each accuracy and error by name; of a critic alone for a split without classes."""
    critic = dict.fromkeys(("d_real", "d_fake"), 0.5)  # probability of real of a critic that cannot distinguish
    labels = split.label[split.label >= 0]
    if len(np.unique(labels)) < 2:
        return critic
    frequent = float(np.bincount(labels).max() / len(labels))
    levels = dict.fromkeys(EVEN_GUESSES, 1 / model.info.num_classes) | dict.fromkeys(FREQUENT_CLASS, frequent)
    return critic | levels | dict.fromkeys(("error", "test_error", "cluster_error"), 1 - frequent)
