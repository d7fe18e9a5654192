"""A run's folder: who may write in it, its config.json and results.json, the versions that made it. No jax here."""

import contextlib
import errno
import fcntl
import json
import logging
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxgen.io.atomic import TEMPORARY, write_bytes_atomic

LOGGER = logging.getLogger("jaxgen")
MACHINE_KEYS = ("data.path", "data.download", "data.memory_budget_mib")  # of this machine, not what the run is
SHOWN = 3  # differences named in a refusal
ABSENT = object()


@contextlib.contextmanager
def lock_workdir(workdir: str | os.PathLike, config: dict[str, Any], free: tuple[str, ...] = ()) -> Iterator[Path]:
    """Holds a run's folder for this process alone, made if absent, with the config in its `config.json`.

    The lock ends with the process, killed or not. Of several processes of one run, one claims.

    Args:
      workdir: the folder.
      config: the run's config; it must equal that of an earlier run in the folder.
      free: keys that may differ, such as ("steps", "data.path"), with all below them; `config.json` gets the new value.

    Raises:
      ValueError: the folder cannot be written, is in use, or holds another config's run.
    """
    path = Path(os.path.abspath(workdir))
    _make_folder(path)
    with _lock(path):
        _tidy(path)
        _settle_config(path, to_json_types(config), free)
        yield path


def read_config(workdir: str | os.PathLike) -> dict[str, Any]:
    """The config of the run in a folder.

    Raises:
      ValueError: the folder is no run, or its config.json is damaged.
    """
    config = _read_json(Path(workdir) / "config.json")
    if config is None:
        raise ValueError(
            f"workdir={workdir} is no run: it has no config.json; "
            f"make one: python launch.py --config=configs/NAME.py --workdir={workdir}"
        )
    return config


def read_results(workdir: str | os.PathLike) -> dict[str, Any] | None:
    """What the run in a folder came to; None if it has not come to its end.

    Raises:
      ValueError: results.json is damaged.
    """
    return _read_json(Path(workdir) / "results.json")


def identity_config(config: dict[str, Any], free: tuple[str, ...]) -> dict[str, Any]:
    """A config's values by dotted key, less the keys in `free` and what is below them."""
    flat = _flat(to_json_types(config))
    return {key: flat[key] for key in flat if not any(key == name or key.startswith(f"{name}.") for name in free)}


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes sorted, indented JSON in one move: a reader finds the old file or the new one, never half of it.

    Tuples become lists, numpy's scalars and arrays become numbers and lists, NaN and infinity become null.
    """
    text = json.dumps(to_json_types(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes_atomic(path, text.encode())


def _tidy(path: Path) -> None:
    """Takes away what writers that were killed left half written; nobody else writes in the folder now."""
    for left in (*path.glob(TEMPORARY), *path.glob(f"*/{TEMPORARY}")):
        left.unlink(missing_ok=True)


def _make_folder(path: Path) -> None:
    """Makes a folder and tries to write in it, before a long run finds out that it cannot."""
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
            f"workdir={path} cannot be written ({error.strerror}); name a folder that can: --workdir=DIR"
        ) from error


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds `.lock` in the folder. flock goes with the process, so that a killed run leaves nothing to clean up."""
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


def _settle_config(path: Path, config: dict[str, Any], free: tuple[str, ...]) -> None:
    """Writes config.json, or holds the config against the one that is there."""
    there = _read_json(path / "config.json")
    if there == config:
        return
    if there is not None:
        before, now = identity_config(there, free), identity_config(config, free)
        keys = [key for key in sorted({*before, *now}) if before.get(key, ABSENT) != now.get(key, ABSENT)]
        if keys:
            told = [f"{key}: {_shown(before, key)} there, {_shown(now, key)} here" for key in keys[:SHOWN]]
            if len(keys) > SHOWN:
                told.append(f"and {len(keys) - SHOWN} more")
            raise ValueError(
                f"workdir={path} holds a run with another config ({'; '.join(told)}); "
                "choose another --workdir, or give the same values"
            )
    write_json(path / "config.json", config)


def _read_json(path: Path) -> dict[str, Any] | None:
    """A file's JSON object; None if there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); restore it, or choose another --workdir") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object; restore it, or choose another --workdir")
    return value


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"data": {"name": "mnist"}} as {"data.name": "mnist"}; an empty dict stays a value."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _shown(config: dict[str, Any], key: str) -> str:
    return repr(config[key]) if key in config else "absent"


def to_json_types(value: Any) -> Any:
    """The value as it comes back from JSON, which has neither NaN nor the infinities: None."""
    if isinstance(value, dict):
        return {str(key): to_json_types(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_types(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and jax
        return to_json_types(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, os.PathLike) else value
