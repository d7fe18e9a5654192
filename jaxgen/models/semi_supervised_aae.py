"""Semi-supervised adversarial autoencoder (Makhzani et al. 2016, section 4)."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen.config import checks
from jaxgen.config.errors import report_error
from jaxgen.models.categorical_aae import CategoricalAAE, Forward
from jaxgen.optimization.players import Player
from jaxgen.types import Batch, DatasetSpec, LossOutput, NetworkParams, NetworkStats


@dataclasses.dataclass(frozen=True)
class SemiSupervisedAAE(CategoricalAAE):
    """Semi-supervised: one more player, classification, trains the encoder on the labeled images.

    The categories are the classes; unlabeled images train all other players.

    Attributes:
      supervised_only: whether classification is the only player: the plain network to compare with.
    """

    supervised_only: bool

    @classmethod
    def from_config(cls, config: Any, info: DatasetSpec) -> "SemiSupervisedAAE":
        """Builds the networks and optimizers that a config describes.

        Raises:
          ValueError: no labels, or a data set of one class.
        """
        if config.num_labeled == 0 or not config.labeled_every_n:
            report_error(
                f"num_labeled={config.num_labeled} and labeled_every_n={config.labeled_every_n} must both differ from "
                "0: classification needs labeled images in every batch; "
                "try --config.num_labeled=1000 --config.labeled_every_n=2"
            )
        checks.require_multiple_classes(info)
        fields = cls.fields_from_config(config, info, info.num_classes)
        return cls(**fields, supervised_only=config.supervised_only)

    @property
    def evaluators(self) -> tuple[str, ...]:
        """Evaluators by name; a classifier alone has no reconstructions."""
        return ("classification",) if self.supervised_only else ("classification", "reconstruction", "prior_mmd")

    @property
    def figures(self) -> tuple[str, ...]:
        """Figures by name; the cluster embedding needs cluster heads."""
        if self.supervised_only:
            return ()
        embedding = ("cluster_embedding",) if self.min_head_distance else ()
        return ("prior_styles", "image_styles", "reconstructions", "codes_vs_prior", *embedding)

    @property
    def players(self) -> tuple[Player, ...]:
        """The players of `CategoricalAAE` and classification, or classification alone."""
        classification = self.make_player("classification", ("encoder",), self.classification_loss)
        return (classification,) if self.supervised_only else (*super().players, classification)

    def classification_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward
    ) -> LossOutput:
        """Returns the mean cross-entropy -log q(y | x) of the labeled images (Makhzani et al. 2016, section 4)."""
        del params, stats
        is_labeled = batch.label >= 0
        nll = optax.softmax_cross_entropy_with_integer_labels(forward[0].logits, jnp.maximum(batch.label, 0))
        loss = (nll * is_labeled).sum() / jnp.maximum(is_labeled.sum(), 1)
        return loss, ({"nll": loss}, {})

    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns classification error and cross-entropy, and the reconstruction metrics of each image."""
        logits, _ = self.encoder_outputs(params, stats, batch.image)
        metrics = {
            "error": (logits.argmax(-1) != batch.label).astype(jnp.float32),
            "class_nll": optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(batch.label, 0)),
        }
        return metrics if self.supervised_only else metrics | super().per_example_metrics(params, stats, batch, rng)
