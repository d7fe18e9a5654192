"""What several test files need: a tiny version of every config's algorithm, batches, ways to compare states."""

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
from jaxgen.distributed import processes
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.types import Batch, DatasetSpec, Split

B, H, W, C, K = 6, 8, 10, 1, 4
REPOSITORY = Path(__file__).parents[1]
CONFIGS = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.py"))
COND_AAE = f"--config={REPOSITORY}/configs/cond_aae.py"
SMALL = ("--config.hidden_sizes=(32,32)", "--config.critic_hidden_sizes=(32,32)")


def read_module(path: Path):
    """A file of the repository that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_config(name: str, tokens: str = "smoke") -> ConfigDict:
    return read_module(REPOSITORY / "configs" / f"{name}.py").get_config(tokens)


def tiny_model(name: str, tokens: str = "smoke", **changes):
    """The config's algorithm for images of 8×10 in 4 classes, every hidden layer 16 wide."""
    config = read_config(name, tokens)
    for key in [key for key in config if key.endswith("hidden_sizes")]:
        config[key] = (16,) * len(config[key])
    config.update(changes)
    return models.build_model(config, DatasetSpec("tiny", (H, W, channels_of(name)), K))


def tiny_trained_model(name: str, tokens: str = "smoke", seed: int = 0) -> TrainedModel:
    """The same, untrained, as a model to be used."""
    model = tiny_model(name, tokens)
    state = jax.jit(model.init)(jax.random.key(seed))
    return TrainedModel(model, state.params, state.stats)


def channels_of(name: str) -> int:
    """How many channels the config's images need."""
    return 3 if name == "colorizer" else C


def digits_tokens(name: str) -> str:
    """The tokens that a config needs to run on the bundled digits: none where they are its default."""
    return "" if read_config(name).data.source == "digits" else "digits"


def tiny_data(count: int = 3 * B, channels: int = C) -> Split:
    numbers = np.random.default_rng(0)
    image = numbers.integers(0, 256, (count, H, W, channels)).astype(np.uint8)
    return Split(jnp.asarray(image), jnp.asarray(np.arange(count) % K, jnp.int32))


def tiny_batch(channels: int = C) -> Batch:
    data = tiny_data(B, channels)
    return Batch(data.image.astype(jnp.float32) / 255, data.label, jnp.ones(B))


def same(a, b) -> bool:
    """Whether two trees are equal bit for bit."""
    a, b = jax.device_get((jax.tree.leaves(a), jax.tree.leaves(b)))  # in jax, every shape would be compiled
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def launch(
    *arguments: str, cwd: Path, timeout: float = 300, under: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess:
    """Runs launch.py as a user would, from `cwd`; `under` is what starts it, such as mpirun."""
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
    """The same within this process, where what has been imported and compiled serves the next run too."""
    argv, out, err = ["launch.py", *arguments], io.StringIO(), io.StringIO()
    screen = logging.StreamHandler(err)
    logging.getLogger().addHandler(screen)
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", argv),  # where ml_collections looks for --config.KEY
        mock.patch.object(processes, "exit_process"),  # which may end the process
        mock.patch.dict(os.environ, {"JAXGEN_FACES": ""}),
    ):
        try:
            status = read_module(REPOSITORY / "launch.py").main(argv)
        finally:
            logging.getLogger().removeHandler(screen)
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())
