"""The clustering adversarial autoencoder (Makhzani et al. 2016, section 5)."""

import dataclasses

import jax

from jaxgen.config import checks
from jaxgen.losses import regularizers
from jaxgen.models.categorical_aae import CategoricalAAE
from jaxgen.types import DatasetSpec

MARGINAL_ENTROPY_WEIGHT = 2.0  # what the loss counts unequal use of the categories for, beside doubt, in `information`


@dataclasses.dataclass(frozen=True)
class ClusteringAAE(CategoricalAAE):
    """Clustering: no label at all, and more categories than classes (section 5 of the paper).

    With `information`, smoothness also raises what the category tells of the image, I(x; y): regularised information
    maximisation (Krause et al. 2010; Hu et al. 2017, arXiv 1702.08720, section 3). Both are one loss, of one optimiser
    state: Adam would scale smoothness by itself to full steps however little is left to smooth, until all images share
    one cluster. Neither is in the paper.

    Attributes:
      information: weight, beside smoothness, of what I(x; y) lacks to log K; 0: smoothness alone.
      reconstruction_moves_category: whether reconstruction's gradient passes through q(y | x). Pixels tell thick from
        thin before they tell 4 from 9.
    """

    mutual_information_weight: float
    reconstruction_trains_category: bool

    evaluators = ("clustering", "reconstruction", "prior_mmd")

    @property
    def figures(self):
        return (
            "clusters",
            "reconstructions",
            "codes_vs_prior",
            *(("cluster_embedding",) if self.min_head_distance else ()),
        )

    @classmethod
    def from_config(cls, config, info: DatasetSpec) -> "ClusteringAAE":
        if config.num_clusters < 1:
            raise ValueError(f"heads={config.num_clusters} must be at least 1; try --config.num_clusters=16")
        checks.require_nonnegative(config, "mutual_information_weight")
        if config.mutual_information_weight and not config.vat_epsilon:
            raise ValueError(
                f"information={config.mutual_information_weight} is a part of smoothness, which perturbation={config.vat_epsilon} "
                "switches off; try --config.vat_epsilon=1.25, or --config.mutual_information_weight=0"
            )
        options = {name: config[name] for name in ("mutual_information_weight", "reconstruction_trains_category")}
        return cls(**cls.common_fields(config, info, config.num_clusters), **options)

    @property
    def num_conditions(self) -> int:
        return self.categories

    def vat_loss(self, params, stats, batch, rng):
        loss, (metrics, stats) = super().vat_loss(params, stats, batch, rng)
        if not self.mutual_information_weight:
            return loss, (metrics, stats)
        doubt, imbalance = regularizers.mutual_information_terms(
            self.encode_with_noise(params, stats, batch, rng).heads[0]
        )
        metrics |= {"conditional_entropy": doubt, "marginal_kl": imbalance}
        return loss + self.mutual_information_weight * (doubt + MARGINAL_ENTROPY_WEIGHT * imbalance), (metrics, stats)

    def decoder_category(self, logits):
        shown = self.category_code(logits)
        return shown if self.reconstruction_trains_category else jax.lax.stop_gradient(shown)
