"""Detection of the launchers that start the processes of a run: Slurm, Open MPI, Kubernetes."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")  # number of processes that srun, mpirun has started
MPIRUN = re.compile(r"prte(?:run)?-(.+)-(\d+)@(\d+)")  # a job's name in Open MPI 5: host, process id, job number
PORTS = range(61440, 65536)  # the range that jax uses for Open MPI 4


class ProcessSpec(NamedTuple):
    """The arguments of `jax.distributed.initialize`; None leaves a value to the launcher that jax detects."""

    coordinator_address: str | None = None  # "HOST:PORT" of process 0
    num_processes: int | None = None
    process_id: int | None = None
    local_device_ids: list[int] | None = None  # this process's devices, among those of its host


def launcher_detected(environment: Mapping[str, str] = os.environ) -> bool:
    """Returns whether a launcher has started this process as one of several."""
    indexed_job = {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environment.keys()
    return indexed_job or any(int(environment.get(name) or 1) > 1 for name in LAUNCHERS)


def openmpi_process_spec(environment: Mapping[str, str] = os.environ) -> ProcessSpec:
    """Returns this process's spec from the variables of Open MPI 5, or an empty spec without them.

    jax 0.10 reads the variables of Open MPI 4 and older; newer jax reads version 5 through mpi4py. Each process gets
    one device, as jax assigns them under the older versions. With several hosts, process 0 must run on the host where
    mpirun was called, which jax requires under the older versions too.
    """
    job = MPIRUN.fullmatch(environment.get("PMIX_NAMESPACE", ""))
    if not job or "OMPI_COMM_WORLD_SIZE" not in environment:
        return ProcessSpec()
    names = ("SIZE", "RANK", "LOCAL_SIZE", "LOCAL_RANK")
    size, rank, local_size, local_rank = (int(environment[f"OMPI_COMM_WORLD_{name}"]) for name in names)
    host = "localhost" if local_size == size else job[1]
    port = PORTS[(int(job[2]) + int(job[3])) % len(PORTS)]  # equal in all processes, different for another job
    return ProcessSpec(f"{host}:{port}", size, rank, [local_rank])
