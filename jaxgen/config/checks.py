"""Checks of a config's values: each raises a ValueError that says the rule and the way out."""

from collections.abc import Iterable

from jaxgen.types import DatasetSpec


def require_choice(config, key: str, choices: Iterable[str]) -> None:
    """Raises a ValueError where a value is none of those it can be."""
    if config[key] not in choices:
        raise ValueError(f'{key}="{config[key]}" is unknown; choose one of {", ".join(choices)}')


def require_multiple_classes(info: DatasetSpec) -> None:
    """Raises a ValueError where a family that tells classes apart meets a data set of one."""
    if info.num_classes < 2:
        raise ValueError(
            f"{info.name} has {info.num_classes} class, which is one class too few for a family that is told labels; "
            "give each class a subfolder, or try a family that is told none, as configs/aae.py, vae.py or gan.py are "
            "without the token conditional"
        )


def require_layer_sizes(config, *keys: str) -> None:
    """Raises a ValueError where a network would have a layer without a unit."""
    for key in keys:
        if not all(isinstance(width, int) and width >= 1 for width in config[key]):
            raise ValueError(
                f"{key}={tuple(config[key])} must be widths, whole numbers of at least 1; "
                f"try --config.{key}=(1000,1000)"
            )


def require_fraction(config, *keys: str) -> None:
    """Raises a ValueError where a value lies outside [0, 1)."""
    for key in keys:
        if not 0 <= config[key] < 1:
            raise ValueError(f"{key}={config[key]} must lie in [0, 1); try --config.{key}=0.2")


def require_nonnegative(config, *keys: str) -> None:
    """Raises a ValueError where a value is negative."""
    for key in keys:
        if not config[key] >= 0:  # nor NaN
            raise ValueError(f"{key}={config[key]} must be at least 0; try --config.{key}=0")


def validate_gan_loss(config, games: Iterable[str], *penalties: str) -> None:
    """Raises a ValueError where a game is unknown, or is Wasserstein's and nothing keeps its critic from steepness."""
    require_choice(config, "gan_loss", games)
    if config.gan_loss == "wasserstein" and not (config.spectral_norm or any(config[key] for key in penalties)):
        free = ", ".join(f"{key}={config[key]}" for key in (*penalties, "spectral_norm"))
        raise ValueError(
            f'game="wasserstein" needs a critic that is not steep: {free} leave it free; try '
            f"--config.{penalties[0]}=1.0"
        )


def validate_kl(config, closed_form: bool) -> None:
    """Raises a ValueError where the KL has no posterior or no closed form to be weighed by, or two weights."""
    if config.kl_weight < 0 or (config.kl_weight and not config.gaussian_posterior):
        raise ValueError(
            f"kl_weight={config.kl_weight} must be at least 0, and 0 without gaussian_posterior; "
            "try --config.kl_weight=0.0"
        )
    if config.learning_rates.kl and (config.kl_weight or not config.gaussian_posterior):
        raise ValueError(
            f"rates.kl={config.learning_rates.kl} makes the KL a player, which needs gaussian_posterior=True and kl_weight=0; "
            f"here {config.gaussian_posterior} and {config.kl_weight}; "
            "try --config.kl_weight=0.0 or --config.learning_rates.kl=0.0"
        )
    if (config.kl_weight or config.learning_rates.kl) and not closed_form:
        raise ValueError(
            f'prior="{config.prior}" has no KL in closed form: kl_weight={config.kl_weight} and '
            f"rates.kl={config.learning_rates.kl} must be 0; try --config.kl_weight=0.0"
        )


def validate_label_conditioning(config, decoder_needs_label: bool) -> None:
    """Raises a ValueError where a network would be told the label that its family does not tell it."""
    if not decoder_needs_label and (config.decoder_film or "decoder" in config.bilinear_label_networks):
        raise ValueError(
            f"label_modulates_decoder={config.decoder_film} and label_products={config.bilinear_label_networks} give "
            "the decoder a label that this family does not tell it; "
            'try --config.decoder_film=false or --config.bilinear_label_networks=("critic",)'
        )
    if unknown := set(config.bilinear_label_networks) - {"decoder", "critic"}:
        raise ValueError(f'label_products names {sorted(unknown)}; choose from "decoder" and "critic"')
    if "critic" in config.bilinear_label_networks and not config.conditional_critic:
        raise ValueError(
            f"label_products={config.bilinear_label_networks} gives the critic a label that critic_sees_label=False keeps from "
            "it; try --config.conditional_critic=true or --config.bilinear_label_networks=()"
        )
