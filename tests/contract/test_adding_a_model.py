"""The worked example of docs/adding_a_model.md: its code runs outside of the package, as printed."""

import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import REPOSITORY, launch, launch_here, read_module, tiny_batch

import jaxgen
from jaxgen import models
from jaxgen.data import Dataset
from jaxgen.evaluation import evaluators
from jaxgen.evaluation.contract import validate_losses, validate_per_example_metrics
from jaxgen.metrics.mmd import imq_mmd
from jaxgen.types import DatasetSpec, Split

PAGE = (REPOSITORY / "docs" / "adding_a_model.md").read_text()
BLOCKS = dict(re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
SMALL = ("--config.hidden_sizes=(16,16)", "--workdir=run")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Returns the current folder, which holds the two files of the page."""
    for name, code in BLOCKS.items():
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def example(folder):
    """Returns the model of the page for tiny images, and its state."""
    config = read_module(folder / "wae_recipe.py").get_config("smoke")
    config.hidden_sizes = (16, 16)
    model = models.build_model(config, DatasetSpec("tiny", (8, 10, 1), 4))
    return model, jax.eval_shape(model.init, jax.random.key(0))


def test_the_page_has_the_two_files():
    assert set(BLOCKS) == {"wae.py", "wae_recipe.py"}


def test_the_example_adds_the_mmd_of_the_codes_to_the_reconstruction_loss(example):
    model, _ = example

    @jax.jit
    def compute_loss(batch, rng):
        state = model.init(rng)
        return model.wasserstein_loss(state.params, state.stats, batch, rng)

    loss, (metrics, _) = compute_loss(tiny_batch(), jax.random.key(1))
    assert float(loss) == pytest.approx(float(metrics["nll"] + model.mmd_weight * metrics["mmd"]), rel=1e-5)


def test_the_mmd_of_the_example_is_that_metric_of_the_package(example, monkeypatch):
    module = sys.modules[type(example[0]).__module__]
    monkeypatch.setattr(module, "SCALES", (1.0,))
    rng = np.random.default_rng(0)
    first, second = (rng.normal(shift, 1, (50, 8)).astype(np.float32) for shift in (0, 1))
    expected = imq_mmd(first, second, 1.0)
    assert expected > 0.05
    assert float(jax.jit(module.imq_mmd)(first, second, 1.0)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda *_: jnp.zeros(()), r'the loss of the player "autoencoder" .* must return \(loss, \(metrics, stats\)\)'),
        (lambda *_: (jnp.zeros(3), ({}, {})), r"must return a scalar .*try .mean\(\)"),
        (lambda *_: (jnp.zeros(()), ({"nll": jnp.zeros(3)}, {})), r'scalar metrics; "nll" has shape \(3,\)'),
        (lambda *_: (jnp.zeros(()), ({}, {"ema": {}})), r'replaces statistics of "ema"'),
    ],
)
def test_a_loss_of_another_form_is_refused_before_training(example, monkeypatch, broken, message):
    model, state = example
    validate_losses(model, state, tiny_batch())
    monkeypatch.setattr(type(model), "wasserstein_loss", broken)
    with pytest.raises(ValueError, match=message):
        validate_losses(model, state, tiny_batch())


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"mse": jnp.zeros(())}, r'one number per example; "mse" has shape \(\)'),
        ({"step": jnp.zeros(1)}, r'"step", a key that metrics.jsonl reserves'),
        (jnp.zeros(1), r"must return a dict"),
    ],
)
def test_metrics_of_another_form_are_refused_before_training(example, metrics, message):
    with pytest.raises(ValueError, match=message):
        validate_per_example_metrics(example[0], metrics)


@pytest.mark.slow
def test_the_example_trains_resumes_evaluates_and_loads_outside_of_the_package(folder):
    command = ("--config=wae_recipe.py:smoke", *SMALL)
    run = launch(*command, cwd=folder)
    assert run.returncode == 0, run.stderr
    again = launch(*command, cwd=folder)
    assert "is complete" in again.stdout, again.stderr
    evaluated = launch_here(*command, "--mode=evaluate", cwd=folder)
    assert evaluated.returncode == 0, evaluated.stderr
    model = jaxgen.load(folder / "run")
    assert type(model.model).__name__ == "WassersteinAutoencoder"
    assert model.sample(2).shape == (2, 28, 28, 1)
    assert {"mse", "prior_mmd"} <= set(model.metrics)
    assert {"reconstructions.png", "codes_vs_prior.png", "curves.png"} <= {p.name for p in folder.glob("run/figures/*")}
    wrong = launch_here(*command, "--config.model=wae:WassersteinAutoencodr", "--workdir=other", cwd=folder)
    assert wrong.returncode == 2
    assert 'did you mean "WassersteinAutoencoder"' in wrong.stderr
    assert not (folder / "other").exists()


def test_an_unknown_best_metric_is_refused_with_the_nearest_name(example):
    config = read_module(REPOSITORY / "configs" / "ae.py").get_config("smoke")
    config.best_metric = "msse"
    split = Split(np.zeros((10, 8, 10, 1), np.uint8), np.zeros(10, np.int32))
    dataset = Dataset("tiny", split, split, split, 1)
    with pytest.raises(ValueError, match=r'best_metric="msse" is not computed \(did you mean "mse"\?\)'):
        evaluators.validate_evaluation(config, example[0], dataset)
