"""Trees of arrays as checkpoints store them: leaves by path, their comparison, and their placement on devices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def flatten_with_paths(tree: Any) -> dict[str, Any]:
    """Returns the leaves by path, in tree order; a path does not depend on whether a node is a dict or a dataclass."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)
    }


def dtype_and_shape(leaf: Any) -> str:
    """Returns an array's dtype and shape, such as "float32[2, 3]"; "absent" for None."""
    return "absent" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"


def first_mismatch(there: dict[str, Any], here: dict[str, Any]) -> str | None:
    """Returns the first path whose leaves differ in dtype or shape, and how they differ; None if all agree.

    Args:
      there: stored leaves by path.
      here: leaves by path that the caller expects.
    """
    for path in [*here, *there]:
        stored, expected = dtype_and_shape(there.get(path)), dtype_and_shape(here.get(path))
        if stored != expected:
            return f"{path} is {stored} there, {expected} here"
    return None


def zero_memory_array(leaf: Any) -> np.ndarray:
    """Returns an array of the leaf's shape and dtype that takes no memory; as a target, Orbax restores numpy arrays."""
    return np.broadcast_to(np.empty((), leaf.dtype), leaf.shape)


def put_like(leaf: np.ndarray, target: Any) -> jax.Array:
    """Puts an array on the devices of the target's sharding, or on the default device if the target has none."""
    sharding = getattr(target, "sharding", None)
    if sharding is None:
        return jnp.array(leaf)
    return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])
