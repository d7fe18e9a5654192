"""Figures and metrics that a run can do without: their failure is reported, and the run goes on."""

import contextlib
import logging
from collections.abc import Iterator

from jaxgen.io.errors import describe_error

log = logging.getLogger("jaxgen")


@contextlib.contextmanager
def skip_on_failure(name: str) -> Iterator[None]:
    """Ends its block at an error and reports it in one line.

    Errors of the disk are raised, because they would also stop the next checkpoint.

    Args:
      name: what is skipped, such as "figure curves".
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        report_skip(name, error)


def report_skip(name: str, error: Exception) -> None:
    """Logs in one line that a figure or a metric is skipped, and why."""
    log.warning("%s is skipped: %s", name, describe_error(error))
