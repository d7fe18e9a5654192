"""Orbax, imported when it is first needed, and what it prints held back where we tell it in one line of our own."""

import contextlib
import functools
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@functools.cache
def import_orbax():
    """Orbax, imported when it is first needed (0.3 s), its log held back: what goes wrong is raised where we wait."""
    import orbax.checkpoint as ocp

    logging.getLogger("absl").addFilter(lambda record: f"{os.sep}orbax{os.sep}" not in record.pathname)
    _hold_back_late_errors()
    return ocp


def _hold_back_late_errors() -> None:
    """Silences what a checkpoint's other arrays report after the first has failed and its error was raised.

    Orbax reads or writes all arrays at once and closes its event loop at the first error; those still under way
    then print a traceback or a warning each, at any later time, from tensorstore's threads and from asyncio.
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
    """Holds back Orbax's errors too, where they are caught and told in one line of ours."""
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
