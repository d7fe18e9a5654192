"""Several processes of one run: same result as one process, all stop together with one line each, and resume."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import COND_AAE, REPOSITORY, SMALL, launch, same
from PIL import Image

import jaxgen
from jaxgen.cli import main as cli
from jaxgen.distributed import devices, launchers, processes
from jaxgen.io.checkpoint_files import list_checkpoints
from jaxgen.io.workdir import read_results

SMOKE = (f"{COND_AAE}:smoke", *SMALL)
LONG = ("--config.steps=400", "--config.log_every=10", "--config.checkpoint_every=20", "--config.eval_every=400")
THREADS = {"PJRT_NPROC": "16"}  # threads that share a sum on a CPU; equal on any machine
# Compiled as for users: metrics are then equal bit for bit, too.
OPTIMIZED = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
TWO_DEVICES = {"JAX_NUM_CPU_DEVICES": "2", **THREADS}
MPIRUN = shutil.which("mpirun", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
PATIENCE = 150  # seconds; jax takes a silent peer for lost after 100


def process_flags(process_id: int, num_processes: int, port: int) -> list[str]:
    return [
        "--distributed",
        f"--coordinator_address=localhost:{port}",
        f"--num_processes={num_processes}",
        f"--process_id={process_id}",
    ]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def start(
    folder: Path, *arguments: str, own: tuple[tuple[str, ...], ...] = ((), ()), **environment: str
) -> list[subprocess.Popen]:
    """Starts a run of two processes in the workdir `folder/run`; `own` has additional flags of each."""
    port, environment = free_port(), {**os.environ, "PYTHONPATH": str(REPOSITORY), **THREADS, **environment}
    command = [sys.executable, str(REPOSITORY / "launch.py"), *arguments, "--workdir=run"]
    return [
        subprocess.Popen(
            [*command, *process_flags(process, 2, port), *own[process]],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]


def wait_for_end(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Returns exit status, stdout and stderr of each process. All must end soon."""
    try:
        outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]


def wait_for_checkpoints(folder: Path, processes: list[subprocess.Popen], at_least: int) -> None:
    """Waits for a checkpoint of that step or a later one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if max(list_checkpoints(folder / "run" / "checkpoints"), default=0) >= at_least:
            return
        time.sleep(0.01)
    pytest.fail(f"no checkpoint of step {at_least}: {wait_for_end(processes)}")


def assert_same_run(one: Path, other: Path) -> None:
    assert_same_parameters(one, other)
    assert read_results(one)["metrics"] == read_results(other)["metrics"]


def assert_same_parameters(one: Path, other: Path) -> None:
    a, b = jaxgen.load(one), jaxgen.load(other)
    assert a.step == b.step
    assert same(a.params, b.params)


@pytest.mark.slow
def test_two_processes_give_the_result_of_one_process_with_two_devices(tmp_path):
    found = wait_for_end(start(tmp_path, *SMOKE))
    assert [status for status, *_ in found] == [0, 0], found
    assert_same_run(tmp_path / "run", run_one_process(tmp_path, *SMOKE))
    primary, other = (stdout for _, stdout, _ in found)
    for number, (_, _, stderr) in enumerate(found):
        assert f"process {number} of 2 waits for the others at localhost:" in stderr
    assert "in 2 processes" in primary
    assert "style_leakage" in primary
    assert "style_leakage" not in other  # only the primary writes


def run_one_process(folder: Path, *arguments: str, **environment: str) -> Path:
    """Runs the same command in one process with two devices, and returns its workdir."""
    run = launch(*arguments, "--workdir=one", cwd=folder, **TWO_DEVICES, **environment)
    assert run.returncode == 0, run.stderr
    return folder / "one"


@pytest.mark.slow
@pytest.mark.skipif(MPIRUN is None, reason="Open MPI is not installed; on Linux, x86_64, it comes with jaxgen[test]")
def test_two_processes_of_mpirun_give_that_result_too(tmp_path):
    mpirun = (MPIRUN, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "2")
    command = (*SMOKE, "--config.parallel=pmap")
    run = launch(*command, "--workdir=run", cwd=tmp_path, under=mpirun, **THREADS, **OPTIMIZED)
    assert run.returncode == 0, run.stderr
    assert "in 2 processes (pmap)" in run.stdout + run.stderr
    assert_same_run(tmp_path / "run", run_one_process(tmp_path, *command, **OPTIMIZED))


@pytest.mark.slow
def test_two_streaming_processes_give_the_result_of_one_with_all_data_in_memory(tmp_path):
    numbers = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(60):
        Image.fromarray(numbers.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / "images" / f"{number}.png")
    command = (
        *(f"--config={REPOSITORY}/configs/ae.py:smoke", "--config.data.source=folder"),
        *(f"--config.data.path={tmp_path / 'images'}", "--config.steps=6", "--config.log_every=2"),
        *("--config.eval_every=2", "--config.checkpoint_every=2"),
    )
    found = wait_for_end(start(tmp_path, *command, "--config.data.memory_budget_mib=0", **OPTIMIZED))
    assert [status for status, *_ in found] == [0, 0], found
    assert_same_parameters(run_one_process(tmp_path, *command, **OPTIMIZED), tmp_path / "run")


@pytest.mark.slow
def test_a_run_of_two_that_is_stopped_and_then_loses_one_resumes_to_the_same_result(tmp_path):
    two = tmp_path / "two"
    two.mkdir()

    processes = start(two, *SMOKE, *LONG)
    wait_for_checkpoints(two, processes, 20)
    processes[1].terminate()
    for status, _, stderr in wait_for_end(processes):
        assert status == 128 + signal.SIGTERM
        assert re.search(r"SIGTERM: saved at step \d+; the same command resumes", stderr)
    stopped_at = max(list_checkpoints(two / "run" / "checkpoints"))

    processes = start(two, *SMOKE, *LONG)
    wait_for_checkpoints(two, processes, stopped_at + 20)
    processes[0].kill()
    killed, left = wait_for_end(processes)
    assert killed[0] == -signal.SIGKILL
    assert left[0] != 0
    for _, _, stderr in (killed, left):  # the crash reporter prints it for the killed process
        assert re.search(r"^error: .* lost.* the same command in every process resumes$", stderr, re.MULTILINE)

    assert [status for status, *_ in wait_for_end(start(two, *SMOKE, *LONG))] == [0, 0]
    assert_same_run(run_one_process(tmp_path, *SMOKE, *LONG), two / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "message"),
    [
        ((("--config.seed=1",), ()), "error: the processes of this run do not have the same config; start all by"),
        ((("--workdir=/proc/run",), ("--workdir=/proc/run",)), "error: workdir=/proc/run cannot be written"),
    ],
)
def test_a_mistake_is_reported_by_all_processes(own, message, tmp_path):
    for status, _, stderr in wait_for_end(start(tmp_path, *SMOKE, own=own)):
        assert status == 2
        assert message in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--coordinator_address=localhost:1", "--num_processes=2", "--process_id=0"), "add --distributed"),
        (
            ("--distributed", "--num_processes=2"),
            "must come with all of --coordinator_address, --num_processes and --process_id",
        ),
        (process_flags(2, 2, 1), "--process_id=2 must be below --num_processes=2; the first is 0"),
        (
            ["--distributed", "--coordinator_address=here", "--num_processes=2", "--process_id=1"],
            "=here must be HOST:PORT",
        ),
        (("--distributed",), "the processes of this run do not find each other"),
        (("--distributed", "--mode=sample"), "--distributed is for --mode=train"),
    ],
)
def test_incomplete_process_flags_are_refused_in_one_line(arguments, message, tmp_path, monkeypatch):
    for name in ("KUBERNETES_SERVICE_HOST", "SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri", "PMIX_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    run = launch(*SMOKE, *arguments, "--workdir=run", cwd=tmp_path)
    assert run.returncode == 2
    assert message in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"SLURM_STEP_NUM_TASKS": "4"}, True),
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),  # a pod outside of an indexed job
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
    ],
)
def test_launchers_are_detected(environment, expected):
    assert launchers.launcher_detected(environment) is expected


MPI5 = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
MPI5 |= {"PMIX_NAMESPACE": "prterun-node-07-4100@1"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, launchers.ProcessSpec()),
        (
            {"PMIX_NAMESPACE": "prterun-node-07-4100@1"},
            launchers.ProcessSpec(),
        ),  # started by prterun, but not by MPI
        ({**MPI5, "PMIX_NAMESPACE": "slurm.pmix.123.0"}, launchers.ProcessSpec()),
        ({**MPI5, "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, launchers.ProcessSpec("node-07:61445", 4, 3, [1])),
        ({**MPI5, "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, launchers.ProcessSpec("localhost:61445", 4, 3, [1])),
    ],
)
def test_the_process_spec_is_read_from_open_mpi_5(environment, expected):
    assert launchers.openmpi_process_spec(environment) == expected


@pytest.mark.parametrize("is_multiprocess", [True, False])
def test_a_bug_shows_its_traceback_and_waits_for_no_peer(is_multiprocess, monkeypatch, capfd):
    def fail(*_):
        raise TypeError("a bug")

    statuses = []
    monkeypatch.setattr(cli, "run_mode", fail)
    monkeypatch.setattr(devices, "configure_jax", lambda cache_dir: None)
    monkeypatch.setattr(processes, "is_multiprocess", lambda: is_multiprocess)
    monkeypatch.setattr(processes, "exit_process", statuses.append)
    options = dict.fromkeys((*cli.PROCESS_FLAGS, "profile")) | {"distributed": False}
    with contextlib.nullcontext() if is_multiprocess else pytest.raises(TypeError, match="a bug"):
        cli.execute(None, "run", "train", options)
    assert statuses == ([1] if is_multiprocess else [])
    assert ("TypeError: a bug" in capfd.readouterr().err) == is_multiprocess


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes", jax.errors.JaxRuntimeError),
        ("UNAVAILABLE: connection reset by peer", processes.LostPeerError),
    ],
)
def test_a_full_device_memory_is_not_taken_for_a_lost_peer(message, error, monkeypatch):
    monkeypatch.setattr(processes, "is_multiprocess", lambda: True)
    with pytest.raises(error, match=message), processes.lost_peer_guard():
        raise jax.errors.JaxRuntimeError(message)
