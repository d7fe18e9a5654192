"""No finished work is lost or looks lost: checkpoints, figures, results per split, dtypes, moved folders."""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import REPOSITORY, read_config

import jaxgen
from jaxgen.cli import commands, explore
from jaxgen.evaluation import evaluators, figures
from jaxgen.io.checkpoint_files import list_checkpoints
from jaxgen.io.checkpoints import CheckpointManager, CheckpointWriteError
from jaxgen.training import loop
from jaxgen.types import TrainState


def small_config(name="ae", **changes):
    config = read_config(name)
    config.update({key: (8,) * len(config[key]) for key in config if key.endswith("hidden_sizes")})
    config.update({"steps": 4, "log_every": 2, "eval_every": 2, "checkpoint_every": 2})
    config.update(changes)
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Returns the workdir of a finished run."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    loop.train_and_evaluate(small_config(), workdir)
    return workdir


def test_a_checkpoint_that_cannot_be_read_back_stops_the_run_with_one_line(tmp_path, monkeypatch):
    numbers = iter(range(9))
    monkeypatch.setattr("jaxgen.io.checkpoints.checksum", lambda *_: str(next(numbers)))
    checkpoints = CheckpointManager(tmp_path / "checkpoints")
    checkpoints.save(TrainState(jnp.asarray(1), {"a": jnp.arange(3.0)}, {}, {}), {}, {})
    with pytest.raises(CheckpointWriteError, match="was written, and cannot be used: it has the checksum"):
        checkpoints.wait_until_finished()
    checkpoints.close()


@pytest.mark.expects_skips
def test_a_figure_and_a_metric_that_fail_are_skipped_after_the_checkpoint_was_saved(tmp_path, monkeypatch, capsys):
    saved = []

    def fail(*_):
        saved.append(list_checkpoints(tmp_path / "run" / "checkpoints"))
        raise ValueError("images contain no pair")

    monkeypatch.setitem(figures.FIGURES, "reconstructions", fail)
    monkeypatch.setitem(evaluators.EVALUATORS, "prior_mmd", fail)
    results = loop.train_and_evaluate(small_config("aae"), tmp_path / "run")
    assert saved[0] == [2]  # the first figure comes after the first checkpoint
    assert "mse" in results["metrics"]
    assert "prior_mmd" not in results["metrics"]
    lines = capsys.readouterr().out.splitlines()
    assert "figure reconstructions is skipped: ValueError: images contain no pair" in lines
    assert "evaluation prior_mmd is skipped: ValueError: images contain no pair" in lines


def test_evaluating_another_split_keeps_the_results_and_the_model_names_both(finished):
    before = (finished / "results.json").read_bytes()
    config = small_config()
    config.evaluation.split = "validation"
    other = commands.evaluate_run(config, finished)
    assert (finished / "results.json").read_bytes() == before
    assert json.loads((finished / "results_validation.json").read_text())["metrics"] == other["metrics"]
    model = jaxgen.load(finished)
    assert model.split == "test"
    assert model.metrics == model.metrics_by_split["test"] == json.loads(before)["metrics"]
    assert model.metrics_by_split["validation"] == other["metrics"]


def test_evaluating_the_same_split_again_keeps_the_replaced_results(finished):
    before = json.loads((finished / "results.json").read_text())
    commands.evaluate_run(small_config(), finished)
    history = (finished / "results_history.jsonl").read_text().splitlines()
    assert json.loads(history[-1]) == before


@pytest.mark.slow
def test_a_run_is_loaded_and_trained_in_float32_although_x64_is_on(finished, tmp_path):
    code = f"""
import jax, jaxgen, numpy as np
from jaxgen.training import loop
from end_to_end.test_lost_work import small_config
model = jaxgen.load({str(finished)!r})
assert model.encode(np.zeros((2, 28, 28, 1))).dtype == np.float32
assert model.sample(2).dtype == np.float32
assert all(x.dtype != "float64" for x in jax.tree.leaves(model.params))
loop.train_and_evaluate(small_config(steps=2, init_from={str(finished)!r}), {str(tmp_path / "run")!r})
assert jax.numpy.zeros(1).dtype == "float64"
"""
    path = f"{REPOSITORY}:{REPOSITORY}/tests"
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "PYTHONPATH": path}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert jaxgen.load(tmp_path / "run").step == 2


def test_a_model_reaches_a_spawned_process_and_is_refused_in_a_forked_one(finished):
    model = jaxgen.load(finished)
    assert pickle.loads(pickle.dumps(model)).step == model.step == 4
    pid = model._process
    model._process = pid - 1
    with pytest.raises(ValueError, match=r'before the process was forked.*get_context\("spawn"\)'):
        model.encode(np.zeros((1, 28, 28, 1), np.float32))
    model.source = None
    with pytest.raises(TypeError, match=r"load it with jaxgen\.load"):
        pickle.dumps(model)


def test_data_and_class_names_of_a_run_are_available(finished):
    data = jaxgen.load_data(finished)
    model = jaxgen.load(finished)
    assert model.classes == tuple("0123456789")
    assert data.train.image.shape == (1400, 28, 28, 1)
    assert model.encode(data.test.image / 255, data.test.label).shape == (250, 2)


def test_images_of_another_size_are_refused_in_one_line_by_the_evaluation(finished, monkeypatch):
    dataset = commands.load_dataset(small_config().data)
    smaller = dataset._replace(train=dataset.train._replace(image=dataset.train.image[:, :20]))
    monkeypatch.setattr(commands, "load_dataset", lambda _: smaller)
    with pytest.raises(ValueError, match=r"has images \(20, 28, 1\) in 10 classes; .* on \(28, 28, 1\) in 10 classes"):
        commands.evaluate_run(small_config(), finished)


@pytest.mark.parametrize(
    ("has_it", "message"),
    [
        ([0, 1], r"has_it of shape \(2,\) must be \[4\]"),
        ([0, 1, 2, 1], "has the value 2; it must be booleans, or 0 and 1; try labels == 2"),
        ([0.5, 1, 0, 1], "has the value 0.5"),
        (["yes", "no", "no", "no"], "has the value 'yes'"),
        ([[0, 1, 1, 0]], r"has_it of shape \(1, 4\)"),
        ([float("nan"), 1, 0, 0], "has the value nan"),
        ([1, 1, 1, 1], "a direction needs both kinds"),
    ],
)
def test_an_attribute_is_booleans_or_0_and_1_for_each_image(finished, has_it, message):
    with pytest.raises(ValueError, match=message):
        jaxgen.load(finished).attribute_vector(np.zeros((4, 28, 28, 1), np.float32), has_it)


def test_numbers_0_and_1_are_an_attribute(finished):
    model = jaxgen.load(finished)
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    expected = model.attribute_vector(images, [True, False, False, True])
    np.testing.assert_array_equal(model.attribute_vector(images, np.array([1, 0, 0, 1])), expected)


@pytest.mark.slow
def test_a_process_pool_encodes_with_a_spawned_model(finished):
    model = jaxgen.load(finished)
    images = np.zeros((2, 28, 28, 1), np.float32)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_allclose(pool.apply(model.encode_mean, (images,)), model.encode_mean(images), atol=1e-5)


def test_modes_write_to_another_folder_and_leave_a_run_as_it_is(finished, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    options = commands.ModeOptions(count=2, out=str(tmp_path / "out"))
    commands.sample_run(small_config(), finished, options)
    explore.reconstruct(small_config(), finished, options)
    results = commands.evaluate_run(small_config(), finished, out=str(tmp_path / "out"))
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"samples.png", "samples.npz", "reconstruct.png", "reconstruct.npz", "results.json"} <= names
    assert json.loads((tmp_path / "out" / "results.json").read_text())["metrics"] == results["metrics"]
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file cannot be written .*name a writable folder: --out=DIR"):
        commands.sample_run(small_config(), finished, options._replace(out=str(tmp_path / "file")))
