"""Where a run's numbers go: progress bar, metrics.jsonl, TensorBoard, log.txt, figures. It computes none of them.

One process of a run owns a workdir's telemetry; the others make none.
"""

import contextlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from jaxgen.io.atomic import write_bytes_atomic
from jaxgen.io.tensorboard import TensorBoardWriter
from jaxgen.plotting import encode_png

LOGGER = logging.getLogger("jaxgen")
RESERVED = ("step", "split", "time")  # a line's own keys in metrics.jsonl
SECONDS_BETWEEN_LINES = 10.0  # without a bar
SHOWN = 4  # metrics beside the bar
BAR_FORMAT = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class RunLogger:
    """Where a run's numbers go.

    `metrics.jsonl` holds one line a call of `log`: {"step", "split", metrics..., "time"}, the time in Unix seconds,
    null for what is not finite. A resumed run first drops the lines after its start_step, which a killed run left, so
    that no step comes twice; TensorBoard is told to do the same. Results go to stdout, progress to stderr.

    Args:
      workdir: the run's directory, created if absent.
      total_steps: where the run will end.
      start_step: the step that the run resumes from; 0 starts anew and drops every earlier line. What only adds to a
        run that is complete (a later evaluation) passes total_steps, and keeps everything.
      progress: True draws a bar, False prints a plain line every ten seconds; None draws if stderr is a terminal.
    """

    def __init__(self, workdir: str | os.PathLike, total_steps: int, start_step: int = 0, progress: bool | None = None):
        self.workdir = Path(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._start_step, self._total_steps, self._step = start_step, total_steps, start_step
        self._metrics_path = self.workdir / "metrics.jsonl"
        _drop_lines_after(self._metrics_path, start_step)
        self._metrics_file = open(self._metrics_path, "a", encoding="utf-8")  # noqa: SIM115, closed by close()
        self._handlers = _install_handlers(self.workdir / "log.txt")

        self._started, self._last_line = time.monotonic(), -math.inf
        drawn = _has_a_terminal() if progress is None else progress
        self._bar = None
        if drawn and start_step < total_steps:
            self._bar = tqdm(
                total=total_steps, initial=start_step, file=sys.stderr, dynamic_ncols=True, bar_format=BAR_FORMAT
            )

    def log_metrics(
        self, step: int, metrics: dict[str, Any], split: str = "train", images_per_s: float | int | None = None
    ) -> None:
        """Records the metrics of one step; TensorBoard gets them as "split/name". Only "train" moves the bar.

        Raises:
          ValueError: a metric bears one of the names that a line keeps for itself.
        """
        values = {name: float(value) for name, value in metrics.items()}
        if taken := [name for name in RESERVED if name in values]:
            raise ValueError(f"metric {taken[0]!r} has a name that metrics.jsonl uses itself; rename it")
        if split == "train":
            self._show_progress(step, values, images_per_s)
        if images_per_s is not None:
            values["images_per_s"] = float(images_per_s)
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        line = {"step": int(step), "split": split, **finite, "time": round(time.time(), 3)}
        self._metrics_file.write(json.dumps(line, allow_nan=False) + "\n")
        self._metrics_file.flush()
        for name, value in finite.items():
            if value is not None:
                self._tensorboard.write_scalar(f"{split}/{name}", value, step)
        self._step = int(step)

    def log_figure(self, step: int, name: str, image: UInt8[np.ndarray, "Y X 3"]) -> None:
        """Writes figures/{name}.png, the newest replacing the one before, and adds it to TensorBoard's history."""
        png = encode_png(image)
        write_bytes_atomic(self.workdir / "figures" / f"{name}.png", png)
        self._tensorboard.write_image(f"figures/{name}", png, image.shape[:2], step)

    def log_message(self, text: str) -> None:
        """Says something: on the screen, above the bar, and in log.txt."""
        LOGGER.info(text)

    def log_table(self, title: str, rows: dict[str, Any]) -> None:
        """Shows names and their values, numbers to four digits: on the screen, in log.txt and as TensorBoard text."""
        cells = {name: value if isinstance(value, str) else f"{float(value):.4g}" for name, value in rows.items()}
        width = max((len(name) for name in cells), default=0)
        self.log_message("\n".join([title, "-" * len(title), *(f"{name:<{width}}  {cells[name]}" for name in cells)]))
        lines = [f"| {name} | {cell} |" for name, cell in cells.items()]
        self._tensorboard.write_text(title, "\n".join(["| | |", "|---|---|", *lines]), self._step)

    @property
    def history(self) -> dict[str, list[tuple[int, float]]]:
        """Every metric by "split/name", as (step, value) in order of step; NaN for null. Read from metrics.jsonl."""
        points: dict[str, dict[int, float]] = {}
        for record in _records(self._metrics_path):
            for name in record.keys() - set(RESERVED):
                value = math.nan if record[name] is None else record[name]
                points.setdefault(f"{record['split']}/{name}", {})[record["step"]] = value  # the newest word counts
        return {name: sorted(points[name].items()) for name in sorted(points)}

    def close(self) -> None:
        """Flushes and closes everything, whatever else fails; a second call does nothing."""
        with contextlib.ExitStack() as closing:
            closing.callback(_remove_handlers, self._handlers)
            if "_tensorboard" in self.__dict__:
                closing.callback(self.__dict__.pop("_tensorboard").close)
            closing.callback(self._metrics_file.close)
            if self._bar is not None:
                self._bar.close()

    def __enter__(self) -> "RunLogger":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @cached_property
    def _tensorboard(self) -> TensorBoardWriter:
        # As metrics.jsonl keeps the lines of start_step itself.
        return TensorBoardWriter(
            self.workdir / "tensorboard", purge_step=self._start_step + 1 if self._start_step else 0
        )

    def _show_progress(self, step: int, values: dict[str, float], images_per_s: float | int | None) -> None:
        shown = [f"{name} {values[name]:.4g}" for name in _headline(values)]
        if images_per_s is not None:
            shown.insert(0, f"{images_per_s:,.0f} images/s")  # first: a narrow terminal cuts the end off
        if self._bar is not None:
            self._bar.set_postfix_str("  ".join(shown), refresh=False)
            self._bar.update(step - self._bar.n)
            self._bar.refresh()
            if step >= self._total_steps:
                self._bar.close()  # so that what is said from now on stands below it
            return
        now = time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES and step < self._total_steps:
            return
        self._last_line = now
        left = (now - self._started) * (self._total_steps - step) / max(1, step - self._start_step)
        done = f"step {step}/{self._total_steps} ({step / max(1, self._total_steps):.0%})"
        print("  ".join([done, *shown, f"{tqdm.format_interval(left)} left"]), file=sys.stderr, flush=True)


class NullLogger:
    """The telemetry of a process that leaves it to another: takes everything, writes nothing."""

    history: Mapping[str, list[tuple[int, float]]] = MappingProxyType({})

    def log_metrics(self, step, metrics, split="train", images_per_s=None) -> None: ...

    def log_figure(self, step, name, image) -> None: ...

    def log_message(self, text) -> None: ...

    def log_table(self, title, rows) -> None: ...

    def __enter__(self) -> "NullLogger":
        return self

    def __exit__(self, *_: Any) -> None: ...


def _has_a_terminal() -> bool:
    """Whether stderr is a terminal that has a size: in one without (some containers), tqdm draws nothing."""
    return sys.stderr.isatty() and min(os.get_terminal_size(sys.stderr.fileno())) > 0


def _headline(names: Any) -> list[str]:
    """The few metrics to show beside the bar: losses if any is called so, else the first."""
    losses = [name for name in names if name.rpartition("/")[2] in ("loss", "nll", "elbo", "mse")]
    return (losses or list(names))[:SHOWN]


# ---------------------------------------------------------------------------------------------------- metrics.jsonl


def _records(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole; a kill or a power cut can leave one torn, or bytes that are no text."""
    records = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int) and "split" in record:
            records.append(record)
    return records


def _drop_lines_after(path: Path, start_step: int) -> None:
    """Keeps the whole lines up to start_step, none at all for a fresh start, and replaces the file in one move."""
    if not path.exists():
        return
    kept = [record for record in _records(path) if start_step > 0 and record["step"] <= start_step]
    write_bytes_atomic(path, "".join(json.dumps(record) + "\n" for record in kept).encode())


# ---------------------------------------------------------------------------------------------------------- logging


class _Screen(logging.Handler):
    """Prints a record's text on stdout, above the bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:  # whoever read it, as `| head` does, has read enough; log.txt has it all
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _LogFile(logging.FileHandler):
    """Appends to a run's log.txt; a class of its own, so that it is recognised when the next run begins."""


def _install_handlers(path: Path) -> list[logging.Handler]:
    """Sends the logger "jaxgen" to log.txt and the screen, and there alone: an earlier run's handlers go."""
    _remove_handlers([handler for handler in LOGGER.handlers if isinstance(handler, _Screen | _LogFile)])
    log_file = _LogFile(path, encoding="utf-8")
    log_file.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
    handlers = [log_file, _Screen()]
    for handler in handlers:
        LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False  # absl's root handler would print every message again
    return handlers


def _remove_handlers(handlers: list[logging.Handler]) -> None:
    for handler in handlers:
        LOGGER.removeHandler(handler)
        handler.close()
    LOGGER.propagate = not LOGGER.handlers
