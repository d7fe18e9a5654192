"""The versions that a run's numbers depend on: Python, packages, and the commit of the checkout."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "jaxgen")


@functools.cache
def collect_versions() -> dict[str, str | None]:
    """Returns versions by name: "python", each of `PACKAGES`, and "commit".

    A package that is not installed is None; so is the commit outside a checkout.
    """
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {**versions, "commit": commit_of(Path(__file__).parents[2])}


def commit_of(checkout: Path) -> str | None:
    """Returns the short hash of a checkout's commit, with "+dirty" if tracked files have changed; None outside one.

    Changes in benchmarks/results are ignored: otherwise the rows of one benchmark would mark the next one as dirty.
    """
    if not (checkout / ".git").exists():  # an installed package may lie inside another project's checkout
        return None
    try:
        head = _run_git(checkout, "describe", "--always", "--exclude=*")
        changed = _run_git(checkout, "diff", "--quiet", "HEAD", "--", ".", ":!benchmarks/results").returncode
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if head.returncode else head.stdout.strip() + ("+dirty" if changed else "")


def _run_git(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
