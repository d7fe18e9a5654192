"""Bytes per image against quality: binary codes, JPEG, and quantized principal components.

    python -m benchmarks.quality.compression runs/hash_ae-mnist
    python -m benchmarks.quality.compression runs/hash_ae-mnist runs/hash_64 --draw=docs/compression.png

Every RUN is the workdir of a trained model with binary codes; all runs must be on the same data set. Each row is a mean
over the images of a held-out split: PSNR in dB, SSIM, and bytes per image. The bytes by codec:
  autoencoder           bits / 8: the code. The decoder, which both sides need, is not counted.
  pca                   one byte per component: 256 even levels over the component's range on the training images.
                        Mean, components and ranges, which both sides need, are not counted.
  jpeg                  the whole file, as Pillow writes it with optimize=True, at qualities 1 to 95.
  jpeg without headers  only the entropy-coded scan of the same file, without markers and tables: the rest would not be
                        needed if both sides had the tables. A lower bound, as optimize=True makes Huffman tables for
                        each image.
"""

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

import jaxgen
from benchmarks.common import records
from jaxgen import plotting
from jaxgen.data import Dataset, load_dataset, to_float_images
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io.atomic import write_bytes_atomic
from jaxgen.metrics.image_similarity import psnr, ssim

QUALITIES = (1, 5, 10, 20, 30, 50, 75, 95)
COMPONENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LEVELS = 256  # of a quantized coefficient: one byte
COLUMNS = {name: name for name in ("codec", "setting", "bytes", "psnr", "ssim")}


class Point(NamedTuple):
    """A codec with its setting: bytes per image and quality, means over images."""

    codec: str
    setting: str
    bytes: float
    psnr: float  # dB
    ssim: float


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 after a user's mistake."""
    options = parse(argv)
    return records.run_and_print(lambda: run(options), COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = records.parser("quality.compression", "compression", __doc__)
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="workdirs of trained models")
    add("--split", choices=("test", "validation"), default="test", help="split of the images")
    add("--draw", type=Path, metavar="FILE", help="plot the rows as well")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures all points, appends a row for each to `options.out`, and plots them if --draw is given.

    Raises:
      ValueError: a folder is no run, its codes are not binary, or its data set differs from the first one's; or the
        file cannot be written.
    """
    records.prepare(options.out)
    models = {folder: jaxgen.load(folder) for folder in options.runs}
    dataset = load_common_dataset(models)
    points = [*model_points(models, dataset, options.split), *baseline_points(dataset, options.split)]
    trained = {Path(run).name: model.step for run, model in models.items()}
    common = {
        "dataset": dataset.name,
        "split": options.split,
        "trained": trained,
        **records.provenance(jax.devices()[0]),
    }
    rows = [point._asdict() | common for point in points]
    for row in rows:
        records.append(options.out, row)
    if options.draw:
        write_bytes_atomic(
            options.draw, plotting.encode_png(plot_points(points, f"{dataset.name}, {options.split} split"))
        )
    return rows


def load_common_dataset(models: dict[str, TrainedModel]) -> Dataset:
    """Loads the data set of all models.

    Raises:
      ValueError: the models have different data sets.
    """
    (first, model), *others = models.items()
    for other, other_model in others:
        if other_model.config["data"] != model.config["data"]:
            names = (other_model.config["data"]["name"], model.config["data"]["name"])
            raise ValueError(
                f"{other} is trained on {names[0]}, {first} on {names[1]}; compare runs on the same data set"
            )
    return load_dataset(ConfigDict(model.config["data"]))


def model_points(models: dict[str, TrainedModel], dataset: Dataset, split: str) -> Iterator[Point]:
    """Yields a point for each run, named after its folder.

    Raises:
      ValueError: the codes of a run are not binary.
    """
    images = to_float_images(getattr(dataset, split).image)
    for run, model in models.items():
        codes = model.encode(images)
        if len(np.unique(codes)) > 2:
            raise ValueError(
                f"{run} has codes of real numbers, but only binary codes have a size in bytes; "
                "use runs of configs/hash_ae.py"
            )
        yield measure_point("autoencoder", Path(run).name, codes.shape[1] / 8, images, model.decode(codes))


def baseline_points(dataset: Dataset, split: str) -> Iterator[Point]:
    """Yields the points of JPEG, by quality, and of the training images' principal components, by their number."""
    pixels = getattr(dataset, split).image
    images = to_float_images(pixels)
    for quality in QUALITIES:
        files = [encode_jpeg(image, quality) for image in pixels]
        decoded = to_float_images(np.stack([decode_jpeg(file) for file in files]).reshape(pixels.shape))
        whole, scan = (float(np.mean([size(file) for file in files])) for size in (len, scan_bytes))
        point = measure_point("jpeg", f"quality {quality}", whole, images, decoded)
        yield from (point, point._replace(codec="jpeg without headers", bytes=scan))
    yield from component_points(to_float_images(dataset.train.image), images)


def measure_point(codec: str, setting: str, size: float, images: np.ndarray, decoded: np.ndarray) -> Point:
    """Returns the point of images [N, H, W, C] and their decoded versions, in [0, 1], at `size` bytes per image."""
    return Point(codec, setting, size, float(psnr(images, decoded).mean()), float(ssim(images, decoded).mean()))


def encode_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """Returns an image, uint8 [H, W, 1 or 3], as a baseline JPEG file."""
    from PIL import Image

    file = io.BytesIO()
    image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    image.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def decode_jpeg(file: bytes) -> np.ndarray:
    """Returns the pixels of a file: uint8 [H, W] or [H, W, 3]."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(file)))


def scan_bytes(file: bytes) -> int:
    """Returns the length of a baseline file's entropy-coded scan, between the scan's header and the end marker.

    Every segment before the scan is 0xFF, a marker, and a length in two bytes that includes these two bytes (ITU T.81,
    B.1.1.4).
    """
    place = 2  # after the start marker
    while (marker := file[place + 1]) != 0xDA:  # start of scan
        place += 2 + int.from_bytes(file[place + 2 : place + 4], "big")
        assert file[place] == 0xFF, f"no marker after segment {marker:#x}"
    place += 2 + int.from_bytes(file[place + 2 : place + 4], "big")
    return len(file) - place - 2  # without the end marker


def component_points(train: np.ndarray, images: np.ndarray) -> Iterator[Point]:
    """Yields points of images stored as their first principal components, one byte each.

    Args:
      train: training images [M, H, W, C] in [0, 1], which give mean, components and ranges.
      images: images [N, H, W, C] in [0, 1].

    Yields:
      A point for every number in COMPONENTS that the training images allow.
    """
    from sklearn.decomposition import PCA

    flat, most = train.reshape(len(train), -1), min(len(train), train[0].size)
    counts = [count for count in COMPONENTS if count <= most]
    pca = PCA(counts[-1], random_state=0).fit(flat)
    coefficients = quantize(pca.transform(images.reshape(len(images), -1)), pca.transform(flat))
    for count in counts:
        decoded = pca.mean_ + coefficients[:, :count] @ pca.components_[:count]
        decoded = decoded.clip(0, 1).astype(np.float32).reshape(images.shape)
        yield measure_point("pca", f"components {count}", float(count), images, decoded)


def quantize(coefficients: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Rounds coefficients [N, Z] to 256 even levels from the smallest to the largest training coefficient [M, Z]."""
    low, high = train.min(0), train.max(0)
    step = np.maximum(high - low, 1e-12) / (LEVELS - 1)  # positive also for a component that is constant in training
    return low + step * np.rint((coefficients - low) / step).clip(0, LEVELS - 1)


def plot_points(points: Sequence[Point], title: str) -> plotting.Picture:
    """Plots PSNR and SSIM against bytes per image, one color and line per codec."""
    figure = plotting.new_figure(11.0, 4.4)
    panels = figure.subplots(1, 2)
    for panel, quality, label in zip(panels, ("psnr", "ssim"), ("PSNR (dB)", "SSIM"), strict=True):
        for color, codec in zip(plotting.PALETTE, dict.fromkeys(point.codec for point in points), strict=False):
            line = sorted((point.bytes, getattr(point, quality)) for point in points if point.codec == codec)
            panel.plot(*zip(*line, strict=True), "o-", color=color, label=codec)
        for point in points:
            if point.codec == "autoencoder":
                at = (point.bytes, getattr(point, quality))
                panel.annotate(point.setting, at, (6, -10), textcoords="offset points", fontsize=8)
        panel.set(xlabel="bytes per image", ylabel=label, xscale="log", title=title)
        panel.grid(alpha=0.25)
        panel.margins(0.1)  # room for the names beside points
    panels[0].legend(frameon=False)
    return plotting.render_figure(figure)


if __name__ == "__main__":
    sys.exit(main())
