"""Where the time of some steps goes, as a trace that Perfetto and TensorBoard open."""

import contextlib
from pathlib import Path

import jax

FOLDER = "profile"


class Profile:
    """Traces one log interval of a run into its workdir: the second, as the first compiles, or the only one there is.

    Attributes:
      traced: whether it has been.
    """

    def __init__(self, workdir: Path, wanted: bool, start: int, log_every: int, steps: int):
        self.folder, self.traced = workdir / FOLDER, not wanted
        self._at = start + log_every if start + log_every < steps else start

    def of(self, step: int) -> contextlib.AbstractContextManager:
        """Around the interval that begins at `step`: traces it if it is the one."""
        if self.traced or step != self._at:
            return contextlib.nullcontext()
        self.traced = True
        return jax.profiler.trace(str(self.folder), create_perfetto_trace=True)
