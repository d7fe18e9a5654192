"""Where data sets come from: the digits bundled with scikit-learn, and any TFDS image set, read without TensorFlow.

The splits are fixed by a constant in this file: no seed of a run moves an example from one split to another.
"""

import logging
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxgen.config import did_you_mean
from jaxgen.data.pipeline import permutation
from jaxgen.data.tfds import read_tfds
from jaxgen.types import Data, Info

SPLIT_SEED = 1797
DIGITS_SPLITS = {"test": 250, "validation": 147}  # of 1,797; the other 1,400 are for training

logger = logging.getLogger(__name__)


class Dataset(NamedTuple):
    """A data set in memory: three disjoint splits of uint8 images [N, H, W, C] and int32 labels [N]."""

    name: str
    train: Data
    validation: Data
    test: Data
    num_classes: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """H, W, C."""
        return self.train.image.shape[1:]

    @property
    def info(self) -> Info:
        """What an algorithm has to know of the set."""
        return Info(self.name, self.image_shape, self.num_classes)


def load_dataset(config) -> Dataset:
    """The data set that `config.data` asks for by `source` ("digits" or "tfds"); a ValueError where it can't be had.

    "tfds" reads `name`, `path` (empty: TFDS_DATA_DIR or ~/tensorflow_datasets) and `download` as well.
    """
    if config.source == "digits":
        return _load_digits()
    if config.source == "tfds":
        return _load_tfds(config.name, config.path, config.download)
    raise ValueError(
        f"data.source={config.source!r} must be 'digits' or 'tfds'{did_you_mean(config.source, ('digits', 'tfds'))}; "
        f"a TFDS set is named by --config.data.source=tfds --config.data.name=NAME"
    )


def _load_digits() -> Dataset:
    """The 1,797 digits of 8×8 pixels bundled with scikit-learn, as 28×28, in stratified splits."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = (digits.images * (255 / 16)).astype(np.float32)
    # Bicubic overshoots below 0 beside a stroke: clipping leaves the background black.
    large = np.stack([np.asarray(Image.fromarray(image).resize((28, 28), Image.Resampling.BICUBIC)) for image in grey])
    data = Data(np.rint(large.clip(0, 255)).astype(np.uint8)[..., None], digits.target.astype(np.int32))
    test, validation, train = np.split(_stratified_order(data.label), np.cumsum(list(DIGITS_SPLITS.values())))
    return Dataset("digits", _take(data, train), _take(data, validation), _take(data, test), num_classes=10)


def _stratified_order(label: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """An order of the examples of which every stretch holds the classes in their proportion."""
    quantile = np.empty(len(label))
    for k in np.unique(label):
        members = np.flatnonzero(label == k)
        quantile[members] = (permutation(SPLIT_SEED, int(k), len(members)) + 0.5) / len(members)
    return np.argsort(quantile, kind="stable")


def _take(data: Data, index: np.ndarray) -> Data:
    return Data(data.image[index], data.label[index])


def _load_tfds(name: str, path: str, download: bool) -> Dataset:
    arrays = read_tfds(name, path, download)
    train, num_classes = Data(arrays["train_image"], arrays["train_label"]), int(arrays["num_classes"])
    if "test_image" in arrays:
        test = Data(arrays["test_image"], arrays["test_label"])
    else:
        train, test = _hold_out(train, max(1, len(train.label) // 7), draw=0)
        logger.info("%s has no test split: %d of its training examples are held out as one", name, len(test.label))
    train, validation = _hold_out(train, max(1, min(5000, len(train.label) // 12)), draw=1)
    return Dataset(name, train, validation, test, num_classes)


def _hold_out(data: Data, size: int, draw: int) -> tuple[Data, Data]:
    """The examples without `size` random ones, and those."""
    order = permutation(SPLIT_SEED, draw, len(data.label))
    return _take(data, np.sort(order[size:])), _take(data, np.sort(order[:size]))
