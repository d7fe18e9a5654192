"""Images of black and white pixels alone, which likelihoods of MNIST are told of; the draw is a part of them."""

from typing import Any

import numpy as np

from jaxgen.types import Split

SEED = 1797
DRAWN_AT_ONCE = 5000  # images


def binarize_dataset(dataset: Any, how: str) -> Any:
    """A `Dataset` whose pixels are 0 or 255, the latter with the probability that a pixel's grey is of white.

    Args:
      dataset: with the splits `train`, `validation` and `test`, and a `name`, which gets the way added.
      how: "static": one fixed draw of every image. "dynamic": of the two held-out splits alone, as training draws its
        own anew at every step. "none": as it is.
    """
    if how == "none":
        return dataset
    splits = ("validation", "test", *(("train",) if how == "static" else ()))
    drawn = {split: binarize_split(getattr(dataset, split), number) for number, split in enumerate(splits)}
    return dataset._replace(name=f"{dataset.name}, {how} binarisation", **drawn)


def binarize_split(data: Split, number: int) -> Split:
    """One fixed draw of every pixel; each `number` has its own.

    Larochelle & Murray (2011) made one draw for all who compare likelihoods on MNIST, which this one is not.
    """
    drawn = np.empty_like(data.image)
    for start in range(0, len(drawn), DRAWN_AT_ONCE):
        image = data.image[start : start + DRAWN_AT_ONCE]
        words = np.random.Philox(np.random.SeedSequence([SEED, number, start])).random_raw(image.size)
        drawn[start : start + DRAWN_AT_ONCE] = np.where(words.reshape(image.shape) % 255 < image, 255, 0)
    return Split(drawn, data.label)
