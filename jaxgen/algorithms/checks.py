"""Checks of a config's values: each raises a ValueError that says the rule and the way out."""

from collections.abc import Iterable

from jaxgen.types import Info


def one_of(config, key: str, choices: Iterable[str]) -> None:
    """Raises a ValueError where a value is none of those it can be."""
    if config[key] not in choices:
        raise ValueError(f'{key}="{config[key]}" is unknown; choose one of {", ".join(choices)}')


def classes(info: Info) -> None:
    """Raises a ValueError where a family that tells classes apart meets a data set of one."""
    if info.num_classes < 2:
        raise ValueError(
            f"{info.name} has {info.num_classes} class, which is one class too few for a family that is told labels; "
            "give each class a subfolder, or try a family that is told none, as configs/aae.py, vae.py or gan.py are "
            "without the token conditional"
        )


def widths(config, *keys: str) -> None:
    """Raises a ValueError where a network would have a layer without a unit."""
    for key in keys:
        if not all(isinstance(width, int) and width >= 1 for width in config[key]):
            raise ValueError(
                f"{key}={tuple(config[key])} must be widths, whole numbers of at least 1; "
                f"try --config.{key}=(1000,1000)"
            )


def shares(config, *keys: str) -> None:
    """Raises a ValueError where a value lies outside [0, 1)."""
    for key in keys:
        if not 0 <= config[key] < 1:
            raise ValueError(f"{key}={config[key]} must lie in [0, 1); try --config.{key}=0.2")


def at_least_0(config, *keys: str) -> None:
    """Raises a ValueError where a value is negative."""
    for key in keys:
        if not config[key] >= 0:  # nor NaN
            raise ValueError(f"{key}={config[key]} must be at least 0; try --config.{key}=0")


def game(config, games: Iterable[str], *penalties: str) -> None:
    """Raises a ValueError where a game is unknown, or is Wasserstein's and nothing keeps its critic from steepness."""
    one_of(config, "game", games)
    if config.game == "wasserstein" and not (config.spectral or any(config[key] for key in penalties)):
        free = ", ".join(f"{key}={config[key]}" for key in (*penalties, "spectral"))
        raise ValueError(
            f'game="wasserstein" needs a critic that is not steep: {free} leave it free; try '
            f"--config.{penalties[0]}=1.0"
        )


def kl(config, closed_form: bool) -> None:
    """Raises a ValueError where the KL has no posterior or no closed form to be weighed by, or two weights."""
    if config.kl_weight < 0 or (config.kl_weight and not config.gaussian_posterior):
        raise ValueError(
            f"kl_weight={config.kl_weight} must be at least 0, and 0 without gaussian_posterior; "
            "try --config.kl_weight=0.0"
        )
    if config.rates.kl and (config.kl_weight or not config.gaussian_posterior):
        raise ValueError(
            f"rates.kl={config.rates.kl} makes the KL a player, which needs gaussian_posterior=True and kl_weight=0; "
            f"here {config.gaussian_posterior} and {config.kl_weight}; "
            "try --config.kl_weight=0.0 or --config.rates.kl=0.0"
        )
    if (config.kl_weight or config.rates.kl) and not closed_form:
        raise ValueError(
            f'prior="{config.prior}" has no KL in closed form: kl_weight={config.kl_weight} and '
            f"rates.kl={config.rates.kl} must be 0; try --config.kl_weight=0.0"
        )


def label(config, decoder_needs_label: bool) -> None:
    """Raises a ValueError where a network would be told the label that its family does not tell it."""
    if not decoder_needs_label and (config.label_modulates_decoder or "decoder" in config.label_products):
        raise ValueError(
            f"label_modulates_decoder={config.label_modulates_decoder} and label_products={config.label_products} give "
            "the decoder a label that this family does not tell it; "
            'try --config.label_modulates_decoder=false or --config.label_products=("critic",)'
        )
    if unknown := set(config.label_products) - {"decoder", "critic"}:
        raise ValueError(f'label_products names {sorted(unknown)}; choose from "decoder" and "critic"')
    if "critic" in config.label_products and not config.critic_sees_label:
        raise ValueError(
            f"label_products={config.label_products} gives the critic a label that critic_sees_label=False keeps from "
            "it; try --config.critic_sees_label=true or --config.label_products=()"
        )
