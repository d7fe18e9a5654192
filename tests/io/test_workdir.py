"""The folder of a run: its lock, its config and its results; versions and commits."""

import fcntl
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers import REPOSITORY, read_config

import jaxgen
from jaxgen.config.base import base_config
from jaxgen.io import versions, workdir

CONFIG = {
    "seed": 0,
    "steps": 100,
    "data": {"name": "digits", "path": ""},
    "optimizer": {"rate": 0.1, "betas": (0.9, 0.99)},
}


def changed(**data):
    return {**CONFIG, **data}


def assert_rejected(path, config, message, free=()):
    with pytest.raises(ValueError, match=message), workdir.lock_workdir(path, config, free):
        pytest.fail("locked")


def start_holder(path):
    """Starts a process that locks a folder, prints a line, and then waits to be killed."""
    code = (
        "import sys, time; from jaxgen.io import workdir\n"
        "with workdir.lock_workdir(sys.argv[1], {}):\n"
        "    print('locked', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], env=environment, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"locked\n"
    return process


def test_a_locked_folder_has_its_config_with_sorted_keys(tmp_path):
    with workdir.lock_workdir(tmp_path / "runs" / "a", CONFIG) as path:
        assert path == tmp_path / "runs" / "a"
    text = (path / "config.json").read_text()
    assert re.findall(r'^  "(\w+)"', text, re.MULTILINE) == ["data", "optimizer", "seed", "steps"]
    assert workdir.read_config(path) == changed(optimizer={"rate": 0.1, "betas": [0.9, 0.99]})
    assert sorted(child.name for child in path.iterdir()) == [".lock", "config.json"]


def test_the_same_config_locks_the_folder_again_and_does_not_rewrite_the_file(tmp_path):
    with workdir.lock_workdir(tmp_path, CONFIG):
        pass
    before = (tmp_path / "config.json").stat().st_mtime_ns
    with workdir.lock_workdir(tmp_path, changed(seed=np.int64(0))):
        pass
    assert (tmp_path / "config.json").stat().st_mtime_ns == before


def test_a_relative_workdir_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with workdir.lock_workdir("run", CONFIG) as path:
        assert path == tmp_path / "run"


def test_a_run_with_another_config_is_rejected_with_the_differences(tmp_path):
    with workdir.lock_workdir(tmp_path, CONFIG):
        pass
    other = changed(data={"name": "mnist"}, optimizer={"rate": 0.2, "betas": (0.9, 0.9)}, width=7)
    message = (
        rf"^workdir={re.escape(str(tmp_path))} holds a run with another config \("
        r"data\.name: 'digits' there, 'mnist' here; data\.path: '' there, absent here; "
        r"optimizer\.betas: \[0\.9, 0\.99\] there, \[0\.9, 0\.9\] here; and 2 more\); "
        r"leave these values out for its own, or start a new run, from its networks if you want: "
        rf"--workdir=DIR --config\.init_from={re.escape(str(tmp_path))}$"
    )
    assert_rejected(tmp_path, other, message)
    assert_rejected(tmp_path, changed(width=None), r"\(width: absent there, None here\)")
    assert workdir.read_config(tmp_path)["seed"] == 0  # nothing overwritten


def test_a_new_value_auto_equals_the_choice_that_the_run_has_stored():
    stored, recipe = {"likelihood": "gaussian", "beta": 1.0}, {"likelihood": "auto", "beta": 2.0}
    assert workdir.compare_configs(stored, recipe) == {"beta": (1.0, 2.0)}
    assert workdir.compare_configs(recipe, stored)["likelihood"] == ("auto", "gaussian")


def test_free_keys_may_differ_and_are_overwritten(tmp_path):
    with workdir.lock_workdir(tmp_path, CONFIG):
        pass
    more = changed(steps=200, data={"name": "digits", "path": "/data"})
    with workdir.lock_workdir(tmp_path, more, free=("steps", "data")):
        assert workdir.read_config(tmp_path)["steps"] == 200
        assert workdir.read_config(tmp_path)["data"]["path"] == "/data"
    assert_rejected(tmp_path, {**more, "steps": 300}, r"\(steps: 200 there, 300 here\)", free=("step",))


@pytest.mark.parametrize("text", ["{", "", "[1]", "\x00\xff"])
def test_a_damaged_config_is_rejected_and_kept(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    message = r"config\.json (cannot be read|holds no JSON object).*; restore it, or choose another --workdir$"
    assert_rejected(tmp_path, CONFIG, message)
    with pytest.raises(ValueError, match=message):
        workdir.read_config(tmp_path)
    assert (tmp_path / "config.json").read_text(encoding="latin-1") == text


@pytest.mark.parametrize("child", ["", "run"])
def test_a_file_is_rejected_as_workdir(tmp_path, child):
    (tmp_path / "file").write_text("mine")
    assert_rejected(tmp_path / "file" / child, {}, "^workdir=.*file.*; name a (writable )?folder")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder where not even root can write")
def test_a_folder_that_cannot_be_created_is_rejected():
    assert_rejected("/proc/run", CONFIG, r"^workdir=/proc/run cannot be written \(.+\); name a writable folder")


def test_a_folder_that_cannot_be_written_is_rejected(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    assert_rejected(tmp_path, CONFIG, r"cannot be written \(Permission denied\)")
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_in_one_workdir_is_rejected_until_the_first_ends_even_by_kill_9(tmp_path):
    process = start_holder(tmp_path)
    try:
        message = rf"^workdir=.* is in use by another run \(process {process.pid}\); wait for its end, or"
        assert_rejected(tmp_path, {}, message)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with workdir.lock_workdir(tmp_path, {}):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_only_the_temporary_files_of_a_killed_writer_are_removed(tmp_path):
    (tmp_path / "figures").mkdir()
    removed = [tmp_path / ".results.json.7.tmp", tmp_path / "figures" / ".codes.png.7.tmp"]
    kept = [tmp_path / "notes.tmp", tmp_path / "figures" / "codes.png", tmp_path / ".hidden"]
    for path in removed + kept:
        path.write_text("x")
    with workdir.lock_workdir(tmp_path, CONFIG):
        assert not any(path.exists() for path in removed)
        assert all(path.exists() for path in kept)


def test_the_lock_ends_with_the_block_even_after_an_error(tmp_path):
    with pytest.raises(KeyError), workdir.lock_workdir(tmp_path, CONFIG):
        raise KeyError
    with workdir.lock_workdir(tmp_path, CONFIG):
        pass


def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, caplog):
    def unsupported(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with workdir.lock_workdir(tmp_path, CONFIG) as path:
        assert (path / "config.json").exists()
    assert "without locks" in caplog.text


def test_the_error_for_a_folder_without_a_run_says_how_to_make_one(tmp_path):
    message = r"is not a run: it has no config\.json; make one: python launch\.py --config="
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ValueError, match=message):
            workdir.read_config(path)
    assert not (tmp_path / "absent").exists()


def test_a_run_of_jaxgen_0_1_is_rejected_by_every_use(tmp_path):
    old = {"algorithm": "aae.AAE", "seeds": 1, "steps": 100}
    (tmp_path / "config.json").write_text(json.dumps(old))
    message = (
        rf"^workdir={re.escape(str(tmp_path))} was made by jaxgen 0\.1, whose config keys have other names; "
        r"train again in another folder: --workdir=DIR$"
    )
    with pytest.raises(ValueError, match=message):
        workdir.read_config(tmp_path)  # evaluation and sampling read the config first
    with pytest.raises(ValueError, match=message):
        jaxgen.load(tmp_path)
    assert_rejected(tmp_path, {"model": "aae.AAE", "num_seeds": 1, "steps": 100}, message)  # training locks the folder
    assert json.loads((tmp_path / "config.json").read_text()) == old


def test_machine_keys_are_keys_of_the_config():
    known = {f"data.{key}" for key in base_config("aae.AAE").data} | set(read_config("colorizer"))
    assert set(workdir.MACHINE_KEYS) <= known


def test_json_is_valid_sorted_and_written_without_temporary_files(tmp_path):
    path = tmp_path / "deep" / "results.json"
    value = {
        "b": (1, np.float32(0.5)),
        "a": {"nan": float("nan"), "inf": np.float64("-inf"), "é": np.arange(3), 7: True, "where": Path("x")},
    }
    workdir.write_json(path, value)
    read = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert read == {
        "a": {"7": True, "inf": None, "nan": None, "where": "x", "é": [0, 1, 2]},
        "b": [1, 0.5],
    }
    assert path.read_text().startswith('{\n  "a": {\n    "7"')
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_complete(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    workdir.write_json(path, {"step": 1})

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        workdir.write_json(path, {"step": 2})
    assert workdir.read_results(tmp_path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_results_are_none_before_the_end_and_an_error_if_damaged(tmp_path):
    assert workdir.read_results(tmp_path) is None
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ValueError, match=r"results\.json cannot be read"):
        workdir.read_results(tmp_path)


def test_versions_include_every_package_that_numbers_depend_on():
    collected = versions.collect_versions()
    assert list(collected) == [
        "python", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "jaxgen", "commit"
    ]  # fmt: skip
    assert collected["python"] == platform.python_version()
    assert collected["numpy"] == np.__version__
    json.dumps(collected)


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="needs a checkout")
def test_versions_include_the_commit_of_this_checkout():
    assert versions.collect_versions()["commit"] == versions.commit_of(REPOSITORY)
    assert versions.commit_of(REPOSITORY) is not None


def run_git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_of_a_checkout_is_marked_dirty_after_a_change(tmp_path, monkeypatch):
    run_git(tmp_path, "init")
    (tmp_path / "file").write_text("1")
    assert versions.commit_of(tmp_path) is None  # no commit yet
    run_git(tmp_path, "add", "file")
    run_git(tmp_path, "commit", "-m", "first")
    run_git(tmp_path, "tag", "-a", "v1", "-m", "v1")
    commit = run_git(tmp_path, "rev-parse", "--short", "HEAD")
    assert versions.commit_of(tmp_path) == commit
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    rows = tmp_path / "benchmarks" / "results" / "rows.jsonl"
    rows.write_text("1")
    run_git(tmp_path, "add", "benchmarks")
    run_git(tmp_path, "commit", "-m", "second")
    rows.write_text("2")
    commit = run_git(tmp_path, "rev-parse", "--short", "HEAD")
    assert versions.commit_of(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert versions.commit_of(tmp_path) == f"{commit}+dirty"
    (tmp_path / "package").mkdir()
    assert versions.commit_of(tmp_path / "package") is None
    monkeypatch.setenv("PATH", "")
    assert versions.commit_of(tmp_path) is None
