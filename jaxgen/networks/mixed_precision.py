"""Networks computed in bfloat16, for devices with faster matrix units in that format."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

COMPUTE_DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Bfloat16Network:
    """A network whose parameters and inputs are cast to bfloat16, and its output back to float32.

    Matrix products have bfloat16 inputs and, on accelerators, float32 accumulators. Gradients, parameters, optimizers,
    batch statistics, losses and all sums over a batch or over pixels stay float32.

    Attributes:
      network: the wrapped Flax module.
    """

    network: nn.Module

    def init(self, *inputs: Any, **options: Any) -> Any:
        """Initializes the network, in float32."""
        return self.network.init(*inputs, **options)

    def apply(self, variables: Any, *inputs: jax.Array, **options: Any) -> Any:
        """Applies the network in bfloat16; updated statistics keep their type."""
        variables = {**variables, "params": to_bfloat16(variables["params"])}
        result = self.network.apply(variables, *to_bfloat16(inputs), **options)
        if "mutable" not in options:
            return to_float32(result)
        output, updated = result
        return to_float32(output), updated


Network = nn.Module | Bfloat16Network  # the networks of a model


def to_bfloat16(tree: Any) -> Any:
    """Casts floating-point arrays to bfloat16."""
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def to_float32(tree: Any) -> Any:
    """Casts bfloat16 arrays to float32."""
    return jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x, tree)
