"""Families of models. A config names its algorithm as "module.Class", looked up here in this package."""

import dataclasses
import importlib

from jaxgen.config import checks
from jaxgen.models.base import GenerativeModel as GenerativeModel
from jaxgen.models.base import LatentVariableModel as LatentVariableModel
from jaxgen.networks.mixed_precision import COMPUTE_DTYPES, Bfloat16Network
from jaxgen.networks.mlp import INITIALIZERS
from jaxgen.optimization.players import validate_update_order
from jaxgen.types import DatasetSpec


def build_model(config, info: DatasetSpec) -> GenerativeModel:
    """Builds the algorithm that `config.algorithm` names ("aae.ConditionalAAE") for a data set.

    Raises:
      ValueError: no such algorithm, or a value of the config that it can't be built with.
    """
    module_name, _, class_name = config.model.partition(".")
    try:
        model = getattr(importlib.import_module(f"jaxgen.models.{module_name}"), class_name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(
            f'model="{config.model}" is unknown; write "module.Class" of jaxgen/models, '
            "for example --config.model=aae.ConditionalAAE"
        ) from error
    validate_update_order(config.update_order)  # here, before a workdir is made
    checks.require_choice(config, "kernel_init", INITIALIZERS)
    checks.require_choice(config, "compute_dtype", COMPUTE_DTYPES)
    built = model.from_config(config, info)
    if config.compute_dtype == "float32":
        return built
    return dataclasses.replace(built, networks={name: Bfloat16Network(each) for name, each in built.networks.items()})
