"""Pure Flax linen modules: arrays in, arrays out; no loss, no config."""

from jaxgen.networks.convolutional import ConvClassifier as ConvClassifier
from jaxgen.networks.mlp import MLP as MLP
from jaxgen.networks.mlp import Centre as Centre
from jaxgen.networks.mlp import LogScale as LogScale
from jaxgen.networks.painters import CoarsePainter as CoarsePainter
from jaxgen.networks.painters import PublishedPainter as PublishedPainter
from jaxgen.networks.stack import Stack as Stack
