"""What a run is judged by: measured once, at its end, and written to `results.json`."""

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
    telemetry: RunLogger,
) -> dict:
    """Measures each copy on the split that the run is judged by, writes the mean and the std, and shows them."""
    results = compute_results(trained_models, dataset, config, seconds)
    if processes.is_primary():
        workdirs.write_json(workdir / "results.json", results)
    single, spread = sample_quality.scalar_metrics(results["metrics"]), results.get("std")
    telemetry.log_metrics(results["step"], single, split=results["split"])
    shown = {name: f"{value:.4g} ± {spread[name]:.2g}" if spread else value for name, value in single.items()}
    of = f", mean ± std of {len(trained_models)} seeds" if spread else ""
    telemetry.log_table(f"{dataset.name}, {results['split']} split, step {results['step']}{of}", shown)
    return results


def compute_results(
    trained_models: Sequence[TrainedModel], dataset: Dataset, config: ConfigDict, seconds: float | None
) -> dict:
    """What `results.json` holds; `seconds` of training are None where they are not known."""
    of_each = [evaluators.evaluate_model(trained, dataset, config) for trained in trained_models]
    metrics, spread = seeds.mean_over_seeds(of_each), seeds.std_over_seeds(of_each)
    protocol = {"binarization": config.data.binarization, **trained_models[0].model.evaluation_notes}
    if any("frechet" in name for name in metrics):
        judged = evaluators.evaluation_split(dataset, config)
        protocol["features"] = sample_quality.describe_features(dataset, judged, config.evaluation.classifier_steps)
    return {
        "config": config.to_dict(),
        "dataset": dataset.name,
        "split": config.evaluation.split,
        "protocol": protocol,
        "step": trained_models[0].step,
        "seconds": seconds,
        "metrics": metrics,
        **({"std": spread, "per_seed": of_each} if spread else {}),
        "device": devices.describe_devices(),
        "versions": versions.versions(),
    }
