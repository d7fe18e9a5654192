"""Flax modules: arrays in, arrays out. No losses and no configs."""

from jaxgen.networks.classifier import ConvClassifier as ConvClassifier
from jaxgen.networks.colorizer import CoarseColorizer as CoarseColorizer
from jaxgen.networks.colorizer import TutorialColorizer as TutorialColorizer
from jaxgen.networks.layer_stack import LayerStack as LayerStack
from jaxgen.networks.learned_constants import LearnedImage as LearnedImage
from jaxgen.networks.learned_constants import LearnedLogScale as LearnedLogScale
from jaxgen.networks.mlp import MLP as MLP
