"""What a run is judged by: measured once, at its end, and written to `results.json`."""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from jaxgen import copies, evaluation, hosts, parallel, quality
from jaxgen import workdir as workdirs
from jaxgen.data import Dataset
from jaxgen.model import Model
from jaxgen.telemetry import Telemetry


def write(
    models: Sequence[Model],
    dataset: Dataset,
    config: ConfigDict,
    seconds: float | None,
    workdir: Path,
    telemetry: Telemetry,
) -> dict:
    """Measures each copy on the split that the run is judged by, writes the mean and the std, and shows them."""
    results = measured(models, dataset, config, seconds)
    if hosts.is_lead():
        workdirs.write_json(workdir / "results.json", results)
    single, spread = quality.single(results["metrics"]), results.get("std")
    telemetry.log(results["step"], single, split=results["split"])
    shown = {name: f"{value:.4g} ± {spread[name]:.2g}" if spread else value for name, value in single.items()}
    of = f", mean ± std of {len(models)} seeds" if spread else ""
    telemetry.table(f"{dataset.name}, {results['split']} split, step {results['step']}{of}", shown)
    return results


def measured(models: Sequence[Model], dataset: Dataset, config: ConfigDict, seconds: float | None) -> dict:
    """What `results.json` holds; `seconds` of training are None where they are not known."""
    of_each = [evaluation.report(model, dataset, config) for model in models]
    metrics, spread = copies.mean(of_each), copies.std(of_each)
    protocol = {"binarisation": config.data.binarisation, **models[0].algorithm.protocol}
    if any("frechet" in name for name in metrics):
        judged = evaluation.held_out(dataset, config)
        protocol["features"] = quality.features_of(dataset, judged, config.evaluation.classifier_steps)
    return {
        "config": config.to_dict(),
        "dataset": dataset.name,
        "split": config.evaluation.split,
        "protocol": protocol,
        "step": models[0].step,
        "seconds": seconds,
        "metrics": metrics,
        **({"std": spread, "of_each_seed": of_each} if spread else {}),
        "device": parallel.describe_devices(),
        "versions": workdirs.versions(),
    }
