"""Streamed data sets take the same steps as data sets in memory, also when a run resumes within an epoch."""

import json
import shutil

import jax
import numpy as np
import pytest
from helpers import REPOSITORY, launch_here, read_config, same, tiny_data, tiny_model
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import jaxgen
from jaxgen.config.base import base_config
from jaxgen.data import ImageStream, load_dataset, loading, steps_per_transfer, streaming
from jaxgen.distributed import devices
from jaxgen.optimization import seeds
from jaxgen.training import batches
from jaxgen.training.batches import make_step_runner
from jaxgen.training.loop import make_step
from jaxgen.types import Split

COUNT, STEPS, LOG_EVERY = 18, 7, 3


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def to_stream(data: Split) -> Split:
    return Split(ImageStream(lambda i: data.image[i], data.image.shape, "tiny"), data.label)


def train(make=lambda data: data, start=0, stop=STEPS, state=None, name="cond_aae", **changes):
    """Trains a tiny config from step `start`; returns the state and the metrics of every step."""
    config = read_config(name)
    config.update({"batch_size": 6, "steps": STEPS, "log_every": LOG_EVERY, **changes})
    model, mesh = tiny_model(name), devices.data_mesh(jax.devices()[:1])
    train_data = batches.training_labels_per_seed(make(jax.tree.map(np.asarray, tiny_data(COUNT))), config, 4)
    compiled = devices.compile_steps(make_step(model, config.num_seeds), mesh, config.parallel)
    if state is None:
        state = devices.compile_init(seeds.vmap_init(model.init, config.num_seeds), mesh)(seeds.seed_keys(config))
    run_steps, logged = make_step_runner(compiled, train_data, config, mesh, start), []
    for step in range(start, stop, LOG_EVERY):
        state, metrics = run_steps(state, step, min(step + LOG_EVERY, stop))
        logged.append(metrics)
    return jax.device_get((state, jax.tree.map(lambda *parts: np.concatenate(parts), *logged)))


def assert_close(one, other):
    """Compares two states; one wrong example changes parameters by 0.004 or more."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)


@pytest.fixture
def optimized():
    """Compiles as training does. Without XLA's optimizations, in-memory and streamed programs round differently."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.mark.usefixtures("optimized")
# Chunks of one step, and of a log interval.
@pytest.mark.parametrize("chunk_bytes", [pytest.param(1, marks=pytest.mark.slow), 2**20])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="one seed"),
        pytest.param({"num_seeds": 2}, id="two seeds", marks=pytest.mark.slow),
        pytest.param({"parallel": "pmap"}, id="pmap", marks=pytest.mark.slow),
        pytest.param(
            {"name": "semi_aae", "num_labeled": 8, "labeled_every_n": 2, "num_seeds": 2},
            id="few labels",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_stream_takes_the_steps_of_data_in_memory(changes, chunk_bytes, monkeypatch):
    monkeypatch.setattr(streaming, "CHUNK_BYTES", chunk_bytes)
    assert_close(train(to_stream, **changes), train(**changes))


@pytest.mark.slow
def test_a_stream_resumes_within_an_epoch():
    whole, _ = train(to_stream, batch_size=5)  # the 18 examples end within a batch
    half, _ = train(to_stream, stop=3, batch_size=5)
    resumed, _ = train(to_stream, start=3, state=half, batch_size=5)
    assert same(resumed, whole)


@given(st.integers(1, 500), st.integers(1, 2**28))
def test_chunks_divide_a_log_interval_and_exceed_the_limit_only_if_a_step_does(log_every, bytes_per_step):
    steps = steps_per_transfer(log_every, bytes_per_step)
    assert log_every % steps == 0
    assert steps == 1 or steps * bytes_per_step <= streaming.CHUNK_BYTES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 color images of noise, 8×8, in two classes."""
    root, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(60):
        path = root / "ab"[i % 2] / f"{i:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return root


def data_config(root, **changes):
    data = base_config("aae.AAE").data
    data.update({"source": "folder", "path": str(root), **changes})
    return data


def test_a_folder_over_the_budget_has_the_same_images_and_splits_as_in_memory(folder, monkeypatch, caplog):
    monkeypatch.setattr(loading, "MIN_RESIDENT_IMAGES", 10)
    caplog.set_level("INFO")
    memory, streamed = load_dataset(data_config(folder)), load_dataset(data_config(folder, memory_budget_mib=0))
    assert memory.stream is None
    assert isinstance(streamed.train_source.image, ImageStream)
    np.testing.assert_array_equal(streamed.train_source.image.read_all(), memory.train.image)
    np.testing.assert_array_equal(streamed.train_source.label, memory.train.label)
    for name in ("train", "validation", "test"):
        part, whole = getattr(streamed, name), getattr(memory, name)
        assert len(part.image) == len(part.label) == min(10, len(whole.image))
        assert all(any(np.array_equal(image, other) for other in whole.image) for image in part.image)
    assert "10 of 48 for train, 6 of 6 for validation, 6 of 6 for test" in caplog.text


def test_a_second_start_decodes_only_the_training_images_of_a_streamed_folder(folder, monkeypatch):
    first = load_dataset(data_config(folder, memory_budget_mib=0))
    monkeypatch.setattr(ImageStream, "read_all", lambda self: pytest.fail("decoded again"))
    second = load_dataset(data_config(folder, memory_budget_mib=0))
    np.testing.assert_array_equal(first.test.image, second.test.image)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"binarization": "static"}, "data.binarization='static' needs a data set in memory; .* has 0 MiB"),
        ({"memory_budget_mib": -1}, "data.memory_budget_mib=-1 must be at least 0"),
    ],
)
def test_keys_that_need_all_pixels_are_rejected_with_a_flag_to_try(folder, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        load_dataset(data_config(folder, **{"memory_budget_mib": 0, **changes}))
    assert "--config.data.memory_budget_mib=" in str(error.value)


def test_a_file_that_changes_during_training_ends_the_run_in_one_line(folder, tmp_path):
    root = tmp_path / "images"
    shutil.copytree(folder, root)
    training = load_dataset(data_config(root, memory_budget_mib=0)).train_source
    for path in root.rglob("*.png"):
        path.unlink()
    index = np.zeros(2, np.int32)
    with pytest.raises(ValueError, match=r"\.png has changed since the start of the run \(not readable\)"):
        next(streaming.stream_batches(training, lambda step: index, range(3), 1, lambda chunk: chunk))


@pytest.mark.slow
def test_a_streamed_run_ends_with_the_parameters_of_a_run_in_memory(folder, tmp_path):
    command = (
        *(f"--config={REPOSITORY}/configs/ae.py:smoke", "--config.data.source=folder", f"--config.data.path={folder}"),
        *("--config.steps=6", "--config.log_every=2", "--config.eval_every=2", "--config.checkpoint_every=2"),
    )
    for name, more in (("memory", ()), ("streamed", ("--config.data.memory_budget_mib=0",))):
        run = launch_here(*command, *more, f"--workdir={tmp_path / name}", cwd=tmp_path)
        assert run.returncode == 0, run.stderr
    for name in ("memory", "streamed"):
        trained = jaxgen.load(tmp_path / name)
        assert trained.step == 6
    assert_close(*(jaxgen.load(tmp_path / name).params for name in ("memory", "streamed")))
    assert json.loads((tmp_path / "streamed" / "results.json").read_text())["config"]["data"]["memory_budget_mib"] == 0
