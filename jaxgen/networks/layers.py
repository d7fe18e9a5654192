"""The kinds of layers that a recipe can spell out: their arguments, their implementation, and what they accept.

A layer is a tuple of a kind and its arguments, such as ("conv", 32, 3, 1, 1). Sizes are in pixels.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.data.transforms import cutout, random_shift
from jaxgen.kernels.depth_to_space import depth_to_space
from jaxgen.kernels.dropout import Dropout
from jaxgen.networks.conv import BlurConvTranspose, Conv, ConvTranspose
from jaxgen.networks.dense import Dense
from jaxgen.networks.normalization import MinibatchStd, batch_norm

Layer = tuple  # a kind and its arguments
BATCH_DEPENDENT = ("batch_norm", "minibatch_std")  # the output for one image depends on the rest of the batch
NOT_AN_OUTPUT = ("relu", "leaky_relu", "batch_norm", "group_norm", "dropout")  # a dense layer is appended to these


class LayerContext(NamedTuple):
    """Where a layer stands in its network.

    Attributes:
      train: whether dropout, augmentation and batch statistics are on.
      use_bias: False before a batch normalization, which removes any bias, so that the optimizer would let it drift.
      kernel_init: initializer of kernels.
      spectral_norm: whether kernels are divided by their largest singular value.
      image_shape: H, W, C of the data.
      make_rng: returns a new key for augmentation.
    """

    train: bool
    use_bias: bool
    kernel_init: Callable
    spectral_norm: bool
    image_shape: tuple[int, int, int]
    make_rng: Callable[[], Array]


def apply_kernel_layer(layer: nn.Module, x: Array, context: LayerContext) -> Array:
    """Applies a layer that has a kernel, with spectral normalization (Miyato et al. 2018) if the network uses it."""
    return nn.SpectralNorm(layer)(x, update_stats=context.train) if context.spectral_norm else layer(x)


def apply_conv(x: Array, context: LayerContext, features: int, size: int, stride: int, padding: int) -> Array:
    """Convolves; the output side is (side + 2 padding - size) / stride + 1."""
    require_window_fits(x, size, padding)
    layer = Conv(features, size, stride, padding, kernel_init=context.kernel_init, use_bias=context.use_bias)
    return apply_kernel_layer(layer, x, context)


def apply_conv_transpose(
    x: Array, context: LayerContext, features: int, size: int, stride: int, padding: int, extra: int = 0
) -> Array:
    """Applies a transposed convolution; the output side is (side - 1) stride - 2 padding + size + extra."""
    return _apply_transpose(ConvTranspose, x, context, features, size, stride, padding, extra)


def apply_blur_conv_transpose(
    x: Array, context: LayerContext, features: int, size: int, stride: int, padding: int, extra: int = 0
) -> Array:
    """Applies a transposed convolution followed by a blur; see `BlurConvTranspose`."""
    return _apply_transpose(BlurConvTranspose, x, context, features, size, stride, padding, extra)


def _apply_transpose(
    module: type[ConvTranspose],
    x: Array,
    context: LayerContext,
    features: int,
    size: int,
    stride: int,
    padding: int,
    extra: int,
) -> Array:
    input_side = min(x.shape[1:3])
    if (side := (input_side - 1) * stride + size + extra - 2 * padding) < 1:
        raise ValueError(
            f"a transposed convolution of size {size}, stride {stride} and padding {padding} turns {input_side} pixels "
            f"into {side}; choose a smaller padding"
        )
    options = {"extra": extra, "kernel_init": context.kernel_init, "use_bias": context.use_bias}
    return apply_kernel_layer(module(features, size, stride, padding, **options), x, context)


def apply_max_pool(x: Array, context: LayerContext, size: int, stride: int) -> Array:
    """Takes the maximum of each window."""
    del context
    require_window_fits(x, size)
    return nn.max_pool(x, (size, size), (stride, stride))


def apply_average_pool(x: Array, context: LayerContext, size: int, stride: int) -> Array:
    """Takes the mean of each window, in float32."""
    del context
    require_window_fits(x, size)
    return nn.avg_pool(x.astype(jnp.float32), (size, size), (stride, stride)).astype(x.dtype)


def apply_space_to_depth(x: Array, context: LayerContext, block: int) -> Array:
    """Turns blocks of pixels into channels."""
    del context
    return space_to_depth(x, block)


def apply_depth_to_space(x: Array, context: LayerContext, block: int) -> Array:
    """Turns channels into blocks of pixels."""
    del context
    if x.shape[-1] % block**2:
        raise ValueError(
            f'("depth_to_space", {block}) needs a multiple of {block**2} input channels; got {x.shape[-1]}'
        )
    return depth_to_space(x, block)


def apply_dense(x: Array, context: LayerContext, features: int) -> Array:
    """Flattens each example and multiplies by a matrix."""
    layer = Dense(features, kernel_init=context.kernel_init, use_bias=context.use_bias)
    return apply_kernel_layer(layer, flatten(x), context)


def apply_seed(x: Array, context: LayerContext, shrink: int, features: int) -> Array:
    """Applies a dense layer to a feature map of 1 / shrink of the image's height and width, rounded up."""
    height, width = (-(-side // shrink) for side in context.image_shape[:2])
    return apply_dense(x, context, height * width * features).reshape(len(x), height, width, features)


def apply_reshape(x: Array, context: LayerContext, *shape: int) -> Array:
    """Reshapes each example."""
    del context
    return x.reshape(len(x), *shape)


def apply_relu(x: Array, context: LayerContext) -> Array:
    """Applies the ReLU."""
    del context
    return jax.nn.relu(x)


def apply_leaky_relu(x: Array, context: LayerContext, slope: float) -> Array:
    """Applies the leaky ReLU."""
    del context
    return jax.nn.leaky_relu(x, slope)


def apply_batch_norm(x: Array, context: LayerContext) -> Array:
    """Normalizes by the batch in training, by running statistics after it; see `normalization.batch_norm`."""
    return batch_norm(train=context.train)(x)


def apply_group_norm(x: Array, context: LayerContext, channels: int) -> Array:
    """Normalizes each image in groups of channels (Wu & He 2018, arXiv 1803.08494).

    The group size is the greatest common divisor of `channels` and the number of channels.
    """
    del context
    size = math.gcd(channels, x.shape[-1])
    if size == 1 and x.ndim == 2:
        raise ValueError(
            f'("group_norm", {channels}) of {x.shape[-1]} features normalizes each alone, which makes all of them 0; '
            f"choose a number that shares a divisor with {x.shape[-1]}"
        )
    return nn.GroupNorm(num_groups=None, group_size=size)(x)


def apply_minibatch_std(x: Array, context: LayerContext) -> Array:
    """Appends the minibatch standard deviation as a channel; see `normalization.MinibatchStd`."""
    return MinibatchStd(context.train)(x)


def apply_shift(x: Array, context: LayerContext, most: int) -> Array:
    """Shifts each image by up to `most` pixels in training, zero-padded (Zhao et al. 2020, arXiv 2006.10738)."""
    return random_shift(x, context.make_rng(), most) if context.train else x


def apply_cutout(x: Array, context: LayerContext, share: float) -> Array:
    """Zeroes a square of `share` of each image's side in training (DeVries & Taylor 2017; Zhao et al. 2020)."""
    return cutout(x, context.make_rng(), share) if context.train else x


def apply_dropout(x: Array, context: LayerContext, share: float) -> Array:
    """Drops units in training."""
    return Dropout(share, deterministic=not context.train)(x)


class LayerKind(NamedTuple):
    """A kind of layer.

    Attributes:
      apply: maps (x, context, *arguments) to the output.
      arguments: their names, in order; "extra" may be left out.
      needs_image: whether the input must be [B, H, W, C].
    """

    apply: Callable[..., Array]
    arguments: tuple[str, ...] = ()
    needs_image: bool = False


WINDOW = ("features", "size", "stride", "padding")
LAYER_KINDS = {
    "conv": LayerKind(apply_conv, WINDOW, needs_image=True),
    "conv_transpose": LayerKind(apply_conv_transpose, (*WINDOW, "extra"), needs_image=True),
    "blur_conv_transpose": LayerKind(apply_blur_conv_transpose, (*WINDOW, "extra"), needs_image=True),
    "pool": LayerKind(apply_max_pool, ("size", "stride"), needs_image=True),
    "average_pool": LayerKind(apply_average_pool, ("size", "stride"), needs_image=True),
    "space_to_depth": LayerKind(apply_space_to_depth, ("side",), needs_image=True),
    "depth_to_space": LayerKind(apply_depth_to_space, ("side",), needs_image=True),
    "shift": LayerKind(apply_shift, ("most",), needs_image=True),
    "cutout": LayerKind(apply_cutout, ("share",), needs_image=True),
    "dense": LayerKind(apply_dense, ("features",)),
    "seed": LayerKind(apply_seed, ("shrink", "features")),
    "reshape": LayerKind(apply_reshape, ("height", "width", "features")),
    "minibatch_std": LayerKind(apply_minibatch_std),
    "relu": LayerKind(apply_relu),
    "leaky_relu": LayerKind(apply_leaky_relu, ("slope",)),
    "batch_norm": LayerKind(apply_batch_norm),
    "group_norm": LayerKind(apply_group_norm, ("channels",)),
    "dropout": LayerKind(apply_dropout, ("share",)),
}


def validate_layers(key: str, layers: tuple) -> None:
    """Validates a config's layers.

    Raises:
      ValueError: an entry is not a layer, its kind is unknown, or its arguments are invalid.
    """
    for layer in layers:
        if not isinstance(layer, tuple) or not layer:
            raise ValueError(f'{key} must be a tuple of layers, such as (("dense", 256), ("relu",)); got {layer!r}')
        kind, *given = layer
        if kind not in LAYER_KINDS:
            raise ValueError(f'{key} has a layer of kind "{kind}"; choose from {", ".join(LAYER_KINDS)}')
        names = LAYER_KINDS[kind].arguments
        form = f"the form is {(kind, *names)}"
        if not len(names) - ("extra" in names) <= len(given) <= len(names):
            raise ValueError(f"{key} has {layer}; {form}")
        arguments = dict(zip(names, given, strict=False))
        for name, value in arguments.items():
            if rule := argument_rule(kind, name, value):
                raise ValueError(f"{key} has {layer}: {name} must be {rule}; {form}")
        if "stride" in names and arguments["stride"] > arguments["size"]:
            raise ValueError(f"{key} has {layer}: stride must be at most size, or pixels are skipped; {form}")
        if arguments.get("extra", 0) >= arguments.get("stride", 1):
            raise ValueError(f"{key} has {layer}: extra must be below stride; {form}")


def argument_rule(kind: str, name: str, value: Any) -> str:
    """Returns the rule that an argument's value violates, or ""."""
    if name == "slope":
        return "" if isinstance(value, numbers.Real) else "a number"
    if name == "share":
        return "" if isinstance(value, numbers.Real) and 0 <= value < 1 else "at least 0 and below 1"
    least = 0 if name in ("padding", "extra", "most") else 1 + ((kind, name) == ("blur_conv_transpose", "size"))
    return "" if isinstance(value, int) and value >= least else f"an integer of at least {least}"


def require_window_fits(x: Float[Array, "B H W C"], size: int, padding: int = 0) -> None:
    """Raises a ValueError if a window is larger than the padded image."""
    if (side := min(x.shape[1:3]) + 2 * padding) < size:
        raise ValueError(
            f"a window of {size} pixels is larger than its input of {side} pixels: the images are too small for these "
            "layers; try a larger --config.data.image_size, or fewer layers"
        )


def flatten(x: Float[Array, "B ..."]) -> Float[Array, "B N"]:
    """Flattens each example to a vector."""
    return x.reshape(len(x), -1)


def space_to_depth(x: Float[Array, "B H W C"], block: int) -> Float[Array, "B h w c"]:
    """Turns blocks of block × block pixels into channels; the lower and right edges are padded with zeros."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, -height % block), (0, -width % block), (0, 0)))
    rows, columns = x.shape[1] // block, x.shape[2] // block
    x = x.reshape(batch, rows, block, columns, block, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, rows, columns, block * block * channels)
