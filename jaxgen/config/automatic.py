"""Values "auto" of a config, which depend on the kind of data and are replaced before a run starts.

Binarization is the protocol of a few sets of strokes. Photographs keep their gray values and colors, which a Gaussian
likelihood models.
"""

import logging
import re
from typing import Any

from ml_collections import ConfigDict

AUTO = "auto"
# The sets whose usual protocol binarizes the pixels, by the name of the set without configuration and version.
BINARIZED_SETS = ("mnist", "kmnist", "emnist", "binarized_mnist", "omniglot")

logger = logging.getLogger(__name__)


def has_binary_protocol(data: Any) -> bool:
    """Returns whether likelihoods of the data set `config.data` usually refer to black and white pixels."""
    is_binarized_set = data.source == "tfds" and re.split("[/:]", data.name)[0] in BINARIZED_SETS
    return (data.source == "digits" or is_binarized_set) and not data.tint_by_class


def choose_binarization(data: Any) -> str:
    """Returns `data.binarization`, where "auto" is "dynamic" for a set with a binary protocol, and otherwise "none"."""
    if data.binarization != AUTO:
        return data.binarization
    return "dynamic" if has_binary_protocol(data) else "none"


def choose_likelihood(config: Any) -> str:
    """Returns `likelihood`, where "auto" is "bernoulli" for binary pixels and for probabilities of black and white.

    Any other image has a Gaussian likelihood.
    """
    if config.likelihood != AUTO:
        return config.likelihood
    is_binary = choose_binarization(config.data) != "none" or has_binary_protocol(config.data)
    return "bernoulli" if is_binary else "gaussian"


def resolve_auto(config: Any) -> ConfigDict:
    """Returns a copy of a config with the choices that the run makes in place of "auto", and logs the choices."""
    resolved, chosen = ConfigDict(config.to_dict()), {}
    likelihood = choose_likelihood(config) if "likelihood" in config else AUTO
    if likelihood != config.get("likelihood", AUTO):
        chosen["likelihood"] = resolved.likelihood = likelihood
    if config.data.binarization == AUTO:
        chosen["data.binarization"] = resolved.data.binarization = choose_binarization(config.data)
    if chosen and config.data.source != "digits":
        values = " and ".join(f"{key}={value}" for key, value in chosen.items())
        logger.info("%s by the kind of data; --config.%s=… chooses another value", values, next(iter(chosen)))
    return resolved
