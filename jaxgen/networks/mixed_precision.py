"""Networks that compute in bfloat16, for devices whose matrix units are faster in it."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

COMPUTE_DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Bfloat16Network:
    """A network whose parameters and inputs are rounded to bfloat16 on the way in, and its output widened again.

    So products are of bfloat16, and what accelerators add up of them float32; gradients, parameters, optimisers, batch
    statistics, losses and all that is summed over a batch or over pixels are float32.
    """

    network: nn.Module

    def init(self, *inputs, **options) -> Any:
        """As the network's: in float32."""
        return self.network.init(*inputs, **options)

    def apply(self, variables: Any, *inputs: jax.Array, **options) -> Any:
        """As the network's; statistics that it changes stay as they come."""
        variables = {**variables, "params": to_bfloat16(variables["params"])}
        found = self.network.apply(variables, *to_bfloat16(inputs), **options)
        if "mutable" not in options:
            return to_float32(found)
        output, changed = found
        return to_float32(output), changed


Network = nn.Module | Bfloat16Network  # what an algorithm holds by name


def to_bfloat16(tree: Any) -> Any:
    """Floating-point arrays as bfloat16."""
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def to_float32(tree: Any) -> Any:
    """Arrays of bfloat16 as float32."""
    return jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x, tree)
