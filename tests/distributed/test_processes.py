"""Several processes of one run: they end where one would, or all together, with a line, and resume."""

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
from helpers import COND_AAE, REPOSITORY, SMALL, launch, read_module, same
from PIL import Image

import jaxgen
from jaxgen.distributed import devices, launchers, processes
from jaxgen.io.checkpoint_files import list_checkpoints
from jaxgen.io.workdir import read_results

SMOKE = (f"{COND_AAE}:smoke", *SMALL)
LONG = ("--config.steps=400", "--config.log_every=10", "--config.checkpoint_every=20", "--config.eval_every=400")
THREADS = {"PJRT_NPROC": "16"}  # by how many a CPU's sums are shared out: the same in all, on any machine
# Compiled as a user's: measures are equal too, to the last bit.
OPTIMISED = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
TWO_DEVICES = {"JAX_NUM_CPU_DEVICES": "2", **THREADS}
MPIRUN = shutil.which("mpirun", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
PATIENCE = 150  # seconds: jax gives a peer that says nothing 100


def place(process: int, processes: int, port: int) -> list[str]:
    return ["--distributed", f"--coordinator=localhost:{port}", f"--processes={processes}", f"--process={process}"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def start(
    folder: Path, *arguments: str, own: tuple[tuple[str, ...], ...] = ((), ()), **environment: str
) -> list[subprocess.Popen]:
    """A run of two processes, its workdir `folder/run`; `own` is what each is told beside."""
    port, environment = free_port(), {**os.environ, "PYTHONPATH": str(REPOSITORY), **THREADS, **environment}
    command = [sys.executable, str(REPOSITORY / "launch.py"), *arguments, "--workdir=run"]
    return [
        subprocess.Popen(
            [*command, *place(process, 2, port), *own[process]],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]


def ended(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Exit status, stdout and stderr of each; none may outlive its peer for long."""
    try:
        said = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *each) for process, each in zip(processes, said, strict=True)]


def wait_for_checkpoints(folder: Path, processes: list[subprocess.Popen], at_least: int) -> None:
    """Until a checkpoint of that step or a later one is there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if max(list_checkpoints(folder / "run" / "checkpoints"), default=0) >= at_least:
            return
        time.sleep(0.01)
    pytest.fail(f"no checkpoint of step {at_least}: {ended(processes)}")


def assert_same_run(one: Path, other: Path) -> None:
    assert_same_parameters(one, other)
    assert read_results(one)["metrics"] == read_results(other)["metrics"]


def assert_same_parameters(one: Path, other: Path) -> None:
    a, b = jaxgen.load(one), jaxgen.load(other)
    assert a.step == b.step
    assert same(a.params, b.params)


@pytest.mark.slow
def test_two_processes_end_where_one_with_as_many_devices_does(tmp_path):
    found = ended(start(tmp_path, *SMOKE))
    assert [status for status, *_ in found] == [0, 0], found
    assert_same_run(tmp_path / "run", by_one_process(tmp_path, *SMOKE))
    lead, other = (stdout for _, stdout, _ in found)
    for number, (_, _, said) in enumerate(found):
        assert f"process {number} of 2 waits for the others at localhost:" in said
    assert "in 2 processes" in lead
    assert "style_leakage" in lead
    assert "style_leakage" not in other  # one writes


def by_one_process(folder: Path, *arguments: str, **environment: str) -> Path:
    """The workdir of the same run of one process that has two devices."""
    run = launch(*arguments, "--workdir=one", cwd=folder, **TWO_DEVICES, **environment)
    assert run.returncode == 0, run.stderr
    return folder / "one"


@pytest.mark.slow
@pytest.mark.skipif(MPIRUN is None, reason="Open MPI is not installed; on Linux, x86_64, it comes with jaxgen[test]")
def test_two_processes_of_mpirun_find_each_other_and_end_there_too(tmp_path):
    mpirun = (MPIRUN, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "2")
    command = (*SMOKE, "--config.parallel=pmap")
    run = launch(*command, "--workdir=run", cwd=tmp_path, under=mpirun, **THREADS, **OPTIMISED)
    assert run.returncode == 0, run.stderr
    assert "in 2 processes (pmap)" in run.stdout + run.stderr
    assert_same_run(tmp_path / "run", by_one_process(tmp_path, *command, **OPTIMISED))


@pytest.mark.slow
def test_two_processes_that_stream_end_where_one_does_that_has_all_in_memory(tmp_path):
    numbers = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(60):
        Image.fromarray(numbers.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / "images" / f"{number}.png")
    command = (
        *(f"--config={REPOSITORY}/configs/ae.py:smoke", "--config.data.source=folder"),
        *(f"--config.data.path={tmp_path / 'images'}", "--config.steps=6", "--config.log_every=2"),
        *("--config.eval_every=2", "--config.checkpoint_every=2"),
    )
    found = ended(start(tmp_path, *command, "--config.data.memory_budget_mib=0", **OPTIMISED))
    assert [status for status, *_ in found] == [0, 0], found
    assert_same_parameters(by_one_process(tmp_path, *command, **OPTIMISED), tmp_path / "run")


@pytest.mark.slow
def test_a_run_of_two_that_is_stopped_and_then_loses_one_resumes_to_the_same_end(tmp_path):
    two = tmp_path / "two"
    two.mkdir()

    processes = start(two, *SMOKE, *LONG)
    wait_for_checkpoints(two, processes, 20)
    processes[1].terminate()
    for status, _, stderr in ended(processes):
        assert status == 128 + signal.SIGTERM
        assert re.search(r"SIGTERM: saved at step \d+; the same command resumes", stderr)
    stopped_at = max(list_checkpoints(two / "run" / "checkpoints"))

    processes = start(two, *SMOKE, *LONG)
    wait_for_checkpoints(two, processes, stopped_at + 20)
    processes[0].kill()
    killed, left = ended(processes)
    assert killed[0] == -signal.SIGKILL
    assert left[0] != 0
    for _, _, stderr in (killed, left):  # the killed one's watcher says it
        assert re.search(r"^error: .* lost.* the same command in every process resumes$", stderr, re.MULTILINE)

    assert [status for status, *_ in ended(start(two, *SMOKE, *LONG))] == [0, 0]
    assert_same_run(by_one_process(tmp_path, *SMOKE, *LONG), two / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "refusal"),
    [
        ((("--config.seed=1",), ()), "error: the processes of this run do not have the same config; start all by"),
        ((("--workdir=/proc/run",), ("--workdir=/proc/run",)), "error: workdir=/proc/run cannot be written"),
    ],
)
def test_what_one_refuses_all_refuse(own, refusal, tmp_path):
    for status, _, stderr in ended(start(tmp_path, *SMOKE, own=own)):
        assert status == 2
        assert refusal in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--coordinator=localhost:1", "--processes=2", "--process=0"), "add --distributed"),
        (("--distributed", "--processes=2"), "must come with all of --coordinator, --processes and --process"),
        (place(2, 2, 1), "--process=2 must be below --processes=2: the first is 0"),
        (["--distributed", "--coordinator=here", "--processes=2", "--process=1"], "=here must be HOST:PORT"),
        (("--distributed",), "the processes of this run do not find each other"),
        (("--distributed", "--mode=sample"), "--distributed is for --mode=train"),
    ],
)
def test_half_a_place_is_refused_in_one_line(arguments, message, tmp_path, monkeypatch):
    for name in ("KUBERNETES_SERVICE_HOST", "SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri", "PMIX_NAMESPACE"):  # of launchers
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
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),  # a pod of its own
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
    ],
)
def test_launchers_are_noticed(environment, expected):
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
        ),  # of something else that prterun has started
        ({**MPI5, "PMIX_NAMESPACE": "slurm.pmix.123.0"}, launchers.ProcessSpec()),
        ({**MPI5, "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, launchers.ProcessSpec("node-07:61445", 4, 3, [1])),
        ({**MPI5, "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, launchers.ProcessSpec("localhost:61445", 4, 3, [1])),
    ],
)
def test_mpirun_says_where_a_process_stands(environment, expected):
    assert launchers.openmpi_process_spec(environment) == expected


@pytest.mark.parametrize("several", [True, False])
def test_a_fault_of_ours_shows_its_traceback_and_waits_for_no_peer(several, monkeypatch, capfd):
    program = read_module(REPOSITORY / "launch.py")

    def faulty(*_):
        raise TypeError("ours")

    left = []
    monkeypatch.setattr(program, "act", faulty)
    monkeypatch.setattr(devices, "configure_jax", lambda: None)
    monkeypatch.setattr(processes, "is_multiprocess", lambda: several)
    monkeypatch.setattr(processes, "exit_process", left.append)
    options = dict.fromkeys((*program.PLACE, "profile")) | {"distributed": False}
    with contextlib.nullcontext() if several else pytest.raises(TypeError, match="ours"):
        program.hand_over(None, "run", "train", options)
    assert left == ([1] if several else [])
    assert ("TypeError: ours" in capfd.readouterr().err) == several


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes", jax.errors.JaxRuntimeError),
        ("UNAVAILABLE: connection reset by peer", processes.LostPeerError),
    ],
)
def test_among_peers_a_full_device_is_not_taken_for_a_lost_peer(said, raised, monkeypatch):
    monkeypatch.setattr(processes, "is_multiprocess", lambda: True)
    with pytest.raises(raised, match=said), processes.lost_peer_guard():
        raise jax.errors.JaxRuntimeError(said)
