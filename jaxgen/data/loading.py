"""Loads the data set that a config names: the digits of scikit-learn, a TFDS image set, or a folder of images.

The splits depend on constants of this package, and for a folder on `config.data`. The seed of a run never moves an
example to another split.
"""

import colorsys
import logging
import math

import numpy as np
from jaxtyping import Int

from jaxgen.config.automatic import choose_binarization
from jaxgen.config.base import suggest
from jaxgen.data.batching import epoch_permutation
from jaxgen.data.binarization import binarize_dataset
from jaxgen.data.copies import count_copies
from jaxgen.data.dataset import Dataset
from jaxgen.data.file_finder import printable
from jaxgen.data.sources.digits import load_digits_dataset
from jaxgen.data.sources.folder import ImageFolder, load_image_folder
from jaxgen.data.sources.tfds import load_tfds, read_class_names
from jaxgen.data.split_folders import SPLIT_NAMES as SPLITS
from jaxgen.data.splits import SPLIT_SEED, complete_splits, hold_out, stratified_splits, take_examples
from jaxgen.data.streaming import ImageStream, size_in_mib
from jaxgen.io.array_cache import load_or_compute
from jaxgen.io.atomic import cache_dir
from jaxgen.types import Split

MIN_IMAGES_PER_CLASS = 3  # of a model that uses labels, one for each split
MAX_NAMED = 20  # classes that the log names
HOLDOUT_DEFAULTS = {"holdout_fraction": 0.1, "split_seed": 0}
MIN_RESIDENT_IMAGES = 1000  # images of each split that are in memory, even if the budget is smaller

logger = logging.getLogger(__name__)


def load_dataset(config) -> Dataset:
    """Loads the data set of `config.data`, whose `source` is one of `SOURCES`, and tints and binarizes its images.

    Raises:
      ValueError: the data set cannot be loaded, or a key of `config.data` is wrong.
    """
    if config.source not in SOURCES:
        raise ValueError(
            f"data.source={config.source!r} must be {' or '.join(map(repr, SOURCES))}"
            f"{suggest(config.source, SOURCES)}; "
            f"name a TFDS set by --config.data.source=tfds --config.data.name=NAME, "
            "or a folder of images by --config.data.source=folder --config.data.path=DIR"
        )
    for key in ("image_size", "split_seed", "memory_budget_mib"):
        if config[key] < 0:
            raise ValueError(f"data.{key}={config[key]} must be at least 0; try --config.data.{key}=0")
    dataset = SOURCES[config.source](config)
    dataset = with_resident_subsets(dataset, config) if isinstance(dataset.train.image, ImageStream) else dataset
    copies = count_copies(dataset.train, validation=dataset.validation, test=dataset.test)
    dataset = dataset._replace(copies=copies)  # before a random binarization, which makes copies differ
    dataset = tint_by_class(dataset) if config.tint_by_class else dataset
    return binarize_dataset(dataset, choose_binarization(config))


def with_resident_subsets(dataset: Dataset, config) -> Dataset:
    """Returns a streamed data set with random subsets of its splits in memory, which share the budget equally.

    Raises:
      ValueError: a key of `config.data` needs all pixels in memory.
    """
    needs_memory = (("tint_by_class", True), ("binarization", "static"))
    if key := next((key for key, value in needs_memory if config[key] == value), None):
        size = size_in_mib(sum(len(getattr(dataset, name).label) for name in SPLITS), dataset.image_shape)
        raise ValueError(
            f"data.{key}={config[key]!r} needs a data set in memory; {dataset.name} has {size:,.0f} MiB, more than "
            f"data.memory_budget_mib={config.memory_budget_mib}; try --config.data.memory_budget_mib={math.ceil(size)}"
        )
    limit = max(MIN_RESIDENT_IMAGES, int(config.memory_budget_mib / 3 / size_in_mib(1, dataset.image_shape)))
    subsets = {name: load_subset(getattr(dataset, name), limit, number) for number, name in enumerate(SPLITS)}
    counts = ", ".join(
        f"{len(subset.label):,} of {len(getattr(dataset, name).label):,} for {name}" for name, subset in subsets.items()
    )
    logger.info("%s is streamed; images in memory, for measurements: %s", dataset.name, counts)
    return dataset._replace(**subsets, stream=dataset.train)


def load_subset(data: Split, limit: int, number: int) -> Split:
    """Reads up to `limit` random examples of a stream, in their original order; `number` selects the random choice."""
    index = np.sort(epoch_permutation(SPLIT_SEED, number, len(data.label))[:limit])
    subset = take_examples(data, index)
    path, key = cache_dir("data") / f"part-{subset.image.key[:16]}.npz", subset.image.key
    return subset._replace(image=load_or_compute(path, key, lambda: {"image": subset.image.read_all()})["image"])


def _load_tfds(config) -> Dataset:
    """Loads the set `name` from `path` (by default TFDS_DATA_DIR or ~/tensorflow_datasets).

    Without a test split, a seventh of the training split is held out as one. At most 5,000 and a twelfth of the other
    training examples are held out for validation.
    """
    name, arrays = config.name, load_tfds(config.name, config.path, config.download, config.memory_budget_mib)
    train, num_classes = Split(arrays["train_image"], arrays["train_label"]), int(arrays["num_classes"])
    if "test_image" in arrays:
        test = Split(arrays["test_image"], arrays["test_label"])
    else:
        train, test = hold_out(train, max(1, len(train.label) // 7), number=0)
        logger.info("%s has no test split: %d of its training examples are held out as one", name, len(test.label))
    train, validation = hold_out(train, max(1, min(5000, len(train.label) // 12)), number=1)
    class_names = read_class_names(config.name, config.path)
    return Dataset(name, train, validation, test, num_classes, class_names if len(class_names) == num_classes else ())


def _load_folder(config) -> Dataset:
    """Loads the images in `path`, in the splits of its subfolders or in three splits stratified by class."""
    folder = load_image_folder(config)
    data, class_names = folder.data, folder.class_names
    if folder.split is None:
        indices = stratified_splits(data.label, config.holdout_fraction, config.split_seed)
    else:
        indices = complete_splits(data.label, folder.split, config.holdout_fraction, config.split_seed)
        report_split_folders(folder, indices, config)
    require_images_per_split(folder, indices)
    if len(class_names) > 1:
        logger.info("%s: the %d classes are %s", folder.name, len(class_names), describe_classes(class_names))
    rare = find_rare_classes(data.label, indices[0], class_names)
    splits = (take_examples(data, index) for index in indices)
    return Dataset(folder.name, *splits, len(class_names), class_names, rare_classes=rare)


def report_split_folders(folder: ImageFolder, indices: tuple[np.ndarray, ...], config) -> None:
    """Logs which splits come from subfolders, and which options therefore have no effect."""
    given, counts = (
        set(folder.split.tolist()),
        [f"{len(index):,} {name}" for name, index in zip(SPLITS, indices, strict=True)],
    )
    held_out = [name for number, name in enumerate(SPLITS) if number not in given]
    rest = f"; {' and '.join(held_out)} held out of training" if held_out else ""
    logger.info("%s: its subfolders are splits: %s images%s", folder.name, ", ".join(counts), rest)
    changed = [f"data.{key}={config[key]}" for key, default in HOLDOUT_DEFAULTS.items() if config[key] != default]
    if changed and not held_out:
        logger.warning("without effect, because all splits of %s are subfolders: %s", folder.name, ", ".join(changed))


def require_images_per_split(folder: ImageFolder, indices: tuple[np.ndarray, ...]) -> None:
    """Raises a ValueError if a split has no image."""
    if all(len(index) for index in indices):
        return
    count = len(folder.data.label)
    what = f"{count} usable images" if folder.split is None else f"{np.sum(folder.split == 0)} usable training images"
    raise ValueError(
        f"{folder.name} has {what}; at least {1 + sum(not len(index) for index in indices[1:])} are needed, "
        "for training, validation and test; add some"
    )


def find_rare_classes(
    label: Int[np.ndarray, " N"], train: Int[np.ndarray, " M"], class_names: tuple[str, ...]
) -> tuple[str, ...]:
    """Returns "name: count" of each class that cannot be learned and tested: of fewer than 3 images, or not trained on.

    Args:
      label: labels of all images.
      train: indices of the training images.
      class_names: names of the classes by label.
    """
    counts, trained = (np.bincount(part, minlength=len(class_names)) for part in (label, label[train]))
    rare = np.flatnonzero((counts < MIN_IMAGES_PER_CLASS) | (trained == 0))
    return tuple(f"{printable(class_names[k])}: {counts[k]}" for k in rare) if len(class_names) > 1 else ()


def describe_classes(names: tuple[str, ...]) -> str:
    """Returns "0 name, 1 name, …" of the first classes."""
    more = [f"and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return ", ".join([*(f"{k} {printable(name)}" for k, name in enumerate(names[:MAX_NAMED])), *more])


def tint_by_class(dataset: Dataset) -> Dataset:
    """Gives gray images the color of their class, with equidistant hues; images without a label stay gray.

    Raises:
      ValueError: the images are in color.
    """
    if dataset.image_shape[-1] != 1:
        raise ValueError(
            f"data.tint_by_class=True needs gray images; {dataset.name} has color images. "
            "Try --config.data.tint_by_class=false"
        )
    hues = [colorsys.hsv_to_rgb(k / dataset.num_classes, 0.8, 1.0) for k in range(dataset.num_classes)]
    palette = np.array([*hues, (1.0, 1.0, 1.0)])  # the label -1 selects the last color
    colors = np.rint(palette[:, None] * np.arange(256)[:, None]).astype(np.uint8)  # by label and gray value

    def tint(data: Split) -> Split:
        return Split(colors[data.label[:, None, None], data.image[..., 0]], data.label)

    return dataset._replace(train=tint(dataset.train), validation=tint(dataset.validation), test=tint(dataset.test))


SOURCES = {"digits": load_digits_dataset, "tfds": _load_tfds, "folder": _load_folder}
