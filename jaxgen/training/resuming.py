"""Changes of a config between two starts of a run, and what they mean for the learning rate."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxgen.io import workdir as workdirs
from jaxgen.optimization.optimizers import learning_rate_schedule


def read_changes(workdir: Path, config: ConfigDict) -> dict[str, tuple[Any, Any]]:
    """Returns {key: (value of the run in the workdir, new value)} of the keys that differ; {} for a new run."""
    if not workdirs.is_run(workdir):
        return {}
    return workdirs.compare_configs(workdirs.read_config(workdir), config.to_dict())


def describe_changes(changes: dict[str, tuple[Any, Any]], config: ConfigDict, step: int) -> list[str]:
    """Returns a line with the changed keys, and one for a schedule that depends on the changed number of steps.

    Args:
      changes: the result of `read_changes`.
      config: the new config.
      step: the step that the run resumes from.
    """
    if not changes:
        return []
    messages = [f"the config changes at step {step:,}: {workdirs.describe_changes(changes)}"]
    if "steps" in changes and step and config.get("lr_schedule", "constant") == "cosine":
        before, after = (relative_rate(config, steps, step) for steps in changes["steps"])
        messages.append(
            f"lr_schedule=cosine follows the new number of steps: at step {step:,} the learning rate is {after:.1%} of "
            f"its initial value instead of {before:.1%}; results differ from those of one run of {config.steps:,} steps"
        )
    return messages


def relative_rate(config: ConfigDict, steps: int, step: int) -> float:
    """Returns the learning rate at a step of a run of `steps` steps, relative to its initial value."""
    return float(learning_rate_schedule(1.0, steps, config.lr_schedule)(step))
