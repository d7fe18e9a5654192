"""Set-up for all tests: shapes checked at every call, caches in a folder of the test session's own."""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What is compiled here and in the processes that tests start is compiled fast, not well.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if version("jaxlib").startswith("0.10."):  # XLA's older emitters of kernels, gone in jax 0.11, take half the time
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers inherit it, and so share what one of them compiled
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="jaxgen-tests-")

from jaxtyping import install_import_hook

# Annotated shapes and types are checked in every function of jaxgen, inside jit and on linen modules too.
install_import_hook("jaxgen", "beartype.beartype")

import jax
import pytest

REPOSITORY = Path(__file__).parents[1]
CONFIGS = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.py"))

# One compilation cache for the session: the command-line tests start many processes that compile the same programs.
COMPILED = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(os.environ["XDG_CACHE_HOME"], "xla"))
jax.config.update("jax_compilation_cache_dir", COMPILED)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# The files that take longest, which the workers begin with, so that none is left alone with one of them at the end.
LONGEST = ("test_resume", "test_contract", "test_launch", "test_benchmarks", "test_copies", "test_categorical")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
