"""Converts Python and array values to the types of JSON. Imports no jax."""

import math
import os
from typing import Any


def to_json_types(value: Any) -> Any:
    """Returns a copy of the value in the types that reading it back from JSON gives.

    Tuples become lists, arrays and their scalars become lists and numbers, paths and keys become strings. NaN and
    the infinities become None because JSON has no notation for them.
    """
    if isinstance(value, dict):
        return {str(key): to_json_types(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_types(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and jax
        return to_json_types(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, os.PathLike) else value
