"""TODO: jaxgen.io.versions."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "jaxgen")


@functools.cache
def versions() -> dict[str, str | None]:
    """The versions behind a run's numbers; None for a package that is not installed, or outside of a checkout."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return {**found, "commit": commit_of(Path(__file__).parents[1])}


def commit_of(checkout: Path) -> str | None:
    """The short hash of a checkout's commit, with +dirty if tracked files have changed; None outside of one.

    Results do not count: else a benchmark's rows would mark those of the next one.
    """
    if not (checkout / ".git").exists():  # an installed package may lie within some other project's checkout
        return None
    try:
        head = _git(checkout, "describe", "--always", "--exclude=*")
        changed = _git(checkout, "diff", "--quiet", "HEAD", "--", ".", ":!benchmarks/results").returncode
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if head.returncode else head.stdout.strip() + ("+dirty" if changed else "")


def _git(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
