"""Arrays that are kept in the user's cache between runs, each with a key of the inputs that it was computed from."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxgen.io.atomic import write_npz_atomic
from jaxgen.io.errors import describe_error

logger = logging.getLogger(__name__)


def load_or_compute(path: Path, key: str, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Loads arrays from the cache, or computes and caches them if the file is missing, damaged or has another key.

    Args:
      path: the npz file.
      key: identifies the inputs of `compute`.
      compute: returns the arrays by name.

    Returns:
      The arrays by name.
    """
    arrays = _read_cache(path, key)
    if arrays is None:
        arrays = compute()
        _write_cache(path, key, arrays)
    return arrays


def _read_cache(path: Path, key: str) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored) if str(stored["state"]) == key else None
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file can raise anything; the inputs are still there
        logger.warning("the cache %s cannot be read (%s); reading the data set again", path, describe_error(error))
        return None


def _write_cache(path: Path, key: str, arrays: dict[str, np.ndarray]) -> None:
    try:
        write_npz_atomic(path, state=np.array(key), **arrays)
    except OSError as error:
        logger.warning("the cache %s cannot be written (%s); the next start will be slow again", path, error)
