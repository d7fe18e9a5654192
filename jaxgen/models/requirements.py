"""What a model must have, checked when it is built: players, evaluators and figures that exist and can work.

A name in EVALUATOR_NEEDS or FIGURE_NEEDS is a function of `evaluation.evaluators` or `evaluation.figures`; its value
lists the methods and attributes of the model that the function uses.
"""

import operator
from collections.abc import Mapping

from jaxgen.config.base import suggest
from jaxgen.models.base import GenerativeModel, LatentVariableModel
from jaxgen.optimization.players import Player, validate_update_order

Needs = Mapping[str, tuple[str, ...]]

BOTH_WAYS = ("encode", "decode")

EVALUATOR_NEEDS: Needs = {
    "classification": ("predict_category",),
    "clustering": ("predict_category", "num_conditions"),
    "colorization": (),
    "content": ("decode",),
    "critic": (),
    "denoising": (*BOTH_WAYS, "input_noise_std"),
    "image_quality": BOTH_WAYS,
    "likelihood": ("encode", "sample_log_importance_weights"),
    "parzen": ("decode",),
    "prior_component_accuracy": ("encode", "prior.nearest_component", "prior.sample_component"),
    "prior_mmd": ("encode", "prior.std"),
    "reconstruction": (),
    "reconstruction_quality": BOTH_WAYS,
    "retrieval": ("encode",),
    "sample_quality": ("decode",),
    "separation": BOTH_WAYS,
    "separation_quickly": BOTH_WAYS,
}
FIGURE_NEEDS: Needs = {
    "cluster_embedding": ("add_cluster_head", "cluster_embeddings"),
    "clusters": ("predict_category", "decode"),
    "code_scatter": ("encode",),
    "codes_vs_prior": ("encode",),
    "colorized": ("colorize", "grayscale_inputs"),
    "colorized_samples": ("colorize", "base_model"),
    "colorized_traversal": ("colorize", "base_model"),
    "denoised": (*BOTH_WAYS, "input_noise_std"),
    "image_styles": BOTH_WAYS,
    "interpolation": BOTH_WAYS,
    "interpolation_spherical": BOTH_WAYS,
    "latent_manifold": ("decode",),
    "nearest_neighbors": ("encode",),
    "prior_interpolation": ("decode",),
    "prior_styles": ("decode",),
    "real_images": ("decode",),
    "reconstructions": BOTH_WAYS,
    "samples_100": ("decode",),
    "samples_25": ("decode",),
    "traversal": BOTH_WAYS,
}


def validate_model(model: GenerativeModel) -> None:
    """Checks fields, players, evaluators and figures of a model.

    Raises:
      ValueError: a field is missing, a player trains a network that does not exist, or a name in `evaluators`,
        `validation_evaluators` or `figures` is unknown or needs what the model does not have.
    """
    _validate_attributes(model)
    _validate_players(model)
    _validate_names(model, "evaluators", EVALUATOR_NEEDS)
    _validate_names(model, "validation_evaluators", EVALUATOR_NEEDS)
    _validate_names(model, "figures", FIGURE_NEEDS)
    if "latent_manifold" in model.figures and model.latent_size != 2:
        raise ValueError(
            f'{type(model).__name__} has figures with "latent_manifold", which needs codes of 2 dimensions; got '
            f"{model.latent_size}; try --config.latent_size=2, or remove the name"
        )


def _validate_attributes(model: GenerativeModel) -> None:
    name, required = type(model).__name__, ["info", "networks", "update_order"]
    required += ["prior"] if isinstance(model, LatentVariableModel) else []
    if missing := [attribute for attribute in required if not hasattr(model, attribute)]:
        raise ValueError(f"{name} has no {' and no '.join(missing)}; add them as fields of the dataclass")
    if isinstance(model.update_order, str):
        validate_update_order(model.update_order)


def _validate_players(model: GenerativeModel) -> None:
    name, players = type(model).__name__, model.players
    if not (isinstance(players, tuple) and players and all(isinstance(player, Player) for player in players)):
        raise ValueError(f"{name}.players must return a tuple of at least one Player; got {players!r:.80}")
    trained = {player.name: player.networks for player in players}
    if differing := [player.name for player in players if player.networks != trained[player.name]]:
        raise ValueError(
            f'{name}.players has two players "{differing[0]}" with different networks; give each a name of its own'
        )
    for player in players:
        if not isinstance(player.networks, tuple) or not player.networks:
            raise ValueError(
                f'the player "{player.name}" of {name} must have a tuple of networks; got {player.networks!r}; '
                'write ("encoder",) for one network'
            )
        if unknown := [network for network in player.networks if network not in model.networks]:
            raise ValueError(
                f'the player "{player.name}" of {name} trains the network "{unknown[0]}", which does not exist'
                f"{suggest(unknown[0], model.networks)}; the networks are {', '.join(model.networks)}"
            )
    if differing := model.make_example_inputs().keys() ^ model.networks.keys():
        raise ValueError(
            f"{name}.make_example_inputs must have one entry for each of the networks {', '.join(model.networks)}; "
            f"{', '.join(sorted(differing))} is in one of the two only"
        )


def _validate_names(model: GenerativeModel, attribute: str, needs: Needs) -> None:
    name, chosen = type(model).__name__, getattr(model, attribute, None)
    if not isinstance(chosen, tuple):
        raise ValueError(f'{name}.{attribute} must be a tuple of names; got {chosen!r}; write ("NAME",) for one name')
    for each in chosen:
        if each not in needs:
            hint = suggest(each, needs) if isinstance(each, str) else ""
            choices = ", ".join(sorted(needs))
            raise ValueError(f'{name}.{attribute} has the unknown name "{each}"{hint}; choose from {choices}')
        if missing := [need for need in needs[each] if not _has(model, need)]:
            raise ValueError(
                f'{name}.{attribute} has "{each}", which needs {" and ".join(missing)} of the model; define '
                f"{'it' if len(missing) == 1 else 'them'}, or remove the name"
            )


def _has(model: GenerativeModel, need: str) -> bool:
    """Returns whether a model has a method or an attribute; a method of the interface that only raises is none."""
    try:
        operator.attrgetter(need)(model)
    except AttributeError:
        return False
    if need == "encode":
        return model.has_encoder and type(model).encode is not LatentVariableModel.encode
    return need != "predict_category" or type(model).predict_category is not LatentVariableModel.predict_category
