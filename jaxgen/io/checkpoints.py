"""Saves, prunes, restores and verifies checkpoints of a TrainState, asynchronously and with Orbax.

A folder `checkpoints/STEP/` holds the arrays (`state`) and JSON (`meta`): the caller's metadata, the step, the metrics,
and a checksum over everything, because Orbax does not detect a flipped bit. Restoring never writes to the disk.
"""

import contextlib
import logging
import math
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from jaxgen.distributed import processes
from jaxgen.io._orbax import import_orbax, silence_orbax
from jaxgen.io.checkpoint_files import checksum, format_steps, list_checkpoints, quarantine_checkpoint, read_metadata
from jaxgen.io.errors import describe_error, first_line
from jaxgen.io.json_types import to_json_types
from jaxgen.io.pytrees import first_mismatch, flatten_with_paths, put_like, zero_memory_array
from jaxgen.types import TrainState

LOGGER = logging.getLogger("jaxgen")
ITEMS = ("state", "meta")


class RestoredCheckpoint(NamedTuple):
    """The contents of one checkpoint."""

    state: Any
    meta: dict[str, Any]
    step: int


class CheckpointWriteError(OSError):
    """A checkpoint could not be written; earlier checkpoints are kept."""


class _CorruptCheckpointError(Exception):
    """A checkpoint is damaged; the message completes a sentence that starts with "step N"."""


class CheckpointManager:
    """Saves and restores checkpoints in one folder; keeps the newest ones and the best one by a validation metric.

    In a run of several processes, every process calls every method, and the state is replicated.

    Args:
      directory: folder of the checkpoints; created by the first save.
      keep: number of newest checkpoints that are kept, at least 1.
      best: name and mode of a metric, such as ("validation/nll", "min") or ("accuracy", "max"): the best checkpoint by
        this metric is kept too. None keeps only the newest ones.
    """

    def __init__(self, directory: str | os.PathLike, keep: int = 2, best: tuple[str, str] | None = None):
        if keep < 1:
            raise ValueError(f"keep={keep} must be at least 1: a run resumes from the newest checkpoint")
        if best is not None and best[1] not in ("min", "max"):
            raise ValueError(f"best={best} must be (metric, mode) with the mode 'min' or 'max'")
        self._directory = Path(os.path.abspath(directory))
        self._keep, self._best = keep, best
        self._scores: dict[int, float | None] = {}
        self._damaged: set[int] = set()  # steps that restore found damaged; the next save quarantines them
        self._is_prepared = False
        self._unverified: int | None = None  # the last step, until it was read back
        self._manager = self._open()

    def save(self, state: TrainState, meta: dict[str, Any], metrics: Mapping[str, Any]) -> None:
        """Saves the state under its own step, in the background; the caller may donate the state immediately.

        A step that is already saved is not written again. A checkpoint whose metric is not finite is never the best.

        Args:
          state: the state to save.
          meta: metadata of the caller, of types that JSON has.
          metrics: validation metrics by name.

        Raises:
          CheckpointWriteError: this checkpoint, or the one before it, could not be written.
        """
        ocp = import_orbax()
        self.wait_until_finished()
        self._prepare_folder()
        step = int(np.ravel(state.step)[0])  # all seeds are at the same step
        if step in self._manager.all_steps():
            return
        metrics = {name: float(value) for name, value in metrics.items()}
        meta = to_json_types({**meta, "step": step, "metrics": metrics})
        leaves = flatten_with_paths(state)
        meta["checksum"] = checksum(jax.device_get(leaves), meta)
        self._scores[step] = self._score(meta)
        tree = unflatten_dict(leaves, sep="/")
        args = ocp.args.Composite(state=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave(meta))
        with self._report_write_errors():
            # Without force, Orbax silently skips a step that is below the latest one.
            self._manager.save(step, args=args, force=True)
        self._unverified = step

    def restore(self, target: Any, step: int | np.integer | str | None = None) -> RestoredCheckpoint | None:
        """Restores a checkpoint into the tree and the shardings of `target`.

        A damaged checkpoint is reported and the next candidate is read; the next save moves it to `damaged/`.

        Args:
          target: a TrainState of arrays or of `jax.ShapeDtypeStruct`s with the expected shapes, dtypes and shardings.
          step: None for the newest undamaged checkpoint, "best" for the best one by the metric, or the exact step.

        Returns:
          The checkpoint, or None if there is no checkpoint.

        Raises:
          ValueError: the given step is absent or damaged, every candidate is damaged, or the checkpoint belongs to
            another model.
        """
        self.wait_until_finished()
        self._reopen()  # another process may have saved or pruned since
        damage: list[str] = []
        for candidate in self._candidates(step):
            try:
                leaves, meta = self._read(candidate)
            except _CorruptCheckpointError as error:
                self._damaged.add(candidate)
                damage.append(f"step {candidate} {error}")
                continue
            for text in damage:
                LOGGER.warning(
                    "a checkpoint in %s is damaged: %s; using step %d instead", self._directory, text, candidate
                )
            self._damaged.discard(candidate)
            return RestoredCheckpoint(self._place_leaves(leaves, target, candidate), meta, candidate)
        if not damage:
            return None
        if isinstance(step, int | np.integer):
            raise ValueError(
                f"checkpoint in {self._directory} damaged: {damage[0]}; available steps: {self._format_available()}"
            )
        raise ValueError(
            f"every checkpoint in {self._directory} is damaged: {'; '.join(damage)}; "
            "the files are left as they are. Restore them from a copy, or train again in another folder: --workdir=DIR"
        )

    def all_steps(self) -> list[int]:
        """Returns the steps in ascending order: with a step that is still being written, without damaged ones."""
        return sorted(set(self._manager.all_steps()) - self._damaged)

    def wait_until_finished(self) -> None:
        """Blocks until the last save is on the disk and has been read back.

        Raises:
          CheckpointWriteError: the last save could not be written, or not be read back.
        """
        with self._report_write_errors():
            self._manager.wait_until_finished()
        self._verify_last_save()

    def close(self) -> None:
        """Waits for the last save, reads it back, and ends the background threads.

        Raises:
          CheckpointWriteError: the last save could not be written, or not be read back.
        """
        try:
            self.wait_until_finished()
        finally:
            self._close_manager()

    def __enter__(self) -> "CheckpointManager":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
            return
        with contextlib.suppress(CheckpointWriteError):  # the error of the block already explains the failure
            self._close_manager()

    def _close_manager(self) -> None:
        with self._report_write_errors():
            self._manager.close()

    def _verify_last_save(self) -> None:
        """Reads the last save from the disk and compares its checksum."""
        step, self._unverified = self._unverified, None
        if step is None:
            return
        try:
            self._read(step)
        except _CorruptCheckpointError as error:
            raise CheckpointWriteError(
                f"the checkpoint of step {step} in {self._directory} was written, and cannot be used: it {error}; "
                "earlier checkpoints are kept. Check the disk, or choose another --workdir"
            ) from error

    @contextlib.contextmanager
    def _report_write_errors(self) -> Iterator[None]:
        """Raises a CheckpointWriteError of one line for a failed save, such as on a full or read-only disk."""
        try:
            yield
        except (OSError, ValueError) as error:
            # Orbax abandons the coroutines of a failed save.
            warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)
            raise CheckpointWriteError(
                f"a checkpoint could not be written in {self._directory} ({_write_error_reason(error)}); "
                "earlier checkpoints are kept. Check that the disk is writable and has free space; then the same "
                "command resumes"
            ) from error

    def _open(self):
        ocp = import_orbax()
        policies = ocp.checkpoint_managers
        preserved = [policies.LatestN(self._keep), _KeepBest(self._sort_by_metric)]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(preserved),
            create=False,
            lightweight_initialize=True,  # otherwise one broken metadata file makes every checkpoint unreadable
        )
        handlers = {"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()}
        return ocp.CheckpointManager(self._directory, options=options, item_handlers=handlers)

    def _reopen(self) -> None:
        self._close_manager()
        self._manager = self._open()

    def _prepare_folder(self) -> None:
        """Prepares the folder for a save: removes the files of killed saves and quarantines damaged checkpoints."""
        if self._is_prepared and not self._damaged:
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

            multihost_utils.sync_global_devices("jaxgen: checkpoint folder prepared")
        self._damaged.clear()
        self._is_prepared = True
        self._reopen()

    def _candidates(self, step: int | np.integer | str | None) -> list[int]:
        """Returns the steps to try, in order of preference."""
        steps = sorted(self._manager.all_steps(), reverse=True)
        if step is None or (step == "best" and not steps):
            return steps
        if step == "best":
            if self._best is None:
                raise ValueError('step="best" needs a metric: CheckpointManager(..., best=(name, "min"))')
            if ranked := self._sort_by_metric(steps):
                return ranked
            raise ValueError(
                f"no checkpoint in {self._directory} has a finite {self._best[0]}; "
                f"available steps: {self._format_available()}"
            )
        if not isinstance(step, int | np.integer):
            raise ValueError(f"step={step!r} must be a number, 'best' or None for the newest")
        if step not in steps:
            raise ValueError(
                f"no checkpoint at step {step} in {self._directory}; available steps: {self._format_available()}"
            )
        return [int(step)]

    def _format_available(self) -> str:
        return format_steps(self.all_steps()) or "none"

    def _sort_by_metric(self, steps: Sequence[int]) -> list[int]:
        """Returns the steps with a finite metric, the best first; among equal metrics the later step first."""
        if self._best is None:
            return []
        for step in steps:
            if step not in self._scores:
                self._scores[step] = self._score(read_metadata(self._directory / str(step)))
        sign = 1.0 if self._best[1] == "min" else -1.0
        scored = [step for step in steps if self._scores[step] is not None]
        return sorted(scored, key=lambda step: (sign * self._scores[step], -step))

    def _score(self, meta: dict[str, Any]) -> float | None:
        """Returns the metric that ranks checkpoints; None if it is absent or not finite."""
        value = meta.get("metrics", {}).get(self._best[0]) if self._best else None
        return value if isinstance(value, float) and math.isfinite(value) else None

    def _read(self, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Reads one checkpoint: its arrays by path, on the host, and its metadata.

        It is read in the shapes that it was saved in, to distinguish a damaged checkpoint from another model's.

        Raises:
          _CorruptCheckpointError: the checkpoint is damaged.
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
                restored = self._manager.restore(step, args=args)
            leaves, meta = flatten_with_paths(restored["state"]), dict(restored["meta"])
        except (MemoryError, PermissionError, jax.errors.JaxRuntimeError):
            raise  # a problem of this machine, which does not damage the checkpoint
        except Exception as error:  # a broken file can make Orbax raise anything
            raise _CorruptCheckpointError(f"cannot be read ({describe_error(error)})") from error
        if meta.get("step") != step:
            raise _CorruptCheckpointError(f"has metadata of step {meta.get('step')}")
        if (computed := checksum(leaves, meta)) != meta.get("checksum"):
            raise _CorruptCheckpointError(f"has the checksum {computed}; its metadata has {meta.get('checksum')}")
        return leaves, meta

    def _place_leaves(self, leaves: dict[str, np.ndarray], target: Any, step: int) -> Any:
        """Returns the leaves in the target's tree and on the target's devices."""
        expected = flatten_with_paths(target)
        if mismatch := first_mismatch(leaves, expected):
            raise ValueError(
                f"checkpoint at step {step} in {self._directory} belongs to another model: {mismatch}; "
                "choose another --workdir, or the config that it was made with"
            )
        placed = [put_like(leaves[path], leaf) for path, leaf in expected.items()]
        return jax.tree.unflatten(jax.tree.structure(target), placed)


class _KeepBest:
    """An Orbax preservation policy that keeps the best step.

    Orbax's own BestN ranks NaN like a number, and it reads metrics from files whose damage stops the manager's start.
    """

    def __init__(self, sort_by_metric: Callable[[Sequence[int]], list[int]]):
        self._sort_by_metric = sort_by_metric

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        """Returns True for the best checkpoint and False for the others."""
        del context
        best = self._sort_by_metric([info.step for info in checkpoints])[:1]
        return [info.step in best for info in checkpoints]


def _write_error_reason(error: OSError | ValueError) -> str:
    """Returns the system's reason of a failed save; Orbax's errors contain its number among paths and settings."""
    if number := re.search(r"os_error_code='?(\d+)", str(error)):
        return os.strerror(int(number[1]))
    return getattr(error, "strerror", None) or first_line(error)
