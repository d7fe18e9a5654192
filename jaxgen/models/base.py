"""What every family of models offers to the loop, the evaluation and `jaxgen.load`. No model lives here."""

import abc
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxgen.models.priors import Prior
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.players import Player, init_opt_states
from jaxgen.types import Batch, DatasetSpec, Params, Stats, TrainState

NetworkParams = Mapping[str, Params]
NetworkStats = Mapping[str, Stats]


class GenerativeModel(abc.ABC):
    """Networks by name, the players that move them, and the maps between images and codes.

    Subclasses are frozen dataclasses: static things are attributes, arrays come as arguments. All images are in
    [0, 1]; `label` holds class indices. A family that makes no use of labels ignores them.
    """

    info: DatasetSpec
    prior: Prior
    networks: Mapping[str, Network]
    update_order: str
    evaluators: tuple[str, ...]  # names in jaxgen.evaluation.EVALUATIONS
    validation_evaluators: tuple[str, ...] = ()  # those that are made on the validation split as training goes on, too
    figures: tuple[str, ...]  # names in jaxgen.pictures.PICTURES
    is_conditional: bool
    predicts_category: bool = False  # whether `categorise` is there
    matches_prior: bool = True  # whether training draws the codes to `prior`
    base_model_workdir: str = ""  # the run of a trained model that it works with; see `loading.accompanied`
    evaluation_notes: Mapping[str, str] = MappingProxyType({})  # what its numbers rest on, for `results.json`
    has_latent: bool = True  # whether there are codes at all
    has_encoder: bool = True  # whether images have codes: a generator makes images of codes, and knows no way back
    is_colorizer: bool = False  # whether `colour` is there
    has_binary_latent: bool = False  # whether a code consists of 0s and 1s

    @classmethod
    @abc.abstractmethod
    def from_config(cls, config, info: DatasetSpec) -> "GenerativeModel":
        """Builds the networks and optimisers that a config describes."""

    @property
    @abc.abstractmethod
    def players(self) -> tuple[Player, ...]:
        """Who moves what, in order."""

    @abc.abstractmethod
    def example_inputs(self) -> dict[str, tuple[Array, ...]]:
        """One example of each network's inputs, to initialise it with."""

    @abc.abstractmethod
    def encode(
        self, params, stats, image: Float[Array, "B H W C"], label: Int[Array, " B"], rng: Array
    ) -> Float[Array, "B Z"]:
        """The codes of images; `rng` is for a stochastic encoder's draw."""

    @abc.abstractmethod
    def decode(self, params, stats, code: Float[Array, "B Z"], label: Int[Array, " B"]) -> Float[Array, "B H W C"]:
        """The images of codes."""

    def encode_mean(
        self, params, stats, image: Float[Array, "B H W C"], label: Int[Array, " B"]
    ) -> Float[Array, "B Z"]:
        """The codes of images without an encoder's noise; a family whose encoder is stochastic overrides this."""
        return self.encode(params, stats, image, label, jax.random.key(0))

    def predict_category(self, params, stats, image: Float[Array, "B H W C"]) -> Int[Array, " B"]:
        """The category, in [0, num_labels), that the encoder reads from each image, where a family has it read one."""
        raise NotImplementedError(f"{type(self).__name__} reads no category")

    def colorize(self, params, stats, grey: Float[Array, "B H W 1"]) -> Float[Array, "B H W 3"]:
        """The grey images in colour, where a family gives them some."""
        raise NotImplementedError(f"{type(self).__name__} does not colour")

    @abc.abstractmethod
    def per_example_metrics(self, params, stats, batch: Batch, rng: Array) -> dict[str, Float[Array, " B"]]:
        """Measures of each example (such as its negative log-likelihood in nats), dropout off."""

    def init(self, rng: Array) -> TrainState:
        """A fresh state: every network initialised from its own key, every player's optimiser at its start."""
        inputs = self.example_inputs()
        params, stats = {}, {}
        for name, network_rng in zip(self.networks, jax.random.split(rng, len(self.networks)), strict=True):
            variables = dict(self.networks[name].init(network_rng, *inputs[name], train=False))
            params[name] = variables.pop("params")
            stats[name] = variables
        return TrainState(jnp.zeros((), jnp.int32), params, stats, init_opt_states(self.players, params))

    def apply_network(
        self, name: str, params: NetworkParams, stats: NetworkStats, *inputs: Array, rng=None, **more
    ) -> Array:
        """A network's output; dropout is on where an rng comes. What more it takes is named."""
        variables = {"params": params[name], **stats[name]}
        rngs = None if rng is None else {"dropout": rng}
        return self.networks[name].apply(variables, *inputs, train=rng is not None, rngs=rngs, **more)

    def apply_network_train(
        self, name: str, params: NetworkParams, stats: NetworkStats, *inputs: Array, rng: Array
    ) -> tuple[Array, NetworkStats]:
        """A network's output in training, dropout on and normalised by the batch, and all statistics after it."""
        variables = {"params": params[name], **stats[name]}
        output, changed = self.networks[name].apply(
            variables, *inputs, train=True, rngs={"dropout": rng}, mutable=list(stats[name])
        )
        return output, {**stats, name: dict(changed)}

    def one_hot(self, label: Int[Array, " B"]) -> Float[Array, "B K"]:
        """Labels as one-hot rows; an unknown label (-1) is all zeros."""
        return jax.nn.one_hot(label, self.info.num_classes)

    def sample_prior(self, rng: Array, count: int) -> Float[Array, "{count} Z"]:
        """Codes drawn from the prior."""
        return self.prior.sample(rng, count)

    def with_base_model(self, model: Any) -> "GenerativeModel":
        """The same with the model of `companion_workdir` at hand, for a family that works with one."""
        raise ValueError(f"{type(self).__name__} works with no other model, not with a {type(model).__name__}")

    @property
    def num_conditions(self) -> int:
        """How many labels a code can be decoded under: the classes, or what a family has in their place."""
        return self.info.num_classes

    @property
    def latent_size(self) -> int:
        """Z."""
        return self.prior.size

    def example_image(self) -> Float[Array, "1 H W C"]:
        return jnp.zeros((1, *self.info.image_shape))
