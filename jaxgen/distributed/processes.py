"""Several processes of one run, on one machine or many: how they find each other, agree, and end together.

Each runs the whole program over the same mesh. The lead, process 0, writes the figures and logs; checkpoints are saved
by all. Alone, everything here is free.
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
TEXT = 16_000  # bytes of what processes tell each other, at most
GRACE = 3.0  # seconds
RESUMES = "checkpoints are kept, and the same command in every process resumes"
KILLED = f"was killed, or a peer of it was lost; {RESUMES}"
WATCHER = "import sys; sys.stdin.read() or print(sys.argv[1], file=sys.stderr, flush=True)"
_watcher: subprocess.Popen | None = None


class LostPeerError(RuntimeError):
    """Training stopped: another process of the run is gone."""


def initialize(place: ProcessSpec, patience: int = 300) -> None:
    """Finds the other processes, before jax starts its devices, and has this one end with a line if they are lost.

    Args:
      place: where this process stands.
      patience: seconds to wait for the others to come.

    Raises:
      ValueError: the place is none, or the others do not come.
    """
    start_crash_reporter()
    if place == ProcessSpec():
        place = openmpi_process_spec()
    else:  # a launcher starts all at once; from shells, the others may be minutes away
        told = (
            f"process {place.process_id} of {place.num_processes} waits for the others at {place.coordinator_address}"
        )
        LOGGER.info("%s, for %d s at most", told, patience)
    try:
        jax.distributed.initialize(*place, initialization_timeout=patience)
    except (ValueError, RuntimeError, ImportError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(
            f"the processes of this run do not find each other ({said}); start each by srun or mpirun, or with "
            "--distributed --coordinator=HOST:PORT --processes=N --process=I, the host being that of process 0"
        ) from error


def start_crash_reporter() -> None:
    """Leaves a child that says so when this process is ended from within: a lost peer makes jax abort it."""
    global _watcher
    command = [sys.executable, "-I", "-S", "-c", WATCHER, f"error: process {os.getpid()} {KILLED}"]
    _watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def exit_process(status: int) -> None:
    """Ends this process, or lets it end; one that failed waits for nothing: peers find it lost, a save is given up.

    Where all end by the same refusal or signal, they have GRACE to say so: jax might abort them at the end of one.
    """
    if _watcher is not None:
        _watcher.communicate(b".")
    if status == 1 or (status and _watcher is not None):
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(0.0 if status == 1 else GRACE)  # 1: it failed, or has lost a peer itself
        os._exit(status)  # Orbax's threads would wait ten minutes for what could not be written, jax for the peers


def is_multiprocess() -> bool:
    """Whether the run has more than one process."""
    return jax.process_count() > 1


def is_primary() -> bool:
    """Whether this process writes what there is one of."""
    return jax.process_index() == 0


def broadcast_text(text: str) -> str:
    """The lead's text, in every process."""
    if not is_multiprocess():
        return text
    from jax.experimental import multihost_utils

    buffer = np.zeros(TEXT, np.uint8)
    written = np.frombuffer(text.encode()[:TEXT], np.uint8)
    buffer[: len(written)] = written
    told = np.asarray(multihost_utils.broadcast_one_to_all(buffer))
    return told.tobytes().rstrip(b"\0").decode(errors="ignore")


def all_max(number: int) -> int:
    """The largest that any process gives, in every process."""
    return int(all_gather(number).max())


def all_gather(number: int) -> np.ndarray:
    """What each process gives, in every process."""
    if not is_multiprocess():
        return np.array([number])
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(np.array([number]))).ravel()


def require_equal_across_processes(text: str, what: str) -> None:
    """Refuses a run whose processes differ in `text`.

    Raises:
      ValueError: in every process.
    """
    digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1
    if len(set(all_gather(digest).tolist())) > 1:
        raise ValueError(f"the processes of this run do not have the same {what}; start all by the same command")


@contextlib.contextmanager
def enter_on_primary(context: contextlib.AbstractContextManager) -> Iterator[None]:
    """Enters a context in the lead alone.

    Raises:
      ValueError: in every process, what the context refuses in the lead.
    """
    with contextlib.ExitStack() as stack:
        refusal = ""
        if is_primary():
            try:
                stack.enter_context(context)
            except ValueError as error:
                refusal = str(error)
        if refusal := broadcast_text(refusal):
            raise ValueError(refusal)
        yield


@contextlib.contextmanager
def lost_peer_guard() -> Iterator[None]:
    """Around what all processes do together.

    Raises:
      LostPeerError: it failed in jax itself, as it does when one of them is gone.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_multiprocess() or is_out_of_memory(error):
            raise
        said = str(error).splitlines()[0][:200]
        raise LostPeerError(f"another process of this run was lost ({said}); {RESUMES}") from error


def is_out_of_memory(error: jax.errors.JaxRuntimeError) -> bool:
    """Whether a device had no room: trouble of this process, with which no peer has to do."""
    return "out of memory" in str(error).lower()
