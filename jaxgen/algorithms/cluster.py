"""The clustering adversarial autoencoder (Makhzani et al. 2016, section 5)."""

import dataclasses

import jax

from jaxgen import objectives
from jaxgen.algorithms import checks
from jaxgen.algorithms.categorical import CategoricalAAE
from jaxgen.types import Info

BALANCE = 2.0  # what the loss counts unequal use of the categories for, beside doubt, in `information`


@dataclasses.dataclass(frozen=True)
class ClusterAAE(CategoricalAAE):
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

    information: float
    reconstruction_moves_category: bool

    evaluations = ("clustering", "reconstruction", "prior_gap")

    @property
    def pictures(self):
        return ("clusters", "reconstructions", "codes", *(("places",) if self.head_distance else ()))

    @classmethod
    def from_config(cls, config, info: Info) -> "ClusterAAE":
        if config.heads < 1:
            raise ValueError(f"heads={config.heads} must be at least 1; try --config.heads=16")
        checks.at_least_0(config, "information")
        if config.information and not config.perturbation:
            raise ValueError(
                f"information={config.information} is a part of smoothness, which perturbation={config.perturbation} "
                "switches off; try --config.perturbation=1.25, or --config.information=0"
            )
        options = {name: config[name] for name in ("information", "reconstruction_moves_category")}
        return cls(**cls.parts(config, info, config.heads), **options)

    @property
    def num_labels(self) -> int:
        return self.categories

    def resist(self, params, stats, batch, rng):
        loss, (metrics, stats) = super().resist(params, stats, batch, rng)
        if not self.information:
            return loss, (metrics, stats)
        doubt, imbalance = objectives.uninformative(self.corrupted(params, stats, batch, rng).heads[0])
        metrics |= {"doubt": doubt, "imbalance": imbalance}
        return loss + self.information * (doubt + BALANCE * imbalance), (metrics, stats)

    def seen_by_decoder(self, logits):
        shown = self.shown(logits)
        return shown if self.reconstruction_moves_category else jax.lax.stop_gradient(shown)
