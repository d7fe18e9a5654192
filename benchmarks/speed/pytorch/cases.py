"""What `benchmarks.speed.pytorch` measures: configs, their changes, and the modules that say the same in PyTorch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

# Smoothness has a slope in its argument, penalties are slopes: of float32 PyTorch, they are up to 5e-6, 1e-4, 2.5e-3
# from what it says itself in float64.
SLOPES = 3.0


class Case(NamedTuple):
    """What is measured: a config with changes, on images of a shape, beside a module of benchmarks/."""

    config: str  # with its presets
    changes: dict
    image_shape: tuple[int, int, int]
    peer: str
    rounding: float = 1.0  # so many times ROUNDING are allowed
    checked: Mapping = MappingProxyType({})  # more changes, for the check alone: no two draw the same dropout


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
SMALL = {
    f"learning_rates.{player}": 2e-4 for player in ("encoder", "decoder", "critic")
}  # of larger ones, rounding grows
CASES = {
    "gan": Case("gan:mnist", {**PLAIN, "batch_size": 128}, DIGIT, "gan"),
    "cond_aae": Case("cond_aae", {}, DIGIT, "aae"),
    "tutorial": Case("cond_aae:mnist,tutorial", {}, DIGIT, "tutorial_loop", checked=NO_DROPOUT),
    "aae": Case("aae:mnist", {}, DIGIT, "aae"),
    "semi_aae": Case("semi_aae:mnist", {"random_shift": 0}, DIGIT, "categorical_aae", SLOPES),
    "cluster_aae": Case("cluster_aae:mnist", {}, DIGIT, "categorical_aae", SLOPES),
    "ae": Case("ae:mnist", {}, DIGIT, "autoencoder"),
    "deep_ae": Case("deep_ae:mnist", {}, DIGIT, "autoencoder"),
    "denoising_ae": Case("denoising_ae:mnist", {"mask_ratio": 0.0}, DIGIT, "autoencoder"),
    "hash_ae": Case("hash_ae:mnist", {"mask_ratio": 0.0}, DIGIT, "autoencoder"),
    "conv_ae": Case("conv_ae:mnist", {}, DIGIT, "autoencoder"),
    "vae": Case("vae:mnist", {}, DIGIT, "autoencoder"),
    "anime_vae": Case("anime_vae", {"random_flip": False}, FACE, "autoencoder", checked={"dropout_rate": 0.0}),
    "colorizer": Case("colorizer", {"random_flip": False}, COLOR, "colorizer", checked={"dropout_rate": 0.0}),
    "conv_gan": Case("conv_gan:mnist", {**PLAIN, "dense_units": 256}, DIGIT, "gan"),
    "vaegan": Case("vaegan:faces", {**PLAIN_VAEGAN, **SMALL}, (64, 64, 3), "vaegan"),
} | {
    f"dcgan{width}": Case(
        "dcgan",
        {**PLAIN, "base_channels": width, "learning_rates.critic": 2e-4, "learning_rates.generator": 2e-4},
        (32, 32, 3),
        "gan",
    )
    for width in (32, 64)
}
