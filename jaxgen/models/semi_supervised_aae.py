"""The semi-supervised adversarial autoencoder (Makhzani et al. 2016, section 4)."""

import dataclasses

import jax.numpy as jnp
import optax

from jaxgen.config import checks
from jaxgen.models.categorical_aae import CategoricalAAE
from jaxgen.optimization.players import Player
from jaxgen.types import DatasetSpec


@dataclasses.dataclass(frozen=True)
class SemiSupervisedAAE(CategoricalAAE):
    """Semi-supervised: one more player, classification, lowers the cross-entropy of the images of known label.

    The categories are the classes; the images of unknown label teach the rest.

    Attributes:
      supervised_only: trains trunk and softmax on the labelled images alone: the plain net to compare with.
    """

    supervised_only: bool

    @classmethod
    def from_config(cls, config, info: DatasetSpec) -> "SemiSupervisedAAE":
        if config.num_labeled == 0 or not config.labeled_every_n:
            raise ValueError(
                f"labels={config.num_labeled} and labelled_every={config.labeled_every_n} must both be other than 0, as the "
                "class is learnt from labelled images in every batch; "
                "try --config.num_labeled=1000 --config.labeled_every_n=2"
            )
        checks.require_multiple_classes(info)
        return cls(**cls.common_fields(config, info, info.num_classes), supervised_only=config.supervised_only)

    @property
    def evaluators(self):
        return ("classification",) if self.supervised_only else ("classification", "reconstruction", "prior_mmd")

    @property
    def figures(self):
        if self.supervised_only:
            return ()
        return (
            "prior_styles",
            "image_styles",
            "reconstructions",
            "codes_vs_prior",
            *(("cluster_embedding",) if self.min_head_distance else ()),
        )

    @property
    def players(self) -> tuple[Player, ...]:
        classification = self.make_player("classification", ("encoder",), self.classification_loss)
        return (classification,) if self.supervised_only else (*super().players, classification)

    def classification_loss(self, params, stats, batch, rng):
        logits, _ = self.encode_with_noise(params, stats, batch, rng).heads
        known = batch.label >= 0
        nll = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(batch.label, 0))
        loss = (nll * known).sum() / jnp.maximum(known.sum(), 1)
        return loss, ({"nll": loss}, stats)

    def per_example_metrics(self, params, stats, batch, rng):
        logits, _ = self.encoder_outputs(params, stats, batch.image)
        measures = {
            "error": (logits.argmax(-1) != batch.label).astype(jnp.float32),
            "class_nll": optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(batch.label, 0)),
        }
        return measures if self.supervised_only else measures | super().per_example_metrics(params, stats, batch, rng)
