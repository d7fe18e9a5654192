"""What autoencoders and VAEs reach on MNIST and on the anime faces, beside what they are measured against.

    python -m benchmarks.quality.autoencoders                                every table, with the CPU budget
    python -m benchmarks.quality.autoencoders likelihood --budget=paper      the full budget: hours on a CPU, for a GPU
    python -m benchmarks.quality.autoencoders faces --override=data.path=FACES

Every row is one run of `launch.py` with --config.num_seeds copies in a workdir of its own below --workdir: what was cut off
resumes, what is finished is only read. Figures are those of results.json: the test split, used once, at the end of a
run; mean ± standard deviation (n - 1) over the seeds. Beside each stands what it is to be compared with, measured by
the same command: the tutorial's recipe at as many epochs, principal components of the same training images, another
sampler.
Likelihoods are of MNIST binarized once (our draw), in nats, by so many importance-weighted draws as results.json says.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from benchmarks.common import tables
from benchmarks.common.tables import Row

BYTE = 255.0**2  # squared errors of pixels from 0 to 255, from those of pixels in [0, 1]


def pair(config: str, target: str = "") -> list[Row]:
    """A recipe and the tutorial's, at as many epochs."""
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
CONTINUED = (80_000, 1_000_000, FIFTY, "", VAE)  # the VAE goes on by the weighted bound (Burda et al. 2016, sec. 5.2)
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
    return tables.run(lambda: parse(argv), measured, tables.COLUMNS)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    return tables.parse("quality.autoencoders", "autoencoder_tables", __doc__, TABLES, argv)


def measured(table: str, options: argparse.Namespace) -> Iterator[dict]:
    """The rows of a table, the baselines that no run holds included."""
    yield from tables.rows(table, TABLES[table], options)
    if table == "faces" and options.only == "*":
        yield from principal_components(options)


def principal_components(options: argparse.Namespace, count: int = 10) -> Iterator[dict]:
    """Rows of the faces' baseline, the mean face plus `count` principal components of the training faces.

    Of the held-out faces, and of all of them on the scale of 0 to 255, where the author's own weights have 2073 and
    components fitted to all faces 1713; there with the model beside them.
    """
    import jaxgen
    from jaxgen.data import load_dataset

    first = TABLES["faces"][0]
    results, workdir = tables.finished(first, options), tables.folder(first, options)
    config = jaxgen.load(workdir).config
    dataset = load_dataset(ConfigDict(config["data"]))
    train, test = (as_rows(split.image) for split in (dataset.train, dataset.test))
    every = np.concatenate([train, as_rows(dataset.validation.image), test])
    untrained = results | {"step": 0, "seconds": 0.0}

    def row(results: dict, name: str, metric: str, target: str, *values: float) -> dict:
        return tables.summary_of(
            "faces",
            Row(name, first.config, metric, target),
            options,
            results | tables.over_seeds([{metric: value} for value in values]),
        )

    error = squared_error(projected(train, test, count), test)
    yield row(untrained, f"{count} principal components", "mse", "measured beside", error)
    error = BYTE * squared_error(projected(train, every, count), every)
    yield row(untrained, f"{count} principal components, all faces, 0-255", "mse_all", "measured beside", error)
    models = [jaxgen.load(workdir, seed=seed) for seed in seeds_of(config)]
    errors = [BYTE * error_of(model, every, dataset.image_shape) for model in models]
    yield row(results, "anime_vae, all faces, 0-255", "mse_all", "< 1713", *errors)


def seeds_of(config: Mapping) -> range:
    return range(config["seed"], config["seed"] + config["seeds"])


def as_rows(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255


def projected(train: np.ndarray, images: np.ndarray, count: int) -> np.ndarray:
    """Images as the training mean and `count` principal components of the training images have them."""
    from sklearn.decomposition import PCA

    pca = PCA(count, svd_solver="full").fit(train)
    return np.clip(pca.inverse_transform(pca.transform(images)), 0, 1)


def squared_error(images: np.ndarray, others: np.ndarray) -> float:
    return float(np.square(images - others).mean())


def error_of(model, rows: np.ndarray, image_shape: tuple[int, ...]) -> float:
    """A model's mean squared error over images given as rows, decoded from their mean codes."""
    images = rows.reshape(len(rows), *image_shape).astype(np.float32)
    return squared_error(model.reconstruct(images), images)


if __name__ == "__main__":
    sys.exit(main())
