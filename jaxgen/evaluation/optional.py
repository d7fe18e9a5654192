"""Figures and metrics that a run can do without: their failure is reported, and the run goes on."""

import contextlib
import logging
from collections.abc import Iterator

from jaxgen.io.errors import describe_error

log = logging.getLogger("jaxgen")
MESSAGE = "%s is skipped: %s"


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
        log.warning(MESSAGE, name, describe_error(error))
        log.debug("traceback of %s", name, exc_info=True)
