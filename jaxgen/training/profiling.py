"""A trace of some training steps, for Perfetto and TensorBoard."""

import contextlib
from pathlib import Path

import jax

FOLDER = "profile"


class IntervalProfiler:
    """Traces one log interval of a run into its workdir: the second, because the first compiles, or the only one."""

    def __init__(self, workdir: Path, enabled: bool, start: int, log_every: int, steps: int):
        second = start - start % log_every + log_every
        self._folder = workdir / FOLDER
        self._traced_step = (second if second < steps else start) if enabled else None

    def trace_interval(self, step: int) -> contextlib.AbstractContextManager:
        """Returns the context of the log interval that starts at `step`; it traces the chosen interval."""
        if step != self._traced_step:
            return contextlib.nullcontext()
        return jax.profiler.trace(str(self._folder), create_perfetto_trace=True)
