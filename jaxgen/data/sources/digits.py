"""The handwritten digits bundled with scikit-learn, enlarged to 28×28 pixels."""

import importlib.metadata

import numpy as np

from jaxgen.data.dataset import Dataset
from jaxgen.data.splits import stratified_order, take_examples
from jaxgen.io.array_cache import load_or_compute
from jaxgen.io.atomic import cache_dir
from jaxgen.types import Split

SPLIT_SIZES = {"test": 250, "validation": 147}  # of 1,797 digits; the other 1,400 are for training
VERSION = 1  # of the result of `_enlarge_digits`; part of the cache's key


def load_digits_dataset(config) -> Dataset:
    """Loads the 1,797 digits of 8×8 pixels as 28×28 pixels, in stratified splits.

    Raises:
      ValueError: `config.path` is set.
    """
    if config.path:
        raise ValueError(
            f"data.path={config.path!r} is not used: the digits are bundled with scikit-learn; for a folder of images "
            "try --config.data.source=folder, for a prepared TFDS set --config.data.source=tfds"
        )
    # Cached because importing scikit-learn takes half as long as everything else before the first step.
    key = repr([VERSION, *(importlib.metadata.version(package) for package in ("pillow", "scikit-learn"))])
    arrays = load_or_compute(cache_dir("data") / "digits.npz", key, _enlarge_digits)
    data = Split(arrays["image"], arrays["label"])
    indices = np.split(stratified_order(data.label), np.cumsum(list(SPLIT_SIZES.values())))
    test, validation, train = (take_examples(data, index) for index in indices)
    return Dataset("digits", train, validation, test, num_classes=10)


def _enlarge_digits() -> dict[str, np.ndarray]:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images * (255 / 16)).astype(np.float32)
    # Bicubic interpolation overshoots below 0 beside a stroke: clipping keeps the background black.
    large = np.stack(
        [np.asarray(Image.fromarray(image).resize((28, 28), Image.Resampling.BICUBIC)) for image in images]
    )
    return {"image": np.rint(large.clip(0, 255)).astype(np.uint8)[..., None], "label": digits.target.astype(np.int32)}
