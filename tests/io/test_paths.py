"""Paths of users: "~", URLs, and characters that Orbax cannot handle."""

import re
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxgen.io.checkpoints import CheckpointManager
from jaxgen.io.paths import find_moved_folder, require_safe_for_checkpoints, resolve_path
from jaxgen.io.workdir import lock_workdir, read_config, read_results
from jaxgen.types import TrainState

CONFIG = {"model": "aae.AAE", "steps": 3}
PRINTABLE = st.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters="/")


def test_the_home_directory_is_expanded_where_a_run_is_made_and_where_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with lock_workdir("~/run", CONFIG) as path:
        assert path == tmp_path / "run"
    assert read_config("~/run")["steps"] == CONFIG["steps"]
    assert read_results("~/run") is None
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("url", ["gs://bucket/run", "s3://bucket", "file:///tmp/run", "https:/host/run", "gs:/bucket"])
def test_a_url_is_refused_before_a_folder_is_made(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^--workdir=.* is a URL; jaxgen reads and writes local disks only"):
        lock_workdir(url, CONFIG).__enter__()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a[1]", "[", "*", "what?", "back\\slash"])
def test_a_folder_whose_checkpoints_could_not_be_read_is_refused_before_training(name, tmp_path):
    for folder in (tmp_path / name, tmp_path / name / "below"):
        with pytest.raises(ValueError, match=r"could not be read back; name a folder without"):
            lock_workdir(folder, CONFIG).__enter__()
    assert not list(tmp_path.iterdir())


def test_an_empty_path_is_refused():
    with pytest.raises(ValueError, match="--out='' is not a path"):
        resolve_path("", "--out")


def test_a_folder_that_moved_with_its_neighbor_is_found(tmp_path):
    (tmp_path / "new" / "vae").mkdir(parents=True)
    run = tmp_path / "new" / "colorizer"
    assert find_moved_folder("old/vae", run, "key") == tmp_path / "new" / "vae"
    (tmp_path / "old" / "vae").mkdir(parents=True)
    assert find_moved_folder(tmp_path / "old" / "vae", run, "key") == tmp_path / "old" / "vae"
    assert find_moved_folder(tmp_path / "lost", run, "key") == tmp_path / "lost"


@given(name=st.text(PRINTABLE, min_size=1, max_size=30))
@example(name="~")
@example(name="..")
@example(name="a [b] c")
@example(name="ünï 😀 %20 #1 {x} 'q' \"d\" a:b")
@example(name="-rf")
@example(name="x" * 300)
@settings(max_examples=25, deadline=None)
def test_under_any_printable_name_checkpoints_are_read_back_or_the_name_is_refused_first(name):
    state = TrainState(jnp.asarray(3), {"a": jnp.arange(4.0)}, {}, {})
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        (inner := Path(folder) / "inner").mkdir()
        patched.setenv("HOME", folder)
        patched.chdir(inner)
        try:
            with lock_workdir(name, CONFIG) as workdir, CheckpointManager(workdir / "checkpoints") as checkpoints:
                checkpoints.save(state, {}, {})
        except ValueError as error:
            assert re.search(r"could not be read back|cannot be written", str(error))  # noqa: PT017
            assert not list(inner.iterdir())
            return
        assert read_config(name)["steps"] == CONFIG["steps"]
        with CheckpointManager(resolve_path(name, "--workdir") / "checkpoints") as checkpoints:
            restored = checkpoints.restore(state)
    np.testing.assert_array_equal(restored.state.params["a"], np.arange(4.0))


def test_a_safe_path_is_accepted(tmp_path):
    require_safe_for_checkpoints(tmp_path / "ünï {1} #2 %20", "--workdir")
