"""--profile: a trace of steps that are compiled already, which Perfetto and TensorBoard open."""

import gzip
import json
from contextlib import nullcontext

import pytest
from helpers import COND_AAE, SMALL, launch

from jaxgen.training.profiling import IntervalProfiler


@pytest.mark.slow
def test_a_run_leaves_a_trace_of_one_interval(tmp_path):
    run = launch(f"{COND_AAE}:smoke", *SMALL, "--config.log_every=5", "--profile", "--workdir=run", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    (folder,) = (tmp_path / "run" / "profile" / "plugins" / "profile").iterdir()
    assert [*folder.glob("*.xplane.pb")]
    with gzip.open(folder / "perfetto_trace.json.gz") as file:
        events = json.load(file)["traceEvents"]
    named = {event.get("name", "") for event in events}
    assert any("Execute" in name for name in named)
    assert not any("Compile" in name for name in named)


@pytest.mark.parametrize(
    ("start", "steps", "traced"), [(0, 10, [5]), (0, 5, [0]), (0, 3, [0]), (20, 40, [25]), (20, 24, [20])]
)
def test_the_second_interval_is_traced_or_the_only_one(tmp_path, monkeypatch, start, steps, traced):
    seen = []
    monkeypatch.setattr("jax.profiler.trace", lambda folder, **options: seen.append(folder) or nullcontext())
    profile, found = IntervalProfiler(tmp_path, True, start, 5, steps), []
    for step in range(start, steps, 5):
        with profile.trace_interval(step):
            found += [step] * len(seen)
            seen.clear()
    assert found == traced


def test_it_is_for_training_alone(tmp_path):
    run = launch(f"{COND_AAE}:smoke", "--mode=sample", "--profile", cwd=tmp_path)
    assert run.returncode == 2
    assert "--profile is for --mode=train, not for --mode=sample" in run.stderr
