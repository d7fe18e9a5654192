"""What training measures, on its way from the devices to the telemetry; it stops where a number is not finite."""

import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.io.run_logger import NullLogger, RunLogger
from jaxgen.types import Metrics


class NonFiniteLossError(RuntimeError):
    """Training stopped: a loss became NaN or infinite."""


class StepBatch(NamedTuple):
    """Steps that the devices have been given."""

    metrics: Metrics  # [S] each, once they are there
    step: int  # the first step is the one after it
    until: int
    dispatched_at: float  # when, by the monotonic clock


class DeferredMetrics:
    """Logs the means of each dispatch's metrics, fetched once, while the devices are at the next one.

    Args:
      telemetry: where to.
      images: so many a step sees, of all copies together.

    `add` and `finish` raise a NonFiniteLossError where a metric is not finite.
    """

    def __init__(self, telemetry: RunLogger | NullLogger, images: int):
        self._telemetry, self._images = telemetry, images
        self._waiting: StepBatch | None = None
        self._done = 0.0  # when the one before was

    def add(self, dispatch: StepBatch) -> None:
        """Logs the one before, and keeps this one."""
        self.finish()
        self._waiting = dispatch

    def finish(self) -> None:
        """Logs what has not been."""
        if self._waiting is None:
            return
        (metrics, step, until, given), self._waiting = self._waiting, None
        fetched = jax.device_get(metrics)
        began, self._done = max(given, self._done), time.monotonic()
        for number in range(until - step):
            require_finite({name: values[number] for name, values in fetched.items()}, step + number + 1, "train")
        rate = (until - step) * self._images / (self._done - began)
        means = {name: float(values.mean()) for name, values in fetched.items()}
        self._telemetry.log_metrics(until, means, images_per_s=rate)


def require_finite(metrics: Mapping[str, np.number | np.ndarray | float], step: int, split: str) -> None:
    for name, value in metrics.items():
        if not np.all(np.isfinite(value)):  # of several copies, each its own
            raise NonFiniteLossError(
                f"{split}/{name} became {value} at step {step}; checkpoints of before are kept; "
                "try smaller rates (--config.learning_rates.NAME=VALUE) in a new --workdir"
            )
