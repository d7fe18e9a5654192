"""Where data sets come from: the digits bundled with scikit-learn, any TFDS image set, and any folder of images.

The splits are fixed by a constant in this file, a folder's by `config.data`: no seed of a run moves an example from
one split to another.
"""

import colorsys
import logging
import math

import numpy as np

from jaxgen.config.base import suggest
from jaxgen.data.batching import epoch_permutation
from jaxgen.data.binarization import binarize_dataset
from jaxgen.data.dataset import Dataset
from jaxgen.data.sources.digits import load_digits_dataset
from jaxgen.data.sources.folder import load_image_folder
from jaxgen.data.sources.tfds import load_tfds
from jaxgen.data.splits import SPLIT_SEED, hold_out, stratified_splits, take_examples
from jaxgen.data.streaming import ImageStream, size_in_mib
from jaxgen.io.array_cache import load_or_compute
from jaxgen.io.atomic import cache_dir
from jaxgen.types import Split

SPLITS = ("train", "validation", "test")
MIN_RESIDENT_IMAGES = 1000  # images of a split that are kept in memory, however small the budget, if it has as many

logger = logging.getLogger(__name__)


def load_dataset(config) -> Dataset:
    """The data set that `config.data` asks for by `source`, one of SOURCES; a ValueError where it can't be had.

    With `tint`, its grey images are given a colour by class; `binarisation` makes its pixels black or white.
    """
    if config.source not in SOURCES:
        raise ValueError(
            f"data.source={config.source!r} must be {' or '.join(map(repr, SOURCES))}"
            f"{suggest(config.source, SOURCES)}; "
            f"a TFDS set is named by --config.data.source=tfds --config.data.name=NAME, "
            "a folder of images by --config.data.source=folder --config.data.path=DIR"
        )
    for key in ("image_size", "split_seed", "memory_budget_mib"):
        if config[key] < 0:
            raise ValueError(f"data.{key}={config[key]} must be at least 0; try --config.data.{key}=0")
    dataset = SOURCES[config.source](config)
    dataset = with_resident_subsets(dataset, config) if isinstance(dataset.train.image, ImageStream) else dataset
    dataset = tint_by_class(dataset) if config.tint_by_class else dataset
    return binarize_dataset(dataset, config.binarization)


def with_resident_subsets(dataset: Dataset, config) -> Dataset:
    """A set of streams with random parts of its splits in memory, which the budget shares among them, and a `stream`.

    Raises:
      ValueError: what is asked for needs all pixels at once.
    """
    for key, value, needs in (("tint_by_class", config.tint_by_class, True), ("binarization", config.binarization, "static")):
        if value == needs:
            size = size_in_mib(sum(len(split.label) for split in dataset[1:4]), dataset.image_shape)
            raise ValueError(
                f"data.{key}={value!r} needs a set that memory holds, and {dataset.name} has {size:,.0f} MiB, "
                f"more than data.memory_budget_mib={config.memory_budget_mib}; try --config.data.memory_budget_mib={math.ceil(size)}"
            )
    room = max(MIN_RESIDENT_IMAGES, int(config.memory_budget_mib / 3 / size_in_mib(1, dataset.image_shape)))
    parts = {name: load_subset(getattr(dataset, name), room, draw) for draw, name in enumerate(SPLITS)}
    told = ", ".join(
        f"{len(part.label):,} of {len(getattr(dataset, name).label):,} for {name}" for name, part in parts.items()
    )
    logger.info("%s is streamed; kept in memory, to measure by: %s images", dataset.name, told)
    return dataset._replace(**parts, stream=dataset.train)


def load_subset(data: Split, room: int, draw: int) -> Split:
    """As many random examples of a stream, in order, as there is room for."""
    index = np.sort(epoch_permutation(SPLIT_SEED, draw, len(data.label))[:room])
    part = take_examples(data, index)
    path, key = cache_dir("data") / f"part-{part.image.key[:16]}.npz", part.image.key
    return part._replace(image=load_or_compute(path, key, lambda: {"image": part.image.read_all()})["image"])


def _load_tfds(config) -> Dataset:
    """The set `name` below `path` (empty: TFDS_DATA_DIR or ~/tensorflow_datasets), got there first by `download`."""
    name, arrays = config.name, load_tfds(config.name, config.path, config.download, config.memory_budget_mib)
    train, num_classes = Split(arrays["train_image"], arrays["train_label"]), int(arrays["num_classes"])
    if "test_image" in arrays:
        test = Split(arrays["test_image"], arrays["test_label"])
    else:
        train, test = hold_out(train, max(1, len(train.label) // 7), draw=0)
        logger.info("%s has no test split: %d of its training examples are held out as one", name, len(test.label))
    train, validation = hold_out(train, max(1, min(5000, len(train.label) // 12)), draw=1)
    return Dataset(name, train, validation, test, num_classes)


def _load_folder(config) -> Dataset:
    """The images below `path`, each class in the same proportions in the three splits."""
    name, data, classes = load_image_folder(config)
    train, validation, test = stratified_splits(data.label, config.holdout_fraction, config.split_seed)
    if len(classes) > 1:
        logger.info("%s: the classes are %s", name, ", ".join(f"{k} {each}" for k, each in enumerate(classes)))
    return Dataset(
        name,
        take_examples(data, train),
        take_examples(data, validation),
        take_examples(data, test),
        len(classes),
        classes,
    )


def tint_by_class(dataset: Dataset) -> Dataset:
    """Grey images in the colour of their class, hues evenly around the circle; those of unknown class stay grey.

    Raises:
      ValueError: the images are in colour already.
    """
    if dataset.image_shape[-1] != 1:
        raise ValueError(
            f"data.tint_by_class=True needs gray images; {dataset.name} has color images. "
            "Try --config.data.tint_by_class=false"
        )
    hues = [colorsys.hsv_to_rgb(k / dataset.num_classes, 0.8, 1.0) for k in range(dataset.num_classes)]
    palette = np.array([*hues, (1.0, 1.0, 1.0)])  # the label -1 is the last one's
    colours = np.rint(palette[:, None] * np.arange(256)[:, None]).astype(np.uint8)  # by label and grey

    def tint(data: Split) -> Split:
        return Split(colours[data.label[:, None, None], data.image[..., 0]], data.label)

    return dataset._replace(train=tint(dataset.train), validation=tint(dataset.validation), test=tint(dataset.test))


SOURCES = {"digits": load_digits_dataset, "tfds": _load_tfds, "folder": _load_folder}
