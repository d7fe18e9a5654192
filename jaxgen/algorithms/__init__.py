"""Families of models. A config names its algorithm as "module.Class", looked up here in this package."""

import dataclasses
import importlib

from jaxgen.algorithms import checks
from jaxgen.algorithms.base import Algorithm as Algorithm
from jaxgen.networks.mlp import INITIALISERS
from jaxgen.networks.precision import PRECISIONS, InBfloat16
from jaxgen.players import check_schedule
from jaxgen.types import Info


def build(config, info: Info) -> Algorithm:
    """Builds the algorithm that `config.algorithm` names ("aae.ConditionalAAE") for a data set.

    Raises:
      ValueError: no such algorithm, or a value of the config that it can't be built with.
    """
    module_name, _, class_name = config.algorithm.partition(".")
    try:
        algorithm = getattr(importlib.import_module(f"jaxgen.algorithms.{module_name}"), class_name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(
            f'algorithm="{config.algorithm}" is unknown; write "module.Class" of jaxgen/algorithms, '
            "for example --config.algorithm=aae.ConditionalAAE"
        ) from error
    check_schedule(config.schedule)  # here, before a workdir is made
    checks.one_of(config, "kernel_init", INITIALISERS)
    checks.one_of(config, "precision", PRECISIONS)
    built = algorithm.from_config(config, info)
    if config.precision == "float32":
        return built
    return dataclasses.replace(built, networks={name: InBfloat16(each) for name, each in built.networks.items()})
