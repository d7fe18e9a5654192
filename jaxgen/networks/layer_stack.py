"""A network spelled out as a tuple of layers; the kinds of layers are in `networks.layers`."""

import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.initializers import lecun_normal
from jaxtyping import Array, Float

from jaxgen.networks.dense import Dense
from jaxgen.networks.layers import LAYER_KINDS, NOT_AN_OUTPUT, Layer, LayerContext, apply_kernel_layer, flatten
from jaxgen.networks.mlp import INITIALIZERS, Shortcut


class LayerStack(nn.Module):
    """Layers applied one after another to images [B, H, W, C] or vectors; several inputs are flattened and joined.

    Layers, with sizes in pixels:
      ("conv", features, size, stride, padding): output side (side + 2 padding - size) / stride + 1.
      ("conv_transpose", features, size, stride, padding[, extra]): output side (side - 1) stride - 2 padding + size,
        plus `extra` pixels below and to the right.
      ("blur_conv_transpose", …): the same, followed by a blur against checkerboard patterns.
      ("pool", size, stride), ("average_pool", size, stride): maximum or mean of each window.
      ("space_to_depth", n): blocks of n × n pixels become channels, zero-padded; ("depth_to_space", n) is the inverse.
        They let convolutions work at a low resolution, where they cost little.
      ("seed", n, features): a dense layer to 1 / n of the image's height and width, rounded up.
      ("dense", features), ("reshape", height, width, features).
      ("relu",), ("leaky_relu", slope), ("dropout", share).
      ("batch_norm",): by the batch over all devices in training, by running statistics after it.
      ("group_norm", n): each image on its own, in groups of n channels (or of a common divisor).
      ("minibatch_std",): appends the mean standard deviation over the batch, so that a critic detects samples that
        are too similar (Karras et al. 2018, arXiv 1710.10196, section 3); after training its running mean.
      ("shift", n), ("cutout", share): augmentation in training, by up to n pixels or a zeroed square of that share of
        the side. Applied to reals and fakes, it keeps a critic from winning early (Zhao et al. 2020, arXiv 2006.10738).

    Attributes:
      layers: in order.
      output_shape: shape of one example's output. For an image shape, the last layer's output is cropped to it.
        Otherwise the last layer's output is used if it has that many values and is not an activation, normalization
        or dropout; if not, a dense layer is appended. None: the last layer's output.
      image_shape: H, W, C of the data, for "seed".
      kernel_init: a name in `mlp.INITIALIZERS`.
      shortcut: number of outputs, the first ones, that a linear map of the input is added to; see `mlp.Shortcut`.
      shortcut_init: initializer of that map.
      spectral: whether every kernel is divided by its largest singular value (Miyato et al. 2018, arXiv 1802.05957).
    """

    layers: tuple[Layer, ...]
    output_shape: tuple[int, ...] | None
    image_shape: tuple[int, int, int]
    kernel_init: str = "he_normal"
    shortcut: int = 0
    shortcut_init: Callable = lecun_normal()
    spectral: bool = False

    @nn.compact
    def __call__(self, *inputs: Float[Array, "B ..."], train: bool) -> Float[Array, "B ..."]:
        """Applies the layers, and the linear map if there is one."""
        joined = inputs[0] if len(inputs) == 1 else jnp.concatenate([flatten(value) for value in inputs], axis=-1)
        x = self._fit_output(self._apply_layers(joined, train), train)
        if self.shortcut:
            x = Shortcut(self.shortcut, self.shortcut_init)(flatten(x), flatten(joined))
        return x if self.output_shape is None else x.reshape(len(x), *self.output_shape)

    def _apply_layers(self, x: Array, train: bool) -> Array:
        next_kinds = [*(kind for kind, *_ in self.layers[1:]), None]
        for (kind, *arguments), next_kind in zip(self.layers, next_kinds, strict=True):
            if LAYER_KINDS[kind].needs_image and x.ndim != 4:
                raise ValueError(
                    f'a layer "{kind}" needs images [H, W, C] as its input; got {x.shape[1:]}. Try a "seed" before it'
                )
            context = self._context(train, use_bias=next_kind != "batch_norm")
            x = LAYER_KINDS[kind].apply(x, context, *arguments)
        return x

    def _fit_output(self, x: Array, train: bool) -> Array:
        if self.output_shape is None:
            return x
        if x.ndim == 4 and len(self.output_shape) == 3:
            return crop_to(x, self.output_shape)
        if self.layers[-1][0] in NOT_AN_OUTPUT or math.prod(x.shape[1:]) != math.prod(self.output_shape):
            last = Dense(math.prod(self.output_shape), kernel_init=INITIALIZERS[self.kernel_init][1])
            return apply_kernel_layer(last, flatten(x), self._context(train, use_bias=True))
        return x

    def _context(self, train: bool, use_bias: bool) -> LayerContext:
        kernel_init = INITIALIZERS[self.kernel_init][0]
        make_rng = partial(self.make_rng, "dropout")
        return LayerContext(train, use_bias, kernel_init, self.spectral, self.image_shape, make_rng)


def crop_to(x: Float[Array, "B h w C"], shape: tuple[int, int, int]) -> Float[Array, "B H W C"]:
    """Crops images to their upper left corner.

    Raises:
      ValueError: the images are smaller than `shape` or have another number of channels.
    """
    height, width, channels = shape
    if x.shape[1] < height or x.shape[2] < width or x.shape[3] != channels:
        raise ValueError(
            f"the layers end in images of {x.shape[1:]}, which do not cover {shape}; they are for another size or "
            "number of channels: choose it by --config.data.image_size and --config.data.channels, or try "
            "--config.decoder_layers=() or --config.generator_layers=()"
        )
    return x[:, :height, :width]
