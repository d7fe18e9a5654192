"""What a layer of a `Stack` may be: its kinds, their numbers, and what is refused before anything is built."""

import math
import numbers
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import lecun_normal
from jaxtyping import Array, Float

from jaxgen.data.transforms import cutout, random_shift
from jaxgen.kernels.dropout import Dropout
from jaxgen.networks.conv import BlurConvTranspose, Conv, ConvTranspose
from jaxgen.networks.dense import Dense
from jaxgen.networks.mlp import INITIALISERS, Shortcut
from jaxgen.networks.normalization import MinibatchStd, batch_norm

Layer = tuple  # a kind and its numbers
WINDOW = ("features", "size", "stride", "padding")
LAYER_ARGUMENTS = {  # of every kind, in order; the last may be left out where it is "extra"
    "conv": WINDOW,
    "conv_transpose": (*WINDOW, "extra"),
    "blur_conv_transpose": (*WINDOW, "extra"),
    "pool": ("size", "stride"),
    "average_pool": ("size", "stride"),
    "space_to_depth": ("side",),
    "depth_to_space": ("side",),
    "shift": ("most",),
    "cutout": ("share",),
    "dense": ("features",),
    "seed": ("shrink", "features"),
    "reshape": ("height", "width", "features"),
    "minibatch_std": (),
    "relu": (),
    "leaky_relu": ("slope",),
    "batch_norm": (),
    "group_norm": ("channels",),
    "dropout": ("share",),
}
NOT_AN_OUTPUT = ("relu", "leaky_relu", "batch_norm", "group_norm", "dropout")  # no output but an image ends in one
BATCH_DEPENDENT = ("batch_norm", "minibatch_std")  # what these make of an image depends on those beside it
IMAGE_LAYERS = (
    "conv",
    "conv_transpose",
    "blur_conv_transpose",
    "pool",
    "average_pool",
    "space_to_depth",
    "depth_to_space",
    "shift",
    "cutout",
)


def validate_layers(key: str, layers: tuple) -> None:
    """Refuses a config's layers that no network can be built of.

    Raises:
      ValueError: one is no layer, its kind is unknown, or its numbers are not those that it takes.
    """
    for layer in layers:
        if not isinstance(layer, tuple) or not layer:
            raise ValueError(f'{key} must be a tuple of layers, such as (("dense", 256), ("relu",)); {layer!r} is none')
        kind, *given = layer
        if kind not in LAYER_ARGUMENTS:
            raise ValueError(f'{key} has a layer of kind "{kind}"; choose from {", ".join(LAYER_ARGUMENTS)}')
        names = LAYER_ARGUMENTS[kind]
        told = f"such a layer is {(kind, *names)}"
        if not len(names) - ("extra" in names) <= len(given) <= len(names):
            raise ValueError(f"{key} has {layer}; {told}")
        by_name = dict(zip(names, given, strict=False))
        for name, number in by_name.items():
            if rule := argument_error(kind, name, number):
                raise ValueError(f"{key} has {layer}, whose {name} must be {rule}; {told}")
        if "stride" in names and by_name["stride"] > by_name["size"]:
            raise ValueError(f"{key} has {layer}, whose stride must be at most its size, else it skips pixels; {told}")
        if by_name.get("extra", 0) >= by_name.get("stride", 1):
            raise ValueError(f"{key} has {layer}, whose extra must be below its stride; {told}")


def argument_error(kind: str, name: str, number) -> str:
    """What a number of that name must be where it is not, else ""."""
    if name == "slope":
        return "" if isinstance(number, numbers.Real) else "a number"
    if name == "share":
        return "" if isinstance(number, numbers.Real) and 0 <= number < 1 else "at least 0 and below 1"
    least = 0 if name in ("padding", "extra", "most") else 1 + ((kind, name) == ("blur_conv_transpose", "size"))
    return "" if isinstance(number, int) and number >= least else f"a whole number of at least {least}"


class LayerContext(NamedTuple):
    """What a layer has to know of where it stands."""

    train: bool
    bias: bool  # False before a batch_norm, which takes any bias away: the optimiser would let it drift


class LayerStack(nn.Module):
    """Layers one after another, over channels-last images or flat vectors; several inputs are flattened and joined.

    Layers, sizes in pixels:
      ("conv", features, size, stride, padding): output side (side + 2 padding - size) / stride + 1.
      ("conv_transpose", features, size, stride, padding, extra): output side (side - 1) stride - 2 padding + size, and
        so many extra pixels below and to the right (none where no number says so).
      ("blur_conv_transpose", …): the same without a grid over what it paints; see `SmoothTranspose`.
      ("pool", size, stride), ("average_pool", size, stride): the maximum, or the mean, of each window.
      ("space_to_depth", n): blocks of n × n pixels become channels, black beyond the edge; ("depth_to_space", n) is its inverse. They
        let convolutions work at a low resolution, where they cost little.
      ("dense", features), ("reshape", height, width, features), ("relu",), ("leaky_relu", slope), ("dropout", share).
      ("batch_norm",): by the batch, of all devices, in training, else by its running mean; see `normalisation`.
      ("group_norm", n): each image by itself, in groups of n channels, or of what divides both n and theirs (Wu & He
        2018, arXiv 1803.08494).
      ("minibatch_std",): one channel more, the same for all: the mean standard deviation of the features over the batch, by
        which a critic sees that images are alike (Karras et al. 2018, arXiv 1710.10196, section 3); after training, its
        running mean.
      ("shift", n), ("cutout", share): in training each image is moved by up to n pixels, 0 coming in, and is 0 in a
        square of that share of its side: a critic that sees reals and fakes so does not win early (Zhao et al. 2020,
        arXiv 2006.10738).
      ("seed", n, features): dense, to an n-th of the image's height and width (rounded up).

    Attributes:
      layers: in order.
      output_shape: the shape of one example's output. Of an image, the last layer's upper left corner; else its output
        itself where it is no ReLU, norm or dropout and has as many numbers, or what a last dense layer makes of it.
        None: the last layer's output.
      image_shape: H, W, C, which "seed" grows from.
      kernel_init: a name in INITIALISERS.
      shortcut: to so many outputs, the first ones, a linear map of the input is added; see `Shortcut`.
      shortcut_init: what its kernel is drawn from.
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
        x = self._through_layers(*inputs, train=train)
        if self.shortcut:
            joined = jnp.concatenate([flatten(value) for value in inputs], axis=-1)
            x = Shortcut(self.shortcut, self.shortcut_init)(flatten(x), joined)
        return x if self.output_shape is None else x.reshape(len(x), *self.output_shape)

    def _through_layers(self, *inputs, train: bool):
        x = inputs[0] if len(inputs) == 1 else jnp.concatenate([flatten(value) for value in inputs], axis=-1)
        following = [*(kind for kind, *_ in self.layers[1:]), None]
        for (kind, *numbers), after in zip(self.layers, following, strict=True):
            if kind in IMAGE_LAYERS and x.ndim != 4:
                raise ValueError(
                    f'a layer "{kind}" is of images, and what comes to it is {x.shape[1:]}; try a "seed" first'
                )
            x = getattr(self, f"_{kind}")(x, *numbers, at=LayerContext(train, after != "batch_norm"))
        if self.output_shape is None:
            return x
        if x.ndim == 4 and len(self.output_shape) == 3:
            return crop_to(x, self.output_shape)
        if self.layers[-1][0] in NOT_AN_OUTPUT or math.prod(x.shape[1:]) != math.prod(self.output_shape):
            last = Dense(math.prod(self.output_shape), kernel_init=INITIALISERS[self.kernel_init][1])
            x = self._weigh(last, flatten(x), train)
        return x

    def _weigh(self, layer: nn.Module, x, train: bool):
        """The output of a layer that has a kernel."""
        return nn.SpectralNorm(layer)(x, update_stats=train) if self.spectral else layer(x)

    def _conv(self, x, *numbers: int, at: LayerContext):
        require_window_fits(x, numbers[1], numbers[3])
        return self._weigh(Conv(*numbers, kernel_init=self._init(), use_bias=at.bias), x, at.train)

    def _conv_transpose(
        self, x, features: int, size: int, stride: int, padding: int, extra: int = 0, *, at: LayerContext
    ):
        return self._transpose(ConvTranspose, x, at, features, size, stride, padding, extra)

    def _blur_conv_transpose(
        self, x, features: int, size: int, stride: int, padding: int, extra: int = 0, *, at: LayerContext
    ):
        return self._transpose(BlurConvTranspose, x, at, features, size, stride, padding, extra)

    def _transpose(self, kind: type[ConvTranspose], x, at: LayerContext, features, size, stride, padding, extra):
        if (side := (min(x.shape[1:3]) - 1) * stride + size + extra - 2 * padding) < 1:
            raise ValueError(
                f"a transposed convolution of {size} pixels by {stride}, {padding} of them cut off, makes {side} of "
                f"{min(x.shape[1:3])}: choose a smaller padding"
            )
        layer = kind(features, size, stride, padding, extra=extra, kernel_init=self._init(), use_bias=at.bias)
        return self._weigh(layer, x, at.train)

    def _pool(self, x, size: int, stride: int, at: LayerContext):
        del at
        require_window_fits(x, size)
        return nn.max_pool(x, (size, size), (stride, stride))

    def _average_pool(self, x, size: int, stride: int, at: LayerContext):
        del at
        require_window_fits(x, size)
        return nn.avg_pool(x.astype(jnp.float32), (size, size), (stride, stride)).astype(x.dtype)

    def _space_to_depth(self, x, side: int, at: LayerContext):
        del at
        return space_to_depth(x, side)

    def _depth_to_space(self, x, side: int, at: LayerContext):
        del at
        if x.shape[-1] % side**2:
            raise ValueError(f'("depth_to_space", {side}) needs a multiple of {side**2} channels, and {x.shape[-1]} come to it')
        return depth_to_space(x, side)

    def _dense(self, x, features: int, at: LayerContext):
        return self._weigh(Dense(features, kernel_init=self._init(), use_bias=at.bias), flatten(x), at.train)

    def _seed(self, x, shrink: int, features: int, at: LayerContext):
        height, width = (-(-side // shrink) for side in self.image_shape[:2])
        return self._dense(x, height * width * features, at=at).reshape(len(x), height, width, features)

    def _reshape(self, x, *shape: int, at: LayerContext):
        del at
        return x.reshape(len(x), *shape)

    def _relu(self, x, at: LayerContext):
        del at
        return jax.nn.relu(x)

    def _leaky_relu(self, x, slope: float, at: LayerContext):
        del at
        return jax.nn.leaky_relu(x, slope)

    def _batch_norm(self, x, at: LayerContext):
        return batch_norm(train=at.train)(x)

    def _group_norm(self, x, channels: int, at: LayerContext):
        del at
        size = math.gcd(channels, x.shape[-1])
        if size == 1 and x.ndim == 2:
            raise ValueError(f'("group_norm", {channels}) of {x.shape[-1]} numbers is of each alone, which makes all 0')
        return nn.GroupNorm(num_groups=None, group_size=size)(x)

    def _minibatch_std(self, x, at: LayerContext):
        return MinibatchStd(at.train)(x)

    def _shift(self, x, most: int, at: LayerContext):
        return random_shift(x, self.make_rng("dropout"), most) if at.train else x

    def _cutout(self, x, share: float, at: LayerContext):
        return cutout(x, self.make_rng("dropout"), share) if at.train else x

    def _dropout(self, x, share: float, at: LayerContext):
        return Dropout(share, deterministic=not at.train)(x)

    def _init(self):
        return INITIALISERS[self.kernel_init][0]


def crop_to(x: Float[Array, "B h w C"], shape: tuple[int, int, int]) -> Float[Array, "B H W C"]:
    """The upper left corner of images that are at least as large as `shape`, else a ValueError."""
    height, width, channels = shape
    if x.shape[1] < height or x.shape[2] < width or x.shape[3] != channels:
        raise ValueError(
            f"the layers spelled out end in images of {x.shape[1:]}, which do not cover {shape}; they are for one "
            "size and number of channels: choose them by --config.data.image_size and --config.data.channels, or try "
            "--config.decoder_layers=() or --config.generator_layers=()"
        )
    return x[:, :height, :width]


def require_window_fits(x: Float[Array, "B H W C"], size: int, padding: int = 0) -> None:
    """Raises a ValueError where a window of so many pixels is larger than the image."""
    if (side := min(x.shape[1:3]) + 2 * padding) < size:
        raise ValueError(
            f"a window of {size} pixels is larger than what it looks at, which has {side}: the images are too small "
            "for the layers spelled out; try a larger --config.data.image_size, or fewer layers"
        )


def flatten(x: Float[Array, "B ..."]) -> Float[Array, "B N"]:
    """Each example as a vector."""
    return x.reshape(len(x), -1)


def space_to_depth(x: Float[Array, "B H W C"], side: int) -> Float[Array, "B h w c"]:
    """Blocks of side × side pixels as channels, what lies beyond the lower and right edges being 0."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, -height % side), (0, -width % side), (0, 0)))
    rows, columns = x.shape[1] // side, x.shape[2] // side
    x = x.reshape(batch, rows, side, columns, side, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, rows, columns, side * side * channels)


def depth_to_space(x: Float[Array, "B h w c"], side: int) -> Float[Array, "B H W C"]:
    """The inverse of `fold`."""
    batch, rows, columns, features = x.shape
    x = x.reshape(batch, rows, columns, side, side, features // side**2).transpose(0, 1, 3, 2, 4, 5)
    # Without the barrier, XLA computes what is made of the image in the six axes above, the last of one number: on a
    # CPU conv_ae's sum of squared errors took 1.3 ms so, and .14 of rows.
    pixels = jax.lax.optimization_barrier(x.reshape(batch, -1))
    return pixels.reshape(batch, rows * side, columns * side, features // side**2)
