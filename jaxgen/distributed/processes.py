"""Several processes of one run, on one machine or many: how they connect, agree and exit together.

Each process runs the whole program over the same mesh. The primary, process 0, writes figures and logs; all processes
save checkpoints. In a run of one process, every function here returns at once.
"""

import contextlib
import hashlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import jax
import numpy as np

from jaxgen.distributed.launchers import ProcessSpec, openmpi_process_spec

LOGGER = logging.getLogger("jaxgen")
TEXT = 16_000  # largest size of a broadcast text, in bytes
GRACE = 3.0  # seconds
RESUMES = "checkpoints are kept, and the same command in every process resumes"
KILLED = f"was killed, or another process of its run was lost; {RESUMES}"
WATCHER = "import sys; sys.stdin.read() or print(sys.argv[1], file=sys.stderr, flush=True)"
_watcher: subprocess.Popen | None = None


class LostPeerError(RuntimeError):
    """Training stopped: another process of the run is gone."""


def initialize(spec: ProcessSpec, patience: int = 300) -> None:
    """Connects to the run's other processes. Must be called before jax starts its devices.

    Args:
      spec: which process this is; an empty spec asks the launcher.
      patience: seconds to wait for the other processes.

    Raises:
      ValueError: the spec is wrong, or the other processes do not connect.
    """
    start_crash_reporter()
    if spec == ProcessSpec():
        spec = openmpi_process_spec()
    else:  # started by hand, the other processes may be minutes away; a launcher starts all at once
        waiting = f"process {spec.process_id} of {spec.num_processes} waits for the others"
        LOGGER.info("%s at %s, for at most %d s", waiting, spec.coordinator_address, patience)
    try:
        jax.distributed.initialize(*spec, initialization_timeout=patience)
    except (ValueError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"the processes of this run do not find each other ({reason}); start each by srun or mpirun, or with "
            "--distributed --coordinator_address=HOST:PORT --num_processes=N --process_id=I, where HOST is the machine "
            "of process 0"
        ) from error


def start_crash_reporter() -> None:
    """Starts a child process that prints an error message if this process dies without calling `exit_process`.

    jax aborts a process from C++ when a peer is lost, so no Python code of the process can report it.
    The child reads a pipe from this process. `exit_process` writes one byte to it, and the child stays silent.
    If this process dies first, the pipe closes empty, and the child prints `KILLED`.
    """
    global _watcher
    command = [sys.executable, "-I", "-S", "-c", WATCHER, f"error: process {os.getpid()} {KILLED}"]
    _watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def exit_process(status: int) -> None:
    """Exits the process, or returns if it may end normally.

    After a failure (status 1) the process exits at once and abandons a pending save; its peers then notice the loss.
    If all processes of a run stop for the same reason, each first waits `GRACE` seconds so that all can print it: jax
    may abort the others when one ends.

    Args:
      status: the exit status.
    """
    if _watcher is not None:
        _watcher.communicate(b".")
    if status == 1 or (status and _watcher is not None):
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(0.0 if status == 1 else GRACE)
        os._exit(status)  # a normal exit waits ten minutes in Orbax for a failed write, and in jax for the peers


def is_multiprocess() -> bool:
    """Returns whether the run has more than one process."""
    return jax.process_count() > 1


def is_primary() -> bool:
    """Returns whether this is process 0, which writes the files that the run has once."""
    return jax.process_index() == 0


def broadcast_text(text: str) -> str:
    """Returns the primary's text in every process."""
    if not is_multiprocess():
        return text
    from jax.experimental import multihost_utils

    buffer = np.zeros(TEXT, np.uint8)
    encoded = np.frombuffer(text.encode()[:TEXT], np.uint8)
    buffer[: len(encoded)] = encoded
    received = np.asarray(multihost_utils.broadcast_one_to_all(buffer))
    return received.tobytes().rstrip(b"\0").decode(errors="ignore")


def all_max(number: int) -> int:
    """Returns the largest number that any process passes, in every process."""
    return int(all_gather(number).max())


def all_gather(number: int) -> np.ndarray:
    """Returns the numbers of all processes, in every process."""
    if not is_multiprocess():
        return np.array([number])
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(np.array([number]))).ravel()


def require_equal_across_processes(text: str, what: str) -> None:
    """Checks that all processes pass the same text.

    Args:
      text: of any length; its hash is compared.
      what: noun for the error message.

    Raises:
      ValueError: in every process, if any two texts differ.
    """
    digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1
    if len(set(all_gather(digest).tolist())) > 1:
        raise ValueError(f"the processes of this run do not have the same {what}; start all by the same command")


@contextlib.contextmanager
def enter_on_primary(context: contextlib.AbstractContextManager) -> Iterator[None]:
    """Enters a context in the primary only.

    Raises:
      ValueError: in every process, if entering the context raises one in the primary.
    """
    with contextlib.ExitStack() as stack:
        message = ""
        if is_primary():
            try:
                stack.enter_context(context)
            except ValueError as error:
                message = str(error)
        if message := broadcast_text(message):
            raise ValueError(message)
        yield


@contextlib.contextmanager
def lost_peer_guard() -> Iterator[None]:
    """Translates a failure of jax in collective work, such as training steps, into a lost peer.

    Raises:
      LostPeerError: jax failed in a run of several processes, and this process's memory is not full.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_multiprocess() or is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0][:200]
        raise LostPeerError(f"another process of this run was lost ({reason}); {RESUMES}") from error


def is_out_of_memory(error: jax.errors.JaxRuntimeError) -> bool:
    """Returns whether a device's memory was full, which is a failure of this process and not of a peer."""
    return "out of memory" in str(error).lower()
