"""The house stays as it was drawn: imports go one way, the third party's heavy packages come late."""

import ast
import re
import subprocess
import sys

import pytest
from conftest import CONFIGS, REPOSITORY
from helpers import read_config

from jaxgen.config.base import validate_config

# Each file may import only from those to its left.
LAYERS = [
    {"prng"},
    {"types", "files", "config", "trees", "quiet_orbax", "latent", "distortions"},
    {
        "distributions",
        "objectives",
        "networks",
        "optimizers",
        "parallel",
        "hosts",
        "events",
        "figures",
        "workdir",
        "profiling",
        "checkpoint_folder",
    },
    {"players", "games", "data", "metrics", "checkpoints", "telemetry"},
    {"piecewise"},
    {"algorithms"},
    {"model"},
    {"copies", "samplers", "code_pictures"},
    {"quality", "feeding", "reports"},
    {"evaluation", "pictures", "snapshots", "loading"},
    {"results"},
    {"training", "using"},
    {"exploring"},
]
PACKAGES = {"figures", "data", "networks", "metrics", "algorithms"}


def imported(path):
    """The jaxgen modules that a file imports, as names in LAYERS."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "jaxgen":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("jaxgen."))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "jaxgen").rglob("*.py")), ids=lambda p: p.stem)
def test_imports_go_one_way(path):
    relative = path.relative_to(REPOSITORY / "jaxgen")
    name = relative.parts[0].removesuffix(".py")
    if name == "__init__":
        return
    level = {module: index for index, layer in enumerate(LAYERS) for module in layer}
    for other in imported(path):
        inside = name == other and name in PACKAGES
        assert inside or level[other] < level[name], f"{relative} imports {other}"


def test_only_parallel_names_devices():
    names = ("jax.sharding", "jax.pmap", "jax.devices", "jax.device_put(", "shard_map(")
    named = {p.name for p in (REPOSITORY / "jaxgen").rglob("*.py") if any(name in p.read_text() for name in names)}
    assert named == {"parallel.py"}


def test_importing_jaxgen_starts_neither_jax_nor_any_heavy_package():
    code = "import sys, jaxgen; print(sorted({'jax', 'flax', 'orbax', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CONFIGS)
def test_every_token_gives_a_config_that_can_be_started(name):
    with pytest.raises(ValueError, match="choose from") as error:
        read_config(name, "?")
    tokens = re.search(r"choose from (.*), or any", str(error.value)).group(1).split(", ")
    assert {"digits", "mnist", "smoke"} <= set(tokens)
    for token in tokens:
        validate_config(read_config(name, token))
