"""Imports Orbax on first use and silences the output that repeats an error raised elsewhere. Private to checkpoints."""

import contextlib
import functools
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@functools.cache
def import_orbax():
    """Imports Orbax (0.3 s) and hides its log; its errors are raised by the call that waits for a save or a read.

    Returns:
      The module `orbax.checkpoint`.
    """
    import orbax.checkpoint as ocp

    logging.getLogger("absl").addFilter(lambda record: f"{os.sep}orbax{os.sep}" not in record.pathname)
    _hide_late_errors()
    return ocp


def _hide_late_errors() -> None:
    """Hides the errors that a checkpoint's remaining arrays report after the first error was raised.

    Orbax reads or writes all arrays at once and closes its event loop at the first error. Each remaining array then
    prints a traceback or a warning at a later time, from a thread of tensorstore or from asyncio.
    """

    def report(unraisable, report_others=sys.unraisablehook) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            report_others(unraisable)

    sys.unraisablehook = report
    warnings.filterwarnings("ignore", r"coroutine '[^']*serialize[^']*' was never awaited", RuntimeWarning)
    logging.getLogger("asyncio").addFilter(
        lambda record: not any(name in record.getMessage() for name in ("tensorstore", "orbax"))
    )


@contextlib.contextmanager
def silence_orbax() -> Iterator[None]:
    """Also hides the errors that Orbax logs, for calls whose caller reports the error itself."""
    logger = logging.getLogger("absl")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled
