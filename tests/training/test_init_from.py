"""init_from: a run starts from the parameters of another run, seed by seed, with new optimizers."""

import shutil
import signal

import numpy as np
import pytest
from helpers import read_config, same

import jaxgen
from jaxgen.training import loop, signals

HIDDEN = (8,)
ZERO_RATE = {"reconstruction": 1e-30}  # changes no parameter


def small_config(**changes):
    config = read_config("ae")
    config.update({"hidden_sizes": HIDDEN, "steps": 10, "log_every": 5, "eval_every": 10, "checkpoint_every": 10})
    config.update({"num_seeds": 2, **changes})
    return config


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Returns the workdir of a finished run of two seeds."""
    workdir = tmp_path_factory.mktemp("first")
    loop.train_and_evaluate(small_config(), workdir)
    return workdir


@pytest.mark.slow
def test_every_seed_starts_from_the_networks_of_the_same_seed(first, tmp_path):
    loop.train_and_evaluate(small_config(init_from=str(first), learning_rates=ZERO_RATE), tmp_path / "run")
    for seed in (0, 1):
        assert same(jaxgen.load(tmp_path / "run", seed=seed).params, jaxgen.load(first, seed=seed).params)
    loop.train_and_evaluate(
        small_config(seed=1, num_seeds=1, init_from=str(first), learning_rates=ZERO_RATE),
        tmp_path / "one",
    )
    assert same(jaxgen.load(tmp_path / "one").params, jaxgen.load(first, seed=1).params)


def test_training_changes_the_initial_networks(first, tmp_path):
    loop.train_and_evaluate(small_config(init_from=str(first), num_seeds=1), tmp_path)
    assert not same(jaxgen.load(tmp_path).params, jaxgen.load(first).params)
    assert np.isfinite(jaxgen.load(tmp_path).metrics["mse"])


@pytest.mark.slow
def test_a_resumed_run_needs_no_initial_networks(first, tmp_path, monkeypatch):
    source, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(first, source)
    monkeypatch.setattr(loop.processes, "all_max", lambda signum: signal.SIGTERM)
    with pytest.raises(signals.Interrupted):
        loop.train_and_evaluate(small_config(init_from=str(source), steps=10), run)
    monkeypatch.undo()
    shutil.rmtree(source)
    assert loop.train_and_evaluate(small_config(init_from=str(source), steps=10), run)["step"] == 10


def test_init_from_is_part_of_the_identity_of_a_run(first):
    with pytest.raises(ValueError, match=r"holds a run with another config \(init_from: '' there"):
        loop.train_and_evaluate(small_config(init_from=str(first)), first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"init_from": "nowhere"}, "nowhere"),
        ({"num_seeds": 3}, "seed=2 was not trained in this run; its seeds are 0 to 1"),
        ({"hidden_sizes": (9,)}, r"has different networks: .*float32\[2, 8\] there, float32\[2, 9\] here"),
    ],
)
def test_an_unsuitable_run_is_refused_before_anything_is_written(first, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        loop.train_and_evaluate(small_config(**{"init_from": str(first), **change}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
