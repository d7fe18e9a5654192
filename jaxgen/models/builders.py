"""Builders of the networks that a config describes: fully connected, by a width, or by layers spelled out."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
from flax.linen.initializers import lecun_normal, zeros

from jaxgen.networks import MLP, LayerStack
from jaxgen.networks.layers import BATCH_DEPENDENT, Layer, validate_layers

ImageShape = tuple[int, int, int]  # H, W, C


def build_encoder_decoder(
    config: Any, image_shape: ImageShape, latent_shape: tuple[int, ...]
) -> Mapping[str, nn.Module]:
    """Builds the encoder and the decoder of an autoencoder, by name.

    From `encoder_layers` and `decoder_layers` (see `LayerStack`) if the config has any. Otherwise, with a
    `base_channels`, from `conv_autoencoder_layers`; otherwise MLPs of `hidden_sizes`, reversed in the decoder, with
    dropout. A `linear_skip` adds a linear map from pixels to the code (to its mean, for a shape [2, Z]) and one from
    the code to pixels. The decoder's map starts at 0: with a random one, reconstructions start worse than constant
    images, and the encoder would shrink the codes instead of learning.

    Args:
      config: the recipe.
      image_shape: H, W, C.
      latent_shape: shape of the encoder's output, [Z] or [2, Z].

    Raises:
      ValueError: a layer is invalid or keeps batch statistics, which autoencoders do not train with.
    """
    hidden, shapes = tuple(config.hidden_sizes), {"encoder": latent_shape, "decoder": image_shape}
    skip_inits = {"encoder": lecun_normal(), "decoder": zeros}
    skip_sizes = {"encoder": latent_shape[-1], "decoder": math.prod(image_shape)}
    default_layers = conv_autoencoder_layers(config.base_channels, image_shape) if config.base_channels else {}
    networks = {}
    for name, hidden_sizes in (("encoder", hidden), ("decoder", hidden[::-1])):
        common = {"kernel_init": config.kernel_init, "shortcut_init": skip_inits[name]}
        common["shortcut"] = skip_sizes[name] if config.linear_skip else 0
        if layers := layers_from_config(config, f"{name}_layers") or default_layers.get(name, ()):
            if found := [kind for kind, *_ in layers if kind in BATCH_DEPENDENT]:
                raise ValueError(f'{name}_layers have "{found[0]}", which is for GANs; try ("group_norm", 8)')
            networks[name] = LayerStack(layers, shapes[name], image_shape, **common)
        else:
            networks[name] = MLP(hidden_sizes, shapes[name], config.dropout_rate, **common)
    return networks


def build_aae_networks(config: Any, image_shape: ImageShape, latent_size: int) -> Mapping[str, nn.Module]:
    """Builds encoder, decoder and critic of an adversarial autoencoder, by name: MLPs."""
    hidden, common = tuple(config.hidden_sizes), {"dropout": config.dropout_rate, "kernel_init": config.kernel_init}
    latent_shape = (2, latent_size) if config.gaussian_posterior else (latent_size,)
    critic_hidden, critic_dropout = tuple(config.critic_hidden_sizes), config.critic_dropout_rate
    return {
        "encoder": MLP(hidden, latent_shape, negative_slope=config.encoder_negative_slope, **common),
        "decoder": MLP(hidden, image_shape, film=config.decoder_film, **common),
        "critic": MLP(critic_hidden, (), critic_dropout, kernel_init=config.kernel_init),
    }


def build_categorical_networks(
    config: Any, image_shape: ImageShape, categories: int, latent_size: int
) -> Mapping[str, nn.Module]:
    """Builds the networks of an adversarial autoencoder with a categorical code and a style code, by name.

    One encoder for both codes and one critic for each. With a `min_head_distance`, also "cluster_heads": the linear map
    from categories to their cluster heads.
    """
    hidden, critic_hidden, init = tuple(config.hidden_sizes), tuple(config.critic_hidden_sizes), config.kernel_init
    networks = {
        "encoder": MLP(hidden, (categories + latent_size,), config.dropout_rate, kernel_init=init),
        "decoder": MLP(hidden, image_shape, kernel_init=init),
        "category_critic": MLP(critic_hidden, (), kernel_init=init),
        "style_critic": MLP(critic_hidden, (), kernel_init=init),
    }
    return networks | ({"cluster_heads": MLP((), (latent_size,))} if config.min_head_distance else {})


def build_gan_networks(config: Any, image_shape: ImageShape, num_critic_outputs: int) -> Mapping[str, nn.Module]:
    """Builds generator and critic of a GAN, by name, from `generator_layers` and `critic_layers`.

    Layers that are empty are replaced by those of a DCGAN; see `dcgan_layers`.

    Raises:
      ValueError: a layer is invalid, the width is below 1, or the images are too small for a DCGAN.
    """
    keys = {"generator": "generator_layers", "critic": "critic_layers"}
    layers = layers_from_config_or(
        config, keys, lambda: dict(zip(keys, dcgan_layers(config, image_shape, config.critic_batch_norm), strict=True))
    )
    common = {"image_shape": image_shape, "kernel_init": config.kernel_init}
    spectral = config.spectral_norm
    return {
        "generator": LayerStack(layers["generator"], image_shape, **common),
        "critic": LayerStack(layers["critic"], (num_critic_outputs,), spectral=spectral, **common),
    }


def build_vaegan_networks(config: Any, image_shape: ImageShape) -> Mapping[str, nn.Module]:
    """Builds encoder, decoder, features and critic of a VAE/GAN, by name, from the config's four tuples of layers.

    Layers that are empty are replaced by those of `vaegan_layers`.

    Raises:
      ValueError: a layer is invalid, the width is below 1, or the images are too small for a DCGAN.
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


def layers_from_config(config: Any, key: str) -> tuple[Layer, ...]:
    """Returns the layers that a config spells out under a key.

    Raises:
      ValueError: a layer is invalid; see `validate_layers`.
    """
    layers = tuple(tuple(layer) if isinstance(layer, list) else layer for layer in config[key])
    validate_layers(key, layers)
    return layers


def layers_from_config_or(
    config: Any, keys: Mapping[str, str], make_defaults: Callable[[], Mapping[str, tuple[Layer, ...]]]
) -> dict[str, tuple[Layer, ...]]:
    """Returns the layers of each network: from the config, or else the default ones.

    Args:
      config: the recipe.
      keys: config key of each network's layers.
      make_defaults: returns the default layers of all networks; called only if some are needed.
    """
    layers = {name: layers_from_config(config, key) for name, key in keys.items()}
    defaults = {} if all(layers.values()) else make_defaults()
    return {name: given or defaults[name] for name, given in layers.items()}


def dcgan_layers(
    config: Any, image_shape: ImageShape, critic_batch_norm: bool
) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Returns the layers of a DCGAN's generator and critic (Radford et al. 2016, figure 1).

    The critic halves the side and doubles the channels per layer, from `base_channels`; the generator does the reverse.
    `dense_units`, if any, are one dense layer at the end away from the image. `critic_batch_norm` normalizes the
    critic's batches.

    Raises:
      ValueError: the width is below 1, or the images are too small.
    """
    width, dense = config.base_channels, config.dense_units
    if width < 1:
        raise ValueError(f"base_channels={width} must be at least 1; try --config.base_channels=32")
    times = num_upsamplings(min(image_shape[:2]))
    norm_relu = [("batch_norm",), ("relu",)]
    generator: list[Layer] = [("dense", dense), *norm_relu] if dense else []
    generator += [("seed", 2**times, width * 2 ** (times - 1)), *norm_relu]
    for level in range(times - 1, 0, -1):
        generator += [strided_conv_transpose(width * 2 ** (level - 1)), *norm_relu]
    generator.append(strided_conv_transpose(image_shape[-1]))
    critic: list[Layer] = []
    for level in range(times):
        norm = [("batch_norm",)] if critic_batch_norm and level else []  # not on the layer next to the pixels
        critic += [strided_conv(width * 2**level), *norm, ("leaky_relu", 0.2)]
    critic += [("dense", dense), ("leaky_relu", 0.2)] if dense else []
    return tuple(generator), tuple(critic)


def vaegan_layers(config: Any, image_shape: ImageShape) -> dict[str, tuple[Layer, ...]]:
    """Returns the default layers of a VAE/GAN's four networks.

    Decoder, features and critic are a DCGAN's; the features end at its critic's last convolution, as in the paper
    (Larsen et al. 2016, table 1). The encoder is that of `conv_autoencoder_layers` at half the width.
    """
    decoder, critic = dcgan_layers(config, image_shape, critic_batch_norm=False)
    cut = 1 + max(index for index, (kind, *_) in enumerate(critic) if kind == "conv")
    encoder = conv_autoencoder_layers(-(-config.base_channels // 2), image_shape)["encoder"]
    return {"encoder": encoder, "decoder": decoder, "features": critic[:cut], "critic": critic[cut:]}


def conv_autoencoder_layers(width: int, image_shape: ImageShape) -> dict[str, tuple[Layer, ...]]:
    """Returns the layers of an encoder that halves the side three times and a decoder that doubles it three times.

    From `width` channels next to the image to 4 `width` at an eighth of the side, with group normalization in groups
    of 8 channels.

    Raises:
      ValueError: the image is smaller than 8 pixels.
    """
    if (side := min(image_shape[:2])) < 8:
        raise ValueError(
            f"images of {side} pixels are too small to be halved three times; try --config.data.image_size=8"
        )
    norm_relu = (("group_norm", 8), ("relu",))
    downsample = [layer for factor in (1, 2, 4) for layer in (strided_conv(width * factor), *norm_relu)]
    upsample = [layer for factor in (2, 1) for layer in (strided_conv_transpose(width * factor), *norm_relu)]
    return {
        "encoder": (*downsample, ("dense", 16 * width), *norm_relu),
        "decoder": (("seed", 8, 4 * width), *norm_relu, *upsample, strided_conv_transpose(image_shape[-1])),
    }


def strided_conv(features: int) -> Layer:
    """Returns a convolution that halves the side."""
    return "conv", features, 4, 2, 1


def strided_conv_transpose(features: int) -> Layer:
    """Returns a transposed convolution that doubles the side."""
    return "conv_transpose", features, 4, 2, 1


def num_upsamplings(side: int) -> int:
    """Returns how often a DCGAN doubles its side: from 7 pixels to 28, from 4 to 32 or 64; always from 4 to 7 pixels.

    Raises:
      ValueError: the image is smaller than 8 pixels.
    """
    if side < 8:
        raise ValueError(
            f"images of {side} pixels are too small for a DCGAN, which needs at least 8; try "
            "--config.data.image_size=8, or spell out every network's layers, such as --config.critic_layers"
        )
    times = 1
    while -(-side // 2**times) > 7:
        times += 1
    return times
