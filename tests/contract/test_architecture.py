"""The package layout: imports go one way, devices and Orbax are named in one place, heavy packages load late."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import CONFIGS, REPOSITORY, read_config

from jaxgen.config.base import validate_config

PACKAGE = REPOSITORY / "jaxgen"
# The order of imports: a module may import from its own package and from packages of a lower level.
ORDER = (
    ("types",),
    ("config", "kernels", "distributed", "plotting"),
    ("io",),
    ("data",),
    ("losses", "networks", "optimization", "metrics"),
    ("models",),
    ("inference",),
    ("evaluation",),
    ("training",),
    ("cli",),
)
LEVELS = {package: level for level, packages in enumerate(ORDER) for package in packages}
MODULES = sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> str:
    """Returns the package that a module belongs to, or the module's own name at the root."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_packages(path: Path) -> set[str]:
    """Returns the packages of jaxgen that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "jaxgen":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("jaxgen.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    package = package_of(path)
    if package in ("__init__", "__main__"):  # the public interface imports late, inside functions
        return
    for other in imported_packages(path) - {package}:
        assert LEVELS[other] < LEVELS[package], f"{path.relative_to(PACKAGE)} imports {other}"


def test_every_package_has_a_level_and_a_docstring():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages | {"types"} == set(LEVELS)
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path.relative_to(PACKAGE)} has no docstring"


def test_at_most_four_modules_lie_at_the_root():
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py", "types.py"}


def test_only_the_distributed_package_names_devices():
    names = ("jax.sharding", "jax.pmap", "jax.devices", "jax.device_put(", "shard_map(")
    naming = {path for path in MODULES if any(name in path.read_text() for name in names)}
    assert naming == {PACKAGE / "distributed" / "devices.py"}


def test_only_the_checkpoint_manager_imports_the_patched_orbax():
    importing = {path for path in MODULES if re.search(r"io\._orbax|import _orbax", path.read_text())}
    assert importing == {PACKAGE / "io" / "checkpoints.py"}


def test_importing_jaxgen_starts_neither_jax_nor_any_heavy_package():
    code = "import sys, jaxgen; print(sorted({'jax', 'flax', 'orbax', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CONFIGS)
def test_every_preset_gives_a_config_that_can_be_started(name):
    with pytest.raises(ValueError, match="choose from") as error:
        read_config(name, "?")
    presets = re.search(r"choose from (.*), or any", str(error.value)).group(1).split(", ")
    assert {"digits", "mnist", "smoke"} <= set(presets)
    for preset in presets:
        validate_config(read_config(name, preset))
