"""The cases that `benchmarks.speed.pytorch.compare` measures: configs, changes to them, and their PyTorch peers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

# Tolerance of models with vat or a gradient penalty, which contain gradients. In PyTorch itself, the values in float32
# differ from those in float64 by up to 5e-6, 1e-4 and 2.5e-3 in the first three steps.
GRADIENT_TOLERANCE = 3.0


class Case(NamedTuple):
    """One comparison: a config with changes, on images of one shape, and its peer, a module in this package."""

    config: str  # recipe, with presets after a colon
    changes: dict
    image_shape: tuple[int, int, int]
    peer: str
    tolerance: float = 1.0  # factor of `compare.ROUNDING`
    # Further changes for the check only: the two libraries sample different dropout masks.
    checked: Mapping = MappingProxyType({})


DIGIT = (28, 28, 1)
FACE, COLOR = (30, 30, 1), (30, 30, 3)
PLAIN = {
    "batch_size": 64,
    "r1_weight": 0.0,
    "ema_decay": 0.0,
    "update_order": "simultaneous",
    "lr_schedule": "constant",
    "dense_units": 0,
}
LEAKY = ("leaky_relu", 0.2)
PLAIN_VAEGAN = {
    "ema_decay": 0.0,
    "r1_weight": 0.0,
    "random_flip": False,
    "standardize_latents": False,
    "dip_vae_weight": 0.0,
    "opponent_color_gains": (),
    "feature_layers": (("space_to_depth", 2), ("conv", 32, 3, 1, 1), LEAKY, ("conv", 64, 4, 2, 1)),
    "critic_layers": (LEAKY, ("conv", 128, 4, 2, 1), LEAKY, ("conv", 256, 4, 2, 1), LEAKY),
}
NO_DROPOUT = {"dropout_rate": 0.0, "critic_dropout_rate": 0.0}
# With larger rates, rounding grows faster.
SMALL_RATES = {f"learning_rates.{player}": 2e-4 for player in ("encoder", "decoder", "critic")}
CASES = {
    "gan": Case("gan:mnist", {**PLAIN, "batch_size": 128}, DIGIT, "gan"),
    "cond_aae": Case("cond_aae", {}, DIGIT, "aae"),
    "tutorial": Case("cond_aae:mnist,tutorial", {}, DIGIT, "tutorial_loop", checked=NO_DROPOUT),
    "aae": Case("aae:mnist", {}, DIGIT, "aae"),
    "semi_aae": Case("semi_aae:mnist", {"random_shift": 0}, DIGIT, "categorical_aae", GRADIENT_TOLERANCE),
    "cluster_aae": Case("cluster_aae:mnist", {}, DIGIT, "categorical_aae", GRADIENT_TOLERANCE),
    "ae": Case("ae:mnist", {}, DIGIT, "autoencoder"),
    "deep_ae": Case("deep_ae:mnist", {}, DIGIT, "autoencoder"),
    "denoising_ae": Case("denoising_ae:mnist", {"mask_ratio": 0.0}, DIGIT, "autoencoder"),
    "hash_ae": Case("hash_ae:mnist", {"mask_ratio": 0.0}, DIGIT, "autoencoder"),
    "conv_ae": Case("conv_ae:mnist", {}, DIGIT, "autoencoder"),
    "vae": Case("vae:mnist", {}, DIGIT, "autoencoder"),
    "anime_vae": Case("anime_vae", {"random_flip": False}, FACE, "autoencoder", checked={"dropout_rate": 0.0}),
    "colorizer": Case("colorizer", {"random_flip": False}, COLOR, "colorizer", checked={"dropout_rate": 0.0}),
    "conv_gan": Case("conv_gan:mnist", {**PLAIN, "dense_units": 256}, DIGIT, "gan"),
    "vaegan": Case("vaegan:faces", {**PLAIN_VAEGAN, **SMALL_RATES}, (64, 64, 3), "vaegan"),
} | {
    f"dcgan{width}": Case(
        "dcgan",
        {**PLAIN, "base_channels": width, "learning_rates.critic": 2e-4, "learning_rates.generator": 2e-4},
        (32, 32, 3),
        "gan",
    )
    for width in (32, 64)
}
