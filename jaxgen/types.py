"""The types that every other file shares: a batch, the training state, a player's loss. No computation lives here.

Shape letters: B batch, H W C image, Z code, K classes, N samples, D devices, S steps.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.struct
import jax
import optax
from jaxtyping import Array, Float, Int

DATA_AXIS = "data"  # of a mesh of devices, and what the steps are mapped over under pmap
Params = Any  # a tree of arrays
Stats = Any  # a tree of arrays: batch statistics, {} where a network keeps none
Metrics = dict[str, jax.Array]  # scalars by name
EvaluationMetrics = Mapping[str, float | list[float]]  # of an evaluation, by name; a list is one of each class
LossFn = Callable[..., tuple[jax.Array, tuple[Metrics, dict[str, Stats]]]]


class Batch(NamedTuple):
    """A batch of labelled images."""

    image: Float[Array, "B H W C"]  # in [0, 1]
    label: Int[Array, " B"]  # in [0, K), -1 where unknown
    mask: Float[Array, " B"]  # 1 real, 0 padding


class Split(NamedTuple):
    """A whole split as it lies on the devices."""

    image: Any  # uint8 [N, H, W, C]
    label: Any  # int32 [N], in [0, K), -1 where unknown


class DatasetSpec(NamedTuple):
    """What an algorithm has to know of a data set to build its networks."""

    name: str
    image_shape: tuple[int, int, int]  # H, W, C
    num_classes: int


@flax.struct.dataclass
class TrainState:
    """Everything that training changes, arrays only."""

    step: Any  # int32 []; no annotated shape, as the tree also holds what stands for arrays
    params: dict[str, Params]  # by network: encoder, decoder, critic
    stats: dict[str, Stats]  # by network
    opt_states: dict[str, optax.OptState]  # by player: reconstruction, critic, encoder
