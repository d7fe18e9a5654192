"""A run that is killed, stopped or fails resumes, and its result is equal bit for bit to an uninterrupted run's."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from helpers import COND_AAE, REPOSITORY, SMALL, launch, read_config

import jaxgen
from jaxgen.cli import commands
from jaxgen.data import load_dataset
from jaxgen.io.checkpoint_files import list_checkpoints
from jaxgen.training import loop, signals
from jaxgen.training.deferred_metrics import NonFiniteLossError

LONG = (f"{COND_AAE}:smoke", *SMALL, "--config.steps=400", "--config.log_every=10", "--config.checkpoint_every=20",
        "--config.eval_every=400")  # fmt: skip


def final_params(workdir):
    """Returns the parameters of the newest checkpoint."""
    model = jaxgen.load(workdir)
    assert model.step == 400
    return model.params


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    run = launch(*LONG, "--workdir=run", cwd=folder)
    assert run.returncode == 0, run.stderr
    return final_params(folder / "run")


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def stop_after(checkpoints: int, signum: signal.Signals, folder, arguments=LONG, **environment: str) -> int:
    """Starts the long run, sends a signal after a number of checkpoints, and returns the exit status."""
    command = [sys.executable, str(REPOSITORY / "launch.py"), *arguments, "--workdir=run"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        found: set[str] = set()
        while len(found) < checkpoints and process.poll() is None and time.monotonic() < deadline:
            found |= {path.name for path in (folder / "run" / "checkpoints").glob("[0-9]*") if path.name.isdecimal()}
            time.sleep(0.005)
        process.send_signal(signum)
        process.communicate(timeout=120)
        return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("checkpoints", [1, 4])
def test_a_killed_run_resumes_to_the_same_parameters(checkpoints, uninterrupted, tmp_path):
    assert stop_after(checkpoints, signal.SIGKILL, tmp_path) == -signal.SIGKILL
    run = launch(*LONG, "--workdir=run", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert_same(final_params(tmp_path / "run"), uninterrupted)
    steps = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    train = [line["step"] for line in steps if line["split"] == "train"]
    assert train == list(range(10, 401, 10))  # each step once


@pytest.mark.parametrize("signum", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_and_stops_and_the_same_command_resumes_exactly(signum, uninterrupted, tmp_path):
    assert stop_after(2, signum, tmp_path) == 128 + signum
    run = launch(*LONG, "--workdir=run", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "resuming at step" in run.stdout
    assert_same(final_params(tmp_path / "run"), uninterrupted)


def test_a_loss_that_is_not_finite_ends_the_run_in_one_line(tmp_path):
    run = launch(*LONG, "--workdir=run", "--config.learning_rates.reconstruction=1e30", cwd=tmp_path)
    assert run.returncode == 1
    assert re.search(r"error: train/\w+/\w+ became \w+ at step \d; earlier checkpoints are kept", run.stderr)
    assert "Traceback" not in run.stderr


def short_config(**changes):
    config = read_config("ae")
    config.update({"hidden_sizes": (8,), "steps": 60, "log_every": 20, "eval_every": 20, "checkpoint_every": 20})
    config.update(changes)
    return config


@pytest.mark.slow
def test_a_validation_metric_that_is_not_finite_stops_the_run_and_keeps_earlier_checkpoints(tmp_path, monkeypatch):
    results = iter([{"mse": 0.5}, {"mse": float("nan")}])
    monkeypatch.setattr(loop, "validate_seeds", lambda *_: next(results))
    with pytest.raises(NonFiniteLossError, match=r"validation/mse became nan at step 40; earlier checkpoints"):
        loop.train_and_evaluate(short_config(), tmp_path)
    assert list_checkpoints(tmp_path / "checkpoints") == [20]


@pytest.mark.slow
def test_a_signal_in_the_last_steps_stops_the_run_and_resuming_evaluates(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(loop.processes, "all_max", lambda signum: signal.SIGTERM)
        with pytest.raises(signals.Interrupted, match="SIGTERM: saved at step 20"):
            loop.train_and_evaluate(short_config(steps=20), tmp_path)
    assert not (tmp_path / "results.json").exists()
    loop.train_and_evaluate(short_config(steps=20), tmp_path)
    assert (tmp_path / "results.json").exists()


def test_a_signal_during_validation_saves_that_step_and_stops(tmp_path, monkeypatch):
    real = loop.validate_seeds

    def interrupt(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(loop, "validate_seeds", interrupt)
    with pytest.raises(signals.Interrupted, match="SIGTERM: saved at step 20"):
        loop.train_and_evaluate(short_config(checkpoint_every=60), tmp_path)
    assert list_checkpoints(tmp_path / "checkpoints") == [20]


def test_a_signal_during_the_last_save_stops_before_the_evaluation(tmp_path, monkeypatch):
    real = loop.save_checkpoint

    def interrupt(*arguments):
        real(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop, "save_checkpoint", interrupt)
    with pytest.raises(signals.Interrupted, match="SIGTERM: saved at step 20"):
        loop.train_and_evaluate(short_config(steps=20), tmp_path)
    assert list_checkpoints(tmp_path / "checkpoints") == [20]
    assert not (tmp_path / "results.json").exists()


@pytest.mark.slow
def test_a_run_resumes_only_with_its_own_images_and_also_after_another_evaluation(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(loop.processes, "all_max", lambda signum: signal.SIGTERM)
        with pytest.raises(signals.Interrupted):
            loop.train_and_evaluate(short_config(), tmp_path)
    config, config_bytes = short_config(), (tmp_path / "config.json").read_bytes()
    config.evaluation.split = "validation"
    dataset = load_dataset(config.data)
    swapped = dataset._replace(train=dataset.validation, validation=dataset.train)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "load_dataset", lambda config: swapped)
        with pytest.raises(ValueError, match="holds a run on other images than digits has here"):
            loop.train_and_evaluate(short_config(), tmp_path)
        patched.setattr(commands, "load_dataset", lambda config: swapped)
        assert commands.evaluate_run(config, tmp_path)["split"] == "validation"
    assert "digits has other images here than the run was trained on" in (tmp_path / "log.txt").read_text()
    assert (tmp_path / "config.json").read_bytes() == config_bytes
    results = loop.train_and_evaluate(short_config(), tmp_path)
    assert (results["step"], results["split"]) == (60, "test")


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
READ_ONLY = """
import errno, os, sys
def refuse(event, args):
    writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    writes = writes or event in ("os.mkdir", "os.rename")
    if writes and "/run/" in str(args[0]) and os.path.exists("run/checkpoints/60"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(args[0]))
sys.addaudithook(refuse)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"), [(FULL, "File too large"), (READ_ONLY, "Read-only file system")], ids=["full", "read-only"]
)
def test_a_failing_disk_ends_the_run_in_one_line_and_the_same_command_resumes_exactly(
    fault, reason, uninterrupted, tmp_path
):
    assert stop_after(1, signal.SIGTERM, tmp_path) == 128 + signal.SIGTERM
    faulty = f"{fault}\nimport runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    failed = subprocess.run(
        [sys.executable, "-c", faulty, str(REPOSITORY / "launch.py"), *LONG, "--workdir=run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert failed.returncode == 1
    errors = [line for line in failed.stderr.splitlines() if not line.startswith("step ")]
    assert len(errors) == 1, failed.stderr
    assert errors[0].startswith("error: a checkpoint could not be written in ")
    assert errors[0].endswith(
        f"({reason}); earlier checkpoints are kept. Check that the disk is writable and has free space; then the same "
        "command resumes"
    )
    run = launch(*LONG, "--workdir=run", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert_same(final_params(tmp_path / "run"), uninterrupted)


@pytest.mark.slow
def test_a_run_resumes_on_eight_devices_and_again_on_one(tmp_path):
    arguments = (*LONG, "--config.batch_size=104")
    eight = {"JAX_NUM_CPU_DEVICES": "8"}
    for environment in ({}, eight):
        assert stop_after(3, signal.SIGTERM, tmp_path, arguments, **environment) == 128 + signal.SIGTERM
    for folder in ("run", "alone"):
        run = launch(*arguments, f"--workdir={folder}", cwd=tmp_path)
        assert run.returncode == 0, run.stderr
    assert "8 × cpu" in (tmp_path / "run" / "log.txt").read_text()
    resumed, alone = (jaxgen.load(tmp_path / folder).metrics for folder in ("run", "alone"))
    np.testing.assert_allclose(
        [resumed[name] for name in ("mse", "nll")], [alone[name] for name in ("mse", "nll")], rtol=0.02
    )
