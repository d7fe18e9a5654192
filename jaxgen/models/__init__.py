"""Model families, one per module; a config names its model as "module.Class"."""

import dataclasses
import importlib
from typing import Any

from jaxgen.config import checks
from jaxgen.models.base import GenerativeModel as GenerativeModel
from jaxgen.models.base import LatentVariableModel as LatentVariableModel
from jaxgen.networks.mixed_precision import COMPUTE_DTYPES, Bfloat16Network
from jaxgen.networks.mlp import INITIALIZERS
from jaxgen.optimization.players import validate_update_order
from jaxgen.types import DatasetSpec


def build_model(config: Any, info: DatasetSpec) -> GenerativeModel:
    """Builds the model that `config.model` names, such as "aae.ConditionalAAE", for a data set.

    Raises:
      ValueError: the model is unknown, or a value of the config is invalid for it.
    """
    module_name, _, class_name = config.model.partition(".")
    try:
        model_class = getattr(importlib.import_module(f"jaxgen.models.{module_name}"), class_name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(
            f'model="{config.model}" is unknown; write "module.Class" of jaxgen/models, '
            "for example --config.model=aae.ConditionalAAE"
        ) from error
    validate_update_order(config.update_order)  # here, so that an error comes before the run folder is made
    checks.require_choice(config, "kernel_init", INITIALIZERS)
    checks.require_choice(config, "compute_dtype", COMPUTE_DTYPES)
    model = model_class.from_config(config, info)
    if config.compute_dtype == "float32":
        return model
    networks = {name: Bfloat16Network(network) for name, network in model.networks.items()}
    return dataclasses.replace(model, networks=networks)
