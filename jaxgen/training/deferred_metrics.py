"""Training metrics, which are fetched from the devices one dispatch late and must be finite."""

import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.io.run_logger import NullLogger, RunLogger
from jaxgen.types import SEED_STD, Metrics


class NonFiniteLossError(RuntimeError):
    """Training stopped: a loss became NaN or infinite."""


class StepBatch(NamedTuple):
    """The training steps of one dispatch, and their metrics."""

    metrics: Metrics  # shape [S] each, on the devices
    step: int  # number of steps before the dispatch
    until: int  # number of steps after it
    dispatched_at: float  # seconds of the monotonic clock


class DeferredMetrics:
    """Logs the mean metrics of each dispatch while the devices work on the next dispatch.

    `add` and `finish` raise a NonFiniteLossError if a metric is not finite.

    Args:
      logger: receives the means and the rate.
      images: images per step, over all seeds.
    """

    def __init__(self, logger: RunLogger | NullLogger, images: int):
        self._logger, self._images = logger, images
        self._pending: StepBatch | None = None
        self._finished_at = 0.0  # when the previous dispatch was finished

    def add(self, dispatch: StepBatch) -> None:
        """Logs the pending dispatch, and keeps the new one pending."""
        self.finish()
        self._pending = dispatch

    def finish(self) -> None:
        """Waits for the pending dispatch, if there is one, and logs its metrics."""
        if self._pending is None:
            return
        (metrics, step, until, dispatched_at), self._pending = self._pending, None
        fetched = jax.device_get(metrics)
        started_at, self._finished_at = max(dispatched_at, self._finished_at), time.monotonic()
        for i in range(until - step):
            require_finite({name: values[i] for name, values in fetched.items()}, step + i + 1, "train")
        rate = (until - step) * self._images / (self._finished_at - started_at)
        self._logger.log_metrics(until, mean_over_steps(fetched), images_per_s=rate)


def mean_over_steps(metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the mean of each metric [S] or [S, seeds], and NAME_seed_std, the spread of the seeds' own means."""
    means = {name: float(values.mean()) for name, values in metrics.items()}
    for name, values in metrics.items():
        if values.ndim > 1 and values.shape[1] > 1:
            means[f"{name}{SEED_STD}"] = float(values.mean(axis=0).std(ddof=1))
    return means


def require_finite(metrics: Mapping[str, np.number | np.ndarray | float], step: int, split: str) -> None:
    """Raises a NonFiniteLossError that names the first metric with a NaN or an infinity."""
    for name, value in metrics.items():
        if not np.all(np.isfinite(value)):  # an array has one value per seed
            raise NonFiniteLossError(
                f"{split}/{name} became {value} at step {step}; earlier checkpoints are kept; "
                "try smaller learning rates (--config.learning_rates.NAME=VALUE) in a new --workdir"
            )
