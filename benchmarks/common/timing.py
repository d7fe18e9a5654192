"""How long work takes, devices included."""

import time
from collections.abc import Callable
from typing import Any

import jax


def timed(work: Callable, *arguments) -> tuple[Any, float]:
    """What it gives, once devices have finished it, and the seconds until then."""
    began = time.perf_counter()
    given = jax.block_until_ready(work(*arguments))
    return given, time.perf_counter() - began
