"""The folder of a run: its lock, config.json and results.json. Imports no jax."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxgen.config.automatic import AUTO
from jaxgen.config.base import base_config
from jaxgen.io.atomic import TEMPORARY, write_bytes_atomic
from jaxgen.io.checkpoint_files import list_checkpoints
from jaxgen.io.json_types import to_json_types
from jaxgen.io.paths import require_safe_for_checkpoints, resolve_path

LOGGER = logging.getLogger("jaxgen")
# Keys that describe the machine instead of the run: they may change when a run resumes.
MACHINE_KEYS = ("data.path", "data.download", "data.memory_budget_mib", "base_model_workdir")
SPLITS = ("test", "validation")  # that a run can be evaluated on
# Keys that change no number of the training steps: they may change too. `steps` may not end before the last checkpoint.
RESUME_KEYS = (
    *MACHINE_KEYS,
    *("steps", "log_every", "eval_every", "checkpoint_every", "max_to_keep", "best_metric"),
    *("evaluation", "snapshot_epochs", "data.on_bad_image"),
)
HISTORY = "config_history.jsonl"
RECIPE = "recipe.json"
MAX_NAMED = 3  # differences between two configs that an error names
ABSENT = object()


@contextlib.contextmanager
def lock_workdir(
    workdir: str | os.PathLike,
    config: dict[str, Any],
    free: tuple[str, ...] = (),
    recipe: dict[str, Any] | None = None,
) -> Iterator[Path]:
    """Locks a run's folder for this process and writes the config to its `config.json`.

    The folder is created if necessary. The lock ends with the block or with the process, even if it is killed. In a
    run of several processes, one of them takes the lock.

    Args:
      workdir: the folder.
      config: the run's config; it must equal the config of an earlier run in the folder.
      free: keys that may differ, such as ("steps", "data.path"), with all keys below them; `config.json` gets their
        new values, and `config_history.jsonl` gets a line with the change.
      recipe: content of `recipe.json` of a new run; see `read_recipe`.

    Yields:
      The absolute path of the folder.

    Raises:
      ValueError: the folder cannot be written, is in use, or holds a run with another config or of jaxgen 0.1.
    """
    path = resolve_path(workdir, "--workdir")
    require_safe_for_checkpoints(path, "--workdir")
    _create_folder(path)
    with _lock_folder(path):
        _remove_temporary_files(path)
        _match_or_write_config(path, to_json_types(config), free, recipe)
        yield path


def read_config(workdir: str | os.PathLike) -> dict[str, Any]:
    """Reads the config of the run in a folder.

    Raises:
      ValueError: the folder is not a run, is a run of jaxgen 0.1, or its config.json is damaged.
    """
    config = _read_json(resolve_path(workdir, "--workdir") / "config.json")
    if config is None:
        raise ValueError(
            f"workdir={workdir} is not a run: it has no config.json; "
            f"make one: python launch.py --config=configs/NAME.py --workdir={workdir}"
        )
    _require_current_keys(workdir, config)
    return _with_new_base_keys(config)


def is_run(workdir: str | os.PathLike) -> bool:
    """Returns whether a folder has the config of a run."""
    return (Path(workdir) / "config.json").is_file()


def read_recipe(workdir: str | os.PathLike) -> dict[str, Any]:
    """Returns where the run's config comes from: {} if it is unknown, or a dictionary with two entries.

    "name" is the recipe with its presets, such as "vae:mnist", and "overrides" the values of the command line by key.
    """
    return _read_json(Path(workdir) / RECIPE) or {}


def compare_configs(
    stored: dict[str, Any], config: dict[str, Any], free: tuple[str, ...] = ()
) -> dict[str, tuple[Any, Any]]:
    """Returns {key: (stored value, value)} of the keys outside of `free` that differ; `ABSENT` for a missing one.

    A run stores its choice in place of "auto", so that a new value "auto" is no difference.
    """
    before, now = identity_config(stored, free), identity_config(config, free)
    pairs = {key: (before.get(key, ABSENT), now.get(key, ABSENT)) for key in sorted({*before, *now})}
    return {key: (old, new) for key, (old, new) in pairs.items() if new not in (old, AUTO)}


def require_same_run(
    workdir: str | os.PathLike,
    stored: dict[str, Any],
    config: dict[str, Any],
    free: tuple[str, ...],
    advice: str = "",
) -> None:
    """Raises a ValueError of one line if a run's config differs from `config` outside of the keys in `free`.

    Args:
      workdir: folder of the run.
      stored: the run's config.
      config: the new one.
      free: keys that may differ, with all keys below them.
      advice: end of the message; by default that of training.
    """
    new_run = f"start a new run, from its networks if you want: --workdir=DIR --config.init_from={workdir}"
    differences = compare_configs(stored, config, free)
    if "model" in differences:
        raise ValueError(describe_other_model(workdir, *differences["model"]))
    if differences:
        named = [
            f"{key}: {describe_pair(*pair, '{} there, {} here')}" for key, pair in list(differences.items())[:MAX_NAMED]
        ]
        if len(differences) > MAX_NAMED:
            named.append(f"and {len(differences) - MAX_NAMED} more")
        raise ValueError(
            f"workdir={workdir} holds a run with another config ({'; '.join(named)}); "
            f"{advice or f'leave these values out for its own, or {new_run}'}"
        )
    last = max(list_checkpoints(Path(workdir) / "checkpoints"), default=0)
    if "steps" in free and config.get("steps", last) < last:
        raise ValueError(
            f"steps={config['steps']} ends before the last checkpoint of the run in workdir={workdir}, step {last}; "
            f"try --config.steps={max(last, stored['steps'])} or more, or {new_run}"
        )


def describe_other_model(workdir: str | os.PathLike, there: Any, here: Any) -> str:
    """Returns the message for a workdir whose run has the model `there`, and a command with the model `here`."""
    return (
        f"workdir={workdir} holds a run of model={there}, and --config has model={here}; "
        "try the run's own recipe, or another --workdir"
    )


def describe_changes(changes: dict[str, tuple[Any, Any]], template: str = "{} → {}") -> str:
    """Returns "log_every: 10 → 20; steps: 100 → 200" for the result of `compare_configs`."""
    return "; ".join(f"{key}: {describe_pair(*pair, template)}" for key, pair in changes.items())


def describe_pair(before: Any, after: Any, template: str = "{} → {}") -> str:
    """Returns "100 → 200" for two values of a key."""
    return template.format(*("absent" if value is ABSENT else repr(value) for value in (before, after)))


def read_results(workdir: str | os.PathLike, split: str | None = None) -> dict[str, Any] | None:
    """Reads the results of the run in a folder.

    Args:
      workdir: the folder.
      split: the split that was evaluated; None for the one that the run's config names.

    Returns:
      The contents of the file, or None if the split was not evaluated.

    Raises:
      ValueError: the file is damaged.
    """
    return _read_json(results_path(resolve_path(workdir, "--workdir"), split))


def read_all_results(workdir: Path) -> list[dict[str, Any]]:
    """Returns the results of each split that was evaluated."""
    return [entry for split in SPLITS if (entry := _read_json(results_path(workdir, split)))]


def results_path(workdir: Path, split: str | None = None, suffix: str = "") -> Path:
    """Returns `results.json` for the split that the run's config names, and `results_SPLIT.json` for another one."""
    config = _read_json(workdir / "config.json") or {}
    own = config.get("evaluation", {}).get("split", split)
    return workdir / f"results{'' if split in (None, own) else f'_{split}'}{suffix}.json"


def write_results(workdir: Path, results: dict[str, Any], suffix: str = "") -> Path:
    """Writes the results of a split, and appends those that they replace to `results_history.jsonl`.

    Args:
      workdir: folder of the run.
      results: the results, with their `split`.
      suffix: of the file's name, for a checkpoint that is not the newest.

    Returns:
      The path of the written file.
    """
    path = results_path(workdir, results["split"], suffix)
    previous = path.read_text(encoding="utf-8") if path.exists() else ""
    if previous:
        with open(workdir / "results_history.jsonl", "a", encoding="utf-8") as history:
            history.write(" ".join(previous.split()) + "\n")
    write_json(path, results)
    return path


def identity_config(config: dict[str, Any], free: tuple[str, ...]) -> dict[str, Any]:
    """Returns the values of a config by dotted key, without the keys in `free` and the keys below them."""
    flat = _flatten_config(to_json_types(config))
    return {key: flat[key] for key in flat if not any(key == name or key.startswith(f"{name}.") for name in free)}


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes sorted, indented JSON atomically; see `to_json_types` for the conversion of values."""
    text = json.dumps(to_json_types(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes_atomic(path, text.encode())


def _remove_temporary_files(path: Path) -> None:
    """Removes the partial files of processes that were killed while writing; the lock excludes other writers."""
    for temporary in (*path.glob(TEMPORARY), *path.glob(f"*/{TEMPORARY}")):
        temporary.unlink(missing_ok=True)


def _create_folder(path: Path) -> None:
    """Creates a folder and writes to it once, so that a long run does not fail at its first save."""
    try:
        if path.exists() and not path.is_dir():
            raise ValueError(f"workdir={path} is a file; name a folder: --workdir=DIR")
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
            file.flush()
        (path / ".lock").touch()
    except OSError as error:
        raise ValueError(
            f"workdir={path} cannot be written ({error.strerror}); name a writable folder: --workdir=DIR"
        ) from error


@contextlib.contextmanager
def _lock_folder(path: Path) -> Iterator[None]:
    """Holds a flock on `.lock`, which the system releases with the process: a killed run needs no cleanup."""
    with open(path / ".lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ValueError(
                f"workdir={path} is in use by another run (process {file.read().strip() or 'unknown'}); "
                "wait for its end, or choose another --workdir"
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            LOGGER.warning("workdir=%s is on a file system without locks: start no second run in it", path)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _match_or_write_config(
    path: Path, config: dict[str, Any], free: tuple[str, ...], recipe: dict[str, Any] | None
) -> None:
    """Requires the folder's config.json to match the config outside the free keys, and writes the config."""
    stored = _read_json(path / "config.json")
    if stored == config:
        return
    if stored is not None:
        _require_current_keys(path, stored)
        require_same_run(path, _with_new_base_keys(stored), config, free)
        _append_history(path, compare_configs(stored, config))
    elif recipe:
        write_json(path / RECIPE, recipe)
    write_json(path / "config.json", config)


def _append_history(path: Path, changes: dict[str, tuple[Any, Any]]) -> None:
    """Adds a line to `config_history.jsonl`: the time and, by key, the value before and after; null if absent."""
    values = {key: [None if value is ABSENT else value for value in pair] for key, pair in changes.items()}
    line = json.dumps({"time": round(time.time(), 3), "changes": values}, ensure_ascii=False)
    with contextlib.suppress(FileNotFoundError):
        line = f"{(path / HISTORY).read_text(encoding='utf-8')}{line}"
    write_bytes_atomic(path / HISTORY, f"{line}\n".encode())


def _with_new_base_keys(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the config of a run with the keys that `base_config` has received since, at their defaults."""
    if not isinstance(config.get("model"), str):
        return config
    defaults = to_json_types(base_config(config["model"]).to_dict())
    groups = {key: {**value, **config.get(key, {})} for key, value in defaults.items() if isinstance(value, dict)}
    return {**defaults, **config, **groups}


def _require_current_keys(workdir: str | os.PathLike, config: dict[str, Any]) -> None:
    """Raises a ValueError for the config of a run of jaxgen 0.1, where the key `model` was called `algorithm`."""
    if "algorithm" in config and "model" not in config:
        raise ValueError(
            f"workdir={workdir} was made by jaxgen 0.1, whose config keys have other names; "
            "train again in another folder: --workdir=DIR"
        )


def _read_json(path: Path) -> dict[str, Any] | None:
    """Reads the JSON object in a file; None if there is no file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); restore it, or choose another --workdir") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object; restore it, or choose another --workdir")
    return value


def _flatten_config(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns {"data.name": "mnist"} for {"data": {"name": "mnist"}}; an empty dict stays a value."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(_flatten_config(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
