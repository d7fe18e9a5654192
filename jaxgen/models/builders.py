"""The networks that a config describes: fully connected, or the layers that it spells out."""

import math
from collections.abc import Callable, Mapping

import flax.linen as nn
from flax.linen.initializers import lecun_normal, zeros

from jaxgen.networks import MLP, LayerStack
from jaxgen.networks.layer_stack import BATCH_DEPENDENT, Layer, validate_layers


def build_encoder_decoder(
    config, image_shape: tuple[int, int, int], code_shape: tuple[int, ...]
) -> Mapping[str, nn.Module]:
    """The two networks of an autoencoder, by name.

    `config.encoder_layers` and `decoder_layers` (see `Stack`) where there are any; else, of a `config.width`, those of
    `convolutional`; else MLPs of `config.hidden` units, in reverse order in the decoder, with `dropout`. If `shortcut`,
    with a linear map beside them: from pixels to the code (of a code [2, Z], its mean), from the code to pixels. The
    latter starts at 0: what random codes would draw is worse than nothing, and the encoder would make them small
    instead of telling.

    Raises:
      ValueError: a layer is none that there is, or it keeps statistics of batches, which these families do not.
    """
    hidden, shapes = tuple(config.hidden_sizes), {"encoder": code_shape, "decoder": image_shape}
    starts = {"encoder": lecun_normal(), "decoder": zeros}  # of the shortcuts
    linear = {"encoder": code_shape[-1], "decoder": math.prod(image_shape)}
    by_width = conv_autoencoder_layers(config.base_channels, image_shape) if config.base_channels else {}
    networks = {}
    for name, widths in (("encoder", hidden), ("decoder", hidden[::-1])):
        common = {"kernel_init": config.kernel_init, "shortcut_init": starts[name]}
        common["shortcut"] = linear[name] if config.linear_skip else 0
        if layers := layers_from_config(config, f"{name}_layers") or by_width.get(name, ()):
            if found := [kind for kind, *_ in layers if kind in BATCH_DEPENDENT]:
                raise ValueError(f'{name}_layers have "{found[0]}", which is for GANs; try ("group_norm", 8)')
            networks[name] = LayerStack(layers, shapes[name], image_shape, **common)
        else:
            networks[name] = MLP(widths, shapes[name], config.dropout_rate, **common)
    return networks


def build_aae_networks(config, image_shape: tuple[int, int, int], latent_size: int) -> Mapping[str, nn.Module]:
    """The three networks of an adversarial autoencoder, by name: MLPs of `config.hidden` and `critic_hidden` units."""
    hidden, given = tuple(config.hidden_sizes), {"dropout": config.dropout_rate, "kernel_init": config.kernel_init}
    code_shape = (2, latent_size) if config.gaussian_posterior else (latent_size,)
    of_decoder = {"linear_layers": tuple(config.decoder_linear_layers), "film": config.decoder_film}
    return {
        "encoder": MLP(hidden, code_shape, negative_slope=config.encoder_negative_slope, **given),
        "decoder": MLP(hidden, image_shape, **of_decoder, **given),
        "critic": MLP(
            tuple(config.critic_hidden_sizes), (), config.critic_dropout_rate, kernel_init=config.kernel_init
        ),
    }


def build_categorical_networks(
    config, image_shape: tuple[int, int, int], categories: int, latent_size: int
) -> Mapping[str, nn.Module]:
    """Those of one whose encoder tells an image's category from its style: one trunk, and a critic of each.

    With a `config.head_distance`, also the linear map that gives every category its head.
    """
    hidden, critic_hidden, init = tuple(config.hidden_sizes), tuple(config.critic_hidden_sizes), config.kernel_init
    networks = {
        "encoder": MLP(hidden, (categories + latent_size,), config.dropout_rate, kernel_init=init),
        "decoder": MLP(hidden, image_shape, kernel_init=init),
        "category_critic": MLP(critic_hidden, (), kernel_init=init),
        "style_critic": MLP(critic_hidden, (), kernel_init=init),
    }
    return networks | ({"cluster_heads": MLP((), (latent_size,))} if config.min_head_distance else {})


def layers_from_config(config, key: str) -> tuple[Layer, ...]:
    """The layers that a config spells out under a key, if any; a ValueError where no network can be built of them."""
    layers = tuple(tuple(layer) if isinstance(layer, list) else layer for layer in config[key])
    validate_layers(key, layers)
    return layers


def layers_from_config_or(config, keys: Mapping[str, str], make: Callable[[], Mapping]) -> dict[str, tuple[Layer, ...]]:
    """The layers of each network: those under its key, or those made for it; made only where any are missing."""
    layers = {name: layers_from_config(config, key) for name, key in keys.items()}
    made = {} if all(layers.values()) else make()
    return {name: its or made[name] for name, its in layers.items()}


def build_gan_networks(config, image_shape: tuple[int, int, int], scores: int) -> Mapping[str, nn.Module]:
    """The two networks of a GAN, by name: `config.generator_layers` and `critic_layers` (see `Stack`).

    Where they are empty, those of a DCGAN (Radford et al. 2016) of `config.width` for images of that size; see
    `doublings`.

    Raises:
      ValueError: a layer is none that there is, the width is below 1, or the images are too small for such a net.
    """
    keys = {"generator": "generator_layers", "critic": "critic_layers"}
    layers = layers_from_config_or(
        config, keys, lambda: dict(zip(keys, dcgan_layers(config, image_shape, config.critic_batch_norm), strict=True))
    )
    common = {"image_shape": image_shape, "kernel_init": config.kernel_init}
    return {
        "generator": LayerStack(layers["generator"], image_shape, **common),
        "critic": LayerStack(layers["critic"], (scores,), spectral=config.spectral_norm, **common),
    }


def dcgan_layers(config, image_shape: tuple[int, int, int], critic_norm: bool) -> tuple[tuple, tuple]:
    """A DCGAN's generator and critic: every layer halves the channels and doubles the side, or the reverse.

    At the end that is not an image, each has a dense layer of `config.dense` units, if any, that sees all of it. With
    `critic_norm` the critic normalises its batches, too.
    """
    if config.base_channels < 1:
        raise ValueError(f"width={config.base_channels} must be at least 1; try --config.base_channels=32")
    times = num_upsamplings(min(image_shape[:2]))
    dense, normalised = config.dense_units, [("batch_norm",), ("relu",)]
    generator: list[tuple] = [("dense", dense), *normalised] if dense else []
    generator += [("seed", 2**times, config.base_channels * 2 ** (times - 1)), *normalised]
    for turn in range(times - 1, 0, -1):
        generator += [strided_conv_transpose(config.base_channels * 2 ** (turn - 1)), *normalised]
    generator.append(strided_conv_transpose(image_shape[-1]))
    critic: list[tuple] = []
    for turn in range(times):
        norm = [("batch_norm",)] if critic_norm and turn else []  # not on pixels
        critic += [strided_conv(config.base_channels * 2**turn), *norm, ("leaky_relu", 0.2)]
    critic += [("dense", dense), ("leaky_relu", 0.2)] if dense else []
    return tuple(generator), tuple(critic)


def build_vaegan_networks(config, image_shape: tuple[int, int, int]) -> Mapping[str, nn.Module]:
    """The four networks of a VAE/GAN, by name.

    `config.encoder_layers`, `decoder_layers`, `feature_layers` and `critic_layers` (see `Stack`) where there are any;
    else a DCGAN's generator and critic of `config.width` and `dense`, and the encoder of `convolutional`, half as wide.
    Features are what the critic's last convolution sums up, as in the paper.

    Raises:
      ValueError: a layer is none that there is, the width is below 1, or the images are too small for such a net.
    """
    shapes = {"encoder": (2, config.latent_size), "decoder": image_shape, "features": None, "critic": (1,)}
    keys = ("encoder_layers", "decoder_layers", "feature_layers", "critic_layers")
    layers = layers_from_config_or(
        config, dict(zip(shapes, keys, strict=True)), lambda: vaegan_layers(config, image_shape)
    )
    networks = {}
    for name, shape in shapes.items():
        spectral = config.spectral_norm and name in ("features", "critic")
        networks[name] = LayerStack(layers[name], shape, image_shape, kernel_init=config.kernel_init, spectral=spectral)
    return networks


def vaegan_layers(config, image_shape: tuple[int, int, int]) -> dict[str, tuple[tuple, ...]]:
    decoder, critic = dcgan_layers(config, image_shape, critic_norm=False)
    cut = 1 + max(place for place, (kind, *_) in enumerate(critic) if kind == "conv")
    encoder = conv_autoencoder_layers(-(-config.base_channels // 2), image_shape)["encoder"]
    return {"encoder": encoder, "decoder": decoder, "features": critic[:cut], "critic": critic[cut:]}


def conv_autoencoder_layers(width: int, image_shape: tuple[int, int, int]) -> dict[str, tuple[tuple, ...]]:
    """The layers of an encoder that halves the side three times, and of a decoder that doubles it from an eighth.

    From `width` channels next to the image to four times as many, normalised in groups of 8 channels.

    Raises:
      ValueError: the image is smaller than 8 pixels.
    """
    if (side := min(image_shape[:2])) < 8:
        raise ValueError(
            f"images of {side} pixels are too small to be halved three times; try --config.data.image_size=8"
        )
    normalised = (("group_norm", 8), ("relu",))
    halving = [layer for factor in (1, 2, 4) for layer in (strided_conv(width * factor), *normalised)]
    doubling = [layer for factor in (2, 1) for layer in (strided_conv_transpose(width * factor), *normalised)]
    return {
        "encoder": (*halving, ("dense", 16 * width), *normalised),
        "decoder": (("seed", 8, 4 * width), *normalised, *doubling, strided_conv_transpose(image_shape[-1])),
    }


def strided_conv(features: int) -> tuple:
    """A convolution that halves the side."""
    return "conv", features, 4, 2, 1


def strided_conv_transpose(features: int) -> tuple:
    """One that doubles it."""
    return "conv_transpose", features, 4, 2, 1


def num_upsamplings(side: int) -> int:
    """How often a DCGAN doubles its side on the way to an image: from 4 to 7 pixels, 7 for 28, 4 for 32 and 64.

    Raises:
      ValueError: the image is smaller than 8 pixels.
    """
    if side < 8:
        raise ValueError(
            f"images of {side} pixels are too small for a net that doubles 4; they must have 8: "
            "--config.data.image_size=8 or more, or spell every network's layers out, as --config.critic_layers"
        )
    times = 1
    while -(-side // 2**times) > 7:
        times += 1
    return times
