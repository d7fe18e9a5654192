"""Evaluators: functions (trained, dataset, config) -> metrics, by the names that models list in `evaluators`."""

import logging
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgen.config.base import suggest
from jaxgen.data import Dataset, padded_batches, to_float_images
from jaxgen.data.transforms import add_gaussian_noise
from jaxgen.evaluation import sample_quality as quality
from jaxgen.evaluation.contract import validate_losses, validate_per_example_metrics
from jaxgen.evaluation.optional import skip_on_failure
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.metrics import parzen, style_content
from jaxgen.metrics.clustering import clustering_error, majority_class_per_cluster
from jaxgen.metrics.image_similarity import psnr, ssim
from jaxgen.metrics.importance_weighted_bound import IMAGES_AT_ONCE, likelihood_bounds
from jaxgen.metrics.latent import active_units
from jaxgen.metrics.mmd import imq_mmd
from jaxgen.metrics.retrieval import mean_average_precision, pca_sign_codes
from jaxgen.metrics.style_content import LabeledCodes
from jaxgen.models import GenerativeModel
from jaxgen.types import Batch, EvaluationMetrics, Metrics, Split

log = logging.getLogger("jaxgen")

MAX_VALIDATION_SAMPLES = 2000  # generated images per evaluation during training
QUICK_IMAGES, QUICK_CODES = 500, 2000  # of the metrics of separation during training
MAX_MMD_SAMPLES = 2000  # time and memory of the kernel distance are quadratic in this number
# Training is long enough to judge a model after MIN_STEPS, and after MIN_EPOCHS or, with much data, MANY_STEPS.
MIN_STEPS, MIN_EPOCHS, MANY_STEPS = 2000, 5, 10_000


def evaluate_model(trained: TrainedModel, dataset: Dataset, config, label: str = "") -> EvaluationMetrics:
    """Returns the metrics of all evaluators of the model on `config.evaluation.split`.

    The test split is for one evaluation at the end; choices are made on the validation split.

    Args:
      trained: the model.
      dataset: the data set with the split.
      config: the run's config.
      label: the start of each progress line, such as "seed 1 of 3, ".
    """
    metrics, names = {}, trained.model.evaluators
    for number, name in enumerate(names, 1):
        log.info("Measuring %s%s (%d of %d)", label, name, number, len(names))
        with skip_on_failure(f"evaluation {name}"):
            metrics |= EVALUATORS[name](trained, dataset, config)
    if getattr(trained.model, "matches_prior", False) and is_training_long_enough(
        trained.step, len(dataset.train_source.label), config
    ):
        metrics |= quality.detect_mode_collapse(metrics)
    return metrics


def is_training_long_enough(step: int, num_images: int, config) -> bool:
    """Returns whether a model with few modes has collapsed, rather than not learned the others yet."""
    return step >= MIN_STEPS and (step * config.batch_size >= MIN_EPOCHS * num_images or step >= MANY_STEPS)


def evaluate_validation(trained: TrainedModel, dataset: Dataset, config, metric_sums: Callable) -> dict[str, float]:
    """Returns the metrics on the validation split during training.

    They are the means of the per-example metrics, and the scalars of the `validation_evaluators` of the model.
    """
    metrics = mean_metrics(metric_sums, trained.params, trained.stats, dataset.validation)
    config = with_validation_options(config)
    for name in trained.model.validation_evaluators:
        with skip_on_failure(f"validation metric {name}"):
            metrics |= EVALUATORS[name](trained, dataset, config)
    return quality.select_scalars(metrics)


def with_validation_options(config) -> ConfigDict:
    """Returns the config of the evaluations during training: the validation split, and fewer samples, of the prior."""
    options = {"split": "validation", "samplers": ("prior",)}
    options["num_samples"] = min(config.evaluation.num_samples, MAX_VALIDATION_SAMPLES)
    return ConfigDict({**config, "evaluation": {**config.evaluation, **options}})


def get_evaluation_split(dataset: Dataset, config) -> Split:
    """Returns the split that a run is evaluated on: "test", or "validation" to choose a recipe."""
    return getattr(dataset, config.evaluation.split)


def validate_evaluation(config, model: GenerativeModel, dataset: Dataset) -> None:
    """Checks before compilation that the model computes `best_metric`.

    Raises:
      ValueError: it does not.
    """
    del dataset
    state = jax.eval_shape(model.init, jax.random.key(0))
    batch = Batch(model.example_image(), jnp.zeros(1, jnp.int32), jnp.ones(1))
    metrics = jax.eval_shape(model.per_example_metrics, state.params, state.stats, batch, jax.random.key(0))
    validate_per_example_metrics(model, metrics)
    validate_losses(model, state, batch)
    samples = (*quality.CHECKPOINT_METRICS, quality.PIXEL_METRIC)
    known = {*metrics, *(samples if "sample_quality" in model.validation_evaluators else ())}
    if config.best_metric not in known:
        hint, known = suggest(config.best_metric, known), ", ".join(sorted(known))
        raise ValueError(f'best_metric="{config.best_metric}" is not computed{hint}; choose one of {known}')


def select_best_metric(config, dataset: Dataset) -> str:
    """Returns the validation metric that selects checkpoints: `best_metric`, or `pixel_mmd` if it cannot be measured.

    The names tell the protocols apart: a distance by another classifier is no `frechet_distance`.
    """
    obstacle = quality.find_obstacle(with_validation_options(config), dataset.validation)
    return quality.PIXEL_METRIC if obstacle and config.best_metric in quality.CHECKPOINT_METRICS else config.best_metric


def compile_metric_sums(model: GenerativeModel) -> Callable[[dict, dict, Batch, int], Metrics]:
    """Compiles `(params, stats, batch, number) -> sums of the per-example metrics over the real examples of a batch`.

    The random numbers depend on the number of the batch.
    """

    @jax.jit
    def metric_sums(params, stats, batch, number):
        rng = jax.random.fold_in(jax.random.key(0), number)
        metrics = model.per_example_metrics(params, stats, batch, rng)
        return {name: (value * batch.mask).sum() for name, value in metrics.items()}

    return metric_sums


def mean_metrics(metric_sums: Callable, params, stats, data: Split, batch_size: int = 500) -> dict[str, float]:
    """Returns the mean of the per-example metrics over a split; every example counts once."""
    total: dict[str, float] = {}
    for number, batch in enumerate(padded_batches(data, batch_size)):
        for name, value in jax.device_get(metric_sums(params, stats, batch, number)).items():
            total[name] = total.get(name, 0.0) + float(value)
    return {name: value / len(data.image) for name, value in total.items()}


def select_metrics(trained: TrainedModel, dataset: Dataset, config, names: tuple[str, ...]) -> dict[str, float]:
    """Returns the means over the split of the named per-example metrics, as far as the model computes them."""
    metrics = mean_metrics(
        compile_metric_sums(trained.model), trained.params, trained.stats, get_evaluation_split(dataset, config)
    )
    return {name: metrics[name] for name in names if name in metrics}


def evaluate_likelihood(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns `nll`, `elbo`, the ELBO terms `kl` and `distortion` in nats per image, and `active_units`.

    `nll` is the negative importance-weighted bound with `config.evaluation.importance_samples` samples.
    """
    data, model = get_evaluation_split(dataset, config), trained.model
    batches, num_samples = padded_batches(data, IMAGES_AT_ONCE), config.evaluation.importance_samples
    bounds = likelihood_bounds(
        model.sample_log_importance_weights, trained.params, trained.stats, batches, num_samples, seed=config.seed
    )
    metrics = mean_metrics(compile_metric_sums(model), trained.params, trained.stats, data)
    elbo = float(bounds.elbo.mean())
    return {
        "nll": -float(bounds.importance_weighted.mean()),
        "elbo": elbo,
        "kl": metrics["kl"],
        "distortion": -elbo - metrics["kl"],
        "active_units": float(active_units(trained.encode_mean(to_float_images(data.image), data.label))),
    }


def evaluate_classification(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns `test_error`, the fraction of images that the encoder classifies wrongly."""
    data = get_evaluation_split(dataset, config)
    return {"test_error": float((trained.predict_category(to_float_images(data.image)) != data.label).mean())}


def evaluate_clustering(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns `cluster_error` and `clusters_used`.

    Each cluster is assigned its most frequent class on the validation split.
    """
    data, validation, num_clusters = (
        get_evaluation_split(dataset, config),
        dataset.validation,
        trained.model.num_conditions,
    )
    classes = majority_class_per_cluster(
        trained.predict_category(to_float_images(validation.image)), validation.label, num_clusters
    )
    cluster = trained.predict_category(to_float_images(data.image))
    return {
        "cluster_error": clustering_error(cluster, data.label, classes),
        "clusters_used": float(len(np.unique(cluster))),
    }


def evaluate_separation(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns the metrics of the separation of style and content; see `metrics.style_content`.

    They are omitted if the classifier or the probe has too few training steps. `style_consistency` is also omitted if
    the decoder ignores the label: images that are equal under every label have the same style.
    """
    options, num_classes = config.evaluation, dataset.num_classes
    data, metrics = get_evaluation_split(dataset, config), {}
    train, held_out = encode_split(trained, dataset.train), encode_split(trained, data)
    prior = trained.sample_prior(options.samples_per_class, seed=config.seed)
    if not quality.find_classifier_obstacle(config):
        classifier = quality.load_dataset_classifier(dataset, options.classifier_steps)
        content = style_content.content_accuracy(prior, trained.decode, classifier, num_classes)
        swap = style_content.swap_accuracy(held_out, trained.decode, classifier, num_classes)
        metrics |= {"content_accuracy": content, "swap_accuracy": swap}
        if not style_content.is_at_chance(content, 1 / num_classes):
            metrics["style_consistency"] = style_content.style_consistency(prior, trained.decode, num_classes)
        metrics["classifier_accuracy"] = classifier.accuracy(data)
    if options.probe_epochs >= quality.MIN_PROBE_EPOCHS:
        metrics["style_leakage"] = style_content.style_leakage(train, held_out, options.probe_epochs)
    return metrics


def evaluate_separation_quickly(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns `content_accuracy` of few codes, and `quadratic_style_leakage`, fast enough for each validation."""
    options, num_classes = config.evaluation, dataset.num_classes
    splits = (dataset.train, get_evaluation_split(dataset, config))
    codes = [encode_split(trained, Split(split.image[:QUICK_CODES], split.label[:QUICK_CODES])) for split in splits]
    metrics = {"quadratic_style_leakage": style_content.quadratic_style_leakage(*codes, num_classes)}
    if quality.find_classifier_obstacle(config):
        return metrics
    classifier = quality.load_dataset_classifier(dataset, options.classifier_steps)
    count = min(options.samples_per_class, QUICK_IMAGES // num_classes + 1)
    labels = np.tile(np.arange(num_classes, dtype=np.int32), count)
    images = trained.decode(np.repeat(trained.sample_prior(count, config.seed), num_classes, axis=0), labels)
    return {**metrics, "content_accuracy": float((classifier(images) == labels).mean())}


def evaluate_prior_mmd(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns `prior_mmd` between codes and prior, its baseline, and the smallest and largest std of a code dimension.

    The baseline is the distance between two prior samples. The stds are relative to the std of the prior. A single
    image has none of them.
    """
    code = encode_split(trained, get_evaluation_split(dataset, config)).code[:MAX_MMD_SAMPLES]
    if len(code) < 2:
        return {}
    first, second = (trained.sample_prior(len(code), seed=config.seed + shift) for shift in (1, 2))
    scale = trained.model.prior.std
    code_std = code.std(axis=0) / scale
    return {
        "prior_mmd": imq_mmd(code, first, scale),
        "prior_mmd_baseline": imq_mmd(second, first, scale),
        "code_std_min": float(code_std.min()),
        "code_std_max": float(code_std.max()),
    }


def evaluate_prior_components(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns the fraction of codes whose nearest prior component is the component of their class.

    `prior_component_accuracy_of_prior` is the same fraction for samples of the prior: the highest value to expect.
    """
    codes, prior = encode_split(trained, get_evaluation_split(dataset, config)), trained.model.prior
    samples = prior.sample_component(jax.random.key(config.seed + 1), jnp.asarray(codes.label))
    return {
        "prior_component_accuracy": float((prior.nearest_component(jnp.asarray(codes.code)) == codes.label).mean()),
        "prior_component_accuracy_of_prior": float((prior.nearest_component(samples) == codes.label).mean()),
    }


def evaluate_parzen(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns the log-likelihood in nats of a Parzen window over generated images; see `metrics.parzen`."""
    generated = trained.sample(config.evaluation.parzen_samples, seed=config.seed)
    data, validation = (
        to_float_images(split.image) for split in (get_evaluation_split(dataset, config), dataset.validation)
    )
    estimate = parzen.parzen_log_likelihood(
        *(images.reshape(len(images), -1) for images in (generated, validation, data))
    )
    return {"parzen_log_likelihood": estimate.log_likelihood, "parzen_std": estimate.std}


def evaluate_colorization(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns `color_mse` over all channels, pixels in [0, 1], and `grayscale_baseline_mse` of the gray inputs."""
    return mean_metrics(
        compile_metric_sums(trained.model), trained.params, trained.stats, get_evaluation_split(dataset, config)
    )


def evaluate_image_quality(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns `psnr` in dB and `ssim` of reconstructions, averaged over the images of the split."""
    data = get_evaluation_split(dataset, config)
    images, labels = to_float_images(data.image), None if trained.model.predicts_category else data.label
    reconstructed = trained.reconstruct(images, labels)
    return {"psnr": float(psnr(images, reconstructed).mean()), "ssim": float(ssim(images, reconstructed).mean())}


def evaluate_retrieval(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns the mean average precision of retrieving training images of the same class by binary code.

    The baselines are equally many bits from the signs of principal components, and the pixels. Without a query whose
    class is in the database there are no such metrics, and with fewer images than bits there is no principal component.
    """
    queries, count = get_evaluation_split(dataset, config), config.evaluation.retrieval_database_size
    database = Split(dataset.train.image[:count], dataset.train.label[:count])
    if not np.isin(queries.label, database.label).any():
        log.warning("retrieval_map is omitted: no %s image has a class with training images", config.evaluation.split)
        return {}
    images = to_float_images(queries.image), to_float_images(database.image)
    codes = binarize_codes(*(trained.encode(x) for x in images))  # without labels, which are the search target
    pixels = [x.reshape(len(x), -1) for x in images]

    def mean_precision(query_codes, database_codes, distance):
        return mean_average_precision(query_codes, queries.label, database_codes, database.label, distance)

    metrics = {
        "retrieval_map": mean_precision(*codes, "hamming"),
        "retrieval_map_pixels": mean_precision(*pixels, "euclidean"),
    }
    if codes[1].shape[1] > min(pixels[1].shape):
        log.warning("retrieval_map_pca_sign is omitted: %d images have fewer components than bits", len(pixels[1]))
        return metrics
    signs = [pca_sign_codes(images[1], x, codes[1].shape[1]) for x in images]
    return {**metrics, "retrieval_map_pca_sign": mean_precision(*signs, "hamming")}


def binarize_codes(*codes: np.ndarray) -> list[np.ndarray]:
    """Returns two-valued codes as 0 and 1: a bit is 1 above the midpoint of the smallest and the largest value."""
    midpoint = (min(code.min() for code in codes) + max(code.max() for code in codes)) / 2
    return [(code > midpoint).astype(np.int32) for code in codes]


def evaluate_content(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns `content_accuracy`, how often the classifier reads the requested class from a generated image, or {}."""
    options = config.evaluation
    if quality.find_classifier_obstacle(config):
        return {}
    classifier = quality.load_dataset_classifier(dataset, options.classifier_steps)
    codes = trained.sample_prior(options.samples_per_class, seed=config.seed)
    return {"content_accuracy": style_content.content_accuracy(codes, trained.decode, classifier, dataset.num_classes)}


def evaluate_sample_quality(trained: TrainedModel, dataset: Dataset, config) -> EvaluationMetrics:
    """Returns quality and diversity of generated images; see `evaluation.sample_quality`."""
    return quality.measure_sample_quality(trained, dataset, get_evaluation_split(dataset, config), config)


def evaluate_reconstruction_quality(trained: TrainedModel, dataset: Dataset, config) -> EvaluationMetrics:
    """Returns distances between reconstructions and images; see `evaluation.sample_quality`."""
    return quality.measure_reconstruction_quality(trained, dataset, get_evaluation_split(dataset, config), config)


def evaluate_denoising(trained: TrainedModel, dataset: Dataset, config) -> dict[str, float]:
    """Returns the PSNR in dB of noisy inputs, of the outputs, and the gain between them.

    The noise has the std of training and is clipped to [0, 1].
    """
    clean = to_float_images(get_evaluation_split(dataset, config).image)
    noisy = np.asarray(
        add_gaussian_noise(jnp.asarray(clean), jax.random.key(config.seed), trained.model.input_noise_std)
    )
    before, after = (float(psnr(clean, images).mean()) for images in (noisy, trained.reconstruct(noisy)))
    return {"psnr_noisy": before, "psnr_denoised": after, "psnr_gain": after - before}


EVALUATORS = {
    "denoising": evaluate_denoising,
    "image_quality": evaluate_image_quality,
    "retrieval": evaluate_retrieval,
    "reconstruction_quality": evaluate_reconstruction_quality,
    "sample_quality": evaluate_sample_quality,
    "content": evaluate_content,
    "critic": partial(select_metrics, names=("d_real", "d_fake")),
    "parzen": evaluate_parzen,
    # Pixels in [0, 1]; `nll` in nats, for models with a pixel likelihood.
    "reconstruction": partial(select_metrics, names=("mse", "nll")),
    "likelihood": evaluate_likelihood,
    "separation": evaluate_separation,
    "separation_quickly": evaluate_separation_quickly,
    "prior_mmd": evaluate_prior_mmd,
    "prior_component_accuracy": evaluate_prior_components,
    "classification": evaluate_classification,
    "clustering": evaluate_clustering,
    "colorization": evaluate_colorization,
}


def encode_split(trained: TrainedModel, data: Split) -> LabeledCodes:
    """Returns the codes and labels of a split; a model that predicts the category encodes without labels."""
    labels = None if trained.model.predicts_category else data.label
    return LabeledCodes(trained.encode(to_float_images(data.image), labels), data.label)
