"""Refuses data options of the command line that the source of the data ignores."""

from collections.abc import Mapping
from typing import Any

from jaxgen.config.base import base_config

FOLDER_KEYS = ("image_size", "resize", "channels", "on_bad_image", "holdout_fraction", "split_seed")
UNUSED_KEYS = {  # of `config.data`, by source
    "digits": ("name", "download", *FOLDER_KEYS),
    "tfds": FOLDER_KEYS,
    "folder": ("download",),
}
USERS = {"name": ("tfds", "folder"), "download": ("tfds",)}  # sources that use a key; a folder uses the others


def require_used_data_keys(config: Any, changed: Mapping[str, Any]) -> None:
    """Requires that the options of the command line have an effect.

    A recipe or preset may set them for another source, and a value equal to the default is accepted.

    Args:
      config: the config with the options.
      changed: values of the command line by dotted key, such as {"data.image_size": 32}.

    Raises:
      ValueError: the source of the data ignores an option.
    """
    defaults, source = base_config(config.model).data, config.data.source
    unused = [key for key in UNUSED_KEYS.get(source, ()) if changed.get(f"data.{key}", defaults[key]) != defaults[key]]
    if not unused:
        return
    values = " and ".join(f"data.{key}={changed[f'data.{key}']!r}" for key in unused)
    first = next(iter(USERS.get(unused[0], ("folder",))))
    place = "--config.data.name=NAME" if first == "tfds" else "--config.data.path=DIR"
    raise ValueError(
        f"{values} {'has' if len(unused) == 1 else 'have'} no effect with data.source={source!r}; leave "
        f"{'it' if len(unused) == 1 else 'them'} out, or try --config.data.source={first} {place}"
    )
