"""Model families, one per module; a config names its model as "module.Class", or "module:Class" outside of here."""

import dataclasses
from typing import Any

from jaxgen.config import checks
from jaxgen.config.base import suggest
from jaxgen.models.base import GenerativeModel as GenerativeModel
from jaxgen.models.base import LatentVariableModel as LatentVariableModel
from jaxgen.models.model_class import find_model_class
from jaxgen.models.requirements import validate_model
from jaxgen.networks.mixed_precision import COMPUTE_DTYPES, Bfloat16Network
from jaxgen.networks.mlp import INITIALIZERS
from jaxgen.optimization.players import validate_update_order
from jaxgen.types import DatasetSpec


def build_model(config: Any, info: DatasetSpec) -> GenerativeModel:
    """Builds the model that `config.model` names for a data set, and checks it.

    Args:
      config: with `model`, such as "aae.ConditionalAAE", or "my_module:MyModel" for a class outside of this package.
      info: shape and classes of the images.

    Raises:
      ValueError: the model is unknown, a value of the config is invalid for it, or the model is not complete; see
        `requirements.validate_model`.
    """
    model_class = find_model_class(config.model)
    if "update_order" in config:  # a model outside of this package may fix its own
        validate_update_order(config.update_order)  # here, so that an error comes before the run folder is made
    if "kernel_init" in config:
        checks.require_choice(config, "kernel_init", INITIALIZERS)
    checks.require_choice(config, "compute_dtype", COMPUTE_DTYPES)
    model = _build_from_config(model_class, config, info)
    validate_model(model)
    if config.compute_dtype == "float32":
        return model
    networks = {name: Bfloat16Network(network) for name, network in model.networks.items()}
    return dataclasses.replace(model, networks=networks)


def _build_from_config(model_class: type[GenerativeModel], config: Any, info: DatasetSpec) -> GenerativeModel:
    """Builds a model; a key that its recipe lacks is reported in one line."""
    try:
        return model_class.from_config(config, info)
    except (AttributeError, KeyError) as error:
        missing = next((str(cause.args[0]) for cause in (error, *error.args) if isinstance(cause, KeyError)), "")
        if not missing.startswith("'"):  # an error of the model's own code; ml_collections quotes the key
            raise
        key = missing.partition("\n")[0].strip("'")
        raise ValueError(
            f'model="{config.model}" reads the key "{key}", which the config does not have{suggest(key, config)}; add '
            f"config.{key} to the recipe"
        ) from error
