"""Processes that measure: their environment, and each case in a new process."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax

from benchmarks.common import records
from jaxgen.distributed import devices
from jaxgen.io.atomic import cache_dir


def set_up_jax(simulate: int | None) -> None:
    """Sets the environment for this process and those it starts; must run before jax starts.

    The compilation cache is off, because compile_s would otherwise be the time to read a file.

    Args:
      simulate: number of CPU devices to simulate; None for the devices that are present.
    """
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    if simulate:
        flags = [os.environ.get("XLA_FLAGS", ""), f"--xla_force_host_platform_device_count={simulate}"]
        os.environ |= {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    devices.configure_jax(cache_dir("compiled"))


def is_simulated() -> bool:
    """Returns whether the devices are simulated on the cores of one CPU."""
    requested = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    return jax.default_backend() == "cpu" and (requested or "JAX_NUM_CPU_DEVICES" in os.environ)


def run_in_new_process(function: Callable, *arguments) -> Any:
    """Returns the function's result, or raises its exception, from a new process; this process does not start jax."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure_in_new_processes(
    measure: Callable[[Any], dict], validate: Callable[[Sequence], None], cases: Sequence, out: Path
) -> list[dict]:
    """Measures every case in a new process, since the peak memory of a process never decreases.

    Args:
      measure: returns the row of a case.
      validate: raises a ValueError if a case cannot be measured; runs before the first measurement.
      cases: the cases; `str(case)` is shown while a case is measured.
      out: file of rows, to which each row is appended as soon as it is measured.

    Raises:
      ValueError: a case cannot be measured, or the file cannot be written. Nothing was measured.
    """
    run_in_new_process(validate, cases)
    records.prepare(out)
    rows = []
    for case in cases:
        print(f"measuring {case} …", file=sys.stderr, flush=True)
        row = run_in_new_process(measure, case)
        records.append(out, row)
        rows.append(row)
    return rows
