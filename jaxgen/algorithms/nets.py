"""The encoder and decoder that a config describes: fully connected, or the layers that it spells out."""

import math
from collections.abc import Mapping

import flax.linen as nn
from flax.linen.initializers import lecun_normal, zeros

from jaxgen.networks import MLP, Stack
from jaxgen.networks.stack import KINDS


def encoder_and_decoder(
    config, image_shape: tuple[int, int, int], code_shape: tuple[int, ...]
) -> Mapping[str, nn.Module]:
    """The two networks of an autoencoder, by name.

    `config.encoder_layers` and `decoder_layers` (see `Stack`) where there are any; else MLPs of `config.hidden` units,
    in reverse order in the decoder, with `dropout`. If `shortcut`, with a linear map beside them: from pixels to the
    code (of a code [2, Z], its mean), from the code to pixels. The latter starts at 0: what random codes would draw is
    worse than nothing, and the encoder would make them small instead of telling.

    Raises:
      ValueError: a layer's kind is unknown.
    """
    hidden, shapes = tuple(config.hidden), {"encoder": code_shape, "decoder": image_shape}
    starts = {"encoder": lecun_normal(), "decoder": zeros}  # of the shortcuts
    linear = {"encoder": code_shape[-1], "decoder": math.prod(image_shape)}
    networks = {}
    for name, widths in (("encoder", hidden), ("decoder", hidden[::-1])):
        common = {"kernel_init": config.kernel_init, "shortcut_init": starts[name]}
        common["shortcut"] = linear[name] if config.shortcut else 0
        if layers := tuple(tuple(layer) for layer in config[f"{name}_layers"]):
            check_kinds(f"{name}_layers", layers)
            networks[name] = Stack(layers, shapes[name], image_shape, **common)
        else:
            networks[name] = MLP(widths, shapes[name], config.dropout, **common)
    return networks


def check_kinds(key: str, layers: tuple[tuple, ...]) -> None:
    """Raises a ValueError where a layer's kind is unknown."""
    for kind, *_ in layers:
        if kind not in KINDS:
            raise ValueError(f'{key} has a layer of kind "{kind}"; choose from {", ".join(KINDS)}')
