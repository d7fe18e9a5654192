"""Checkpoints of a TrainState (Orbax, asynchronous): saved, pruned, checked as they are read. No loop lives here.

A folder `checkpoints/STEP/` holds the arrays (`state`) and, beside them, JSON (`meta`): what the caller gives, the
step, the metrics, and a checksum over all of it, as Orbax does not notice a flipped bit. Reading writes nothing.
"""

import contextlib
import logging
import math
import os
import re
import shutil
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from jaxgen.distributed import processes
from jaxgen.io._orbax import import_orbax, silence_orbax
from jaxgen.io.checkpoint_files import format_steps, list_checkpoints, quarantine_checkpoint, read_metadata
from jaxgen.io.pytrees import checksum, first_mismatch, flatten_with_paths, put_like, to_json_types, zero_memory_array
from jaxgen.types import TrainState

LOGGER = logging.getLogger("jaxgen")
ITEMS = ("state", "meta")


class RestoredCheckpoint(NamedTuple):
    """What a checkpoint held."""

    state: Any
    meta: dict[str, Any]
    step: int


class CheckpointWriteError(OSError):
    """A checkpoint could not be written; those before it are kept."""


class _CorruptCheckpointError(Exception):
    """A checkpoint cannot be trusted; the message says why."""


class CheckpointManager:
    """Saves and restores a TrainState: the newest `keep` are kept, and the best by a validation metric.

    With several processes all of them call every method, and the state is replicated.

    Args:
      directory: where the checkpoints lie; made by the first save.
      keep: how many of the newest to keep, at least 1.
      best: a metric's name and "min" or "max", such as ("validation/nll", "min"): the best checkpoint is kept too.
    """

    def __init__(self, directory: str | os.PathLike, keep: int = 2, best: tuple[str, str] | None = None):
        if keep < 1:
            raise ValueError(f"keep={keep} must be at least 1: a run resumes from the newest checkpoint")
        if best is not None and best[1] not in ("min", "max"):
            raise ValueError(f"best={best} must be (metric, mode) with the mode 'min' or 'max'")
        self._directory = Path(os.path.abspath(directory))
        self._keep, self._best = keep, best
        self._scores: dict[int, float | None] = {}
        self._damaged: set[int] = set()  # found by restore, moved aside by the next save
        self._tidied = False
        self._manager = self._open()

    def save(self, state: TrainState, meta: dict[str, Any], metrics: Mapping[str, Any]) -> None:
        """Saves the state under its own step, in the background; the caller may donate it at once.

        A step that is saved already stays as it is. A metric that is not finite never makes a checkpoint the best.

        Raises:
          UnwrittenError: this one, or the one before it, could not be written.
        """
        ocp = import_orbax()
        self._tidy()
        step = int(np.ravel(state.step)[0])  # several copies step together
        if step in self._manager.all_steps():
            return
        metrics = {name: float(value) for name, value in metrics.items()}
        meta = to_json_types({**meta, "step": step, "metrics": metrics})
        leaves = flatten_with_paths(state)
        meta["checksum"] = checksum(jax.device_get(leaves), meta)
        self._scores[step] = self._score(meta)
        tree = unflatten_dict(leaves, sep="/")
        args = ocp.args.Composite(state=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave(meta))
        with self._writing():
            self._manager.save(step, args=args, force=True)  # else a step before the latest is refused without a word

    def restore(self, target: Any, step: int | np.integer | str | None = None) -> RestoredCheckpoint | None:
        """Reads the newest good checkpoint into the shapes and shardings of `target`; None if there is none at all.

        A damaged one is reported and the next is read instead; the next save moves it to `damaged/`.

        Args:
          target: a TrainState of arrays or of `jax.ShapeDtypeStruct`s; arrays are placed by its shardings.
          step: None for the newest good one, "best" for the best good one by the metric, an int for exactly this one.

        Raises:
          ValueError: the step asked for is absent or damaged, all are damaged, or a good one is of another model.
        """
        self.wait_until_finished()
        self._reopen()  # another process may have saved or pruned
        damage: list[str] = []
        for candidate in self._candidates(step):
            try:
                leaves, meta = self._read(candidate)
            except _CorruptCheckpointError as error:
                self._damaged.add(candidate)
                damage.append(f"step {candidate} {error}")
                continue
            for each in damage:
                LOGGER.warning("checkpoint in %s damaged: %s; using step %d instead", self._directory, each, candidate)
            self._damaged.discard(candidate)
            return RestoredCheckpoint(self._fit(leaves, target, candidate), meta, candidate)
        if not damage:
            return None
        if isinstance(step, int | np.integer):
            raise ValueError(f"checkpoint in {self._directory} damaged: {damage[0]}; steps at hand: {self._at_hand()}")
        raise ValueError(
            f"every checkpoint in {self._directory} is damaged: {'; '.join(damage)}; "
            "remove that folder to start anew, or choose another --workdir"
        )

    def all_steps(self) -> list[int]:
        """The steps at hand in ascending order, one that is being written included, those found damaged not."""
        return sorted(set(self._manager.all_steps()) - self._damaged)

    def wait_until_finished(self) -> None:
        """Blocks until the last save is on the disk; raises an `UnwrittenError` where it did not come there."""
        with self._writing():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and lets the background threads go; `UnwrittenError`: the last save did not come to the disk."""
        with self._writing():
            self._manager.close()

    def __enter__(self) -> "CheckpointManager":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What is under way already says what went wrong.
        with contextlib.suppress(CheckpointWriteError) if kind else contextlib.nullcontext():
            self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Says in one line what a save ends in: a full disk, one that has become read-only."""
        try:
            yield
        except (OSError, ValueError) as error:
            warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)  # Orbax's, given up
            raise CheckpointWriteError(
                f"a checkpoint could not be written in {self._directory} ({_reason(error)}); those before it are kept: "
                "see that it has room and can be written, and the same command resumes"
            ) from error

    def _open(self):
        ocp = import_orbax()
        policies = ocp.checkpoint_managers
        kept = [policies.LatestN(self._keep), _Best(self._by_merit)]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(kept),
            create=False,
            lightweight_initialize=True,  # else one broken metadata file makes all of them unreadable
        )
        handlers = {"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()}
        return ocp.CheckpointManager(self._directory, options=options, item_handlers=handlers)

    def _reopen(self) -> None:
        self.close()
        self._manager = self._open()

    def _tidy(self) -> None:
        """Makes the folder ready for a save: what a killed save left is removed, damaged checkpoints moved aside."""
        if self._tidied and not self._damaged:
            return
        self.wait_until_finished()
        if processes.is_primary():
            self._directory.mkdir(parents=True, exist_ok=True)
            for path in self._directory.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(path, ignore_errors=True)
            for step in self._damaged & set(list_checkpoints(self._directory)):
                quarantine_checkpoint(self._directory / str(step))
        if processes.is_multiprocess():
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("jaxgen: checkpoints tidied")
        self._damaged.clear()
        self._tidied = True
        self._reopen()

    def _candidates(self, step: int | np.integer | str | None) -> list[int]:
        """The steps to try in turn."""
        steps = sorted(self._manager.all_steps(), reverse=True)
        if step is None or (step == "best" and not steps):
            return steps
        if step == "best":
            if self._best is None:
                raise ValueError('step="best" needs the metric that decides: Checkpoints(..., best=(name, "min"))')
            if ranked := self._by_merit(steps):
                return ranked
            raise ValueError(
                f"no checkpoint in {self._directory} has a finite {self._best[0]}; steps at hand: {self._at_hand()}"
            )
        if not isinstance(step, int | np.integer):
            raise ValueError(f"step={step!r} must be a number, 'best' or None for the newest")
        if step not in steps:
            raise ValueError(f"no checkpoint at step {step} in {self._directory}; steps at hand: {self._at_hand()}")
        return [int(step)]

    def _at_hand(self) -> str:
        return format_steps(self.all_steps()) or "none"

    def _by_merit(self, steps: Sequence[int]) -> list[int]:
        """The steps with a finite metric, the best first; of equals the later first."""
        if self._best is None:
            return []
        for step in steps:
            if step not in self._scores:
                self._scores[step] = self._score(read_metadata(self._directory / str(step)))
        sign = 1.0 if self._best[1] == "min" else -1.0
        scored = [step for step in steps if self._scores[step] is not None]
        return sorted(scored, key=lambda step: (sign * self._scores[step], -step))

    def _score(self, meta: dict[str, Any]) -> float | None:
        """The metric that decides which is best; None if it is absent or not finite."""
        value = meta.get("metrics", {}).get(self._best[0]) if self._best else None
        return value if isinstance(value, float) and math.isfinite(value) else None

    def _read(self, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The arrays by path, on the host, and the meta of one checkpoint, found good.

        All of it is read whatever model it belongs to, so that a damaged checkpoint and another model's are told apart.
        """
        ocp = import_orbax()
        for item in ITEMS:
            if not (self._directory / str(step) / item).is_dir():
                raise _CorruptCheckpointError(f"has no {item}")
        try:
            with silence_orbax():
                saved = self._manager.item_metadata(step)["state"].tree
                target = jax.tree.map(zero_memory_array, saved)
                args = ocp.args.Composite(state=ocp.args.StandardRestore(target), meta=ocp.args.JsonRestore())
                found = self._manager.restore(step, args=args)
            leaves, meta = flatten_with_paths(found["state"]), dict(found["meta"])
        except (MemoryError, PermissionError, jax.errors.JaxRuntimeError):
            raise  # trouble of this machine, not of the checkpoint
        except Exception as error:  # a broken file may make Orbax raise anything
            raise _CorruptCheckpointError(f"cannot be read ({type(error).__name__}: {_shortened(error)})") from error
        if meta.get("step") != step:
            raise _CorruptCheckpointError(f"says that it is step {meta.get('step')}")
        if (computed := checksum(leaves, meta)) != meta.get("checksum"):
            raise _CorruptCheckpointError(f"has the checksum {computed}, {meta.get('checksum')} was recorded")
        return leaves, meta

    def _fit(self, leaves: dict[str, np.ndarray], target: Any, step: int) -> Any:
        """The leaves in the target's tree, on the target's devices."""
        wanted = flatten_with_paths(target)
        if differs := first_mismatch(leaves, wanted):
            raise ValueError(
                f"checkpoint at step {step} in {self._directory} belongs to another model: {differs}; "
                "choose another --workdir, or the config that it was made with"
            )
        placed = [put_like(leaves[path], leaf) for path, leaf in wanted.items()]
        return jax.tree.unflatten(jax.tree.structure(target), placed)


class _Best:
    """An Orbax preservation policy that keeps the best step.

    Orbax's own BestN ranks NaN as a number and reads its metrics from files whose damage stops the manager's start.
    """

    def __init__(self, by_merit):
        self._by_merit = by_merit

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        """True for the best one."""
        del context
        best = self._by_merit([info.step for info in checkpoints])[:1]
        return [info.step in best for info in checkpoints]


def _reason(error: OSError | ValueError) -> str:
    """What the system said of a save; Orbax's own errors have its number somewhere among paths and settings."""
    if number := re.search(r"os_error_code='?(\d+)", str(error)):
        return os.strerror(int(number[1]))
    return getattr(error, "strerror", None) or _shortened(error)


def _shortened(error: Exception) -> str:
    """An error's text in one line, of whole words; Orbax's fill a page."""
    return textwrap.shorten(str(error), 160, placeholder=" …")
