"""Where data sets come from: the digits bundled with scikit-learn, any TFDS image set, and any folder of images.

The splits are fixed by a constant in this file, a folder's by `config.data`: no seed of a run moves an example from
one split to another.
"""

import colorsys
import importlib.metadata
import logging
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxgen.config import did_you_mean
from jaxgen.data.binarisation import binarised
from jaxgen.data.cache import cached
from jaxgen.data.folder import read_folder
from jaxgen.data.pipeline import fingerprint, permutation
from jaxgen.data.streaming import Stream, size_in_mib
from jaxgen.data.tfds import read_tfds
from jaxgen.files import cache_folder
from jaxgen.types import Data, Info

SPLIT_SEED = 1797
SPLITS = ("train", "validation", "test")
FEWEST_IN_PART = 1000  # images of a split that are kept in memory, however small the budget, if it has as many
DIGITS_SPLITS = {"test": 250, "validation": 147}  # of 1,797; the other 1,400 are for training
ENLARGED = 1  # the version of what `_enlarged_digits` does, for what is kept of it

logger = logging.getLogger(__name__)


class Dataset(NamedTuple):
    """A data set in memory: three disjoint splits of uint8 images [N, H, W, C] and int32 labels [N].

    `class_names` are by label; of data that have none, as digits, labels stand for themselves.

    Of a set that memory should not hold, each split is a random part of it, which serves to measure, and `stream` is
    the whole training split, with a `Stream` for images.
    """

    name: str
    train: Data
    validation: Data
    test: Data
    num_classes: int
    class_names: tuple[str, ...] = ()
    stream: Data | None = None

    @property
    def training(self) -> Data:
        """What is trained on."""
        return self.stream or self.train

    @property
    def identity(self) -> str:
        """What tells what is trained on from other images: of a set in memory by its pixels, of a stream by its files.

        Of one set the two are no match: `is_other` tells nothing of them.
        """
        return f"files {self.stream.image.key}" if self.stream else f"pixels {fingerprint(self.train)}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """H, W, C."""
        return self.train.image.shape[1:]

    def name_of(self, label: int | np.integer) -> str:
        """What a class is called."""
        return self.class_names[label] if self.class_names else str(label)

    @property
    def info(self) -> Info:
        """What an algorithm has to know of the set."""
        return Info(self.name, self.image_shape, self.num_classes)


def is_other(one: str, other: str) -> bool:
    """Whether two identities are surely of different images."""
    return one != other and one.partition(" ")[0] == other.partition(" ")[0]


def load_dataset(config) -> Dataset:
    """The data set that `config.data` asks for by `source`, one of SOURCES; a ValueError where it can't be had.

    With `tint`, its grey images are given a colour by class; `binarisation` makes its pixels black or white.
    """
    if config.source not in SOURCES:
        raise ValueError(
            f"data.source={config.source!r} must be {' or '.join(map(repr, SOURCES))}"
            f"{did_you_mean(config.source, SOURCES)}; "
            f"a TFDS set is named by --config.data.source=tfds --config.data.name=NAME, "
            "a folder of images by --config.data.source=folder --config.data.path=DIR"
        )
    for key in ("size", "split_seed", "budget"):
        if config[key] < 0:
            raise ValueError(f"data.{key}={config[key]} must be at least 0; try --config.data.{key}=0")
    dataset = SOURCES[config.source](config)
    dataset = in_parts(dataset, config) if isinstance(dataset.train.image, Stream) else dataset
    dataset = tinted(dataset) if config.tint else dataset
    return binarised(dataset, config.binarisation)


def _load_digits(config) -> Dataset:
    """The 1,797 digits of 8×8 pixels bundled with scikit-learn, as 28×28, in stratified splits."""
    if config.path:
        raise ValueError(
            f"data.path={config.path!r} is not read: the digits are bundled with scikit-learn; a folder of images is "
            "--config.data.source=folder, a prepared TFDS set --config.data.source=tfds"
        )
    # Kept: to import scikit-learn takes half as long as all else before the first step.
    state = repr([ENLARGED, *(importlib.metadata.version(package) for package in ("pillow", "scikit-learn"))])
    arrays = cached(cache_folder("data") / "digits.npz", state, _enlarged_digits)
    data = Data(arrays["image"], arrays["label"])
    test, validation, train = np.split(_stratified_order(data.label), np.cumsum(list(DIGITS_SPLITS.values())))
    return Dataset("digits", _take(data, train), _take(data, validation), _take(data, test), num_classes=10)


def _enlarged_digits() -> dict[str, np.ndarray]:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = (digits.images * (255 / 16)).astype(np.float32)
    # Bicubic overshoots below 0 beside a stroke: clipping leaves the background black.
    large = np.stack([np.asarray(Image.fromarray(image).resize((28, 28), Image.Resampling.BICUBIC)) for image in grey])
    return {"image": np.rint(large.clip(0, 255)).astype(np.uint8)[..., None], "label": digits.target.astype(np.int32)}


def _stratified_order(label: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """An order of the examples of which every stretch holds the classes in their proportion."""
    quantile = np.empty(len(label))
    for k in np.unique(label):
        members = np.flatnonzero(label == k)
        quantile[members] = (permutation(SPLIT_SEED, int(k), len(members)) + 0.5) / len(members)
    return np.argsort(quantile, kind="stable")


def _take(data: Data, index: np.ndarray) -> Data:
    image = data.image
    return Data(image.part(index) if isinstance(image, Stream) else image[index], data.label[index])


def in_parts(dataset: Dataset, config) -> Dataset:
    """A set of streams with random parts of its splits in memory, which the budget shares among them, and a `stream`.

    Raises:
      ValueError: what is asked for needs all pixels at once.
    """
    for key, value, needs in (("tint", config.tint, True), ("binarisation", config.binarisation, "static")):
        if value == needs:
            size = size_in_mib(sum(len(split.label) for split in dataset[1:4]), dataset.image_shape)
            raise ValueError(
                f"data.{key}={value!r} needs a set that memory holds, and {dataset.name} has {size:,.0f} MiB, "
                f"more than data.budget={config.budget}; try --config.data.budget={math.ceil(size)}"
            )
    room = max(FEWEST_IN_PART, int(config.budget / 3 / size_in_mib(1, dataset.image_shape)))
    parts = {name: in_memory(getattr(dataset, name), room, draw) for draw, name in enumerate(SPLITS)}
    told = ", ".join(
        f"{len(part.label):,} of {len(getattr(dataset, name).label):,} for {name}" for name, part in parts.items()
    )
    logger.info("%s is streamed; kept in memory, to measure by: %s images", dataset.name, told)
    return dataset._replace(**parts, stream=dataset.train)


def in_memory(data: Data, room: int, draw: int) -> Data:
    """As many random examples of a stream, in order, as there is room for."""
    index = np.sort(permutation(SPLIT_SEED, draw, len(data.label))[:room])
    part = _take(data, index)
    path, key = cache_folder("data") / f"part-{part.image.key[:16]}.npz", part.image.key
    return part._replace(image=cached(path, key, lambda: {"image": part.image.in_memory()})["image"])


def _load_tfds(config) -> Dataset:
    """The set `name` below `path` (empty: TFDS_DATA_DIR or ~/tensorflow_datasets), got there first by `download`."""
    name, arrays = config.name, read_tfds(config.name, config.path, config.download, config.budget)
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


def _load_folder(config) -> Dataset:
    """The images below `path`, each class in the same proportions in the three splits."""
    name, data, classes = read_folder(config)
    train, validation, test = stratified_splits(data.label, config.held_out, config.split_seed)
    if len(classes) > 1:
        logger.info("%s: the classes are %s", name, ", ".join(f"{k} {each}" for k, each in enumerate(classes)))
    return Dataset(name, _take(data, train), _take(data, validation), _take(data, test), len(classes), classes)


def stratified_splits(label: Int[np.ndarray, " N"], share: float, seed: int) -> tuple[np.ndarray, ...]:
    """The indices of the training, validation and test examples: `share` of each class for each of the latter two.

    Every class of three examples or more is in every split. Every stretch of a split holds the classes in their
    proportion, so that its first examples are a fair part of it; those of one class are in order.
    """
    parts: tuple[list, ...] = ([], [], [])
    for k in np.unique(label):
        members = np.flatnonzero(label == k)
        members = members[permutation(seed, int(k), len(members))]
        count = min(max(1, round(share * len(members))), (len(members) - 1) // 2)
        for part, found in zip(parts, np.split(members[::-1], [-2 * count, -count]), strict=True):
            part.append(found)
    return tuple(in_proportion(part) for part in parts)


def in_proportion(members: list[np.ndarray]) -> Int[np.ndarray, " N"]:
    """Examples that come class by class, mixed so that every stretch holds all classes; those of one in order."""
    place = np.concatenate([(np.arange(len(of)) + 0.5) / len(of) for of in members])
    return np.concatenate([np.sort(of) for of in members])[np.argsort(place, kind="stable")]


def tinted(dataset: Dataset) -> Dataset:
    """Grey images in the colour of their class, hues evenly around the circle; those of unknown class stay grey.

    Raises:
      ValueError: the images are in colour already.
    """
    if dataset.image_shape[-1] != 1:
        raise ValueError(
            f"data.tint=True gives grey images a colour, and {dataset.name} is in colour; try --config.data.tint=false"
        )
    hues = [colorsys.hsv_to_rgb(k / dataset.num_classes, 0.8, 1.0) for k in range(dataset.num_classes)]
    palette = np.array([*hues, (1.0, 1.0, 1.0)])  # the label -1 is the last one's
    colours = np.rint(palette[:, None] * np.arange(256)[:, None]).astype(np.uint8)  # by label and grey

    def tint(data: Data) -> Data:
        return Data(colours[data.label[:, None, None], data.image[..., 0]], data.label)

    return dataset._replace(train=tint(dataset.train), validation=tint(dataset.validation), test=tint(dataset.test))


SOURCES = {"digits": _load_digits, "tfds": _load_tfds, "folder": _load_folder}
