"""Types shared by all packages: a batch, the training state, a player's loss. No computation lives here.

Shape letters: B batch, H W C image, Z code, K classes, N examples, D devices, S samples or steps.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import flax.struct
import jax
import optax
from jaxtyping import Array, Float, Int

DATA_AXIS = "data"  # the mesh axis of the devices, also the name of the axis that pmap maps
SEED_STD = "_seed_std"  # ends the name of a logged metric's standard deviation over seeds
Params = Any  # a tree of arrays
Stats = Any  # a tree of arrays: batch statistics, {} for a network without any
NetworkParams = Mapping[str, Params]  # by network
NetworkStats = Mapping[str, Stats]  # by network, plus entries of the model itself (an EMA of parameters, moments)
Metrics = dict[str, jax.Array]  # scalars by name
EvaluationMetrics = Mapping[str, float | list[float]]  # results of an evaluation; a list has one entry per class
LossOutput = tuple[jax.Array, tuple[Metrics, NetworkStats]]  # scalar loss, (metrics, statistics that it replaces)


class Batch(NamedTuple):
    """A batch of labeled images."""

    image: Float[Array, "B H W C"]  # in [0, 1]
    label: Int[Array, " B"]  # in [0, K), -1 if unknown
    mask: Float[Array, " B"]  # 1 for an example, 0 for padding


@runtime_checkable
class LossFn(Protocol):
    """A player's loss, differentiated with respect to the parameters of the player's own networks.

    The fourth argument is the player's rng. For a player with a `shared_forward` it is that function's output,
    the pair (outputs, aux).
    """

    def __call__(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng_or_forward: Any, /
    ) -> LossOutput: ...


class Split(NamedTuple):
    """A whole data split, as stored on the devices."""

    image: Any  # uint8 [N, H, W, C]
    label: Any  # int32 [N], in [0, K), -1 if unknown


class DatasetSpec(NamedTuple):
    """The properties of a data set that a model depends on."""

    name: str
    image_shape: tuple[int, int, int]  # H, W, C
    num_classes: int
    class_names: tuple[str, ...] = ()  # by label; empty if a label is its own name, as for digits
    rare_classes: tuple[str, ...] = ()  # "name: count" of classes with too few images for a model that uses labels


@flax.struct.dataclass
class TrainState:
    """Everything that training changes; arrays only."""

    step: Any  # int32 []; without an annotated shape because the tree also holds abstract arrays
    params: dict[str, Params]  # by network: encoder, decoder, critic
    stats: dict[str, Stats]  # by network
    opt_states: dict[str, optax.OptState]  # by player: reconstruction, critic, adversarial
