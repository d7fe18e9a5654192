"""Values of config keys from the command line: `--config.KEY=VALUE` as text, with the type of the key's own value.

Imports no jax.
"""

import ast
import difflib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxgen.config.errors import report_error, suggest

BOOLEANS = {"true": True, "t": True, "yes": True, "1": True, "false": False, "f": False, "no": False, "0": False}
WHOLE_NUMBER_KEYS = ("sizes", "epochs", "boundaries")  # endings of keys whose tuples hold whole numbers


class Command(NamedTuple):
    """What a command line says about a run's config."""

    recipe: str = ""  # the recipe's name and presets, such as "vae:mnist"
    changed: Mapping[str, Any] = {}  # values of `--config.KEY=VALUE` that differ from the recipe's or the run's own
    mistakes: tuple[str, ...] = ()  # in the values of the command line

    def to_json(self) -> dict[str, Any] | None:
        """Returns the content of a new run's recipe.json; None without a recipe."""
        return {"name": self.recipe, "overrides": dict(self.changed)} if self.recipe else None


NO_COMMAND = Command()


def flatten_config(config: ConfigDict | Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns {"data.name": "mnist"} for {"data": {"name": "mnist"}}."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        is_group = isinstance(value, ConfigDict | Mapping)
        flat |= flatten_config(value, f"{prefix}{key}.") if is_group else {f"{prefix}{key}": value}
    return flat


def set_value(config: ConfigDict, key: str, value: Any) -> None:
    """Sets the value of a dotted key."""
    *groups, name = key.split(".")
    for group in groups:
        config = config[group]
    config[name] = value


def apply_overrides(config: ConfigDict, overrides: Mapping[str, str]) -> dict[str, Any]:
    """Sets the values of a command line in a config, and reports those that are wrong.

    Args:
      config: changed in place.
      overrides: text of each value, by dotted key.

    Returns:
      The values that differ from the config's own, by dotted key.
    """
    flat, changed = flatten_config(config), {}
    for key, text in overrides.items():
        if key not in flat:
            report_error(_describe_unknown_key(flat, key))
            continue
        try:
            value = parse_value(key, text, flat[key])
        except ValueError as error:
            report_error(str(error))
            continue
        if value != flat[key] or (isinstance(value, float) and math.isnan(value)):
            changed[key] = value
        set_value(config, key, value)
    return changed


def parse_value(key: str, text: str, default: Any) -> Any:
    """Returns a value of the default's type; an integral float, such as 1e3, is a whole number.

    Raises:
      ValueError: the text is no value of that type.
    """
    if isinstance(default, bool):
        if text.lower() not in BOOLEANS:
            raise ValueError(f"{key}={text} must be true or false; try --config.{key}={str(not default).lower()}")
        return BOOLEANS[text.lower()]
    if isinstance(default, int):
        return _parse_whole_number(key, text, default)
    if isinstance(default, float):
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{key}={text} must be a number; try --config.{key}={default}") from None
    if isinstance(default, tuple | list):
        return _parse_tuple(key, text, tuple(default))
    return text if isinstance(default, str) else _parse_literal(text)


def _parse_whole_number(key: str, text: str, default: int) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number.is_integer():
        nearest = round(number) if math.isfinite(number) else default
        raise ValueError(f"{key}={text} must be a whole number; try --config.{key}={nearest}")
    return int(number)


def _parse_tuple(key: str, text: str, default: tuple) -> tuple:
    value = _parse_literal(text)
    if isinstance(value, str) and not text.startswith(("'", '"')):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    value = tuple(value) if isinstance(value, tuple | list) else (value,)
    if all(type(item) is int for item in default) if default else key.endswith(WHOLE_NUMBER_KEYS):
        value = tuple(int(item) if isinstance(item, float) and item.is_integer() else item for item in value)
    return value


def _parse_literal(text: str) -> Any:
    """Returns the value of a Python literal; other text as it is."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _describe_unknown_key(flat: Mapping[str, Any], key: str) -> str:
    group, _, name = key.rpartition(".")
    if below := sorted(known for known in flat if known.startswith(f"{key}.")):
        return f"{key} is a group of keys; try --config.{below[0]}={flat[below[0]]}"
    siblings = {known.rpartition(".")[2]: known for known in flat if known.rpartition(".")[0] == group}
    same_name = [known for known in flat if known.rpartition(".")[2] == name]
    matches = difflib.get_close_matches(name, siblings, n=1)
    if similar := same_name or [siblings[match] for match in matches]:
        return f'the config has no key "{name}"; Did you mean "{similar[0]}"? Then type --config.{similar[0]}'
    others = suggest(key, flat)
    return f'the config has no key "{name}"; the recipe\'s file lists its keys, and so does --help{others}'
