"""Trees of arrays as they are written and read: leaves by path, a checksum, placement on devices, plain JSON."""

import json
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def flatten_with_paths(tree: Any) -> dict[str, Any]:
    """Leaves by path in tree order. A path is the same whether a node is a dict, a tuple or a dataclass."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)
    }


def checksum(leaves: dict[str, np.ndarray], meta: dict[str, Any]) -> str:
    """CRC-32 over meta and over path, dtype, shape and bytes of every leaf, sorted by path."""
    rest = {key: value for key, value in meta.items() if key != "checksum"}
    crc = zlib.crc32(json.dumps(rest, sort_keys=True).encode())
    for path, leaf in sorted(leaves.items()):
        crc = zlib.crc32(f"{path} {dtype_and_shape(leaf)}".encode(), crc)
        crc = zlib.crc32(np.asarray(leaf).tobytes(), crc)
    return f"{crc:08x}"


def dtype_and_shape(leaf: Any) -> str:
    """An array's dtype and shape, such as "float32[2, 3]"; "absent" for None."""
    return "absent" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"


def first_mismatch(there: dict[str, Any], here: dict[str, Any]) -> str | None:
    """The first path whose leaves differ in kind, and how; None where the trees agree."""
    for path in [*here, *there]:
        kinds = dtype_and_shape(there.get(path)), dtype_and_shape(here.get(path))
        if kinds[0] != kinds[1]:
            return f"{path} is {kinds[0]} there, {kinds[1]} here"
    return None


def zero_memory_array(leaf: Any) -> np.ndarray:
    """An array of the leaf's shape and dtype that takes no memory: as a target, it asks Orbax for numpy arrays."""
    return np.broadcast_to(np.empty((), leaf.dtype), leaf.shape)


def put_like(leaf: np.ndarray, target: Any) -> jax.Array:
    """The array on the devices that the target's sharding names, where it has one."""
    sharding = getattr(target, "sharding", None)
    if sharding is None:
        return jnp.array(leaf)
    return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])


def to_json_types(meta: dict[str, Any]) -> dict[str, Any]:
    """Meta as it comes back from JSON: tuples as lists, numpy scalars as numbers. A copy."""
    return json.loads(json.dumps(meta, default=lambda value: value.tolist()))
