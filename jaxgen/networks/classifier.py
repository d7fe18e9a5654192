"""Convolutional image classifier, the feature extractor of the sample-quality metrics."""

import flax.linen as nn
from jaxtyping import Array, Float

from jaxgen.kernels.dropout import Dropout


class ConvClassifier(nn.Module):
    """Image classifier: a 5×5 and a 3×3 convolution of stride 2, one dense layer, dropout.

    Strides replace max pooling, whose gradient is slow on a CPU: a step takes a third of the time at twice the width.
    `apply(…, mutable="intermediates")` also returns `features` [B, dense], the dense layer's output before dropout.

    Attributes:
      num_classes: number of logits.
      widths: channels of the convolutions.
      dense: units of the dense layer.
      dropout: share of these units dropped in training.
    """

    num_classes: int
    widths: tuple[int, ...] = (32, 64)
    dense: int = 128
    dropout: float = 0.4

    @nn.compact
    def __call__(self, image: Float[Array, "B H W C"], *, train: bool) -> Float[Array, "B K"]:
        """Returns the logits of the classes."""
        x = image
        for index, width in enumerate(self.widths):
            x = nn.relu(nn.Conv(width, (5, 5) if index == 0 else (3, 3), strides=2)(x))
        x = nn.relu(nn.Dense(self.dense)(x.reshape(len(x), -1)))
        self.sow("intermediates", "features", x)
        x = Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes)(x)
