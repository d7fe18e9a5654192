"""Clustering adversarial autoencoder (Makhzani et al. 2016, section 5)."""

import dataclasses
from typing import Any

import jax
from jaxtyping import Array, Float

from jaxgen.config import checks
from jaxgen.config.errors import report_error
from jaxgen.losses import regularizers
from jaxgen.models.categorical_aae import CategoricalAAE, Forward
from jaxgen.types import Batch, DatasetSpec, LossOutput, NetworkParams, NetworkStats

MARGINAL_ENTROPY_WEIGHT = 2.0  # of the marginal KL, relative to the conditional entropy, in the mutual information term


@dataclasses.dataclass(frozen=True)
class ClusteringAAE(CategoricalAAE):
    """Clustering without labels, with more categories than classes (section 5 of the paper).

    With a `mutual_information_weight`, vat also raises the mutual information I(x; y) of image and category:
    regularized information maximization (Krause et al. 2010; Hu et al. 2017, arXiv 1702.08720, section 3). It is not in
    the AAE paper. Both terms are one loss with one optimizer state. A separate Adam would scale vat's gradient to full
    steps however small it is, until all images share one cluster.

    Attributes:
      mutual_information_weight: weight, relative to vat, of log K - I(x; y) with the marginal term doubled; 0 for vat
        alone.
      reconstruction_trains_category: whether the reconstruction's gradient passes through q(y | x). Pixels separate
        thick from thin strokes before they separate 4 from 9.
    """

    mutual_information_weight: float
    reconstruction_trains_category: bool

    evaluators = ("clustering", "reconstruction", "prior_mmd")

    @property
    def figures(self) -> tuple[str, ...]:
        """Figures by name; the cluster embedding needs cluster heads."""
        embedding = ("cluster_embedding",) if self.min_head_distance else ()
        return ("clusters", "reconstructions", "codes_vs_prior", *embedding)

    @classmethod
    def from_config(cls, config: Any, info: DatasetSpec) -> "ClusteringAAE":
        """Builds the networks and optimizers that a config describes.

        Raises:
          ValueError: no cluster, or mutual information without vat.
        """
        if config.num_clusters < 1:
            report_error(f"num_clusters={config.num_clusters} must be at least 1; try --config.num_clusters=16")
        checks.require_nonnegative(config, "mutual_information_weight")
        if config.mutual_information_weight and not config.vat_epsilon:
            report_error(
                f"mutual_information_weight={config.mutual_information_weight} must be 0 without the player vat, which "
                f"minimizes this term; got vat_epsilon={config.vat_epsilon}. Try --config.vat_epsilon=1.25, or "
                "--config.mutual_information_weight=0"
            )
        options = {name: config[name] for name in ("mutual_information_weight", "reconstruction_trains_category")}
        return cls(**cls.fields_from_config(config, info, config.num_clusters), **options)

    @property
    def num_conditions(self) -> int:
        """The number of clusters."""
        return self.categories

    def vat_loss(self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward) -> LossOutput:
        """Returns the vat loss plus weighted conditional entropy and marginal KL of q(y | x).

        Regularized information maximization (Krause et al. 2010, section 2; Hu et al. 2017, section 3).
        """
        loss, (metrics, new_stats) = super().vat_loss(params, stats, batch, forward)
        if not self.mutual_information_weight:
            return loss, (metrics, new_stats)
        entropy, marginal_kl = regularizers.mutual_information_terms(forward[0].logits)
        metrics |= {"conditional_entropy": entropy, "marginal_kl": marginal_kl}
        penalty = entropy + MARGINAL_ENTROPY_WEIGHT * marginal_kl
        return loss + self.mutual_information_weight * penalty, (metrics, new_stats)

    def decoder_category(self, logits: Float[Array, "B K"]) -> Float[Array, "B K"]:
        """Returns the category that the decoder receives in training, without gradient if so configured."""
        category = self.category_code(logits)
        return category if self.reconstruction_trains_category else jax.lax.stop_gradient(category)
