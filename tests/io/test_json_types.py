"""Values in the types that reading them back from JSON gives."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxgen.io.json_types import to_json_types


def test_values_equal_those_that_json_reads_back():
    value = {
        7: (1, np.float32(0.5)),
        "nan": [float("nan"), np.float64("-inf")],
        "arrays": {"numpy": np.arange(3), "jax": jnp.ones((1, 2))},
        "path": Path("x"),
        "flags": [True, None],
    }
    converted = to_json_types(value)
    assert converted == {
        "7": [1, 0.5],
        "nan": [None, None],
        "arrays": {"numpy": [0, 1, 2], "jax": [[1.0, 1.0]]},
        "path": "x",
        "flags": [True, None],
    }
    assert json.loads(json.dumps(converted, allow_nan=False)) == converted
    assert list(value) == [7, "nan", "arrays", "path", "flags"]  # the argument is unchanged
