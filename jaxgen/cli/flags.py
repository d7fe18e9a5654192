"""The flags of the command line and their rules. Imports no jax."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jaxgen.cli import errors
from jaxgen.cli.run_config import CONFIGS, MODE_KEYS, default_workdir, find_recipes
from jaxgen.config.base import SAMPLERS, suggest

MODES = ("train", "evaluate", "sample", "reconstruct", "interpolate", "traverse", "latent_walk", "attributes")
PROCESS_FLAGS = ("coordinator_address", "num_processes", "process_id")  # the first fields of launchers.ProcessSpec
FLAG_MODES = {  # the modes in which each optional flag has a meaning
    "sampler": ("sample", "latent_walk"),
    "images": ("reconstruct", "interpolate", "traverse"),
    "count": ("sample", "reconstruct", "interpolate", "traverse", "latent_walk"),
    "spherical": ("interpolate",),
    **dict.fromkeys(("step", "out"), tuple(mode for mode in MODE_KEYS if mode != "train")),
    "profile": ("train",),
    **dict.fromkeys(("distributed", *PROCESS_FLAGS), ("train",)),
}


class ConfigArguments(NamedTuple):
    """The part of a command line that is about the config."""

    recipe: str  # "FILE[:PRESETS]", or "" if --config is missing
    overrides: dict[str, str]  # text of each `--config.KEY=VALUE`, by dotted key
    others: list[str]  # the other arguments


class Flags(NamedTuple):
    """A command line."""

    config: ConfigArguments
    workdir: str
    mode: str
    options: dict[str, Any]  # the value of each flag in `FLAG_MODES`


def parse_flags(arguments: list[str]) -> Flags:
    """Parses the arguments after the program's name.

    Raises:
      ValueError: a flag is wrong; the message is one line.
    """
    from absl import flags

    config = split_config_arguments(arguments)
    require_config_file(config, arguments)
    values = _define_flags()
    try:
        positional = values(["jaxgen", *config.others])
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(errors.describe_flag_error(error)) from error
    if len(positional) > 1:
        raise ValueError(f'"{positional[1]}" is not a flag; every argument must be --name=value, see --help')
    require_name("mode", values.mode, MODES)
    require_name("sampler", values.sampler, SAMPLERS)
    for name, modes in FLAG_MODES.items():
        if values[name].present and values.mode not in modes:
            raise ValueError(f"--{name} is for --mode={' or '.join(modes)}, not for --mode={values.mode}")
    options = {name: values[name].value for name in FLAG_MODES}
    options["step"] = parse_step(values.step)
    require_process_flags(options)
    if not config.recipe and not values.workdir:
        raise ValueError("--config is missing; try --config=configs/cond_aae.py, see --help; or --workdir=DIR of a run")
    return Flags(config, values.workdir or default_workdir(config.recipe), values.mode, options)


def split_config_arguments(arguments: list[str]) -> ConfigArguments:
    """Separates --config and --config.KEY=VALUE from the other arguments; the last of several values counts."""
    recipe, overrides, others = "", {}, []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.lstrip("-").partition("=")
        is_flag = argument.startswith("-")
        if is_flag and name == "config":
            recipe = value if equals else next(remaining, "")
        elif is_flag and name.startswith("config."):
            overrides[name.removeprefix("config.")] = value if equals else next(remaining, "true")
        elif is_flag and name.startswith("noconfig."):
            overrides[name.removeprefix("noconfig.")] = "false"
        else:
            others.append(argument)
    return ConfigArguments(recipe, overrides, others)


def require_config_file(config: ConfigArguments, arguments: list[str]) -> None:
    """Raises a ValueError unless --config, if it is given, is a Python file and stands before its keys."""
    path = config.recipe.partition(":")[0]
    if not path:
        return
    first = next(argument for argument in arguments if argument.lstrip("-").startswith("config"))
    if first.lstrip("-").startswith("config."):
        raise ValueError(f"{first} comes before --config; write --config first")
    recipes = {recipe.name: recipe for recipe in find_recipes()}
    if not Path(path).is_file():
        if recipe := recipes.get(Path(path).name):
            raise ValueError(f"--config={path} does not exist in {Path.cwd()}; try --config={recipe}")
        hint = suggest(Path(path).name, recipes)
        names = ", ".join(Path(name).stem for name in recipes)
        raise ValueError(f"--config={path} does not exist{hint}; the recipes in {CONFIGS} are {names}; see --help")
    if Path(path).suffix != ".py":
        raise ValueError(f"--config={path} must be a recipe, a Python file; try --config=configs/cond_aae.py")


def require_name(flag: str, name: str, names: Iterable[str]) -> None:
    """Raises a ValueError unless the value of a flag is one of the names; it suggests one that contains the value."""
    names = list(names)
    if name not in names:
        similar = [*difflib.get_close_matches(name, names, n=1), *(each for each in names if name and name in each)]
        hint = f' (did you mean "{similar[0]}"?)' if similar else ""
        raise ValueError(f"--{flag}={name} is unknown; choose one of {', '.join(names)}{hint}")


def parse_step(text: str | None) -> int | str | None:
    """Returns the value of --step: a step, "best", or None for the newest checkpoint.

    Raises:
      ValueError: the text is something else.
    """
    if text is None or text == "best":
        return text
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not number.is_integer() or number < 0:
        raise ValueError(f"--step={text} must be the step of a checkpoint, such as --step=1000, or --step=best")
    return int(number)


def require_process_flags(options: dict[str, Any]) -> None:
    """Raises a ValueError unless the process flags are all given, consistently, or all left out."""
    address, num_processes, process_id = (options[name] for name in PROCESS_FLAGS)
    given = [f"--{name}" for name in PROCESS_FLAGS if options[name] is not None]
    if given and not options["distributed"]:
        raise ValueError(f"{given[0]} is for runs of several processes; add --distributed")
    if given and len(given) < len(PROCESS_FLAGS):
        raise ValueError(
            f"{' and '.join(given)} must come with all of --coordinator_address, --num_processes and --process_id"
        )
    if given and process_id >= num_processes:
        raise ValueError(f"--process_id={process_id} must be below --num_processes={num_processes}; the first is 0")
    if given and not address.rpartition(":")[2].isdigit():
        raise ValueError(f"--coordinator_address={address} must be HOST:PORT; try localhost:12345")


def _define_flags() -> Any:
    """Returns the definitions of all flags but --config."""
    from absl import flags

    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "folder of the run's files", flag_values=values)
    flags.DEFINE_string("mode", "train", "what to do", flag_values=values)
    flags.DEFINE_string("sampler", "prior", "distribution of the codes", flag_values=values)
    flags.DEFINE_string("step", None, "step of the checkpoint, or best", flag_values=values)
    flags.DEFINE_string("out", "", "folder of the written files", flag_values=values)
    flags.DEFINE_multi_string("images", [], "your own images", flag_values=values)
    flags.DEFINE_integer(
        "count", None, "number of images, pairs, dimensions or codes", lower_bound=1, flag_values=values
    )
    flags.DEFINE_boolean("spherical", False, "follow the spherical path", flag_values=values)
    flags.DEFINE_boolean("profile", False, "trace a log interval", flag_values=values)
    flags.DEFINE_boolean("distributed", None, "one of several processes", flag_values=values)
    flags.DEFINE_string("coordinator_address", None, "HOST:PORT of process 0", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "number of processes", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("process_id", None, "number of this process", lower_bound=0, flag_values=values)
    return values
