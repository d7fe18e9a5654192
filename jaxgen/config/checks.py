"""Checks of config values. Each reports the value, the rule and a flag to try; see `errors.report_error`."""

from collections.abc import Iterable

from jaxgen.config.errors import report_error, suggest
from jaxgen.types import DatasetSpec

MAX_NAMED = 3  # classes that an error names


def require_choice(config, key: str, choices: Iterable[str]) -> None:
    """Reports a mistake unless a value is one of the choices."""
    choices = list(choices)
    if config[key] not in choices:
        hint = suggest(str(config[key]), choices)
        report_error(f'{key}="{config[key]}" is unknown; choose one of {", ".join(choices)}{hint}')


def require_multiple_classes(info: DatasetSpec) -> None:
    """Reports a mistake if a model that uses labels gets fewer than two classes, or a class with few images."""
    if info.num_classes < 2:
        report_error(
            f"{info.name} must have at least 2 classes for a model that uses labels; got {info.num_classes}. "
            "Give each class a subfolder, or try an unconditional model, such as configs/aae.py, vae.py or gan.py "
            "without the preset conditional"
        )
    if rare := info.rare_classes:
        more = [f"and {len(rare) - MAX_NAMED} more"] if len(rare) > MAX_NAMED else []
        raise ValueError(
            f"{info.name} has classes with too few usable images ({', '.join([*rare[:MAX_NAMED], *more])}) for a model "
            "that uses labels; at least 3 are needed, for training, validation and test; add or remove them, or try an "
            "unconditional model, such as configs/aae.py, vae.py or gan.py without the preset conditional"
        )


def require_layer_sizes(config, *keys: str) -> None:
    """Reports a mistake unless all layer sizes are whole numbers of at least 1."""
    for key in keys:
        if not all(isinstance(size, int) and size >= 1 for size in config[key]):
            report_error(
                f"{key}={tuple(config[key])} must be layer sizes, whole numbers of at least 1; "
                f"try --config.{key}=(1000,1000)"
            )


def require_fraction(config, *keys: str) -> None:
    """Reports a mistake unless the values are in [0, 1)."""
    for key in keys:
        if not 0 <= config[key] < 1:
            report_error(f"{key}={config[key]} must be in [0, 1); try --config.{key}=0.2")


def require_nonnegative(config, *keys: str) -> None:
    """Reports a mistake if a value is negative or NaN."""
    for key in keys:
        if not config[key] >= 0:
            report_error(f"{key}={config[key]} must be at least 0; try --config.{key}=0")


def validate_gan_loss(config, losses: Iterable[str], *penalties: str) -> None:
    """Validates `gan_loss`. The Wasserstein loss needs a critic whose gradient is limited.

    Args:
      config: with the keys gan_loss, spectral_norm and the penalties.
      losses: the known GAN losses.
      *penalties: keys of weights of gradient penalties.

    Raises:
      ValueError: the loss is unknown, or it is "wasserstein" without spectral norm and without a penalty.
    """
    require_choice(config, "gan_loss", losses)
    if config.gan_loss == "wasserstein" and not (config.spectral_norm or any(config[key] for key in penalties)):
        values = ", ".join(f"{key}={config[key]}" for key in (*penalties, "spectral_norm"))
        report_error(
            f'gan_loss="wasserstein" needs a limit on the gradient of the critic; got {values}. '
            f"Try --config.{penalties[0]}=1.0"
        )


def validate_kl(config, closed_form: bool) -> None:
    """Validates the weight of the KL divergence and the learning rate of its player, which exclude each other.

    Args:
      config: with the keys kl_weight, learning_rates.kl, gaussian_posterior and prior.
      closed_form: whether the KL divergence from the posterior to the prior has a closed form.

    Raises:
      ValueError: the KL is used without a Gaussian posterior, without a closed form, or in both ways.
    """
    rate = config.learning_rates.kl
    if config.kl_weight < 0 or (config.kl_weight and not config.gaussian_posterior):
        report_error(
            f"kl_weight={config.kl_weight} must be at least 0, and 0 without gaussian_posterior; "
            "try --config.kl_weight=0.0"
        )
    if rate and (config.kl_weight or not config.gaussian_posterior):
        report_error(
            f"learning_rates.kl={rate} makes the KL a player, which needs gaussian_posterior=True and kl_weight=0; "
            f"got {config.gaussian_posterior} and {config.kl_weight}; "
            "try --config.kl_weight=0.0 or --config.learning_rates.kl=0.0"
        )
    if (config.kl_weight or rate) and not closed_form:
        report_error(
            f'prior="{config.prior}" has no KL in closed form: kl_weight={config.kl_weight} and '
            f"learning_rates.kl={rate} must be 0; try --config.kl_weight=0.0"
        )


def validate_label_conditioning(config, decoder_needs_label: bool) -> None:
    """Validates the keys that pass labels to the decoder and to the critic.

    Args:
      config: with the keys decoder_film, bilinear_label_networks and conditional_critic.
      decoder_needs_label: whether the model's decoder receives a label.

    Raises:
      ValueError: a key passes a label to a network that does not receive it.
    """
    networks = config.bilinear_label_networks
    if not decoder_needs_label and (config.decoder_film or "decoder" in networks):
        report_error(
            f"decoder_film={config.decoder_film} and bilinear_label_networks={networks} pass a label to the decoder, "
            "which receives none in this model; "
            'try --config.decoder_film=false or --config.bilinear_label_networks=("critic",)'
        )
    if unknown := set(networks) - {"decoder", "critic"}:
        report_error(f'bilinear_label_networks has unknown names {sorted(unknown)}; choose from "decoder" and "critic"')
    if "critic" in networks and not config.conditional_critic:
        report_error(
            f"bilinear_label_networks={networks} passes a label to the critic, which receives none with "
            "conditional_critic=False; try --config.conditional_critic=true or --config.bilinear_label_networks=()"
        )
