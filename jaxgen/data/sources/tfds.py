"""Any TFDS image set, read without TensorFlow from a prepared directory; prepared only when asked to."""

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
from jaxgen.data.sources.tfds_without_tensorflow import _tensorflow_or_stand_in
from jaxgen.data.streaming import ImageStream, size_in_mib
from jaxgen.io.array_cache import first_line, load_or_compute
from jaxgen.io.atomic import cache_dir

READ_CHUNK = 4096

logger = logging.getLogger(__name__)


def load_tfds(
    name: str, path: str | os.PathLike | None, download: bool, budget: int | float = math.inf
) -> dict[str, np.ndarray | ImageStream]:
    """The images and labels of a set: `train_image`, `train_label`, perhaps `test_…`, and `num_classes`.

    Images of more MiB than the budget are each a `Stream`.

    Raises:
      ValueError: no such set, not prepared and not to be downloaded, or not of images with class labels.
    """
    if not re.fullmatch(r"\w+(/\w[\w.+-]*)*(:[\d.]+)?", name or ""):
        raise ValueError(f"data.name={name!r} must name a TFDS image set, such as --config.data.name=mnist")
    directory = find_prepared_dataset(name, path)
    if directory is None and not download:
        raise ValueError(_unprepared(name, _tfds_root(path)))
    if directory is None:
        directory = _prepare_tfds(name, _tfds_root(path))
    return _cached(directory) if _size_in_mib(directory) <= budget else _streamed(directory)


def find_prepared_dataset(name: str, path: str | os.PathLike | None = None) -> Path | None:
    """The directory of the newest prepared version of a TFDS set ("mnist", "mnist:3.0.1", "set/config"), or None."""
    name, _, version = name.partition(":")
    found = (_tfds_root(path) / name).glob(f"{version or '*'}/dataset_info.json")
    versions = [info.parent for info in found if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)]
    return max(versions, key=lambda folder: tuple(map(int, folder.name.split("."))), default=None)


def _tfds_root(path: str | os.PathLike | None) -> Path:
    return Path(path or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser().absolute()


def _unprepared(name: str, root: Path) -> str:
    base, _, version = name.partition(":")
    infos = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    prepared = {info.parent.parent.relative_to(root).as_posix() for info in infos}
    return (
        f"data.name={name!r} is not prepared: no {root / base / (version or 'VERSION')}/dataset_info.json"
        f"{suggest(name, prepared)}; add --config.data.download=true to download and prepare it there, or point "
        f"--config.data.path or TFDS_DATA_DIR to the directory that holds it"
    )


def _prepare_tfds(name: str, root: Path) -> Path:
    """Downloads a TFDS set and writes it below `root` in array_record; its directory."""
    with _quiet():
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.download import downloader

        base = re.split("[/:]", name)[0]
        known = tfds.list_builders(with_community_datasets=False)
        if base not in known:
            raise ValueError(f"data.name={name!r} is no TFDS data set{suggest(base, known)}")
        logger.info("downloading and preparing %s in %s", name, root)
        downloader.MAX_RETRIES = 5  # its 10 take minutes to find out that there is no network
        try:
            with _tensorflow_or_stand_in():
                builder = tfds.builder(name, data_dir=root, file_format="array_record")
                builder.download_and_prepare(file_format="array_record")
        except Exception as error:  # each builder runs its own code and raises what it likes
            raise ValueError(_preparation_failed(name, root, error)) from error
    return Path(builder.data_dir)


def _preparation_failed(name: str, root: Path, error: Exception) -> str:
    failed = f"data.name={name!r} could not be downloaded and prepared in {root}"
    if "No module named 'tensorflow'" in str(error):
        return f"{failed}: TFDS needs TensorFlow to prepare it; pip install tensorflow and run again, this once"
    return f"{failed}: {first_line(error)}; check name and network, or set --config.data.path to where it is prepared"


def _read_tfds(directory: Path) -> dict[str, np.ndarray]:
    """The images and labels of the splits "train" and "test" (where there is one) of a prepared set."""
    try:
        file_format = json.loads((directory / "dataset_info.json").read_text()).get("fileFormat", "tfrecord")
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(_unreadable(directory, first_line(error))) from error
    if file_format != "array_record":
        raise ValueError(_unreadable(directory, f"{file_format} needs TensorFlow, array_record does not"))
    with _quiet():
        sources, num_classes = _open_tfds(directory)
        arrays = {"num_classes": np.array(num_classes)}
        try:
            for split, source in sources.items():
                arrays[f"{split}_image"], arrays[f"{split}_label"] = _read_split(source, f"{directory}, split {split},")
        except (OSError, RuntimeError) as error:  # of Pillow and of array_record
            raise ValueError(_unreadable(directory, first_line(error))) from error
    return arrays


def _unreadable(directory: Path, why: str) -> str:
    return f"{directory} cannot be read ({why}); remove it and prepare it anew with --config.data.download=true"


def _open_tfds(directory: Path, **options) -> tuple[dict[str, Any], int]:
    """The data sources by split and the number of classes, after a look at whether they are what we can use."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(directory)
        features = dict(builder.info.features)
        sources = {s: builder.as_data_source(s, **options) for s in ("train", "test") if s in builder.info.splits}
    except Exception as error:  # a damaged directory fails in TFDS, protobuf, json or the file system
        raise ValueError(_unreadable(directory, first_line(error))) from error
    image, label = features.get("image"), features.get("label")
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        raise ValueError(f"{directory} has the features {', '.join(features)}; an image and a class label are needed")
    if image.np_dtype != np.uint8 or "train" not in sources:
        has = f"{np.dtype(image.np_dtype)} images in the splits {', '.join(builder.info.splits)}"
        raise ValueError(f"{directory} has {has}; uint8 images and a split 'train' are needed")
    return sources, label.num_classes


def _read_split(source, where: str) -> tuple[UInt8[np.ndarray, "N H W C"], Int[np.ndarray, " N"]]:
    """All examples of a split, decoded in bulk: twice as fast as one by one."""
    if len(source) < 3:
        raise ValueError(f"{where} holds {len(source)} examples; at least 3 are needed")
    shape = source[0]["image"].shape
    image, label = np.empty((len(source), *shape), np.uint8), np.empty(len(source), np.int32)
    for start in range(0, len(source), READ_CHUNK):
        stop = min(start + READ_CHUNK, len(source))
        for i, example in enumerate(source.__getitems__(range(start, stop)), start):
            image[i], label[i] = _of_shape(example["image"], shape, where), example["label"]
    return image, label


def _of_shape(image: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    """The image; a ValueError where it has another shape."""
    if image.shape != shape:
        raise ValueError(f"{where} mixes images of {shape} and {image.shape}; one size is needed")
    return image


def _cached(directory: Path) -> dict[str, np.ndarray]:
    """What `_read_tfds(directory)` gives, from the user's cache where the directory has not changed since."""
    return load_or_compute(_cache_of(directory), _state(directory), lambda: _read_tfds(directory))


def _state(directory: Path) -> str:
    """Says whether the directory has changed."""
    files = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in directory.iterdir())
    return hashlib.blake2b(repr(files).encode() + (directory / "dataset_info.json").read_bytes()).hexdigest()


def _cache_of(directory: Path, what: str = "") -> Path:
    place = hashlib.blake2b(str(directory).encode(), digest_size=6).hexdigest()
    return cache_dir("data") / f"{'-'.join(directory.parts[-2:])}-{place}{what}.npz"


def _size_in_mib(directory: Path) -> float:
    """Of all images of the two splits, by what TFDS says of them; 0 where it does not."""
    try:
        splits = json.loads((directory / "dataset_info.json").read_text())["splits"]
        features = json.loads((directory / "features.json").read_text())["featuresDict"]["features"]
        shape = [int(side) for side in features["image"]["image"]["shape"]["dimensions"]]
        lengths = [int(n) for split in splits if split["name"] in ("train", "test") for n in split["shardLengths"]]
        if min(shape) < 1:  # sides that TFDS leaves open: as the first image has them
            shape = _first_shape(directory)
    except (OSError, ValueError, KeyError, TypeError):  # whoever reads the directory next says what is wrong with it
        return 0.0
    return size_in_mib(sum(lengths), shape)


def _first_shape(directory: Path) -> tuple[int, int, int]:
    """H, W, C of a prepared set's first training image."""
    with _quiet():
        sources, _ = _open_tfds(directory)
        return next(iter(sources["train"]))["image"].shape


def _streamed(directory: Path) -> dict[str, np.ndarray | ImageStream]:
    """As `_read_tfds`, with a `Stream` for the images of each split; only the labels are read."""
    state = _state(directory)
    arrays = dict(load_or_compute(_cache_of(directory, "-labels"), state, lambda: _read_labels(directory)))
    with _quiet():
        sources, _ = _open_tfds(directory)
        for split, source in sources.items():
            arrays[f"{split}_image"] = _stream_of(source, f"{directory}, split {split},", f"{state} {split}")
    return arrays


def _stream_of(source, where: str, key: str) -> ImageStream:
    shape = source[0]["image"].shape
    return ImageStream(lambda i: _of_shape(source[i]["image"], shape, where), (len(source), *shape), key)


def _read_labels(directory: Path) -> dict[str, np.ndarray]:
    """The labels of the splits and the number of classes; no image is decoded."""
    import tensorflow_datasets as tfds

    with _quiet():
        sources, num_classes = _open_tfds(directory, decoders={"image": tfds.decode.SkipDecoding()})
        labels = {f"{split}_label": _labels_of(source) for split, source in sources.items()}
    return {**labels, "num_classes": np.array(num_classes)}


def _labels_of(source) -> Int[np.ndarray, " N"]:
    chunks = (range(start, min(start + READ_CHUNK, len(source))) for start in range(0, len(source), READ_CHUNK))
    return np.array([each["label"] for chunk in chunks for each in source.__getitems__(chunk)], np.int32)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of TFDS (OpenCV is not installed) and of the retries below it."""
    loggers = [logging.getLogger("absl"), logging.getLogger("urllib3.connectionpool")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
