"""Convolutional networks."""

import flax.linen as nn
from jaxtyping import Array, Float

from jaxgen.kernels.dropout import Dropout


class ConvClassifier(nn.Module):
    """A small image classifier: 5×5 and 3×3 convolutions of stride 2, one dense layer, dropout.

    Strides, not max pooling, whose gradient is slow on a CPU: a step takes a third of the time at twice the width.
    `apply(…, mutable="intermediates")` gives `features` [B, dense] as well: the dense layer's, before dropout.
    """

    num_classes: int
    widths: tuple[int, ...] = (32, 64)
    dense: int = 128
    dropout: float = 0.4

    @nn.compact
    def __call__(self, image: Float[Array, "B H W C"], *, train: bool) -> Float[Array, "B K"]:
        x = image
        for index, width in enumerate(self.widths):
            x = nn.relu(nn.Conv(width, (5, 5) if index == 0 else (3, 3), strides=2)(x))
        x = nn.relu(nn.Dense(self.dense)(x.reshape(len(x), -1)))
        self.sow("intermediates", "features", x)
        x = Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes)(x)
