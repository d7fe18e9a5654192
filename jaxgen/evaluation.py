"""Measures of a model, by the names that an algorithm lists in `evaluations`."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgen import quality
from jaxgen.algorithms import Algorithm
from jaxgen.algorithms.autoencoder import noised
from jaxgen.data import Dataset, as_images, padded_batches
from jaxgen.metrics import clusters, parzen, separation
from jaxgen.metrics.codes import active_units
from jaxgen.metrics.coverage import NEIGHBOURS
from jaxgen.metrics.gap import kernel_distance
from jaxgen.metrics.images import psnr, ssim
from jaxgen.metrics.likelihood import IMAGES_AT_ONCE, bounds
from jaxgen.metrics.retrieval import mean_average_precision, pca_sign_codes
from jaxgen.metrics.separation import Codes
from jaxgen.model import Model
from jaxgen.types import Batch, Data, Measures, Metrics

WATCHED = 2000  # images drawn, at most, to be measured as training goes on
GAP_SAMPLES = 2000  # the kernel distance takes time and memory quadratic in this


def report(model: Model, dataset: Dataset, config) -> Measures:
    """All measures that the model's family lists, on the split `config.evaluation.split`; the test split: use once."""
    metrics = {}
    for name in model.algorithm.evaluations:
        metrics |= EVALUATIONS[name](model, dataset, config)
    return metrics


def watch(model: Model, dataset: Dataset, config, measures: Callable) -> dict[str, float]:
    """What is measured on the validation split as training goes on: of each example, and what the family watches."""
    metrics = mean_measures(measures, model.params, model.stats, dataset.validation)
    options = {"split": "validation", "samplers": ("prior",)}
    options["quality_samples"] = min(config.evaluation.quality_samples, WATCHED)
    config = ConfigDict({**config, "evaluation": {**config.evaluation, **options}})
    for name in model.algorithm.watched:
        metrics |= EVALUATIONS[name](model, dataset, config)
    return quality.single(metrics)


def held_out(dataset: Dataset, config) -> Data:
    """The split that a run is judged by: "test", or "validation" while recipes are being chosen."""
    return getattr(dataset, config.evaluation.split)


def check(config, algorithm: Algorithm, dataset: Dataset) -> None:
    """Refuses what could not be measured, before anything is compiled.

    Raises:
      ValueError: the family does not measure `best_metric` per example; or a split that drawn images are compared with
        has too few to have as many neighbours as precision and recall look at.
    """
    for split, measured in (("validation", algorithm.watched), (config.evaluation.split, algorithm.evaluations)):
        images = len(getattr(dataset, split).label)
        if images <= NEIGHBOURS and "sample_quality" in measured:
            enough = math.ceil((NEIGHBOURS + 1) / config.data.held_out)
            raise ValueError(
                f"{dataset.name} has {images} images in its {split} split, and what is measured of drawn images takes "
                f"{NEIGHBOURS + 1} at the least; give more: a folder of {enough} has as many"
            )
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    image, one = algorithm.example_image(), jnp.zeros(1, jnp.int32)
    batch = Batch(image, one, jnp.ones(1))
    measures = jax.eval_shape(algorithm.evaluate, state.params, state.stats, batch, jax.random.key(0))
    known = {*measures, *(quality.WATCHED if "sample_quality" in algorithm.watched else ())}
    if config.best_metric not in known:
        known = ", ".join(sorted(known))
        raise ValueError(f'best_metric="{config.best_metric}" is not measured; choose one of {known}')


def compile_measures(algorithm: Algorithm) -> Callable[[dict, dict, Batch, int], Metrics]:
    """Compiles `(params, stats, batch, number) -> sums over the batch's real examples` of what the family measures.

    What it draws is told by the batch's number.
    """

    @jax.jit
    def sums(params, stats, batch, number):
        rng = jax.random.fold_in(jax.random.key(0), number)
        measures = algorithm.evaluate(params, stats, batch, rng)
        return {name: (value * batch.mask).sum() for name, value in measures.items()}

    return sums


def mean_measures(sums: Callable, params, stats, data: Data, batch_size: int = 500) -> dict[str, float]:
    """The mean over a split of what a family measures per example; every example counts once."""
    total: dict[str, float] = {}
    for number, batch in enumerate(padded_batches(data, batch_size)):
        for name, value in jax.device_get(sums(params, stats, batch, number)).items():
            total[name] = total.get(name, 0.0) + float(value)
    return {name: value / len(data.image) for name, value in total.items()}


def of_each(model: Model, dataset: Dataset, config, names: tuple[str, ...]) -> dict[str, float]:
    """Those of the measures of each example that the family has, mean over the split."""
    measures = mean_measures(compile_measures(model.algorithm), model.params, model.stats, held_out(dataset, config))
    return {name: measures[name] for name in names if name in measures}


def likelihood(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """Bounds on the likelihood, nats per image: `nll` by importance weights, `elbo` and its two parts; `active_units`.

    `nll` is minus the importance-weighted bound of `config.evaluation.importance_samples` draws.
    """
    data, algorithm = held_out(dataset, config), model.algorithm
    batches, draws = padded_batches(data, IMAGES_AT_ONCE), config.evaluation.importance_samples
    found = bounds(algorithm.log_weights, model.params, model.stats, batches, draws, seed=config.seed)
    measures = mean_measures(compile_measures(algorithm), model.params, model.stats, data)
    elbo = float(found.elbo.mean())
    return {
        "nll": -float(found.importance_weighted.mean()),
        "elbo": elbo,
        "kl": measures["kl"],
        "distortion": -elbo - measures["kl"],
        "active_units": float(active_units(model.mean_codes(as_images(data.image), data.label))),
    }


def classification(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """`test_error`, the share of the split's images whose class the encoder reads wrongly."""
    data = held_out(dataset, config)
    return {"test_error": float((model.categorise(as_images(data.image)) != data.label).mean())}


def clustering(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """`cluster_error` of the split, each cluster standing for its commonest class on the validation split."""
    data, validation, heads = held_out(dataset, config), dataset.validation, model.algorithm.num_labels
    classes = clusters.class_of_each(model.categorise(as_images(validation.image)), validation.label, heads)
    found = model.categorise(as_images(data.image))
    return {
        "cluster_error": clusters.cluster_error(found, data.label, classes),
        "clusters_used": float(len(np.unique(found))),
    }


def separate(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """Separation of style and content; see `jaxgen.metrics.separation`."""
    options = config.evaluation
    judge = quality.classifier_of(dataset, options.classifier_steps)
    data = held_out(dataset, config)
    train, others = codes_of(model, dataset.train), codes_of(model, data)
    prior = model.prior_codes(options.samples_per_class, seed=config.seed)
    return {
        "content_accuracy": separation.content_accuracy(prior, model.decode, judge, dataset.num_classes),
        "swap_accuracy": separation.swap_accuracy(others, model.decode, judge, dataset.num_classes),
        "style_consistency": separation.style_consistency(prior, model.decode, dataset.num_classes),
        "style_leakage": separation.style_leakage(train, others, options.probe_epochs),
        "classifier_accuracy": judge.accuracy(data),
    }


def gap(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """Distance of the held-out codes from the prior, beside that of two prior samples, and the codes' spread."""
    code = codes_of(model, held_out(dataset, config)).code[:GAP_SAMPLES]
    first, second = (model.prior_codes(len(code), seed=config.seed + shift) for shift in (1, 2))
    scale = model.algorithm.prior.std
    spread = code.std(axis=0) / scale
    return {
        "prior_gap": kernel_distance(code, first, scale),
        "prior_gap_floor": kernel_distance(second, first, scale),
        "code_std_min": float(spread.min()),
        "code_std_max": float(spread.max()),
    }


def own_component(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """The share of held-out codes that lie nearest to the piece of the prior that their class was given."""
    codes, prior = codes_of(model, held_out(dataset, config)), model.algorithm.prior
    draws = prior.sample_piece(jax.random.key(config.seed + 1), jnp.asarray(codes.label))
    return {
        "own_component_share": float((prior.nearest_piece(jnp.asarray(codes.code)) == codes.label).mean()),
        "own_component_share_of_prior": float((prior.nearest_piece(draws) == codes.label).mean()),
    }


def parzen_window(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """Log-likelihood in nats by a Parzen window over images that are drawn from the prior; see `metrics.parzen`."""
    drawn = model.sample(config.evaluation.parzen_samples, seed=config.seed)
    data, validation = (as_images(split.image) for split in (held_out(dataset, config), dataset.validation))
    found = parzen.parzen(*(images.reshape(len(images), -1) for images in (drawn, validation, data)))
    return {"parzen_log_likelihood": found.log_likelihood, "parzen_std": found.std}


def colouring(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """`colour_mse` over all channels, pixels in [0, 1], beside `uncoloured_mse`, that of the grey images shown."""
    return mean_measures(compile_measures(model.algorithm), model.params, model.stats, held_out(dataset, config))


def image_quality(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """`psnr` in dB and `ssim` of the split's reconstructions, mean over the images."""
    data = held_out(dataset, config)
    images, labels = as_images(data.image), None if model.algorithm.reads_category else data.label
    reconstructed = model.reconstruct(images, labels)
    return {"psnr": float(psnr(images, reconstructed).mean()), "ssim": float(ssim(images, reconstructed).mean())}


def retrieve(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """Mean average precision of finding training images of a held-out image's class by its binary code.

    Beside it that of as many bits by the signs of principal components, and that of the pixels themselves.
    """
    queries, count = held_out(dataset, config), config.evaluation.retrieval_base
    base = Data(dataset.train.image[:count], dataset.train.label[:count])
    images = as_images(queries.image), as_images(base.image)
    codes = as_bits(*(model.encode(each) for each in images))  # no label is told: it is what is looked for
    signs = [pca_sign_codes(images[1], each, codes[1].shape[1]) for each in images]
    pixels = [each.reshape(len(each), -1) for each in images]

    def precision(query, found, distance):
        return mean_average_precision(query, queries.label, found, base.label, distance)

    return {
        "retrieval_map": precision(*codes, "hamming"),
        "retrieval_map_pca_sign": precision(*signs, "hamming"),
        "retrieval_map_pixels": precision(*pixels, "euclidean"),
    }


def as_bits(*codes: np.ndarray) -> list[np.ndarray]:
    """Codes of two values, whichever they are, as 0 and 1: the bit is set above the midpoint of all."""
    midpoint = (min(each.min() for each in codes) + max(each.max() for each in codes)) / 2
    return [(each > midpoint).astype(np.int32) for each in codes]


def content(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """`content_accuracy`: how often what is drawn is, to the data set's classifier, of the class that was asked for."""
    options = config.evaluation
    judge = quality.classifier_of(dataset, options.classifier_steps)
    codes = model.prior_codes(options.samples_per_class, seed=config.seed)
    return {"content_accuracy": separation.content_accuracy(codes, model.decode, judge, dataset.num_classes)}


def sample_quality(model: Model, dataset: Dataset, config) -> Measures:
    """How near drawn images are to the held-out ones, and how varied; see `quality.report`."""
    return quality.report(model, dataset, held_out(dataset, config), config)


def reconstruction_quality(model: Model, dataset: Dataset, config) -> Measures:
    """How near a split's reconstructions are to it as a whole, by a classifier's features."""
    return quality.of_reconstructions(model, dataset, held_out(dataset, config), config)


def denoising(model: Model, dataset: Dataset, config) -> dict[str, float]:
    """`psnr_gain`, dB: how much nearer to the clean images the model's outputs are than the noisy ones it was given.

    The noise is that of training, clipped to [0, 1] as a picture is; `psnr_noisy` and `psnr_denoised` beside it.
    """
    clean = as_images(held_out(dataset, config).image)
    noisy = np.asarray(noised(jnp.asarray(clean), jax.random.key(config.seed), model.algorithm.noise))
    before, after = (float(psnr(clean, images).mean()) for images in (noisy, model.reconstruct(noisy)))
    return {"psnr_noisy": before, "psnr_denoised": after, "psnr_gain": after - before}


EVALUATIONS = {
    "denoising": denoising,
    "image_quality": image_quality,
    "retrieval": retrieve,
    "reconstruction_quality": reconstruction_quality,
    "sample_quality": sample_quality,
    "content": content,
    "critic": partial(of_each, names=("d_real", "d_fake")),  # see `GAN.evaluate`
    "parzen": parzen_window,
    "reconstruction": partial(of_each, names=("mse", "nll")),  # pixels in [0, 1]; nats, where pixels have a likelihood
    "likelihood": likelihood,
    "separation": separate,
    "prior_gap": gap,
    "own_component": own_component,
    "classification": classification,
    "clustering": clustering,
    "colouring": colouring,
}


def codes_of(model: Model, data: Data) -> Codes:
    return Codes(model.encode(as_images(data.image), data.label), data.label)
