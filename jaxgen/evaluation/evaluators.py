"""Measures of a model, by the names that an algorithm lists in `evaluations`."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgen.data import Dataset, padded_batches, to_float_images
from jaxgen.data.transforms import add_gaussian_noise
from jaxgen.evaluation import sample_quality as quality
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.metrics import parzen, style_content
from jaxgen.metrics.clustering import clustering_error, majority_class_per_cluster
from jaxgen.metrics.image_similarity import psnr, ssim
from jaxgen.metrics.importance_weighted_bound import IMAGES_AT_ONCE, likelihood_bounds
from jaxgen.metrics.latent import active_units
from jaxgen.metrics.mmd import imq_mmd
from jaxgen.metrics.precision_recall import NUM_NEIGHBORS
from jaxgen.metrics.retrieval import mean_average_precision, pca_sign_codes
from jaxgen.metrics.style_content import LabeledCodes
from jaxgen.models import GenerativeModel
from jaxgen.types import Batch, EvaluationMetrics, Metrics, Split

MAX_VALIDATION_SAMPLES = 2000  # images drawn, at most, to be measured as training goes on
MAX_MMD_SAMPLES = 2000  # the kernel distance takes time and memory quadratic in this


def evaluate_model(trained: TrainedModel, dataset: Dataset, config) -> EvaluationMetrics:
    """All measures that the model's family lists, on the split `config.evaluation.split`; the test split: use once."""
    metrics = {}
    for name in trained.model.evaluators:
        metrics |= EVALUATORS[name](trained, dataset, config)
    return metrics


def evaluate_validation(trained: TrainedModel, dataset: Dataset, config, measures: Callable) -> dict[str, float]:
    """What is measured on the validation split as training goes on: of each example, and what the family watches."""
    metrics = mean_metrics(measures, trained.params, trained.stats, dataset.validation)
    options = {"split": "validation", "samplers": ("prior",)}
    options["num_samples"] = min(config.evaluation.num_samples, MAX_VALIDATION_SAMPLES)
    config = ConfigDict({**config, "evaluation": {**config.evaluation, **options}})
    for name in trained.model.validation_evaluators:
        metrics |= EVALUATORS[name](trained, dataset, config)
    return quality.scalar_metrics(metrics)


def evaluation_split(dataset: Dataset, config) -> Split:
    """The split that a run is judged by: "test", or "validation" while recipes are being chosen."""
    return getattr(dataset, config.evaluation.split)


def validate_evaluation(config, model: GenerativeModel, dataset: Dataset) -> None:
    """Refuses what could not be measured, before anything is compiled.

    Raises:
      ValueError: the family does not measure `best_metric` per example; or a split that drawn images are compared with
        has too few to have as many neighbours as precision and recall look at.
    """
    for split, measured in (("validation", model.validation_evaluators), (config.evaluation.split, model.evaluators)):
        images = len(getattr(dataset, split).label)
        if images <= NUM_NEIGHBORS and "sample_quality" in measured:
            enough = math.ceil((NUM_NEIGHBORS + 1) / config.data.holdout_fraction)
            raise ValueError(
                f"{dataset.name} has {images} images in its {split} split, and what is measured of drawn images takes "
                f"{NUM_NEIGHBORS + 1} at the least; give more: a folder of {enough} has as many"
            )
    state = jax.eval_shape(model.init, jax.random.key(0))
    image, one = model.example_image(), jnp.zeros(1, jnp.int32)
    batch = Batch(image, one, jnp.ones(1))
    measures = jax.eval_shape(model.per_example_metrics, state.params, state.stats, batch, jax.random.key(0))
    known = {*measures, *(quality.CHECKPOINT_METRICS if "sample_quality" in model.validation_evaluators else ())}
    if config.best_metric not in known:
        known = ", ".join(sorted(known))
        raise ValueError(f'best_metric="{config.best_metric}" is not measured; choose one of {known}')


def compile_metric_sums(model: GenerativeModel) -> Callable[[dict, dict, Batch, int], Metrics]:
    """Compiles `(params, stats, batch, number) -> sums over the batch's real examples` of what the family measures.

    What it draws is told by the batch's number.
    """

    @jax.jit
    def sums(params, stats, batch, number):
        rng = jax.random.fold_in(jax.random.key(0), number)
        measures = model.per_example_metrics(params, stats, batch, rng)
        return {name: (value * batch.mask).sum() for name, value in measures.items()}

    return sums


def mean_metrics(sums: Callable, params, stats, data: Split, batch_size: int = 500) -> dict[str, float]:
    """The mean over a split of what a family measures per example; every example counts once."""
    total: dict[str, float] = {}
    for number, batch in enumerate(padded_batches(data, batch_size)):
        for name, value in jax.device_get(sums(params, stats, batch, number)).items():
            total[name] = total.get(name, 0.0) + float(value)
    return {name: value / len(data.image) for name, value in total.items()}


def selected_metrics(trained: TrainedModel, dataset: Dataset, config, names: tuple[str, ...]) -> dict[str, float]:
    """Those of the measures of each example that the family has, mean over the split."""
    measures = mean_metrics(
        compile_metric_sums(trained.model), trained.params, trained.stats, evaluation_split(dataset, config)
    )
    return {name: measures[name] for name in names if name in measures}


def likelihood(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Bounds on the likelihood, nats per image: `nll` by importance weights, `elbo` and its two parts; `active_units`.

    `nll` is minus the importance-weighted bound of `config.evaluation.importance_samples` draws.
    """
    data, model = evaluation_split(dataset, config), trained.model
    batches, draws = padded_batches(data, IMAGES_AT_ONCE), config.evaluation.importance_samples
    found = likelihood_bounds(model.sample_log_importance_weights, trained.params, trained.stats, batches, draws, seed=config.seed)
    measures = mean_metrics(compile_metric_sums(model), trained.params, trained.stats, data)
    elbo = float(found.elbo.mean())
    return {
        "nll": -float(found.importance_weighted.mean()),
        "elbo": elbo,
        "kl": measures["kl"],
        "distortion": -elbo - measures["kl"],
        "active_units": float(active_units(trained.encode_mean(to_float_images(data.image), data.label))),
    }


def classification(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """`test_error`, the share of the split's images whose class the encoder reads wrongly."""
    data = evaluation_split(dataset, config)
    return {"test_error": float((trained.predict_category(to_float_images(data.image)) != data.label).mean())}


def clustering(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """`cluster_error` of the split, each cluster standing for its commonest class on the validation split."""
    data, validation, heads = evaluation_split(dataset, config), dataset.validation, trained.model.num_conditions
    classes = majority_class_per_cluster(
        trained.predict_category(to_float_images(validation.image)), validation.label, heads
    )
    found = trained.predict_category(to_float_images(data.image))
    return {
        "cluster_error": clustering_error(found, data.label, classes),
        "clusters_used": float(len(np.unique(found))),
    }


def style_content_separation(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Separation of style and content; see `jaxgen.metrics.separation`."""
    options = config.evaluation
    judge = quality.dataset_classifier(dataset, options.classifier_steps)
    data = evaluation_split(dataset, config)
    train, others = encode_split(trained, dataset.train), encode_split(trained, data)
    prior = trained.sample_prior(options.samples_per_class, seed=config.seed)
    return {
        "content_accuracy": style_content.content_accuracy(prior, trained.decode, judge, dataset.num_classes),
        "swap_accuracy": style_content.swap_accuracy(others, trained.decode, judge, dataset.num_classes),
        "style_consistency": style_content.style_consistency(prior, trained.decode, dataset.num_classes),
        "style_leakage": style_content.style_leakage(train, others, options.probe_epochs),
        "classifier_accuracy": judge.accuracy(data),
    }


def prior_mmd(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Distance of the held-out codes from the prior, beside that of two prior samples, and the codes' spread."""
    code = encode_split(trained, evaluation_split(dataset, config)).code[:MAX_MMD_SAMPLES]
    first, second = (trained.sample_prior(len(code), seed=config.seed + shift) for shift in (1, 2))
    scale = trained.model.prior.std
    spread = code.std(axis=0) / scale
    return {
        "prior_mmd": imq_mmd(code, first, scale),
        "prior_mmd_baseline": imq_mmd(second, first, scale),
        "code_std_min": float(spread.min()),
        "code_std_max": float(spread.max()),
    }


def prior_component_accuracy(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """The share of held-out codes that lie nearest to the piece of the prior that their class was given."""
    codes, prior = encode_split(trained, evaluation_split(dataset, config)), trained.model.prior
    draws = prior.sample_component(jax.random.key(config.seed + 1), jnp.asarray(codes.label))
    return {
        "prior_component_accuracy": float((prior.nearest_component(jnp.asarray(codes.code)) == codes.label).mean()),
        "prior_component_accuracy_of_prior": float((prior.nearest_component(draws) == codes.label).mean()),
    }


def parzen_log_likelihood(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Log-likelihood in nats by a Parzen window over images that are drawn from the prior; see `metrics.parzen`."""
    drawn = trained.sample(config.evaluation.parzen_samples, seed=config.seed)
    data, validation = (
        to_float_images(split.image) for split in (evaluation_split(dataset, config), dataset.validation)
    )
    found = parzen.parzen_log_likelihood(*(images.reshape(len(images), -1) for images in (drawn, validation, data)))
    return {"parzen_log_likelihood": found.log_likelihood, "parzen_std": found.std}


def colorization(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """`color_mse` over all channels, pixels in [0, 1], beside `grayscale_baseline_mse`, that of the grey images shown."""
    return mean_metrics(
        compile_metric_sums(trained.model), trained.params, trained.stats, evaluation_split(dataset, config)
    )


def image_quality(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """`psnr` in dB and `ssim` of the split's reconstructions, mean over the images."""
    data = evaluation_split(dataset, config)
    images, labels = to_float_images(data.image), None if trained.model.predicts_category else data.label
    reconstructed = trained.reconstruct(images, labels)
    return {"psnr": float(psnr(images, reconstructed).mean()), "ssim": float(ssim(images, reconstructed).mean())}


def retrieval(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Mean average precision of finding training images of a held-out image's class by its binary code.

    Beside it that of as many bits by the signs of principal components, and that of the pixels themselves.
    """
    queries, count = evaluation_split(dataset, config), config.evaluation.retrieval_database_size
    base = Split(dataset.train.image[:count], dataset.train.label[:count])
    images = to_float_images(queries.image), to_float_images(base.image)
    codes = binarize_codes(*(trained.encode(each) for each in images))  # no label is told: it is what is looked for
    signs = [pca_sign_codes(images[1], each, codes[1].shape[1]) for each in images]
    pixels = [each.reshape(len(each), -1) for each in images]

    def precision(query, found, distance):
        return mean_average_precision(query, queries.label, found, base.label, distance)

    return {
        "retrieval_map": precision(*codes, "hamming"),
        "retrieval_map_pca_sign": precision(*signs, "hamming"),
        "retrieval_map_pixels": precision(*pixels, "euclidean"),
    }


def binarize_codes(*codes: np.ndarray) -> list[np.ndarray]:
    """Codes of two values, whichever they are, as 0 and 1: the bit is set above the midpoint of all."""
    midpoint = (min(each.min() for each in codes) + max(each.max() for each in codes)) / 2
    return [(each > midpoint).astype(np.int32) for each in codes]


def conditional_accuracy(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """`content_accuracy`: how often what is drawn is, to the data set's classifier, of the class that was asked for."""
    options = config.evaluation
    judge = quality.dataset_classifier(dataset, options.classifier_steps)
    codes = trained.sample_prior(options.samples_per_class, seed=config.seed)
    return {"content_accuracy": style_content.content_accuracy(codes, trained.decode, judge, dataset.num_classes)}


def sample_quality(trained: TrainedModel, dataset: Dataset, config) -> EvaluationMetrics:
    """How near drawn images are to the held-out ones, and how varied; see `quality.report`."""
    return quality.sample_quality(trained, dataset, evaluation_split(dataset, config), config)


def reconstruction_quality(trained: TrainedModel, dataset: Dataset, config) -> EvaluationMetrics:
    """How near a split's reconstructions are to it as a whole, by a classifier's features."""
    return quality.reconstruction_quality(trained, dataset, evaluation_split(dataset, config), config)


def denoising(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """`psnr_gain`, dB: how much nearer to the clean images the model's outputs are than the noisy ones it was given.

    The noise is that of training, clipped to [0, 1] as a picture is; `psnr_noisy` and `psnr_denoised` beside it.
    """
    clean = to_float_images(evaluation_split(dataset, config).image)
    noisy = np.asarray(add_gaussian_noise(jnp.asarray(clean), jax.random.key(config.seed), trained.model.input_noise_std))
    before, after = (float(psnr(clean, images).mean()) for images in (noisy, trained.reconstruct(noisy)))
    return {"psnr_noisy": before, "psnr_denoised": after, "psnr_gain": after - before}


EVALUATORS = {
    "denoising": denoising,
    "image_quality": image_quality,
    "retrieval": retrieval,
    "reconstruction_quality": reconstruction_quality,
    "sample_quality": sample_quality,
    "content": conditional_accuracy,
    "critic": partial(selected_metrics, names=("d_real", "d_fake")),  # see `GAN.evaluate`
    "parzen": parzen_log_likelihood,
    "reconstruction": partial(
        selected_metrics, names=("mse", "nll")
    ),  # pixels in [0, 1]; nats, where pixels have a likelihood
    "likelihood": likelihood,
    "separation": style_content_separation,
    "prior_mmd": prior_mmd,
    "prior_component_accuracy": prior_component_accuracy,
    "classification": classification,
    "clustering": clustering,
    "colorization": colorization,
}


def encode_split(trained: TrainedModel, data: Split) -> LabeledCodes:
    return LabeledCodes(trained.encode(to_float_images(data.image), data.label), data.label)
