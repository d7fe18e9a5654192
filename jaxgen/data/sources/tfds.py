"""Reads any prepared TFDS image set without TensorFlow, and downloads and prepares one on request."""

import contextlib
import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from jaxgen.config.base import suggest
from jaxgen.data.sources.tfds_without_tensorflow import replace_missing_tensorflow
from jaxgen.data.streaming import ImageStream, size_in_mib
from jaxgen.io.array_cache import load_or_compute
from jaxgen.io.atomic import cache_dir
from jaxgen.io.errors import describe_error

READ_CHUNK = 4096  # examples that are decoded at a time

logger = logging.getLogger(__name__)


def load_tfds(
    name: str, path: str | os.PathLike | None, download: bool, budget: int | float = math.inf
) -> dict[str, np.ndarray | ImageStream]:
    """Loads the images and labels of a set.

    Args:
      name: name of the set, such as "mnist", "mnist:3.0.1" or "set/config".
      path: directory that contains prepared sets; empty for TFDS_DATA_DIR or ~/tensorflow_datasets.
      download: whether to download and prepare a set that is not prepared.
      budget: maximum size of the images in memory, in MiB; the images of a larger set are streams.

    Returns:
      "train_image", "train_label", "num_classes" and, if the set has a test split, "test_image" and "test_label".

    Raises:
      ValueError: there is no such set, it cannot be prepared, or it has no images with class labels.
    """
    if not re.fullmatch(r"\w+(/\w[\w.+-]*)*(:[\d.]+)?", name or ""):
        raise ValueError(f"data.name={name!r} must name a TFDS image set, such as --config.data.name=mnist")
    directory = find_prepared_dataset(name, path)
    if directory is None and not download:
        raise ValueError(_describe_unprepared(name, _tfds_root(path)))
    if directory is None:
        directory = _prepare_tfds(name, _tfds_root(path))
    return _load_cached(directory) if _size_in_mib(directory) <= budget else _open_streams(directory)


def find_prepared_dataset(name: str, path: str | os.PathLike | None = None) -> Path | None:
    """Returns the directory of the newest prepared version of a TFDS set, or None if there is none.

    Args:
      name: name of the set, such as "mnist", "mnist:3.0.1" or "set/config".
      path: directory that contains prepared sets; empty for TFDS_DATA_DIR or ~/tensorflow_datasets.
    """
    name, _, version = name.partition(":")
    infos = (_tfds_root(path) / name).glob(f"{version or '*'}/dataset_info.json")
    versions = [info.parent for info in infos if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)]
    return max(versions, key=lambda folder: tuple(map(int, folder.name.split("."))), default=None)


def read_class_names(name: str, path: str | os.PathLike | None = None) -> tuple[str, ...]:
    """Returns the names of the classes of a prepared set by label; () if there are none, or if they are the labels."""
    directory = find_prepared_dataset(name, path)
    file = directory and directory / "label.labels.txt"
    if not file or not file.is_file():
        return ()
    names = tuple(file.read_text(encoding="utf-8").splitlines())
    return () if names == tuple(str(label) for label in range(len(names))) else names


def _tfds_root(path: str | os.PathLike | None) -> Path:
    return Path(path or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser().absolute()


def _describe_unprepared(name: str, root: Path) -> str:
    base, _, version = name.partition(":")
    infos = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    prepared = {info.parent.parent.relative_to(root).as_posix() for info in infos}
    return (
        f"data.name={name!r} is not prepared: no {root / base / (version or 'VERSION')}/dataset_info.json"
        f"{suggest(name, prepared)}; add --config.data.download=true to download and prepare it there, or set "
        f"--config.data.path or TFDS_DATA_DIR to the directory that contains it"
    )


def _prepare_tfds(name: str, root: Path) -> Path:
    """Downloads a TFDS set, writes it below `root` in the array_record format, and returns its directory."""
    with _silence_warnings():
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.download import downloader

        base = re.split("[/:]", name)[0]
        known = tfds.list_builders(with_community_datasets=False)
        if base not in known:
            raise ValueError(f"data.name={name!r} is not a TFDS data set{suggest(base, known)}")
        logger.info("downloading and preparing %s in %s", name, root)
        downloader.MAX_RETRIES = 5  # without a network, the default of 10 takes minutes to fail
        try:
            with replace_missing_tensorflow():
                builder = tfds.builder(name, data_dir=root, file_format="array_record")
                builder.download_and_prepare(file_format="array_record")
        except Exception as error:  # each builder runs its own code, which can raise anything
            raise ValueError(_describe_failed_preparation(name, root, error)) from error
    return Path(builder.data_dir)


def _describe_failed_preparation(name: str, root: Path, error: Exception) -> str:
    failed = f"data.name={name!r} could not be downloaded and prepared in {root}"
    if "No module named 'tensorflow'" in str(error):
        return f"{failed}: TFDS needs TensorFlow to prepare it; pip install tensorflow and run again, only this once"
    return (
        f"{failed}: {describe_error(error)}; check name and network, "
        "or set --config.data.path to the directory that contains it"
    )


def _read_tfds(directory: Path) -> dict[str, np.ndarray]:
    """Reads the images and labels of the split "train" and, if it exists, of the split "test"."""
    try:
        file_format = json.loads((directory / "dataset_info.json").read_text()).get("fileFormat", "tfrecord")
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(_describe_unreadable(directory, describe_error(error))) from error
    if file_format != "array_record":
        raise ValueError(_describe_unreadable(directory, f"{file_format} needs TensorFlow, array_record does not"))
    with _silence_warnings():
        sources, num_classes = _open_tfds(directory)
        arrays = {"num_classes": np.array(num_classes)}
        try:
            for split, source in sources.items():
                arrays[f"{split}_image"], arrays[f"{split}_label"] = _read_split(source, f"{directory}, split {split},")
        except (OSError, RuntimeError) as error:  # raised by Pillow and array_record
            raise ValueError(_describe_unreadable(directory, describe_error(error))) from error
    return arrays


def _describe_unreadable(directory: Path, reason: str) -> str:
    return f"{directory} cannot be read ({reason}); remove it and prepare it again with --config.data.download=true"


def _open_tfds(directory: Path, **options) -> tuple[dict[str, Any], int]:
    """Opens the data sources by split.

    Returns:
      The sources by split, and the number of classes.

    Raises:
      ValueError: the directory is damaged, or the set has no uint8 images with class labels.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(directory)
        features = dict(builder.info.features)
        splits = [split for split in ("train", "test") if split in builder.info.splits]
        sources = {split: builder.as_data_source(split, **options) for split in splits}
    except Exception as error:  # TFDS, protobuf, json or the file system can fail
        raise ValueError(_describe_unreadable(directory, describe_error(error))) from error
    image, label = features.get("image"), features.get("label")
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        raise ValueError(f"{directory} has the features {', '.join(features)}; an image and a class label are needed")
    if image.np_dtype != np.uint8 or "train" not in sources:
        contents = f"{np.dtype(image.np_dtype)} images in the splits {', '.join(builder.info.splits)}"
        raise ValueError(f"{directory} has {contents}; uint8 images and a split 'train' are needed")
    return sources, label.num_classes


def _read_split(source, where: str) -> tuple[UInt8[np.ndarray, "N H W C"], Int[np.ndarray, " N"]]:
    """Reads all examples of a split in bulk, which is twice as fast as one by one."""
    if len(source) < 3:
        raise ValueError(f"{where} has {len(source)} examples; at least 3 are needed")
    shape = source[0]["image"].shape
    image, label = np.empty((len(source), *shape), np.uint8), np.empty(len(source), np.int32)
    for start in range(0, len(source), READ_CHUNK):
        stop = min(start + READ_CHUNK, len(source))
        for i, example in enumerate(source.__getitems__(range(start, stop)), start):
            image[i], label[i] = _require_shape(example["image"], shape, where), example["label"]
    return image, label


def _require_shape(image: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Returns the image; raises a ValueError if it has another shape."""
    if image.shape != shape:
        raise ValueError(f"{where} mixes images of {shape} and {image.shape}; one size is needed")
    return image


def _load_cached(directory: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of `_read_tfds(directory)`, from the cache unless the directory has changed since."""
    return load_or_compute(_cache_path(directory), _directory_digest(directory), lambda: _read_tfds(directory))


def _directory_digest(directory: Path) -> str:
    """Returns a digest of the names, sizes and times of the files, which changes with the directory."""
    files = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in directory.iterdir())
    return hashlib.blake2b(repr(files).encode() + (directory / "dataset_info.json").read_bytes()).hexdigest()


def _cache_path(directory: Path, suffix: str = "") -> Path:
    digest = hashlib.blake2b(str(directory).encode(), digest_size=6).hexdigest()
    return cache_dir("data") / f"{'-'.join(directory.parts[-2:])}-{digest}{suffix}.npz"


def _size_in_mib(directory: Path) -> float:
    """Returns the size of the images of both splits by the metadata of TFDS; 0 if the metadata cannot be read."""
    try:
        splits = json.loads((directory / "dataset_info.json").read_text())["splits"]
        features = json.loads((directory / "features.json").read_text())["featuresDict"]["features"]
        shape = [int(side) for side in features["image"]["image"]["shape"]["dimensions"]]
        lengths = [int(n) for split in splits if split["name"] in ("train", "test") for n in split["shardLengths"]]
        if min(shape) < 1:  # TFDS leaves sides open that the first image has
            shape = _first_shape(directory)
    except (OSError, ValueError, KeyError, TypeError):  # reading the directory afterwards reports the error
        return 0.0
    return size_in_mib(sum(lengths), shape)


def _first_shape(directory: Path) -> tuple[int, int, int]:
    """Returns H, W, C of the first training image."""
    with _silence_warnings():
        sources, _ = _open_tfds(directory)
        return next(iter(sources["train"]))["image"].shape


def _open_streams(directory: Path) -> dict[str, np.ndarray | ImageStream]:
    """Returns the entries of `_read_tfds` with a stream for the images of each split; only the labels are read."""
    key = _directory_digest(directory)
    arrays = dict(load_or_compute(_cache_path(directory, "-labels"), key, lambda: _read_labels(directory)))
    with _silence_warnings():
        sources, _ = _open_tfds(directory)
        for split, source in sources.items():
            arrays[f"{split}_image"] = _open_stream(source, f"{directory}, split {split},", f"{key} {split}")
    return arrays


def _open_stream(source, where: str, key: str) -> ImageStream:
    shape = source[0]["image"].shape
    return ImageStream(lambda i: _require_shape(source[i]["image"], shape, where), (len(source), *shape), key)


def _read_labels(directory: Path) -> dict[str, np.ndarray]:
    """Reads the labels of the splits and the number of classes without decoding an image."""
    import tensorflow_datasets as tfds

    with _silence_warnings():
        sources, num_classes = _open_tfds(directory, decoders={"image": tfds.decode.SkipDecoding()})
        labels = {f"{split}_label": _read_split_labels(source) for split, source in sources.items()}
    return {**labels, "num_classes": np.array(num_classes)}


def _read_split_labels(source) -> Int[np.ndarray, " N"]:
    chunks = (range(start, min(start + READ_CHUNK, len(source))) for start in range(0, len(source), READ_CHUNK))
    return np.array([example["label"] for chunk in chunks for example in source.__getitems__(chunk)], np.int32)


@contextlib.contextmanager
def _silence_warnings() -> Iterator[None]:
    """Hides the warnings of TFDS, such as that OpenCV is not installed, and of the retries of its downloads."""
    silenced = [logging.getLogger("absl"), logging.getLogger("urllib3.connectionpool")]
    levels = [noisy.level for noisy in silenced]
    for noisy in silenced:
        noisy.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for noisy, level in zip(silenced, levels, strict=True):
            noisy.setLevel(level)
