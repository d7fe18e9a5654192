"""The clustering adversarial autoencoder (Makhzani et al. 2016, section 5)."""

import dataclasses

from jaxgen.algorithms.categorical import CategoricalAAE
from jaxgen.types import Info


@dataclasses.dataclass(frozen=True)
class ClusterAAE(CategoricalAAE):
    """Clustering: no label at all, and more categories than classes (section 5 of the paper)."""

    evaluations = ("clustering", "reconstruction", "prior_gap")

    @property
    def pictures(self):
        return ("clusters", "reconstructions", "codes", *(("places",) if self.head_distance else ()))

    @classmethod
    def from_config(cls, config, info: Info) -> "ClusterAAE":
        if config.heads < 1:
            raise ValueError(f"heads={config.heads} must be at least 1; try --config.heads=16")
        return cls(**cls.parts(config, info, config.heads))

    @property
    def num_labels(self) -> int:
        return self.categories
