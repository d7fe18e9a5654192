"""The device mesh, placement of arrays, and compilation over devices. No other file names devices.

Outside this file arrays are global: the same pure step runs on one device and on many.
"""

import difflib
import os
from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgen.distributed.compiler_options import supported_options
from jaxgen.types import DATA_AXIS

PARALLEL_MODES = ("jit", "pmap")


def in_float32(function: Callable) -> Callable:
    """Makes a function create float32 and int32 arrays even if the program has set `JAX_ENABLE_X64`.

    Checkpoints hold float32, and a state of another dtype could not be restored from them.
    """

    @wraps(function)
    def wrapped(*args, **kwargs):
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return wrapped


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a mesh with the single axis `DATA_AXIS` over `devices`, by default over all devices."""
    # Mesh creates Auto axes; jax.make_mesh creates Explicit axes.
    return Mesh(np.array(jax.devices() if devices is None else devices), (DATA_AXIS,))


def describe_devices() -> str:
    """Returns the number and kind of jax's devices, such as "8 × NVIDIA H200"."""
    processes = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return f"{jax.device_count()} × {jax.devices()[0].device_kind}{processes}"


def validate_parallelism(batch_size: int, parallel: str, mesh: Mesh) -> None:
    """Validates the config's `batch_size` and `parallel` before anything is compiled.

    Raises:
      ValueError: `parallel` is unknown, or the number of devices does not divide the batch size.
    """
    if parallel not in PARALLEL_MODES:
        similar = difflib.get_close_matches(parallel, PARALLEL_MODES, n=1)
        hint = f' (did you mean "{similar[0]}"?)' if similar else ""
        raise ValueError(f'parallel="{parallel}" is unknown; choose "jit" or "pmap"{hint}')
    if batch_size % mesh.size:
        suggestion = batch_size // mesh.size * mesh.size or mesh.size
        raise ValueError(
            f"batch_size={batch_size} must be divisible by {mesh.size} devices; try --config.batch_size={suggestion}"
        )


def replicated_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding that keeps a whole copy of an array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def replicate(tree, mesh: Mesh):
    """Puts a whole copy of every array on every device; all processes must pass equal arrays."""
    if jax.process_count() == 1:
        return jax.device_put(tree, replicated_sharding(mesh))
    # With several processes, device_put does not accept rng keys.
    return jax.jit(lambda tree: tree, out_shardings=replicated_sharding(mesh))(tree)


def abstract_like(tree, mesh: Mesh):
    """Returns the shapes, dtypes and replicated sharding of a tree, as the target for restoring a checkpoint."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated_sharding(mesh)), tree)


def addressable(tree):
    """Returns this process's copy of a replicated tree, for computations that are not collective."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def process_slice(batch_size: int) -> slice:
    """Returns this process's part of a batch. The parts of its devices are adjacent."""
    size = batch_size // jax.process_count()
    return slice(jax.process_index() * size, (jax.process_index() + 1) * size)


def compile_init(init: Callable, mesh: Mesh) -> Callable:
    """Compiles `init(rng) -> state` so that the state is created on every device."""
    return jax.jit(init, out_shardings=replicated_sharding(mesh))


def compile_steps(make_step: Callable[[str | None], Callable], mesh: Mesh, parallel: str) -> Callable:
    """Compiles `run(state, data, index, rng) -> (state, metrics)`, which takes S steps and donates the state.

    `index` [S, B] selects the examples of `data` for each step, or is a tree of the examples, [S, B, ...] each. Each
    metric has shape [S]. The state, the data and the rng are replicated; the batch axis of `index` is sharded. With
    several processes, each process passes the result of `place_batches` on its own part of `index`.

    Args:
      make_step: builds `step(state, data, index [B], rng) -> (state, metrics)` for the name of a mapped axis. The
        name is None under jit, which partitions one global step, so that the noise equals one device's. Under pmap
        the step averages gradients over the axis, and each device samples noise for its own part of the batch.
      mesh: the devices.
      parallel: "jit", or "pmap", which ignores `COMPILER_OPTIONS`.

    Returns:
      The compiled function.
    """
    if parallel == "jit":
        replicated = replicated_sharding(mesh)
        return jax.jit(
            scan_steps(make_step(None)),
            in_shardings=(replicated, replicated, batch_sharding(mesh), replicated),
            out_shardings=(replicated, replicated),
            donate_argnums=0,
            compiler_options=supported_options(mesh.devices.flat[0].platform),
        )
    local_devices = mesh.size // jax.process_count()
    mapped = jax.pmap(
        scan_steps(make_step(DATA_AXIS)),
        axis_name=DATA_AXIS,
        in_axes=(None, None, 0, None),
        out_axes=(None, None),  # no device axis: the state has the same shapes as under jit
        devices=list(mesh.devices.flat),
        donate_argnums=0,
    )

    def run(state, data, index, rng):
        split_index = jax.tree.map(partial(reshape_for_pmap, num_devices=local_devices), index)
        state, metrics = mapped(state, data, split_index, rng)
        return to_global(state, mesh), metrics

    return run


def to_global(tree, mesh: Mesh):
    """Turns an output of pmap, which covers this process's devices only, into an array on all devices of the mesh."""
    if jax.process_count() == 1:
        return tree

    def to_global_array(x):
        shards = [shard.data for shard in x.addressable_shards]
        return jax.make_array_from_single_device_arrays(x.shape, replicated_sharding(mesh), shards)

    return jax.tree.map(to_global_array, tree)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays [S, B, ...] that gives each device its part of every batch."""
    return NamedSharding(mesh, PartitionSpec(None, DATA_AXIS))


def place_batches(tree, mesh: Mesh, parallel: str):
    """Puts arrays [S, B, ...] on the devices as the function of `compile_steps` expects them.

    Under pmap the arrays are returned unchanged. With several processes, each process passes its `process_slice` of
    every batch.
    """
    if parallel == "pmap":
        return tree
    if jax.process_count() == 1:
        return jax.device_put(tree, batch_sharding(mesh))
    return jax.tree.map(partial(jax.make_array_from_process_local_data, batch_sharding(mesh)), tree)


def scan_steps(step: Callable) -> Callable:
    """Returns a function that takes S steps by `jax.lax.scan`, one for each row of `index`."""

    def run(state, data, index, rng):
        return jax.lax.scan(lambda state, index: step(state, data, index, rng), state, index)

    return run


def reshape_for_pmap(index: np.ndarray, num_devices: int) -> np.ndarray:
    """Reshapes [S, B, ...] to [D, S, B/D, ...], with the parts in the order in which jit splits the batch."""
    steps, batch, *rest = index.shape
    return np.moveaxis(index.reshape(steps, num_devices, batch // num_devices, *rest), 1, 0)


def configure_jax(cache_dir: str | Path) -> None:
    """Configures jax before it starts its devices.

    Args:
      cache_dir: folder of compiled programs, unless the environment variable JAX_COMPILATION_CACHE_DIR names one.
    """
    simulated = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if simulated or "JAX_NUM_CPU_DEVICES" in os.environ:
        os.environ.setdefault("PJRT_NPROC", "16")  # with fewer threads, simulated devices can deadlock on few cores
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir))
    jax.config.update("jax_enable_x64", False)  # checkpoints hold float32, whatever JAX_ENABLE_X64 says
    # Cache small programs too: a run has about a hundred, and compiling them takes a fifth of a later start.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
