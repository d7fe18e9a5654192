"""Bytes per image against quality: binary codes beside JPEG and beside quantized principal components.

    python -m benchmarks.quality.compression runs/hash_ae-mnist
    python -m benchmarks.quality.compression runs/hash_ae-mnist runs/hash_64 --draw=docs/compression.png

Every RUN is the workdir of a trained model whose codes are bits; all of them on one data set. Each row is a mean over
the images of a held-out split: PSNR in dB, SSIM, and bytes per image. What the bytes count:
  autoencoder           bits / 8: the code. The decoder, which both sides must have, is not counted.
  pca                   one byte a component, of 256 even levels over the range that the training images take there.
                        Mean, components and ranges, which both sides must have, are not counted.
  jpeg                  the whole file as Pillow writes it with optimize=True, at qualities 1 to 95.
  jpeg without headers  the entropy-coded scan of the same file alone, without markers and tables: what would be left
                        if both sides had the tables. A lower bound, as optimize=True makes Huffman tables per image.
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
from jaxgen.metrics.image_similarity import psnr, ssim

QUALITIES = (1, 5, 10, 20, 30, 50, 75, 95)
COMPONENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LEVELS = 256  # of a coefficient: one byte
COLUMNS = {name: name for name in ("codec", "setting", "bytes", "psnr", "ssim")}


class Point(NamedTuple):
    """A way to store an image, what it costs and what comes back: means over images."""

    codec: str
    setting: str
    bytes: float
    psnr: float  # dB
    ssim: float


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 for a user's mistake."""
    options = parse(argv)
    return records.main(lambda: run(options), COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = records.parser("quality.compression", "compression", __doc__)
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="workdirs of trained models")
    add("--split", choices=("test", "validation"), default="test", help="whose images are stored")
    add("--draw", type=Path, metavar="FILE", help="a picture of the rows as well")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Adds a row a point to `options.out`, and draws them where that is asked for.

    Raises:
      ValueError: a run is none, or not of bits, or of another data set than the first; the file can't be written.
    """
    records.prepare(options.out)
    models = {folder: jaxgen.load(folder) for folder in options.runs}
    dataset = dataset_of(models)
    points = [*of_models(models, dataset, options.split), *baselines(dataset, options.split)]
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
        plotting.write_png(options.draw, drawn(points, f"{dataset.name}, {options.split} split"))
    return rows


def dataset_of(models: dict[str, TrainedModel]) -> Dataset:
    """The one data set of all models.

    Raises:
      ValueError: they have several.
    """
    (first, model), *others = models.items()
    for other, each in others:
        if each.config["data"] != model.config["data"]:
            names = (each.config["data"]["name"], model.config["data"]["name"])
            raise ValueError(f"{other} is of {names[0]}, {first} of {names[1]}: compare runs of one data set")
    return load_dataset(ConfigDict(model.config["data"]))


def of_models(models: dict[str, TrainedModel], dataset: Dataset, split: str) -> Iterator[Point]:
    """A point a run, named by its folder."""
    images = to_float_images(getattr(dataset, split).image)
    for run, model in models.items():
        codes = model.encode(images)
        if len(np.unique(codes)) > 2:
            raise ValueError(
                f"{run} has codes of real numbers; bytes are counted of bits alone; name runs of configs/hash_ae.py"
            )
        yield measured("autoencoder", Path(run).name, codes.shape[1] / 8, images, model.decode(codes))


def baselines(dataset: Dataset, split: str) -> Iterator[Point]:
    """JPEG at its qualities, and principal components of the training images by their number."""
    pixels = getattr(dataset, split).image
    images = to_float_images(pixels)
    for quality in QUALITIES:
        files = [jpeg(image, quality) for image in pixels]
        found = to_float_images(np.stack([from_jpeg(file) for file in files]).reshape(pixels.shape))
        whole, scan = (float(np.mean([size(file) for file in files])) for size in (len, scan_bytes))
        point = measured("jpeg", f"quality {quality}", whole, images, found)
        yield from (point, point._replace(codec="jpeg without headers", bytes=scan))
    yield from of_components(to_float_images(dataset.train.image), images)


def measured(codec: str, setting: str, size: float, images: np.ndarray, found: np.ndarray) -> Point:
    """The point of what comes back of images [N, H, W, C]."""
    return Point(codec, setting, size, float(psnr(images, found).mean()), float(ssim(images, found).mean()))


def jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """An image uint8 [H, W, 1 or 3] as a baseline JPEG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(
        file, "JPEG", quality=quality, optimize=True
    )
    return file.getvalue()


def from_jpeg(file: bytes) -> np.ndarray:
    """The pixels of a file: uint8 [H, W] or [H, W, 3]."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(file)))


def scan_bytes(file: bytes) -> int:
    """The length of a baseline file's entropy-coded scan, which is what lies between its header and the end marker.

    Every segment before it is 0xFF, a marker, and its length in two bytes that count themselves (ITU T.81, B.1.1.4).
    """
    place = 2  # behind the start marker
    while (marker := file[place + 1]) != 0xDA:  # start of scan
        place += 2 + int.from_bytes(file[place + 2 : place + 4], "big")
        assert file[place] == 0xFF, f"no marker behind segment {marker:#x}"
    place += 2 + int.from_bytes(file[place + 2 : place + 4], "big")
    return len(file) - place - 2  # without the end marker


def of_components(train: np.ndarray, images: np.ndarray) -> Iterator[Point]:
    """Images by their first components, a byte each, for every number in COMPONENTS that the training images allow."""
    from sklearn.decomposition import PCA

    flat, most = train.reshape(len(train), -1), min(len(train), train[0].size)
    counts = [count for count in COMPONENTS if count <= most]
    fitted = PCA(counts[-1], random_state=0).fit(flat)
    coefficients = quantized(fitted.transform(images.reshape(len(images), -1)), fitted.transform(flat))
    for count in counts:
        found = fitted.mean_ + coefficients[:, :count] @ fitted.components_[:count]
        found = found.clip(0, 1).astype(np.float32).reshape(images.shape)
        yield measured("pca", f"components {count}", float(count), images, found)


def quantized(coefficients: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Coefficients [N, Z] as the nearest of 256 even levels from the least to the largest training one, of [M, Z]."""
    low, high = train.min(0), train.max(0)
    step = np.maximum(high - low, 1e-12) / (LEVELS - 1)  # a component that never varies keeps its one level
    return low + step * np.rint((coefficients - low) / step).clip(0, LEVELS - 1)


def drawn(points: Sequence[Point], title: str) -> plotting.Picture:
    """PSNR and SSIM against bytes per image, a color a codec; its points are joined by a line in order of bytes."""
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
        panel.margins(0.1)  # room for what is written beside a point
    panels[0].legend(frameon=False)
    return plotting.render_figure(figure)


if __name__ == "__main__":
    sys.exit(main())
