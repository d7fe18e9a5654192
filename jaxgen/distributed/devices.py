"""The mesh, placement and compilation over devices: the only file that names devices.

Outside this file arrays are global. One device and many run the same pure step.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgen.distributed.compiler_options import supported_options
from jaxgen.io.atomic import cache_dir
from jaxgen.types import DATA_AXIS

PARALLEL_MODES = ("jit", "pmap")


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with the one axis `AXIS` over `devices`, all of them by default."""
    # Mesh gives Auto axes, where jax.make_mesh would give Explicit ones.
    return Mesh(np.array(jax.devices() if devices is None else devices), (DATA_AXIS,))


def describe_devices() -> str:
    """How many devices of what kind jax sees, such as "8 × NVIDIA H200"."""
    several = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return f"{jax.device_count()} × {jax.devices()[0].device_kind}{several}"


def validate_parallelism(batch_size: int, how: str, mesh: Mesh) -> None:
    """Refuses what would fail only once compiled.

    Raises:
      ValueError: `how` is unknown, or the devices do not divide the batch.
    """
    if how not in PARALLEL_MODES:
        raise ValueError(f'parallel="{how}" is unknown; choose "jit" or "pmap"')
    if batch_size % mesh.size:
        way_out = batch_size // mesh.size * mesh.size or mesh.size
        raise ValueError(
            f"batch_size={batch_size} must be divisible by {mesh.size} devices; try --config.batch_size={way_out}"
        )


def replicated_sharding(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def replicate(tree, mesh: Mesh):
    """Puts a whole copy of every array on every device; of several processes each gives the same arrays."""
    if jax.process_count() == 1:
        return jax.device_put(tree, replicated_sharding(mesh))
    return jax.jit(lambda tree: tree, out_shardings=replicated_sharding(mesh))(tree)  # device_put takes no keys there


def abstract_like(tree, mesh: Mesh):
    """Shapes, dtypes and replicated placement of a tree, as a target to restore a checkpoint into."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated_sharding(mesh)), tree)


def addressable(tree):
    """A replicated tree as this process has it: what it computes with it is its own affair."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def process_slice(batch_size: int) -> slice:
    """The part of a batch that is this process's: its devices' parts, which lie side by side."""
    size = batch_size // jax.process_count()
    return slice(jax.process_index() * size, (jax.process_index() + 1) * size)


def compile_init(init: Callable, mesh: Mesh) -> Callable:
    """Compiles `init(rng) -> state` so that the state is born on every device."""
    return jax.jit(init, out_shardings=replicated_sharding(mesh))


def compile_steps(make_step: Callable[[str | None], Callable], mesh: Mesh, how: str) -> Callable:
    """Compiles `run(state, data, index, rng) -> (state, metrics)`: S steps in one dispatch, the state donated.

    `index` [S, B] says which examples of `data` each step sees, or it is a tree of the examples, [S, B, ...] each;
    metrics come stacked, [S] each. The state, the data and the rng are whole on every device; the batch axis of
    `index` is split over them. Of several processes each gives what `place_batches` makes of its own share.

    Args:
      make_step: builds `step(state, data, index [B], rng) -> (state, metrics)`, given the mapped axis to average
        over: None under jit, which partitions one global step and agrees with one device, noise included; a name
        under pmap, where each device takes its own share and draws its own noise.
      mesh: the devices.
      how: "jit" or "pmap", which takes no compiler options.
    """
    if how == "jit":
        whole = replicated_sharding(mesh)
        return jax.jit(
            scan_steps(make_step(None)),
            in_shardings=(whole, whole, batch_sharding(mesh), whole),
            out_shardings=(whole, whole),
            donate_argnums=0,
            compiler_options=supported_options(mesh.devices.flat[0].platform),
        )
    here = mesh.size // jax.process_count()
    mapped = jax.pmap(
        scan_steps(make_step(DATA_AXIS)),
        axis_name=DATA_AXIS,
        in_axes=(None, None, 0, None),
        out_axes=(None, None),  # no device axis: the state is the one that jit has
        devices=list(mesh.devices.flat),
        donate_argnums=0,
    )

    def run(state, data, index, rng):
        state, metrics = mapped(state, data, jax.tree.map(partial(reshape_for_pmap, devices=here), index), rng)
        return to_global(state, mesh), metrics

    return run


def to_global(tree, mesh: Mesh):
    """What pmap gives, which is this process's devices' alone, as the same array on all devices of the mesh."""
    if jax.process_count() == 1:
        return tree

    def whole(x):
        parts = [part.data for part in x.addressable_shards]
        return jax.make_array_from_single_device_arrays(x.shape, replicated_sharding(mesh), parts)

    return jax.tree.map(whole, tree)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Of arrays [S, B, ...]: each device has its part of every batch."""
    return NamedSharding(mesh, PartitionSpec(None, DATA_AXIS))


def place_batches(tree, mesh: Mesh, how: str):
    """Puts arrays [S, B, ...] where the steps of `compile_steps` want them; pmap's take them as they are.

    Of several processes each gives its `own_share` of every batch.
    """
    if how == "pmap":
        return tree
    if jax.process_count() == 1:
        return jax.device_put(tree, batch_sharding(mesh))
    return jax.tree.map(partial(jax.make_array_from_process_local_data, batch_sharding(mesh)), tree)


def scan_steps(step: Callable) -> Callable:
    def run(state, data, index, rng):
        return jax.lax.scan(lambda state, index: step(state, data, index, rng), state, index)

    return run


def reshape_for_pmap(index: np.ndarray, devices: int) -> np.ndarray:
    """[S, B, ...] -> [D, S, B/D, ...], keeping the order in which jit would split the batch."""
    steps, batch, *rest = index.shape
    return np.moveaxis(index.reshape(steps, devices, batch // devices, *rest), 1, 0)


def configure_jax() -> None:
    """What has to be settled before jax starts its devices."""
    simulated = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if simulated or "JAX_NUM_CPU_DEVICES" in os.environ:
        os.environ.setdefault("PJRT_NPROC", "16")  # else simulated devices can deadlock on few cores
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir("compiled")))
    # The small programs too: there are a hundred, which take a later start a fifth of its time to compile again.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
