"""Refusal of config values that a user gives and that cannot have an effect.

The values of recipes and presets may be without an effect, since several models share them.
"""

from typing import Any, NamedTuple

from jaxgen.config.errors import collect_errors, report_error
from jaxgen.config.overrides import Command
from jaxgen.models import GenerativeModel

EVALUATION_KEYS = {  # evaluators that read each key of config.evaluation; `split` concerns all
    "samples_per_class": ("separation", "content"),
    "classifier_steps": ("separation", "content", "sample_quality", "reconstruction_quality"),
    "probe_epochs": ("separation",),
    "parzen_samples": ("parzen",),
    "importance_samples": ("likelihood",),
    "num_samples": ("sample_quality",),
    "samplers": ("sample_quality",),
    "retrieval_database_size": ("retrieval",),
}
PLAYER_GROUPS = ("learning_rates", "b1", "momentum")  # groups of keys with a name per player


class Rule(NamedTuple):
    """A condition without which some keys have no effect."""

    keys: tuple[str, ...]  # dotted, or the name of a group
    holds: bool
    reason: str  # completes "KEY=VALUE has no effect: "


def require_effect(command: Command, config: Any, model: GenerativeModel) -> None:
    """Reports each value of the command line that has no effect with this config and this model.

    Raises:
      ConfigError: there are such values.
    """
    with collect_errors():
        for key, value in command.changed.items():
            if reason := find_reason(key, config, model):
                report_error(f"{key}={format_text(value)} has no effect: {reason}; leave it out")


def format_text(value: Any) -> str:
    """Returns a value as typed on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def find_reason(key: str, config: Any, model: GenerativeModel) -> str:
    """Returns why a key has no effect with this config and this model; "" if it has one."""
    group, _, name = key.rpartition(".")
    players = [player.name for player in model.players]
    if group in PLAYER_GROUPS and name not in players and _value_of(config, key):
        return f"this {type(model).__name__} has no player {name}; its players are {', '.join(players)}"
    if group == "evaluation" and name in EVALUATION_KEYS:
        evaluators = (*model.evaluators, *model.validation_evaluators)
        if not set(EVALUATION_KEYS[name]) & set(evaluators):
            return f"{type(model).__name__} is evaluated without it, by {', '.join(dict.fromkeys(evaluators))}"
    if key == "evaluation.samplers" and not getattr(model, "has_encoder", True):
        return f"{type(model).__name__} has no encoder, to whose codes samplers are fitted"
    for rule in (*config_rules(config), *model_rules(model)):
        if not rule.holds and (key in rule.keys or group in rule.keys):
            return rule.reason
    return ""


def config_rules(config: Any) -> list[Rule]:
    """Returns the rules about the values of other keys."""
    rules = [
        Rule(("seeds_per_vmap",), config.num_seeds > 1, "num_seeds=1 trains a single seed"),
        Rule(("shift_pad_mode",), config.random_shift > 0, "random_shift=0 shifts no image"),
    ]
    if "optimizer" in config:
        is_adam = config.optimizer == "adam"
        rules.append(Rule(("b1",), is_adam, f"optimizer={config.optimizer} has no b1"))
        rules.append(Rule(("momentum",), not is_adam, "optimizer=adam has no momentum but b1"))
    if "lr_boundaries" in config:
        is_step = config.lr_schedule == "step"
        rules.append(Rule(("lr_boundaries",), is_step, f"lr_schedule={config.lr_schedule} has no boundaries"))
    if "likelihood" in config:
        is_gaussian = config.likelihood == "gaussian"
        reason = f"likelihood={config.likelihood} has no standard deviation"
        rules.append(Rule(("decoder_std", "learned_std"), is_gaussian, reason))
    if "gaussian_posterior" in config:
        reason = "gaussian_posterior=false has no standard deviation"
        rules.append(Rule(("adversarial_loss_trains_std",), config.gaussian_posterior, reason))
    if "margin" in config:
        rules.append(Rule(("equilibrium",), config.margin > 0, "margin=0 never skips an update"))
    if config.get("colorizer_network", "coarse") != "coarse":
        reason = f"colorizer_network={config.colorizer_network} has sizes of its own"
        rules.append(Rule(("hidden_sizes", "color_grid_size", "dropout_rate"), False, reason))
    return rules + _layer_rules(config)


def _layer_rules(config: Any) -> list[Rule]:
    """Returns the rules about networks whose layers are spelled out or follow from base_channels."""
    layer_keys = [key for key in config if key.endswith("_layers") and key != "decoder_linear_layers"]
    if not layer_keys or "base_channels" not in config:
        return []
    is_spelled_out = all(config[key] for key in layer_keys)
    reason = f"{' and '.join(layer_keys)} spell out every network"
    rules = [Rule(("base_channels", "dense_units"), not is_spelled_out, reason)]
    if "hidden_sizes" in config:
        reason = reason if is_spelled_out else f"base_channels={config.base_channels} makes the networks convolutional"
        is_dense = not is_spelled_out and not config.base_channels
        rules.append(Rule(("hidden_sizes", "dropout_rate"), is_dense, reason))
    return rules


def model_rules(model: GenerativeModel) -> list[Rule]:
    """Returns the rules about the players of a model and about labels."""
    name, players = type(model).__name__, [player.name for player in model.players]
    has_critic = any("critic" in player for player in players)
    critic_keys = ("r1_r2_weight", "conditional_style_critic", "critic_hidden_sizes")
    return [
        Rule(("num_labeled", "labeled_every_n"), uses_labels(model), f"{name} trains without labels"),
        Rule(("update_order",), len(players) > 1, f"{name} has a single player, {players[0]}"),
        Rule(critic_keys, has_critic, f"this {name} has no critic"),
    ]


def uses_labels(model: GenerativeModel) -> bool:
    """Returns whether training uses the labels of images."""
    if any(player.name == "classification" for player in model.players) or getattr(model, "conditional_critic", False):
        return True
    return getattr(model, "is_conditional", False) and not getattr(model, "predicts_category", False)


def _value_of(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = config[name]
    return config
