"""Arrays kept in the user's cache between runs. Whoever keeps them says what they were made from."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxgen.io.atomic import write_npz_atomic

logger = logging.getLogger(__name__)


def load_or_compute(path: Path, state: str, read: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What `read()` gives, from the npz file at `path` where it was made in the same `state`."""
    arrays = _read_cache(path, state)
    if arrays is None:
        arrays = read()
        _write_cache(path, state, arrays)
    return arrays


def _read_cache(path: Path, state: str) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored) if str(stored["state"]) == state else None
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever a damaged file raises: the data set itself is still there
        logger.warning("the cache %s cannot be read (%s); reading the data set again", path, first_line(error))
        return None


def _write_cache(path: Path, state: str, arrays: dict[str, np.ndarray]) -> None:
    try:
        write_npz_atomic(path, state=np.array(state), **arrays)
    except OSError as error:
        logger.warning("the cache %s cannot be written (%s); the next start reads slowly again", path, error)


def first_line(error: BaseException) -> str:
    """The type and the first line of an error's text, which may fill a page."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:200]}"
