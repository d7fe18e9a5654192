"""What precision, recall, coverage and distances say about noise, gray images, training images and a GAN's samples.

    python -m benchmarks.quality.sample_metrics                    the digits, with a GAN that is trained first
    python -m benchmarks.quality.sample_metrics --workdir=runs/gan     with a run of configs/gan.py

Each row is one set of 1,400 images beside the test split of the bundled digits, by the features of their classifier.
Precision is measured even where an evaluation omits it. A workdir without a finished run is trained in a minute.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

import jaxgen
from benchmarks.common import records
from jaxgen.data import Dataset, load_dataset, to_float_images
from jaxgen.evaluation import sample_quality
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.metrics.precision_recall import coverage, is_precision_meaningful, precision_and_recall

METRICS = ("precision", "recall", "coverage", "diversity", "frechet_distance")
COLUMNS = {name: name for name in ("images", *METRICS, "precision_is_shown")}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 after a user's mistake."""
    options = parse(argv)
    return records.run_and_print(lambda: run(options), COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = records.parser("quality.sample_metrics", "sample_metrics", __doc__)
    help_text = "workdir of a finished run of a GAN of the digits, or of a run to train (default: %(default)s)"
    parser.add_argument("--workdir", type=Path, default=Path("runs/gan"), metavar="DIR", help=help_text)
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures each set of images and appends a row for it to `options.out`.

    Raises:
      ValueError: the file cannot be written.
    """
    records.prepare(options.out)
    if not (options.workdir / "results.json").exists():
        records.load_or_run("gan", options.workdir, ())
    model = jaxgen.load(options.workdir)
    dataset = load_dataset(ConfigDict(model.config["data"]))
    steps = model.config["evaluation"]["classifier_steps"]
    common = {"dataset": dataset.name, "split": "test", "steps": model.step, **records.provenance(jax.devices()[0])}
    rows = [
        {"images": name, **measure(images, dataset, steps), **common} for name, images in image_sets(model, dataset)
    ]
    for row in rows:
        records.append(options.out, row)
    return rows


def image_sets(model: TrainedModel, dataset: Dataset) -> Iterator[tuple[str, np.ndarray]]:
    """Yields sets of equally many images by name."""
    numbers, training_images = np.random.default_rng(0), to_float_images(dataset.train.image)
    shape = training_images.shape
    yield "uniform noise", numbers.random(shape, dtype=np.float32)
    yield "gray images", np.full(shape, 0.5, np.float32)
    yield "one training image", np.broadcast_to(training_images[:1], shape)
    yield "training images", training_images[numbers.permutation(len(training_images))]
    yield "trained GAN", model.sample(len(training_images))


def measure(images: np.ndarray, dataset: Dataset, steps: int) -> dict:
    """Returns the metrics of images beside the test split, and whether an evaluation shows their precision."""
    classifier = sample_quality.load_dataset_classifier(dataset, steps)
    features, expected = classifier.features(images), classifier.features(to_float_images(dataset.test.image))
    found = sample_quality.compare_features(classifier, images, expected, dataset.num_classes)
    precision, recall = precision_and_recall(features, expected)
    is_shown = is_precision_meaningful(recall, coverage(features, expected))
    return {**{name: found.get(name, precision) for name in METRICS}, "precision_is_shown": is_shown}


if __name__ == "__main__":
    sys.exit(main())
