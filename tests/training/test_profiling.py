"""--profile: a trace of compiled steps, for Perfetto and TensorBoard."""

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
    names = {event.get("name", "") for event in events}
    assert any("Execute" in name for name in names)
    assert not any("Compile" in name for name in names)


@pytest.mark.parametrize(
    ("start", "steps", "traced"), [(0, 10, [5]), (0, 5, [0]), (0, 3, [0]), (20, 40, [25]), (20, 24, [20])]
)
def test_the_second_or_the_only_interval_is_traced(tmp_path, monkeypatch, start, steps, traced):
    folders = []
    monkeypatch.setattr("jax.profiler.trace", lambda folder, **options: folders.append(folder) or nullcontext())
    profiler, found = IntervalProfiler(tmp_path, True, start, 5, steps), []
    for step in range(start, steps, 5):
        with profiler.trace_interval(step):
            found += [step] * len(folders)
            folders.clear()
    assert found == traced


def test_profile_is_refused_outside_of_training(tmp_path):
    run = launch(f"{COND_AAE}:smoke", "--mode=sample", "--profile", cwd=tmp_path)
    assert run.returncode == 2
    assert "--profile is for --mode=train, not for --mode=sample" in run.stderr
