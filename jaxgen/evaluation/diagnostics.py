"""Warnings about a trained model, by rules over its metrics, and the reasons why metrics are omitted."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jaxgen.data import Dataset
from jaxgen.evaluation import sample_quality as quality
from jaxgen.evaluation.evaluators import with_validation_options
from jaxgen.evaluation.feature_classifier import count_outputs
from jaxgen.metrics.style_content import is_at_chance
from jaxgen.models import GenerativeModel
from jaxgen.types import EvaluationMetrics, Split

MIN_STEPS = 100  # a younger model may be worse than the mean image, or at chance
HUGE, HUGE_PER_PIXEL = 1e6, 1e3  # no metric of a working model is larger
LARGEST_CODE_STD, SMALLEST_CODE_STD = 3.0, 0.1  # in units of the prior's
MARGIN = 0.98  # a loss above this fraction of the mean image's is no better
IDENTICAL = 0.005  # diversity of samples that are practically one image
CERTAIN = 1e-3  # distance of a probability from 0 or 1
MIN_COPIES = 0.01  # fraction of copies of training images in a split that is worth a warning
ACCURACIES = ("content_accuracy", "swap_accuracy", "prior_component_accuracy", "classifier_accuracy", "retrieval_map")
ERRORS = ("test_error", "cluster_error")


class Circumstances(NamedTuple):
    """What the rules know beside the metrics.

    Attributes:
      references: reference values by metric; see `descriptions.compute_references`.
      step: number of training steps.
      is_trained_long: whether training was long enough to judge the variety of samples.
      matches_prior: whether the model's codes should follow its prior.
      num_pixels: pixels of an image, times channels.
    """

    references: Mapping[str, float]
    step: int
    is_trained_long: bool
    matches_prior: bool
    num_pixels: int


def find_warnings(metrics: EvaluationMetrics, known: Circumstances) -> list[str]:
    """Returns one line for each rule that the metrics break; [] for a model without a visible problem."""
    scalars = quality.select_scalars(metrics)
    found = [*find_divergence(scalars, known)]
    if known.matches_prior:
        found += find_code_scale(scalars, known)
    if known.step >= MIN_STEPS:
        found += [*find_chance(scalars, known.references), *find_worse_than_baseline(scalars, known.references)]
        found += [*find_certain_critic(scalars), *find_identical_samples(scalars, known.matches_prior)]
    if known.is_trained_long:
        found += [*find_collapse(metrics, known)]
    return found


def find_divergence(metrics: Mapping[str, float], known: Circumstances) -> Iterator[str]:
    """Yields a warning for metrics that are not finite, and one for metrics of an impossible size."""
    if names := [name for name, value in metrics.items() if not math.isfinite(value)]:
        yield f"not_finite: {', '.join(names)}; training has diverged, try smaller learning rates"
    limit = max(HUGE, HUGE_PER_PIXEL * known.num_pixels)
    if names := [f"{name} {value:.1g}" for name, value in metrics.items() if limit < abs(value) < math.inf]:
        yield f"huge: {', '.join(names)}; training has diverged, try smaller learning rates"


def find_code_scale(metrics: Mapping[str, float], known: Circumstances) -> Iterator[str]:
    """Yields a warning if the codes are far wider or narrower than the prior."""
    if metrics.get("code_std_max", 1) > LARGEST_CODE_STD:
        yield f"wide_codes: the std of codes reaches {metrics['code_std_max']:.2g} times the prior's; samples differ"
    smallest = metrics.get("code_std_min", 1)
    if smallest < SMALLEST_CODE_STD and known.is_trained_long:
        yield f"narrow_codes: the std of a code dimension is {smallest:.2g} times the prior's; samples differ"


def find_chance(metrics: Mapping[str, float], references: Mapping[str, float]) -> Iterator[str]:
    """Yields a warning for each accuracy or error at the level of guessing."""
    for name in ACCURACIES:
        if name in metrics and name in references and is_at_chance(metrics[name], references[name]):
            yield f"at_chance: {name} {metrics[name]:.3g} is at the chance level {references[name]:.3g}"
    for name in ERRORS:
        if name in metrics and name in references and is_at_chance(1 - metrics[name], 1 - references[name]):
            yield f"at_chance: {name} {metrics[name]:.3g} is at the chance level {references[name]:.3g}"


def find_worse_than_baseline(metrics: Mapping[str, float], references: Mapping[str, float]) -> Iterator[str]:
    """Yields a warning for outputs that are worse than the mean training image, or than the model's own input."""
    for name in ("mse", "nll", "distortion"):
        if name in metrics and name in references and metrics[name] > MARGIN * references[name]:
            value, reference = f"{metrics[name]:.3g}", f"{references[name]:.3g}"
            yield f"worse_than_mean: {name} {value} is no better than the mean training image's {reference}"
    if metrics.get("color_mse", 0) > metrics.get("grayscale_baseline_mse", math.inf):
        yield "worse_than_input: the colors have a larger error than the gray input; see color_mse"
    if metrics.get("psnr_gain", 1) <= 0:
        yield "worse_than_input: denoised images have a larger error than the noisy ones; see psnr_gain"


def find_certain_critic(metrics: Mapping[str, float]) -> Iterator[str]:
    """Yields a warning if the critic's probabilities are 0 or 1, so that the generator learns nothing from it."""
    probabilities = [metrics[name] for name in ("d_real", "d_fake") if name in metrics]
    if probabilities and all(min(value, 1 - value) < CERTAIN for value in probabilities):
        real, fake = probabilities
        yield f"certain_critic: d_real {real:.2g} and d_fake {fake:.2g} leave the generator without a gradient"


def find_identical_samples(metrics: Mapping[str, float], matches_prior: bool) -> Iterator[str]:
    """Yields a warning if samples are practically one image, which is not even so early in training."""
    if matches_prior and metrics.get("diversity", 1) < IDENTICAL:
        yield f"identical_samples: samples are {metrics['diversity']:.1g} times as varied as the data; see diversity"


def find_collapse(metrics: EvaluationMetrics, known: Circumstances) -> Iterator[str]:
    """Yields warnings for samples of little variety, and for codes that carry no information."""
    if metrics.get("mode_collapse"):
        yield f"mode_collapse: samples are {metrics['diversity']:.2g} times as varied as the data; see diversity"
    if known.matches_prior and metrics.get("coverage", 1) < quality.MIN_SHARE:
        yield f"few_modes: samples reach only {metrics['coverage']:.1%} of the real images; see coverage"
    fractions = metrics.get("class_fractions", [])
    if known.matches_prior and (missing := [number for number, share in enumerate(fractions) if not share]):
        yield f"missing_classes: no sample is read as class {', '.join(map(str, missing))}"
    if metrics.get("active_units", 1) == 0:
        yield "posterior_collapse: no code dimension depends on the image; see active_units, kl"
    if metrics.get("clusters_used", 2) == 1:
        yield "one_cluster: every image is in one cluster; see clusters_used"


def warn_of_features(dataset: Dataset, data: Split, steps: int) -> list[str]:
    """Returns a warning if the classifier of the features guesses, so that distances of features say little."""
    accuracy = quality.load_dataset_classifier(dataset, steps).accuracy(data)
    if not is_at_chance(accuracy, 1 / count_outputs(dataset.num_classes, dataset.image_shape)):
        return []
    return [f"poor_features: the feature classifier's accuracy {accuracy:.1%} is at chance; sample metrics say little"]


def explain_omissions(metrics: EvaluationMetrics, model: GenerativeModel, data: Split, config) -> list[str]:
    """Returns one line for each group of metrics that the evaluators of a model have not measured.

    Args:
      metrics: the metrics of one seed.
      model: the model, which lists its evaluators.
      data: the evaluated split.
      config: the run's config.
    """
    found, options, evaluators = [], config.evaluation, model.evaluators
    obstacle, untrained = quality.find_obstacle(config, data), quality.find_classifier_obstacle(config)
    if obstacle and {"sample_quality", "reconstruction_quality"} & set(evaluators):
        found.append(f"Fréchet and kernel distance, precision, recall, coverage, diversity: {obstacle}")
    if untrained and {"separation", "content"} & set(evaluators):
        found.append(f"accuracies that the independent classifier judges: {untrained}")
    if "separation" in evaluators and "style_leakage" not in metrics:
        found.append(
            f"style_leakage: evaluation.probe_epochs={options.probe_epochs} is below {quality.MIN_PROBE_EPOCHS}"
        )
    if "content_accuracy" in metrics and "separation" in evaluators and "style_consistency" not in metrics:
        found.append("style_consistency: the decoder ignores the label, so styles are equal; see content_accuracy")
    if "recall" in metrics and "precision" not in metrics:
        shares = f"recall {metrics['recall']:.2g} and coverage {metrics['coverage']:.2g}"
        found.append(f"precision: {shares} are near 0, where even noise can have a precision of 1")
    has_samplers = "frechet_distance" in metrics and model.has_encoder
    for name in options.samplers if has_samplers else ():
        if name != "prior" and f"frechet_distance_{name}" not in metrics:
            found.append(f"distances of the sampler {name}: it could not be fitted to the codes")
    return found


def describe_data(dataset: Dataset, config, best_metric: str) -> list[str]:
    """Returns messages for the start of a run: copies of training images, and a replaced `best_metric`."""
    found = describe_copies(dataset)
    if best_metric != config.best_metric:
        obstacle = quality.find_obstacle(with_validation_options(config), dataset.validation)
        found.append(f"best_metric={config.best_metric} is not measured: {obstacle}; {best_metric} replaces it")
    return found


def describe_copies(dataset: Dataset) -> list[str]:
    """Returns one line if held-out images are identical to training images, or []."""
    parts = [
        f"{count:,} of {len(getattr(dataset, split).label):,} {split} images"
        for split, count in dataset.copies.items()
        if count
    ]
    return [f"copies: {' and '.join(parts)} are identical to training images"] if parts else []


def warn_of_copies(dataset: Dataset, split: str) -> list[str]:
    """Returns a warning if many images of a split are copies of training images; see `describe_copies`."""
    count = dataset.copies.get(split, 0)
    is_many = count >= MIN_COPIES * max(len(getattr(dataset, split).label), 1)
    return [f"{line}; metrics favor memorization" for line in describe_copies(dataset)] if count and is_many else []
