"""The config of a command: the config of the recipe, or of the run in the workdir, with the values of the command line.

Imports no jax.
"""

import importlib.util
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxgen.config.base import validate_config
from jaxgen.config.comments import comment_of, find_comments, known_functions, record_functions
from jaxgen.config.errors import collect_errors, run_check
from jaxgen.config.overrides import Command, apply_overrides, flatten_config, set_value
from jaxgen.io import workdir as workdirs
from jaxgen.io.errors import describe_error

CONFIGS = Path(__file__).parents[2] / "configs"  # of a clone; an installed package has none
# Keys that may differ from the run's own in each mode, with all keys below them. Training has more.
MODE_KEYS = {
    "train": workdirs.RESUME_KEYS,
    "evaluate": ("evaluation", *workdirs.MACHINE_KEYS),
    **dict.fromkeys(("sample", "latent_walk"), ("seed", *workdirs.MACHINE_KEYS)),
    **dict.fromkeys(
        ("reconstruct", "interpolate", "traverse", "attributes"),
        ("evaluation.split", "data.on_bad_image", *workdirs.MACHINE_KEYS),
    ),
}


def find_recipes() -> list[Path]:
    """Returns the files in configs/, sorted by name."""
    return sorted(CONFIGS.glob("*.py"))


def default_workdir(recipe: str) -> str:
    """Returns runs/NAME, where NAME is the recipe's name followed by its presets."""
    return str(Path("runs") / recipe_name(recipe).replace(":", "-").replace(",", "-"))


def recipe_name(recipe: str) -> str:
    """Returns "vae:mnist,conv" for "configs/vae.py:mnist,,conv"."""
    path, _, presets = recipe.partition(":")
    words = ",".join(word for word in presets.split(",") if word)
    return f"{Path(path).stem}:{words}" if words else Path(path).stem


def load_recipe(recipe: str) -> ConfigDict:
    """Imports a recipe and returns its config.

    Args:
      recipe: "FILE[:PRESETS]".

    Raises:
      ValueError: a preset is wrong, or the file is no recipe.
    """
    path, colon, presets = recipe.partition(":")
    spec = importlib.util.spec_from_file_location("config_config", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config(*([presets] if colon else []))
        config.lock()
    except ValueError:
        raise  # of presets
    except Exception as error:
        raise ValueError(
            f"--config={path} is no recipe ({describe_error(error)}); see configs/ae.py for a short one"
        ) from error
    return config


def resolve_config(recipe: str, overrides: Mapping[str, str], workdir: str, mode: str) -> tuple[ConfigDict, Command]:
    """Returns the config of a command, and what the command line says about it.

    In the folder of a run these are the run's own values, changed by those of the command line as far as the mode
    allows. Each change is printed.

    Args:
      recipe: "FILE[:PRESETS]", or "" for the run's own.
      overrides: text of each `--config.KEY=VALUE`, by dotted key.
      workdir: folder of the run's files.
      mode: one of `main.MODES`.

    Raises:
      ValueError: the workdir holds another run, or none if the mode needs one. Wrong values are reported; see
        `errors.report_error`.
    """
    if not workdirs.is_run(workdir):
        return _resolve_new_run(recipe, overrides, workdir, mode)
    stored = workdirs.read_config(workdir)
    config = ConfigDict(_lists_to_tuples(stored))
    changed = _preset_values(recipe, workdir, config) if recipe else {}
    for key, value in changed.items():
        set_value(config, key, value)
    changed |= apply_overrides(config, overrides)
    run_check(validate_config, config)
    advice = "" if mode == "train" else f"--mode={mode} uses the run's own values; leave these out"
    workdirs.require_same_run(workdir, stored, config.to_dict(), MODE_KEYS[mode], advice)
    changes = workdirs.compare_configs(stored, config.to_dict())
    if changes and mode != "train":  # training logs the changes
        print(f"note: the run's own values are replaced: {workdirs.describe_changes(changes)}", file=sys.stderr)
    if recipe:
        _report_changed_recipe(recipe, overrides, workdir, config)
    return config, Command(recipe_name(recipe) if recipe else "", changed)


def describe_keys(recipe: str, overrides: Mapping[str, str], workdir: str) -> str:
    """Returns the help for a recipe, or for the run in the workdir: a line per key, with its value and its comment.

    Args:
      recipe: "FILE[:PRESETS]", or "" for the run's.
      overrides: text of each `--config.KEY=VALUE`, by dotted key.
      workdir: folder of the run, if there is no recipe.

    Raises:
      ValueError: a value is wrong, or there is neither a recipe nor a run.
    """
    name = recipe or workdirs.read_recipe(workdir).get("name", "")
    path = recipe.partition(":")[0] if recipe else str(CONFIGS / f"{name.partition(':')[0]}.py")
    source = f"{path}:{name.partition(':')[2]}"
    loaded, functions = record_functions(partial(load_recipe, source)) if Path(path).is_file() else (None, [])
    config = loaded if recipe else ConfigDict(_lists_to_tuples(workdirs.read_config(workdir)))
    with collect_errors():
        apply_overrides(config, overrides)
    comments = find_comments(functions or known_functions())
    lines = []
    for key, value in flatten_config(config).items():
        comment = comment_of(key, comments)
        lines.append(f"  {f'{key}={format_value(value)}':<38}  # {comment}" if comment else f"  {key}={value}")
    title = f"Keys of {recipe or workdir}, their values and meanings; --config.KEY=VALUE changes one:"
    return "\n".join([title, "", *lines])


def format_value(value: Any) -> str:
    """Returns a value as it may be typed on the command line, with quotes around text."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _resolve_new_run(recipe: str, overrides: Mapping[str, str], workdir: str, mode: str) -> tuple[ConfigDict, Command]:
    if not recipe:
        workdirs.read_config(workdir)  # raises an error: there is no run
    config = load_recipe(recipe)
    changed = apply_overrides(config, overrides)
    run_check(validate_config, config)
    if mode != "train":
        workdirs.read_config(workdir)  # raises an error
    return config, Command(recipe_name(recipe), changed)


def _preset_values(recipe: str, workdir: str, config: ConfigDict) -> dict[str, Any]:
    """Returns the values of the presets that the run was started without.

    Args:
      recipe: "FILE[:PRESETS]".
      workdir: folder of a run.
      config: the run's.

    Raises:
      ValueError: the run was started with another recipe.
    """
    path, loaded = recipe.partition(":")[0], load_recipe(recipe)
    name, words = _split_name(recipe_name(recipe))
    run_name, run_words = _split_name(workdirs.read_recipe(workdir).get("name", ""))
    if run_name != name:
        _require_same_model(workdir, run_name, name, config, loaded)
    if run_name in ("", name):
        extra = [word for word in words if word not in run_words]
        before = flatten_config(load_recipe(f"{path}:{','.join(word for word in words if word not in extra)}"))
        values = {key: value for key, value in flatten_config(loaded).items() if before.get(key) != value}
        if not run_name:  # the run's presets are unknown; only another data set is a contradiction
            values = {key: value for key, value in values.items() if key in ("data.source", "data.name")}
        elif values:
            _require_same_model(workdir, run_name, name, config, loaded, presets=True)
        return {key: value for key, value in values.items() if flatten_config(config).get(key) != value}
    return {}


def _report_changed_recipe(recipe: str, overrides: Mapping[str, str], workdir: str, config: ConfigDict) -> None:
    """Prints a line if the file of a recipe has changed since the run was started with it.

    Args:
      recipe: "FILE[:PRESETS]".
      overrides: values of the command line, by dotted key.
      workdir: folder of the run.
      config: the run's.
    """
    origin, path = workdirs.read_recipe(workdir), recipe.partition(":")[0]
    run_name, presets = _split_name(origin.get("name", ""))
    if run_name != Path(path).stem:
        return
    free = (*overrides, *origin.get("overrides", {}), *workdirs.RESUME_KEYS)
    loaded = load_recipe(f"{path}:{','.join(presets)}")
    if changes := workdirs.compare_configs(config.to_dict(), loaded.to_dict(), free):
        print(
            f"note: the recipe has changed since the run began, and the run's own values are used: "
            f"{workdirs.describe_changes(changes, '{} in the run, {} in the recipe')}",
            file=sys.stderr,
        )


def _require_same_model(
    workdir: str, run_name: str, name: str, config: ConfigDict, loaded: ConfigDict, presets: bool = False
) -> None:
    """Raises a ValueError of one line if a recipe has another model than the run or, for another recipe, other values.

    Args:
      workdir: folder of the run.
      run_name: the run's recipe, or "" if it is unknown.
      name: the command's recipe.
      config: the run's config.
      loaded: the command's recipe.
      presets: whether the recipes differ in presets alone.
    """
    if loaded.model != config.model:
        raise ValueError(workdirs.describe_other_model(workdir, config.model, loaded.model))
    if presets or not run_name:
        return
    free = ("num_seeds", "seed", *workdirs.RESUME_KEYS)
    if differences := workdirs.compare_configs(config.to_dict(), loaded.to_dict(), free):
        raise ValueError(
            f"workdir={workdir} holds a run of the recipe {run_name}, and --config is {name}, with other values of "
            f"{', '.join(list(differences)[: workdirs.MAX_NAMED])}; leave --config out, or choose another --workdir"
        )


def _split_name(name: str) -> tuple[str, list[str]]:
    """Returns ("vae", ["mnist", "conv"]) for "vae:mnist,conv"."""
    recipe, _, presets = name.partition(":")
    return recipe, [word for word in presets.split(",") if word]


def _lists_to_tuples(value: Any) -> Any:
    """Returns a value that JSON had turned into lists with tuples again."""
    if isinstance(value, dict):
        return {key: _lists_to_tuples(item) for key, item in value.items()}
    return tuple(_lists_to_tuples(item) for item in value) if isinstance(value, list) else value
