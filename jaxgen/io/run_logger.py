"""Logs a run's metrics, figures and messages: metrics.jsonl, TensorBoard, figures/, log.txt and a progress bar.

The primary process of a run has a `RunLogger`; the other processes have a `NullLogger`.
"""

import contextlib
import itertools
import json
import logging
import math
import os
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
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
RESERVED = ("step", "split", "time")  # keys of a line in metrics.jsonl that no metric may have
SECONDS_BETWEEN_LINES = 10.0  # between progress lines, without a bar
MAX_SHOWN = 4  # metrics beside the bar
WIDTH, MAX_CELL, MIN_CELL = 100, 22, 20  # columns of a table; at most of a cell; at least of the last cell
BAR_FORMAT = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class RunLogger:
    """The log files of one run. Messages go to stdout, and progress goes to stderr.

    Each call of `log_metrics` appends a line to `metrics.jsonl`: {"step", "split", metrics..., "time"}, with the time
    in Unix seconds, and null for a value that is not finite. A resumed run first drops the lines after `start_step`,
    which a killed run left, so that no step appears twice. TensorBoard hides the events after that step too.

    Args:
      workdir: folder of the run; created if necessary.
      total_steps: the last step of the run.
      start_step: the step that the run resumes from. 0 starts from the beginning and drops every earlier line; a later
        evaluation of a complete run passes `total_steps`, which keeps every line.
      progress: True shows a bar, False prints a line every ten seconds; None shows a bar if stderr is a terminal.
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
        shows_bar = _has_terminal() if progress is None else progress
        self._bar = None
        if shows_bar and start_step < total_steps:
            self._bar = tqdm(
                total=total_steps, initial=start_step, file=sys.stderr, dynamic_ncols=True, bar_format=BAR_FORMAT
            )

    def log_metrics(
        self, step: int, metrics: dict[str, Any], split: str = "train", images_per_s: float | int | None = None
    ) -> None:
        """Writes the metrics of one step; in TensorBoard they are called "split/name".

        Args:
          step: number of steps done.
          metrics: scalars by name.
          split: name of the data split; only "train" updates the progress bar.
          images_per_s: training speed, if known.

        Raises:
          ValueError: a metric has one of the names in `RESERVED`.
        """
        values = {name: float(value) for name, value in metrics.items()}
        if taken := [name for name in RESERVED if name in values]:
            raise ValueError(f"metric {taken[0]!r} has a name that is reserved in metrics.jsonl; rename the metric")
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
        """Writes figures/{name}.png, which replaces the last figure of that name, and adds it to TensorBoard."""
        png = encode_png(image)
        write_bytes_atomic(self.workdir / "figures" / f"{name}.png", png)
        self._tensorboard.write_image(f"figures/{name}", png, image.shape[:2], step)

    def log_message(self, text: str) -> None:
        """Writes a message to the screen, above the bar, and to log.txt."""
        LOGGER.info(text)

    def log_table(
        self, title: str, rows: dict[str, Any], header: Sequence[str] = (), notes: Sequence[str] = ()
    ) -> None:
        """Writes a table to the screen, log.txt and TensorBoard; numbers have four digits.

        Args:
          title: the title; further lines describe the table.
          rows: a value, or a tuple of cells, by name; long cells are wrapped, so that lines have at most WIDTH columns.
          header: names of the columns, with the first.
          notes: lines below the table, which are not wrapped.
        """
        cells = [tuple(header)] * bool(header) + [(name, *format_cells(cells)) for name, cells in rows.items()]
        caption, *details = title.splitlines()
        lines = [caption, "-" * len(caption), *details, *([""] if details else []), *align_cells(cells)]
        self.log_message("\n".join([*lines, *([""] if notes else []), *notes]))
        names, *body = cells if header else [("", ""), *cells]
        table = [f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *body)]
        self._tensorboard.write_text(caption, "\n".join([*details, "", *table, "", *notes]).strip(), self._step)

    @property
    def history(self) -> dict[str, list[tuple[int, float]]]:
        """The metrics in metrics.jsonl: for each "split/name" the pairs (step, value), sorted by step; NaN for null."""
        points: dict[str, dict[int, float]] = {}
        for record in _read_records(self._metrics_path):
            for name in record.keys() - set(RESERVED):
                value = math.nan if record[name] is None else record[name]
                points.setdefault(f"{record['split']}/{name}", {})[record["step"]] = value  # the last line of a step
        return {name: sorted(points[name].items()) for name in sorted(points)}

    def close(self) -> None:
        """Flushes and closes every file, even if one of them fails; a second call does nothing."""
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
        # Like metrics.jsonl, TensorBoard keeps the events of start_step itself.
        purge_step = self._start_step + 1 if self._start_step else 0
        return TensorBoardWriter(self.workdir / "tensorboard", purge_step)

    def _show_progress(self, step: int, values: dict[str, float], images_per_s: float | int | None) -> None:
        shown = [f"{name} {values[name]:.4g}" for name in _select_headline(values)]
        if images_per_s is not None:
            shown.insert(0, f"{images_per_s:,.0f} images/s")  # first, because a narrow terminal cuts off the end
        if self._bar is not None:
            self._bar.set_postfix_str("  ".join(shown), refresh=False)
            self._bar.update(step - self._bar.n)
            self._bar.refresh()
            if step >= self._total_steps:
                self._bar.close()  # later messages appear below the bar
            return
        now = time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES and step < self._total_steps:
            return
        self._last_line = now
        left = (now - self._started) * (self._total_steps - step) / max(1, step - self._start_step)
        done = f"step {step}/{self._total_steps} ({step / max(1, self._total_steps):.0%})"
        print("  ".join([done, *shown, f"{tqdm.format_interval(left)} left"]), file=sys.stderr, flush=True)


class NullLogger:
    """A logger with the methods of a `RunLogger` that writes nothing."""

    history: Mapping[str, list[tuple[int, float]]] = MappingProxyType({})

    def log_metrics(self, step, metrics, split="train", images_per_s=None) -> None: ...

    def log_figure(self, step, name, image) -> None: ...

    def log_message(self, text) -> None: ...

    def log_table(self, title, rows, header=(), notes=()) -> None: ...

    def __enter__(self) -> "NullLogger":
        return self

    def __exit__(self, *_: Any) -> None: ...


def _has_terminal() -> bool:
    """Returns whether stderr is a terminal with a size: without one (in some containers), tqdm shows nothing."""
    return sys.stderr.isatty() and min(os.get_terminal_size(sys.stderr.fileno())) > 0


def _select_headline(names: Any) -> list[str]:
    """Returns the metrics to show beside the bar: those with the name of a loss if there are any, or the first ones."""
    losses = [name for name in names if name.rpartition("/")[2] in ("loss", "nll", "elbo", "mse")]
    return (losses or list(names))[:MAX_SHOWN]


# ---------------------------------------------------------------------------------------------------------- tables


def format_cells(cells: Any) -> tuple[str, ...]:
    """Returns a row's value, or tuple of values, as text."""
    cells = cells if isinstance(cells, tuple) else (cells,)
    return tuple(cell if isinstance(cell, str) else f"{float(cell):.4g}" for cell in cells)


def align_cells(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a table in aligned columns, at most WIDTH wide: cells after the first are wrapped."""
    if not rows:
        return []
    columns = list(zip(*rows, strict=True))
    limits = [max(map(len, columns[0])), *(min(max(map(len, column)), MAX_CELL) for column in columns[1:-1])]
    limits.append(max(WIDTH - sum(limit + 2 for limit in limits), MIN_CELL))
    lines = []
    for row in rows:
        parts = [textwrap.wrap(cell, limit) or [""] for cell, limit in zip(row, limits, strict=True)]
        for line in itertools.zip_longest(*parts, fillvalue=""):
            lines.append("  ".join(f"{part:<{limit}}" for part, limit in zip(line, limits, strict=True)).rstrip())
    return lines


# ---------------------------------------------------------------------------------------------------- metrics.jsonl


def _read_records(path: Path) -> list[dict[str, Any]]:
    """Returns the complete lines; a kill or a power failure can leave a partial line, or bytes that are not text."""
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
    """Keeps the complete lines up to start_step, or no line for a start from step 0; replaces the file atomically."""
    if not path.exists():
        return
    kept = [record for record in _read_records(path) if start_step > 0 and record["step"] <= start_step]
    write_bytes_atomic(path, "".join(json.dumps(record) + "\n" for record in kept).encode())


# ---------------------------------------------------------------------------------------------------------- logging


class _Screen(logging.Handler):
    """Prints log records on stdout, above the bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has closed the pipe, as `| head` does; log.txt has every message
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _LogFile(logging.FileHandler):
    """Appends to a run's log.txt; its class identifies the handlers of an earlier run in the same process."""


def _install_handlers(path: Path) -> list[logging.Handler]:
    """Sends the logger "jaxgen" to log.txt and the screen only, and removes the handlers of an earlier run."""
    _remove_handlers([handler for handler in LOGGER.handlers if isinstance(handler, _Screen | _LogFile)])
    log_file = _LogFile(path, encoding="utf-8")
    log_file.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
    handlers = [log_file, _Screen()]
    for handler in handlers:
        LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False  # otherwise absl's root handler prints every message again
    return handlers


def _remove_handlers(handlers: list[logging.Handler]) -> None:
    for handler in handlers:
        LOGGER.removeHandler(handler)
        handler.close()
    LOGGER.propagate = not LOGGER.handlers
