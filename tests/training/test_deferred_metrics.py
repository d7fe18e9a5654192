"""Metrics are fetched one dispatch late, so that devices never wait for the host, and stop a run if not finite."""

import numpy as np
import pytest

from jaxgen.io.run_logger import NullLogger
from jaxgen.training.deferred_metrics import DeferredMetrics, NonFiniteLossError, StepBatch


class RecordingLogger(NullLogger):
    def __init__(self):
        self.lines = []

    def log_metrics(self, step, metrics, split="train", images_per_s=None):
        self.lines.append((step, metrics, images_per_s))


def dispatch(until, *losses, dispatched_at=0.0):
    return StepBatch({"loss": np.array(losses, np.float32)}, until - len(losses), until, dispatched_at)


def test_a_dispatch_is_logged_when_the_next_has_started():
    logger = RecordingLogger()
    deferred = DeferredMetrics(logger, images=10)
    deferred.add(dispatch(2, 1.0, 3.0))
    assert logger.lines == []
    deferred.add(dispatch(4, 5.0, 7.0))
    deferred.finish()
    deferred.finish()
    assert [(step, metrics) for step, metrics, _ in logger.lines] == [(2, {"loss": 2.0}), (4, {"loss": 6.0})]


def test_the_rate_never_counts_time_twice(monkeypatch):
    logger, clock = RecordingLogger(), iter([2.0, 3.0, 11.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    deferred = DeferredMetrics(logger, images=10)
    deferred.add(dispatch(2, 1.0, 1.0, dispatched_at=1.0))  # finished at 2.0
    deferred.add(dispatch(4, 1.0, 1.0, dispatched_at=1.5))  # starts at 2.0, finished at 3.0
    deferred.finish()
    deferred.add(dispatch(6, 1.0, 1.0, dispatched_at=10.0))  # idle from 3.0 to 10.0
    deferred.finish()
    assert [rate for *_, rate in logger.lines] == [20.0, 20.0, 20.0]


def test_a_loss_that_is_not_finite_is_named_with_its_step():
    deferred = DeferredMetrics(RecordingLogger(), images=10)
    deferred.add(dispatch(3, 1.0, np.nan, np.inf))
    with pytest.raises(NonFiniteLossError, match="train/loss became nan at step 2; earlier checkpoints are kept"):
        deferred.add(dispatch(6, 1.0, 1.0, 1.0))


def test_several_seeds_are_logged_with_their_mean_and_spread():
    logger = RecordingLogger()
    deferred = DeferredMetrics(logger, images=10)
    deferred.add(StepBatch({"loss": np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 8.0]])}, 0, 2, 0.0))
    deferred.finish()
    ((_, metrics, _),) = logger.lines
    assert metrics == {"loss": pytest.approx(4.0), "loss_seed_std": pytest.approx(np.std([2, 3, 7], ddof=1))}
