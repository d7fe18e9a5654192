"""Where the time of some steps goes, as a trace that Perfetto and TensorBoard open."""

import contextlib
from pathlib import Path

import jax

FOLDER = "profile"


class IntervalProfiler:
    """Traces one log interval of a run into its workdir: the second, as the first compiles, or the only one."""

    def __init__(self, workdir: Path, wanted: bool, start: int, log_every: int, steps: int):
        second = start + log_every
        self._folder, self._at = workdir / FOLDER, (second if second < steps else start) if wanted else None

    def trace_interval(self, step: int) -> contextlib.AbstractContextManager:
        """Around the interval that begins at `step`: traces it if it is the one."""
        if step != self._at:
            return contextlib.nullcontext()
        return jax.profiler.trace(str(self._folder), create_perfetto_trace=True)
