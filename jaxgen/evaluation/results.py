"""Final metrics of a run: computed once, at the end, and written to `results.json`."""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from jaxgen.data import Dataset
from jaxgen.distributed import devices, processes
from jaxgen.evaluation import evaluators, sample_quality
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io import versions
from jaxgen.io import workdir as workdirs
from jaxgen.io.run_logger import RunLogger
from jaxgen.optimization import seeds


def write_results(
    trained_models: Sequence[TrainedModel],
    dataset: Dataset,
    config: ConfigDict,
    seconds: float | None,
    workdir: Path,
    logger: RunLogger,
    name: str = "results.json",
) -> dict:
    """Evaluates the model of each seed, writes the mean and std over seeds to the file `name`, and prints them."""
    results = compute_results(trained_models, dataset, config, seconds)
    if processes.is_primary():
        workdirs.write_json(workdir / name, results)
    scalars, std = sample_quality.select_scalars(results["metrics"]), results.get("std")
    logger.log_metrics(results["step"], scalars, split=results["split"])
    cells = {name: f"{value:.4g} ± {std[name]:.2g}" if std else value for name, value in scalars.items()}
    suffix = f", mean ± std of {len(trained_models)} seeds" if std else ""
    logger.log_table(f"{dataset.name}, {results['split']} split, step {results['step']}{suffix}", cells)
    return results


def compute_results(
    trained_models: Sequence[TrainedModel], dataset: Dataset, config: ConfigDict, seconds: float | None
) -> dict:
    """Returns the content of `results.json`; `seconds` of training is None if unknown."""
    per_seed = [evaluators.evaluate_model(trained, dataset, config) for trained in trained_models]
    metrics, std = seeds.mean_over_seeds(per_seed), seeds.std_over_seeds(per_seed)
    protocol = {"binarization": config.data.binarization, **trained_models[0].model.evaluation_notes}
    if any("frechet" in name for name in metrics):
        split = evaluators.get_evaluation_split(dataset, config)
        protocol["features"] = sample_quality.describe_features(dataset, split, config.evaluation.classifier_steps)
    return {
        "config": config.to_dict(),
        "dataset": dataset.name,
        "split": config.evaluation.split,
        "protocol": protocol,
        "step": trained_models[0].step,
        "seconds": seconds,
        "metrics": metrics,
        **({"std": std, "per_seed": per_seed} if std else {}),
        "device": devices.describe_devices(),
        "versions": versions.collect_versions(),
    }
