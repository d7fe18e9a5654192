"""Interface of a model family for the training loop, the evaluation and `jaxgen.load`. No model lives here."""

import abc
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxgen.models.priors import Prior
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.players import Player, UpdateOrder, init_opt_states
from jaxgen.types import Batch, DatasetSpec, NetworkParams, NetworkStats, TrainState


class GenerativeModel(abc.ABC):
    """Networks by name and the players that train them.

    Subclasses are frozen dataclasses: static values are attributes, arrays come as arguments. Images are in [0, 1].

    Attributes:
      info: the data set that the networks are built for.
      networks: Flax modules by name.
      update_order: a name in `players.UPDATE_ORDERS`, or a function; see `players.make_update`.
      evaluators: names in `evaluation.evaluators.EVALUATORS` that run after training.
      validation_evaluators: evaluators that also run on the validation split during training.
      figures: names in `evaluation.figures.FIGURES`.
      evaluation_notes: conditions of the reported numbers, for `results.json`.
    """

    info: DatasetSpec
    networks: Mapping[str, Network]
    update_order: str | UpdateOrder
    evaluators: tuple[str, ...]
    validation_evaluators: tuple[str, ...] = ()
    figures: tuple[str, ...]
    evaluation_notes: Mapping[str, str] = MappingProxyType({})

    @classmethod
    @abc.abstractmethod
    def from_config(cls, config: Any, info: DatasetSpec) -> "GenerativeModel":
        """Builds the networks and optimizers that a config describes."""

    @property
    @abc.abstractmethod
    def players(self) -> tuple[Player, ...]:
        """The players, in the order of their updates."""

    @abc.abstractmethod
    def make_example_inputs(self) -> dict[str, tuple[Array, ...]]:
        """Returns one example of each network's inputs, for initialization."""

    @abc.abstractmethod
    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns metrics of each example, such as its negative log-likelihood in nats, without dropout."""

    def init(self, rng: Array) -> TrainState:
        """Returns a new state: each network is initialized by its own key, each optimizer for its player."""
        inputs = self.make_example_inputs()
        params, stats = {}, {}
        for name, network_rng in zip(self.networks, jax.random.split(rng, len(self.networks)), strict=True):
            variables = dict(self.networks[name].init(network_rng, *inputs[name], train=False))
            params[name] = variables.pop("params")
            stats[name] = variables
        return TrainState(jnp.zeros((), jnp.int32), params, stats, init_opt_states(self.players, params))

    def apply_network(
        self,
        name: str,
        params: NetworkParams,
        stats: NetworkStats,
        *inputs: Array,
        rng: Array | None = None,
        **options: Any,
    ) -> Array:
        """Returns a network's output; an `rng` turns dropout on. `options` are passed to the network."""
        variables = {"params": params[name], **stats[name]}
        rngs = None if rng is None else {"dropout": rng}
        return self.networks[name].apply(variables, *inputs, train=rng is not None, rngs=rngs, **options)

    def apply_network_train(
        self, name: str, params: NetworkParams, stats: NetworkStats, *inputs: Array, rng: Array
    ) -> tuple[Array, NetworkStats]:
        """Returns a network's output in training mode, and the statistics of all networks after it.

        Dropout is on, and batch normalization uses the statistics of the batch.
        """
        variables = {"params": params[name], **stats[name]}
        output, updated = self.networks[name].apply(
            variables, *inputs, train=True, rngs={"dropout": rng}, mutable=list(stats[name])
        )
        return output, {**stats, name: dict(updated)}

    def example_image(self) -> Float[Array, "1 H W C"]:
        """Returns a black image of the data set's shape."""
        return jnp.zeros((1, *self.info.image_shape))


class LatentVariableModel(GenerativeModel):
    """Model with codes z: a prior over codes, a decoder, and for most families an encoder.

    `label` holds class indices, -1 if unknown; a family without labels ignores them.

    Attributes:
      prior: the distribution over codes from which new images are sampled.
      is_conditional: whether the decoder receives a label (or a category) beside the code.
      predicts_category: whether the encoder predicts a category of each image; see `predict_category`.
      matches_prior: whether training pulls the codes of images to `prior`.
      has_encoder: whether images have codes; a GAN has none.
      has_binary_latent: whether codes consist of bits, 0 or 1.
    """

    prior: Prior
    is_conditional: bool = False
    predicts_category: bool = False
    matches_prior: bool = True
    has_encoder: bool = True
    has_binary_latent: bool = False

    @abc.abstractmethod
    def decode(
        self, params: NetworkParams, stats: NetworkStats, code: Float[Array, "B Z"], label: Int[Array, " B"] | None
    ) -> Float[Array, "B H W C"]:
        """Decodes codes to images in [0, 1]."""

    def encode(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"],
        rng: Array,
    ) -> Float[Array, "B Z"]:
        """Encodes images; a stochastic encoder samples its posterior by `rng`."""
        raise NotImplementedError(f"{type(self).__name__} has no encoder")

    def encode_mean(
        self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"], label: Int[Array, " B"]
    ) -> Float[Array, "B Z"]:
        """Encodes images without noise; families with a stochastic encoder override it by the posterior mean."""
        return self.encode(params, stats, image, label, jax.random.key(0))

    def predict_category(
        self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"]
    ) -> Int[Array, " B"]:
        """Predicts the category of each image, in [0, num_conditions)."""
        raise NotImplementedError(f"{type(self).__name__} predicts no category")

    def one_hot(self, label: Int[Array, " B"]) -> Float[Array, "B K"]:
        """Returns labels as one-hot rows; an unknown label (-1) becomes a row of zeros."""
        return jax.nn.one_hot(label, self.info.num_classes)

    def sample_prior(self, rng: Array, count: int) -> Float[Array, "{count} Z"]:
        """Samples codes from the prior."""
        return self.prior.sample(rng, count)

    @property
    def num_conditions(self) -> int:
        """The number of values that the decoder can be conditioned on: classes, or a family's own categories."""
        return self.info.num_classes

    @property
    def latent_size(self) -> int:
        """The number of dimensions of a code, Z."""
        return self.prior.size
