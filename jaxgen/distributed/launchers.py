"""TODO: jaxgen.distributed.launchers."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")  # srun, mpirun: how many they have started
MPIRUN = re.compile(r"prte(?:run)?-(.+)-(\d+)@(\d+)")  # its name of a job in Open MPI 5: host, process, number
PORTS = range(61440, 65536)  # as jax takes of Open MPI 4


class ProcessSpec(NamedTuple):
    """Where a process stands; what is None is asked of the launcher (SLURM, Open MPI, Kubernetes)."""

    coordinator_address: str | None = None  # "HOST:PORT" of process 0
    num_processes: int | None = None
    process_id: int | None = None
    local_device_ids: list[int] | None = None  # of its host's, its own


def launcher_detected(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher has started this process as one of several."""
    indexed_job = {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environment.keys()
    return indexed_job or any(int(environment.get(name) or 1) > 1 for name in LAUNCHERS)


def openmpi_process_spec(environment: Mapping[str, str] = os.environ) -> ProcessSpec:
    """Where Open MPI 5 says that this process stands, all None where it does not; jax asks the older ones only.

    Newer jax asks 5 too, but by way of mpi4py. Each process has one device, as it has by jax of the older ones.
    Process 0 of several hosts has to be on that where mpirun was called, which jax wants of the older ones too.
    """
    job = MPIRUN.fullmatch(environment.get("PMIX_NAMESPACE", ""))
    if not job or "OMPI_COMM_WORLD_SIZE" not in environment:
        return ProcessSpec()
    told = ("SIZE", "RANK", "LOCAL_SIZE", "LOCAL_RANK")
    of_all, number, here, local = (int(environment[f"OMPI_COMM_WORLD_{each}"]) for each in told)
    host = "localhost" if here == of_all else job[1]
    port = PORTS[(int(job[2]) + int(job[3])) % len(PORTS)]  # the same in all, another for another job
    return ProcessSpec(f"{host}:{port}", of_all, number, [local])
