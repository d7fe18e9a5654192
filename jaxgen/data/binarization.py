"""Binarized images, as used for likelihoods of MNIST.

A reported likelihood depends on the random binarization, so the random sample is fixed.
"""

from typing import Any

import numpy as np

from jaxgen.types import Split

SEED = 1797
IMAGES_PER_SAMPLE = 5000  # images that are binarized at a time; the sampled pixels depend on it


def binarize_dataset(dataset: Any, how: str) -> Any:
    """Returns a data set whose pixels are 0 or 255; a pixel is 255 with probability value / 255.

    Args:
      dataset: a `Dataset`; the kind of binarization is appended to its `name`.
      how: "static" samples every image once. "dynamic" samples the validation and test images once; training samples
        its images again at every step. "none" returns the data set unchanged.
    """
    if how == "none":
        return dataset
    names = ("validation", "test", *(("train",) if how == "static" else ()))
    splits = {name: binarize_split(getattr(dataset, name), number) for number, name in enumerate(names)}
    return dataset._replace(name=f"{dataset.name}, {how} binarization", **splits)


def binarize_split(data: Split, number: int) -> Split:
    """Samples every pixel of a split once; each `number` has its own random sample.

    The sample differs from that of Larochelle & Murray (2011), which many papers on MNIST share.
    """
    pixels = np.empty_like(data.image)
    for start in range(0, len(pixels), IMAGES_PER_SAMPLE):
        image = data.image[start : start + IMAGES_PER_SAMPLE]
        words = np.random.Philox(np.random.SeedSequence([SEED, number, start])).random_raw(image.size)
        pixels[start : start + IMAGES_PER_SAMPLE] = np.where(words.reshape(image.shape) % 255 < image, 255, 0)
    return Split(pixels, data.label)
