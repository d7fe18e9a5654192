"""Metrics come one dispatch late, so that the devices need not wait for the host, and stop a run where it must."""

import numpy as np
import pytest

from jaxgen.io.run_logger import NullLogger
from jaxgen.training.deferred_metrics import DeferredMetrics, NonFiniteLossError, StepBatch


class Heard(NullLogger):
    def __init__(self):
        self.lines = []

    def log(self, step, metrics, split="train", images_per_s=None):
        self.lines.append((step, metrics, images_per_s))


def dispatch(until, *losses, given=0.0):
    return StepBatch({"loss": np.array(losses, np.float32)}, until - len(losses), until, given)


def test_a_dispatch_is_logged_once_the_next_is_under_way():
    heard = Heard()
    report = DeferredMetrics(heard, images=10)
    report.add(dispatch(2, 1.0, 3.0))
    assert heard.lines == []
    report.add(dispatch(4, 5.0, 7.0))
    report.finish()
    report.finish()
    assert [(step, metrics) for step, metrics, _ in heard.lines] == [(2, {"loss": 2.0}), (4, {"loss": 6.0})]


def test_the_rate_counts_no_time_twice(monkeypatch):
    heard, clock = Heard(), iter([2.0, 3.0, 11.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    report = DeferredMetrics(heard, images=10)
    report.add(dispatch(2, 1.0, 1.0, given=1.0))  # is there at 2.0
    report.add(dispatch(4, 1.0, 1.0, given=1.5))  # waited for it until 2.0, is there at 3.0
    report.finish()
    report.add(dispatch(6, 1.0, 1.0, given=10.0))  # nothing ran between 3.0 and 10.0
    report.finish()
    assert [rate for *_, rate in heard.lines] == [20.0, 20.0, 20.0]


def test_a_loss_that_is_not_finite_is_named_with_its_step():
    report = DeferredMetrics(Heard(), images=10)
    report.add(dispatch(3, 1.0, np.nan, np.inf))
    with pytest.raises(NonFiniteLossError, match="train/loss became nan at step 2; checkpoints of before are kept"):
        report.add(dispatch(6, 1.0, 1.0, 1.0))
