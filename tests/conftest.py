"""Set-up for all tests: array shapes are checked at every call, and caches live in a temporary folder."""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests and the processes that they start need fast compilation more than fast programs.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if version("jaxlib").startswith("0.10."):  # XLA's older kernel emitters, removed in jax 0.11, halve the time
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit the folder, so each program is compiled once
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="jaxgen-tests-")

from jaxtyping import install_import_hook

# Every annotated function of jaxgen is checked at run time, also inside jit and in Flax modules.
install_import_hook("jaxgen", "beartype.beartype")

import jax
import pytest

from jaxgen.evaluation import optional

# The command-line tests start many processes that compile the same programs, so the session has one compilation cache.
CACHE_DIR = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(os.environ["XDG_CACHE_HOME"], "xla"))
jax.config.update("jax_compilation_cache_dir", CACHE_DIR)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# The slowest files start first, so that no worker is left alone with one of them at the end.
LONGEST = (
    "test_resume",
    "test_every_config",
    "test_cli",
    "test_processes",
    "test_step_throughput",
    "test_seeds",
    "test_categorical_aae",
)


@pytest.fixture(autouse=True)
def no_unexpected_skips(request, monkeypatch):
    """Fails a test in which a figure or a metric was skipped, unless the test expects that."""
    skipped, report = [], optional.report_skip

    def record(name, error):
        skipped.append(f"{name}: {error!r}")
        report(name, error)

    monkeypatch.setattr(optional, "report_skip", record)
    yield
    if request.node.get_closest_marker("expects_skips") is None:
        assert skipped == []


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
