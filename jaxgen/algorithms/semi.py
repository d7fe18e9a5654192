"""The semi-supervised adversarial autoencoder (Makhzani et al. 2016, section 4)."""

import dataclasses

import jax.numpy as jnp

from jaxgen import objectives
from jaxgen.algorithms import checks
from jaxgen.algorithms.categorical import CategoricalAAE
from jaxgen.players import Player
from jaxgen.types import Info


@dataclasses.dataclass(frozen=True)
class SemiAAE(CategoricalAAE):
    """Semi-supervised: one more player, classification, lowers the cross-entropy of the images of known label.

    The categories are the classes; the images of unknown label teach the rest.

    Attributes:
      supervised_only: trains trunk and softmax on the labelled images alone: the plain net to compare with.
    """

    supervised_only: bool

    @classmethod
    def from_config(cls, config, info: Info) -> "SemiAAE":
        if config.labels == 0 or not config.labelled_every:
            raise ValueError(
                f"labels={config.labels} and labelled_every={config.labelled_every} must both be other than 0, as the "
                "class is learnt from labelled images in every batch; "
                "try --config.labels=1000 --config.labelled_every=2"
            )
        checks.classes(info)
        return cls(**cls.parts(config, info, info.num_classes), supervised_only=config.supervised_only)

    @property
    def evaluations(self):
        return ("classification",) if self.supervised_only else ("classification", "reconstruction", "prior_gap")

    @property
    def pictures(self):
        if self.supervised_only:
            return ()
        return ("prior_styles", "test_styles", "reconstructions", "codes", *(("places",) if self.head_distance else ()))

    @property
    def players(self) -> tuple[Player, ...]:
        classification = self.player("classification", ("encoder",), self.classify_known)
        return (classification,) if self.supervised_only else (*super().players, classification)

    def classify_known(self, params, stats, batch, rng):
        logits, _ = self.corrupted(params, stats, batch, rng).heads
        known = batch.label >= 0
        nll = objectives.categorical_nll(logits, jnp.maximum(batch.label, 0))
        loss = (nll * known).sum() / jnp.maximum(known.sum(), 1)
        return loss, ({"nll": loss}, stats)

    def evaluate(self, params, stats, batch, rng):
        logits, _ = self.heads(params, stats, batch.image)
        measures = {
            "error": (logits.argmax(-1) != batch.label).astype(jnp.float32),
            "class_nll": objectives.categorical_nll(logits, jnp.maximum(batch.label, 0)),
        }
        return measures if self.supervised_only else measures | super().evaluate(params, stats, batch, rng)
