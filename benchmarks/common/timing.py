"""Wall-clock time of a call, including the work that it leaves to devices."""

import time
from collections.abc import Callable
from typing import Any

import jax


def time_call(function: Callable, *arguments) -> tuple[Any, float]:
    """Calls a function and waits for the devices; returns its result and the seconds taken."""
    start = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return result, time.perf_counter() - start
