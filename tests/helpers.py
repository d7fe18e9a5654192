"""Helpers of several test files: tiny models of every recipe, batches, comparison of states, runs of the program."""

import contextlib
import importlib.util
import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxgen import models
from jaxgen.cli import main as cli
from jaxgen.distributed import processes
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.types import Batch, DatasetSpec, Split

B, H, W, C, K = 6, 8, 10, 1, 4
REPOSITORY = Path(__file__).parents[1]
CONFIGS = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.py"))
COND_AAE = f"--config={REPOSITORY}/configs/cond_aae.py"
SMALL = ("--config.hidden_sizes=(32,32)", "--config.critic_hidden_sizes=(32,32)")


def read_module(path: Path):
    """Imports a file of the repository that is outside of packages."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_config(name: str, presets: str = "smoke") -> ConfigDict:
    return read_module(REPOSITORY / "configs" / f"{name}.py").get_config(presets)


def tiny_model(name: str, presets: str = "smoke", **changes):
    """Builds the recipe's model for images of 8 × 10 pixels in 4 classes, with 16 units in every hidden layer."""
    config = read_config(name, presets)
    for key in [key for key in config if key.endswith("hidden_sizes")]:
        config[key] = (16,) * len(config[key])
    config.update(changes)
    return models.build_model(config, DatasetSpec("tiny", (H, W, channels_of(name)), K))


def tiny_trained_model(name: str, presets: str = "smoke", seed: int = 0) -> TrainedModel:
    """Returns the tiny model with its initial parameters, as a TrainedModel."""
    model = tiny_model(name, presets)
    state = jax.jit(model.init)(jax.random.key(seed))
    return TrainedModel(model, state.params, state.stats)


def channels_of(name: str) -> int:
    """Returns the number of channels of the recipe's images."""
    return 3 if name == "colorizer" else C


def digits_preset(name: str) -> str:
    """Returns the preset with which a recipe runs on the bundled digits: "" if they are its default."""
    return "" if read_config(name).data.source == "digits" else "digits"


def tiny_data(count: int = 3 * B, channels: int = C) -> Split:
    """Returns random images with labels 0, 1, …, K - 1, 0, …"""
    numbers = np.random.default_rng(0)
    image = numbers.integers(0, 256, (count, H, W, channels)).astype(np.uint8)
    return Split(jnp.asarray(image), jnp.asarray(np.arange(count) % K, jnp.int32))


def tiny_batch(channels: int = C) -> Batch:
    """Returns a batch of B random images, none of them padding."""
    data = tiny_data(B, channels)
    return Batch(data.image.astype(jnp.float32) / 255, data.label, jnp.ones(B))


def same(a, b) -> bool:
    """Returns whether two trees are equal bit for bit."""
    a, b = jax.device_get(
        (jax.tree.leaves(a), jax.tree.leaves(b))
    )  # numpy, because jax compiles a comparison for every shape
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def launch(
    *arguments: str, cwd: Path, timeout: float = 300, under: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess:
    """Runs launch.py in a new process from `cwd`; `under` is the command that starts it, such as mpirun."""
    return subprocess.run(
        [*under, sys.executable, str(REPOSITORY / "launch.py"), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "JAXGEN_FACES": "", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def launch_here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """Runs the command line inside this process, which saves imports and compilation."""
    argv, out, err = ["launch.py", *arguments], io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(err)
    logging.getLogger().addHandler(handler)
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", argv),  # ml_collections reads --config.KEY from it
        mock.patch.object(processes, "exit_process"),  # it may end the process
        mock.patch.dict(os.environ, {"JAXGEN_FACES": ""}),
    ):
        try:
            status = cli.main(argv)
        finally:
            logging.getLogger().removeHandler(handler)
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())
