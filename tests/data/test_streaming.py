"""Sets that memory should not hold: the same steps as of data in memory, in the middle of an epoch as at its start."""

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


def stream(data: Split) -> Split:
    return Split(ImageStream(lambda i: data.image[i], data.image.shape, "tiny"), data.label)


def fed(make=lambda data: data, start=0, stop=STEPS, state=None, name="cond_aae", **changes):
    """The state of a tiny config, and its metrics, after the steps from `start`, so many a log interval."""
    config = read_config(name)
    config.update({"batch_size": 6, "steps": STEPS, "log_every": LOG_EVERY, **changes})
    model, mesh = tiny_model(name), devices.data_mesh(jax.devices()[:1])
    seen = batches.training_labels_per_seed(make(jax.tree.map(np.asarray, tiny_data(COUNT))), config, 4)
    compiled = devices.compile_steps(make_step(model, config.num_seeds), mesh, config.parallel)
    if state is None:
        state = devices.compile_init(seeds.vmap_init(model.init, config.num_seeds), mesh)(seeds.seed_keys(config))
    take, found = make_step_runner(compiled, seen, config, mesh, start), []
    for step in range(start, stop, LOG_EVERY):
        state, metrics = take(state, step, min(step + LOG_EVERY, stop))
        found.append(metrics)
    return jax.device_get((state, jax.tree.map(lambda *parts: np.concatenate(parts), *found)))


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)


@pytest.mark.parametrize("bytes_of_chunk", [1, 2**20])  # a step a dispatch, and a log interval
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_seeds": 2},
        {"parallel": "pmap"},
        {"name": "semi_aae", "num_labeled": 8, "labeled_every_n": 2, "num_seeds": 2},
    ],
    ids=["alone", "copies", "pmap", "few labels"],
)
def test_a_stream_takes_the_steps_of_data_in_memory(changes, bytes_of_chunk, monkeypatch):
    monkeypatch.setattr(streaming, "CHUNK_BYTES", bytes_of_chunk)
    close(fed(stream, **changes), fed(**changes))


@pytest.mark.slow
def test_a_stream_goes_on_in_the_middle_of_an_epoch():
    whole, _ = fed(stream, batch_size=5)  # the 18 examples end in the middle of a batch
    half, _ = fed(stream, stop=3, batch_size=5)
    resumed, _ = fed(stream, start=3, state=half, batch_size=5)
    assert same(resumed, whole)


@given(st.integers(1, 500), st.integers(1, 2**28))
def test_chunks_divide_a_log_interval_and_are_no_larger_than_asked_where_a_step_is_not(log_every, bytes_of_step):
    steps = steps_per_transfer(log_every, bytes_of_step)
    assert log_every % steps == 0
    assert steps == 1 or steps * bytes_of_step <= streaming.CHUNK_BYTES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 images of noise, 8×8 in colour, in two classes."""
    root, numbers = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(60):
        path = root / "ab"[i % 2] / f"{i:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(numbers.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return root


def config(root, **changes):
    data = base_config("aae.AAE").data
    data.update({"source": "folder", "path": str(root), **changes})
    return data


def test_a_folder_over_the_budget_is_the_folder_in_memory_in_the_same_splits(folder, monkeypatch, caplog):
    monkeypatch.setattr(loading, "MIN_RESIDENT_IMAGES", 10)
    caplog.set_level("INFO")
    memory, streamed = load_dataset(config(folder)), load_dataset(config(folder, budget=0))
    assert memory.stream is None
    assert isinstance(streamed.train_source.image, ImageStream)
    np.testing.assert_array_equal(streamed.train_source.image.read_all(), memory.train.image)
    np.testing.assert_array_equal(streamed.train_source.label, memory.train.label)
    for name in ("train", "validation", "test"):
        part, whole = getattr(streamed, name), getattr(memory, name)
        assert len(part.image) == len(part.label) == min(10, len(whole.image))
        assert all(any(np.array_equal(image, other) for other in whole.image) for image in part.image)
    assert "10 of 48 for train, 6 of 6 for validation, 6 of 6 for test" in caplog.text


def test_a_second_start_decodes_no_image_of_a_streamed_folder_but_those_to_train_on(folder, monkeypatch):
    first = load_dataset(config(folder, budget=0))
    monkeypatch.setattr(ImageStream, "read_all", lambda self: pytest.fail("decoded again"))
    second = load_dataset(config(folder, budget=0))
    np.testing.assert_array_equal(first.test.image, second.test.image)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"binarization": "static"}, "data.binarization='static' needs a set that memory holds, and .* has 0 MiB"),
        ({"memory_budget_mib": -1}, "data.memory_budget_mib=-1 must be at least 0"),
    ],
)
def test_what_needs_all_pixels_at_once_is_refused_with_the_way_out(folder, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        load_dataset(config(folder, **{"memory_budget_mib": 0, **changes}))
    assert "--config.data.memory_budget_mib=" in str(error.value)


def test_a_file_that_changes_while_training_goes_on_ends_it_in_one_line(folder, tmp_path):
    root = tmp_path / "images"
    shutil.copytree(folder, root)
    training = load_dataset(config(root, budget=0)).train_source
    for path in root.rglob("*.png"):
        path.unlink()
    index = np.zeros(2, np.int32)
    with pytest.raises(ValueError, match=r"\.png has changed since it was looked at, at the start \(not to be read\)"):
        next(streaming.stream_batches(training, lambda step: index, range(3), 1, lambda chunk: chunk))


@pytest.mark.slow
def test_a_streamed_run_ends_as_one_in_memory(folder, tmp_path):
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
    close(*(jaxgen.load(tmp_path / name).params for name in ("memory", "streamed")))
    assert json.loads((tmp_path / "streamed" / "results.json").read_text())["config"]["data"]["budget"] == 0
