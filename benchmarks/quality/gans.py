"""Distance of GAN and VAE/GAN samples from the data: our recipes beside the tutorials'.

    python -m benchmarks.quality.gans                                        every table, with the CPU budget
    python -m benchmarks.quality.gans mnist --only=gan*                      some rows of one
    python -m benchmarks.quality.gans faces --override=data.path=FACES       images of 64 × 64 pixels in a folder

Every row is one run of `launch.py` with --config.num_seeds seeds, in a workdir of its own below --workdir. For faces,
each seed is a run of its own (--seeds=1 --override=seed=2 for the third). A run that was interrupted resumes; a run
that has finished is only read. Figures come from results.json: 10,000 samples against the test split, used once, at the
end of a run; mean ± standard deviation (n - 1) over seeds. The features come from one classifier per data set, which
has no part in training. Fréchet distances of these features are comparable only with each other.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from benchmarks.common import tables
from benchmarks.common.tables import Row


def row(name: str, config: str, metric: str, target: str = "") -> Row:
    """Returns a line with a metric of a recipe, trained for the recipe's own number of steps."""
    return Row(name, config, metric, target or "measured beside", separate_seeds=config in SEPARATE_SEEDS)


GAN, TUTORIAL = "gan:mnist", "gan:mnist,tutorial"
CONV = "dcgan:mnist"  # at 28 × 28 pixels, the networks and the recipe are those of conv_gan
CGAN = "cgan:mnist"
DIGITS = (("gan", GAN), ("gan, tutorial", TUTORIAL), ("conv_gan, dcgan", CONV))
VAEGAN, VAE, DCGAN = SEPARATE_SEEDS = "vaegan:faces", "vaegan:faces,vae", "dcgan:faces"
TABLES = {
    "mnist": [
        row("gan", GAN, "frechet_distance", "at most half the tutorial's"),
        row("gan, tutorial", TUTORIAL, "frechet_distance"),
        row("conv_gan, dcgan", CONV, "frechet_distance", "below gan's"),
        row("training images", GAN, "frechet_distance_train_baseline", "the least to expect"),
        row("gan, rarest digit's share", GAN, "min_class_fraction", "≥ 0.05"),
        row("gan, tutorial, rarest digit's share", TUTORIAL, "min_class_fraction"),
        row("conv_gan, dcgan, rarest digit's share", CONV, "min_class_fraction"),
        row("cgan, digits drawn as asked", CGAN, "content_accuracy"),
        *(
            row(f"{name}, {metric}", config, metric)
            for metric in ("kernel_distance", "precision", "recall", "diversity")
            for name, config in DIGITS
        ),
    ],
    "faces": [
        *(
            row(f"{name}, {of}", config, metric, target)
            for of, metric in (("samples", "kernel_distance"), ("reconstructions", "reconstruction_kernel_distance"))
            for name, config, target in (("vaegan", VAEGAN, "below the VAE's"), ("its nets as a VAE", VAE, ""))
        ),
        *(
            row(f"{name}, {of}", config, metric)
            for of, metric in (
                ("samples of the codes' mixture", "kernel_distance_mixture"),
                ("samples, Fréchet distance", "frechet_distance"),
                ("diversity", "diversity"),
                ("reconstructions, error", "mse"),
            )
            for name, config in (("vaegan", VAEGAN), ("its nets as a VAE", VAE))
        ),
        row("dcgan, samples", DCGAN, "kernel_distance"),
        row("dcgan, samples, Fréchet distance", DCGAN, "frechet_distance"),
        row("dcgan, diversity", DCGAN, "diversity"),
        row("dcgan, precision", DCGAN, "precision"),
        row("dcgan, recall", DCGAN, "recall"),
        row("training images, Fréchet distance", DCGAN, "frechet_distance_train_baseline", "the least to expect"),
    ],
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return tables.run(lambda: parse(argv), measure_rows, tables.COLUMNS)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    return tables.parse("quality.gans", "sample_tables", __doc__, TABLES, argv)


def measure_rows(table: str, options: argparse.Namespace) -> Iterator[dict]:
    """Yields the recorded rows of a table."""
    yield from tables.measure_rows(table, TABLES[table], options)


if __name__ == "__main__":
    sys.exit(main())
