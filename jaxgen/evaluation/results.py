"""Final metrics of a run: computed once, at the end, written to `results.json`, and printed as a table."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from jaxgen.data import Dataset
from jaxgen.distributed import devices, processes
from jaxgen.evaluation import descriptions, diagnostics, evaluators, sample_quality
from jaxgen.evaluation.diagnostics import Circumstances
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io import versions
from jaxgen.io import workdir as workdirs
from jaxgen.io.run_logger import RunLogger
from jaxgen.optimization import seeds
from jaxgen.types import EvaluationMetrics

MEASUREMENTS = ("features", "samples", "content", "bounds", "parzen")  # entries of `protocol` that the table shows
HEADER = ("metric", "value", "", "reference", "meaning")


def write_results(
    trained_models: Sequence[TrainedModel],
    dataset: Dataset,
    config: ConfigDict,
    seconds: float | None,
    workdir: Path,
    logger: RunLogger,
    suffix: str = "",
) -> dict:
    """Evaluates the model of each seed, writes the mean and std over seeds to its file, and prints them.

    Args:
      trained_models: the model of each seed.
      dataset: the data set.
      config: the run's config.
      seconds: duration of training, or None.
      workdir: folder of the file; see `io.workdir.results_path`.
      logger: receives the table and the metrics.
      suffix: of the file's name, for a checkpoint that is not the newest.
    """
    results = compute_results(trained_models, dataset, config, seconds)
    path = workdir / "results.json"
    if processes.is_primary():
        path = workdirs.write_results(workdir, results, suffix)
    logger.log_metrics(results["step"], sample_quality.select_scalars(results["metrics"]), split=results["split"])
    notes = [*describe_results(results), *describe_paths(workdir, path)]
    logger.log_table(describe_protocol(results, len(trained_models)), build_rows(results), HEADER, notes)
    return results


def compute_results(
    trained_models: Sequence[TrainedModel], dataset: Dataset, config: ConfigDict, seconds: float | None
) -> dict:
    """Returns the content of `results.json`; `seconds` of training is None if unknown."""
    count, model, split = len(trained_models), trained_models[0].model, config.evaluation.split
    labels = [f"seed {number} of {count}, " if count > 1 else "" for number in range(1, count + 1)]
    per_seed = [
        evaluators.evaluate_model(trained, dataset, config, label)
        for trained, label in zip(trained_models, labels, strict=True)
    ]
    metrics, std = seeds.mean_over_seeds(per_seed), seeds.std_over_seeds(per_seed)
    data = evaluators.get_evaluation_split(dataset, config)
    references = descriptions.compute_references(metrics, dataset, data, model)
    protocol = {"binarization": config.data.binarization, "images": len(data.label), **model.evaluation_notes}
    protocol |= {"copies_of_training_images": dict(dataset.copies), **describe_measurements(metrics, dataset, config)}
    warnings = diagnostics.warn_of_copies(dataset, split)
    if "features" in protocol:
        warnings += diagnostics.warn_of_features(dataset, data, config.evaluation.classifier_steps)
    return {
        "config": config.to_dict(),
        "dataset": dataset.name,
        "split": split,
        "protocol": protocol,
        "step": trained_models[0].step,
        "seconds": seconds,
        "metrics": metrics,
        **({"std": std, "per_seed": per_seed} if std else {}),
        "references": references,
        "warnings": warnings + find_warnings(trained_models, per_seed, references, dataset, config),
        "omitted": find_omissions(trained_models, per_seed, dataset, config),
        "device": devices.describe_devices(),
        "versions": versions.collect_versions(),
    }


def describe_measurements(names: Iterable[str], dataset: Dataset, config: ConfigDict) -> dict[str, str]:
    """Returns what the named metrics depend on beside the model: classifier, numbers of samples."""
    data, options, found = evaluators.get_evaluation_split(dataset, config), config.evaluation, {}
    if any("frechet" in name or name == "content_accuracy" for name in names):
        found["features"] = sample_quality.describe_features(dataset, data, options.classifier_steps)
    if "frechet_distance" in names:
        found["samples"] = sample_quality.describe_counts(dataset, data, config)
    if "content_accuracy" in names:
        found["content"] = f"{options.samples_per_class:,} prior codes, each in {dataset.num_classes} classes"
    if "elbo" in names:
        found["bounds"] = f"{options.importance_samples:,} posterior samples per image"
    if "parzen_log_likelihood" in names:
        found["parzen"] = f"{options.parzen_samples:,} samples"
    return found


def find_warnings(
    trained_models: Sequence[TrainedModel],
    per_seed: Sequence[EvaluationMetrics],
    references: Mapping[str, float],
    dataset: Dataset,
    config: ConfigDict,
) -> list[str]:
    """Returns the warnings about the model of each seed; those of several seeds start with the seed."""
    found = []
    for seed, trained, metrics in zip(seeds.seed_range(config), trained_models, per_seed, strict=True):
        height, width, channels = dataset.image_shape
        is_long = evaluators.is_training_long_enough(trained.step, len(dataset.train_source.label), config)
        matches_prior = getattr(trained.model, "matches_prior", False)
        known = Circumstances(references, trained.step, is_long, matches_prior, height * width * channels)
        prefix = f"seed {seed}: " if len(trained_models) > 1 else ""
        found += [prefix + line for line in diagnostics.find_warnings(metrics, known)]
    return found


def find_omissions(
    trained_models: Sequence[TrainedModel], per_seed: Sequence[EvaluationMetrics], dataset: Dataset, config: ConfigDict
) -> list[str]:
    """Returns why metrics were not measured, each reason once."""
    data = evaluators.get_evaluation_split(dataset, config)
    lines = [
        line
        for trained, metrics in zip(trained_models, per_seed, strict=True)
        for line in diagnostics.explain_omissions(metrics, trained.model, data, config)
    ]
    return list(dict.fromkeys(lines))


def build_rows(results: dict) -> dict[str, tuple[str, str, str, str]]:
    """Returns the table's cells by metric: value, direction, reference and meaning; baselines have no rows."""
    metrics, std, rows = results["metrics"], results.get("std", {}), {}
    beside = {
        baseline
        for name in metrics
        for baseline in descriptions.DESCRIPTIONS.get(name, descriptions.UNKNOWN).baselines.values()
    }
    for name, value in sample_quality.select_scalars(metrics).items():
        if name in beside or name.endswith(sample_quality.BASELINE):
            continue
        description = descriptions.DESCRIPTIONS.get(name, descriptions.UNKNOWN)
        text = f"{value:.4g} ± {std[name]:.2g}" if std else f"{value:.4g}"
        reference = descriptions.format_reference(name, metrics, results["references"])
        rows[name] = (text, description.direction, reference, description.phrase)
    return rows


def describe_protocol(results: dict, num_seeds: int) -> str:
    """Returns the table's title: data set, split, step and seeds, and in further lines what sample metrics rest on."""
    protocol = results["protocol"]
    title = f"{results['dataset']}, {results['split']} split, step {results['step']}"
    title += f", mean ± std of {num_seeds} seeds" if num_seeds > 1 else ""
    measured = [f"{key}: {protocol[key]}" for key in MEASUREMENTS if key in protocol]
    return "\n".join([title, f"{protocol['images']:,} held-out image{'s' * (protocol['images'] > 1)}", *measured])


def describe_results(results: dict) -> list[str]:
    """Returns the lines below the table: warnings, and omitted metrics."""
    return [
        *(f"warning: {line}" for line in results["warnings"]),
        *(f"not measured: {line}" for line in results["omitted"]),
    ]


def describe_paths(workdir: Path, path: Path) -> list[str]:
    """Returns the last lines: where the figures and the results are."""
    figures = workdir / "figures"
    return [*([f"figures: {figures}"] if figures.is_dir() else []), f"results: {path}"]
