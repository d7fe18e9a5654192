"""Autoencoders and VAEs on MNIST and on anime faces, beside baselines.

    python -m benchmarks.quality.autoencoders                                every table, with the CPU budget
    python -m benchmarks.quality.autoencoders likelihood --budget=paper      the full budget: hours on a CPU, for a GPU
    python -m benchmarks.quality.autoencoders faces --override=data.path=FACES

Every row is one run of `launch.py` with --config.num_seeds seeds, in a workdir of its own below --workdir. A run that
was interrupted resumes; a run that has finished is only read. Figures come from results.json: the test split, used
once, at the end of a run; mean ± standard deviation (n - 1) over seeds. The same command measures the baselines: the
tutorial's recipe for the same number of epochs, principal components of the same training images, another sampler.
Likelihoods are in nats, for MNIST binarized once (our random binarization). The number of importance-weighted samples
is in results.json.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from benchmarks.common import tables
from benchmarks.common.tables import Row

BYTE = 255.0**2  # ratio of squared errors of pixels in 0-255 to those of pixels in [0, 1]


def pair(config: str, target: str = "") -> list[Row]:
    """Returns lines of a recipe and of the tutorial's recipe, for the same number of epochs."""
    name = config.partition(":")[0]
    return [
        Row(name, config, "mse", target or "at most the tutorial's"),
        Row(f"{name}, tutorial", f"{config},tutorial", "mse", "measured beside"),
    ]


SAMPLERS = (("prior", ""), ("mixture", "_mixture"), ("two-stage", "_two_stage"))
LIKELIHOOD = (200_000, 1_000_000)  # steps: CPU, paper
WEIGHTED = (150_000, 3_000_000)
VAE = Row("vae, negative log-likelihood", "vae:mnist", "nll", "≤ 89.8 nats", *LIKELIHOOD)
FIFTY = {"num_importance_samples": 50, "batch_size": 20, "learning_rates.elbo": 3e-4}
# The VAE, trained further by the importance-weighted bound (Burda et al. 2016, section 5.2).
CONTINUED = (80_000, 1_000_000, FIFTY, "", VAE)
FEW = {"evaluation.importance_samples": 100}
CONV = Row("vae:conv, ELBO", "vae:mnist,conv", "elbo", "", 50_000, 500_000, FEW)
CONV_CONTINUED = (5000, 100_000, FIFTY, "", CONV)
TABLES = {
    "reconstruction": [
        *pair("ae:mnist"),
        *pair("deep_ae:mnist"),
        *pair("conv_ae:mnist"),
        Row("denoising_ae, gain", "denoising_ae:mnist", "psnr_gain", "≥ 8 dB"),
    ],
    "retrieval": [
        Row("hash_ae, 32 bits", "hash_ae:mnist", "retrieval_map", "15 points above PCA-sign"),
        Row("PCA-sign, 32 bits", "hash_ae:mnist", "retrieval_map_pca_sign", "measured beside"),
        Row("pixels", "hash_ae:mnist", "retrieval_map_pixels", "measured beside"),
    ],
    "likelihood": [
        VAE,
        Row("vae, ELBO", "vae:mnist", "elbo", "", *LIKELIHOOD),
        Row("vae, active units", "vae:mnist", "active_units", "", *LIKELIHOOD),
        Row("vae, then 50 draws", "vae:mnist", "nll", "≤ 87.1 nats", *CONTINUED),
        Row("vae, then 50 draws, active units", "vae:mnist", "active_units", "", *CONTINUED),
        CONV,
        CONV._replace(name="vae:conv, bound of 100 draws", metric="nll"),
        Row("vae:conv, then 50 draws", "vae:mnist,conv", "nll", "≤ 87.1 nats", *CONV_CONTINUED),
        Row("vae:conv, then 50 draws, active units", "vae:mnist,conv", "active_units", "", *CONV_CONTINUED),
        Row("50 draws from the start", "vae:mnist,weighted", "nll", "≤ 87.1 nats", *WEIGHTED),
        Row("50 draws from the start, active units", "vae:mnist,weighted", "active_units", "", *WEIGHTED),
    ],
    "samplers": [
        *(Row(f"ae, {name}", "ae:mnist", f"frechet_distance{behind}", "") for name, behind in SAMPLERS),
        *(Row(f"vae, {name}", "vae:mnist", f"frechet_distance{behind}", "", *LIKELIHOOD) for name, behind in SAMPLERS),
        Row("training images", "vae:mnist", "frechet_distance_train_baseline", "the least to expect", *LIKELIHOOD),
    ],
    "faces": [
        Row("anime_vae", "anime_vae", "mse", "below 10 principal components"),
        Row("anime_vae:conv", "anime_vae:conv", "mse", "at most anime_vae's"),
        Row("anime_vae:tutorial", "anime_vae:tutorial", "mse", "measured beside"),
        Row("anime_vae, codes' distance from the prior", "anime_vae", "prior_mmd", "near two draws of the prior"),
        Row("two draws of the prior", "anime_vae", "prior_mmd_baseline", "measured beside"),
        Row("anime_vae, active units", "anime_vae", "active_units", "≥ 9 of 10"),
        Row("anime_vae:tutorial, active units", "anime_vae:tutorial", "active_units", "measured beside"),
        *(Row(f"anime_vae, {name}", "anime_vae", f"frechet_distance{behind}", "") for name, behind in SAMPLERS),
    ],
    "colors": [
        Row("colorizer, VAE's faces", "colorizer", "color_mse", "below the published net's", vae="anime_vae"),
        Row("published net, VAE's faces", "colorizer:published", "color_mse", "measured beside", vae="anime_vae"),
        Row("uncolored, VAE's faces", "colorizer", "grayscale_baseline_mse", "measured beside", vae="anime_vae"),
        Row("colorizer, gray originals", "colorizer", "color_mse", "below the published net's"),
        Row("published net, gray originals", "colorizer:published", "color_mse", "measured beside"),
        Row("uncolored, gray originals", "colorizer", "grayscale_baseline_mse", "measured beside"),
    ],
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return tables.run(lambda: parse(argv), measure_rows, tables.COLUMNS)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    return tables.parse("quality.autoencoders", "autoencoder_tables", __doc__, TABLES, argv)


def measure_rows(table: str, options: argparse.Namespace) -> Iterator[dict]:
    """Yields the recorded rows of a table, with the baselines that need no run."""
    yield from tables.measure_rows(table, TABLES[table], options)
    if table == "faces" and options.only == "*":
        yield from measure_principal_components(options)


def measure_principal_components(options: argparse.Namespace, count: int = 10) -> Iterator[dict]:
    """Yields rows of the faces' baseline: the mean training face plus `count` principal components of training faces.

    One row is on the test faces; another is on all faces, on the scale 0 to 255, with the model beside it. On that
    scale the tutorial author's own weights reach 2073, and components fitted to all faces 1713.
    """
    import jaxgen
    from jaxgen.data import load_dataset

    first = TABLES["faces"][0]
    results, workdir = tables.load_or_run(first, options), tables.workdir_of(first, options)
    config = jaxgen.load(workdir).config
    dataset = load_dataset(ConfigDict(config["data"]))
    train, test = (flatten_images(split.image) for split in (dataset.train, dataset.test))
    all_faces = np.concatenate([train, flatten_images(dataset.validation.image), test])
    untrained = results | {"step": 0, "seconds": 0.0}

    def row(results: dict, name: str, metric: str, target: str, *values: float) -> dict:
        line = Row(name, first.config, metric, target)
        return tables.record(
            "faces", line, options, results | tables.summarize_seeds([{metric: value} for value in values])
        )

    error = mean_squared_error(project(train, test, count), test)
    yield row(untrained, f"{count} principal components", "mse", "measured beside", error)
    error = BYTE * mean_squared_error(project(train, all_faces, count), all_faces)
    yield row(untrained, f"{count} principal components, all faces, 0-255", "mse_all", "measured beside", error)
    models = [jaxgen.load(workdir, seed=seed) for seed in seed_range(config)]
    errors = [BYTE * reconstruction_error(trained, all_faces, dataset.image_shape) for trained in models]
    yield row(results, "anime_vae, all faces, 0-255", "mse_all", "< 1713", *errors)


def seed_range(config: Mapping) -> range:
    """Returns the seeds of a run."""
    return range(config["seed"], config["seed"] + config["num_seeds"])


def flatten_images(images: np.ndarray) -> np.ndarray:
    """Returns uint8 images as rows of pixels in [0, 1]."""
    return images.reshape(len(images), -1) / 255


def project(train: np.ndarray, images: np.ndarray, count: int) -> np.ndarray:
    """Projects images onto the training mean plus `count` principal components of the training images.

    Args:
      train: training images as rows, in [0, 1].
      images: images as rows, in [0, 1].
      count: number of components.
    """
    from sklearn.decomposition import PCA

    pca = PCA(count, svd_solver="full").fit(train)
    return np.clip(pca.inverse_transform(pca.transform(images)), 0, 1)


def mean_squared_error(images: np.ndarray, others: np.ndarray) -> float:
    """Returns the mean squared difference of pixels."""
    return float(np.square(images - others).mean())


def reconstruction_error(trained, rows: np.ndarray, image_shape: tuple[int, ...]) -> float:
    """Returns a trained model's mean squared error on images given as rows, decoded from their mean codes."""
    images = rows.reshape(len(rows), *image_shape).astype(np.float32)
    return mean_squared_error(trained.reconstruct(images), images)


if __name__ == "__main__":
    sys.exit(main())
