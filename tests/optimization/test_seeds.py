"""Several seeds at once: each result equals the run of that seed alone."""

import json
import shutil

import jax
import numpy as np
import pytest
from helpers import COND_AAE, SMALL, launch_here, read_config, same, tiny_data, tiny_model

import jaxgen
from jaxgen.config.base import validate_config
from jaxgen.distributed import devices
from jaxgen.optimization import seeds
from jaxgen.training import batches
from jaxgen.training.batches import training_indices
from jaxgen.training.loop import make_step

STEPS = 4


def trained(name="cond_aae", steps=STEPS, how="jit", **changes):
    """Returns the states of a tiny config's seeds after some steps of the training loop."""
    config = read_config(name)
    config.update({"batch_size": 6, **changes})
    model, mesh = tiny_model(name), devices.data_mesh(jax.devices()[:1])
    data = batches.training_labels_per_seed(jax.tree.map(np.asarray, tiny_data()), config, 4)
    run = devices.compile_steps(make_step(model, config.num_seeds, config.seeds_per_vmap), mesh, how)
    state = devices.compile_init(seeds.vmap_init(model.init, config.num_seeds), mesh)(seeds.seed_keys(config))
    index = training_indices(config, data.label, 0, steps)
    state, _ = run(state, devices.replicate(data, mesh), index, devices.replicate(seeds.seed_keys(config, 1), mesh))
    return seeds.unstack_seeds(jax.device_get(state), config.num_seeds)


@pytest.mark.parametrize("name", ["cond_aae", pytest.param("semi_aae", marks=pytest.mark.slow)])
def test_each_seed_of_several_equals_its_run_alone(name):
    labels = {"num_labeled": 8} if name == "semi_aae" else {}
    together = trained(name, seed=3, num_seeds=2, **labels)
    for number, state in enumerate(together):
        (alone,) = trained(name, seed=3 + number, **labels)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), state.params, alone.params)
    assert not same(together[0].params, together[1].params)


@pytest.mark.slow
@pytest.mark.parametrize(("per_vmap", "how"), [(1, "jit"), (2, "jit"), (0, "pmap")])
def test_the_way_seeds_are_mapped_changes_rounding_alone(per_vmap, how):
    count = 2 * (per_vmap or 1)
    alone = [trained(seed=seed, how="pmap")[0] for seed in range(count)] if how == "pmap" else None
    expected = alone or trained(num_seeds=count)  # pmap samples noise of its own on each device
    actual = trained(num_seeds=count, seeds_per_vmap=per_vmap, how=how)
    for a, b in zip(expected, actual, strict=True):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5), a.params, b.params)


@pytest.mark.parametrize(
    ("count", "per_vmap", "message"),
    [
        (0, 0, "num_seeds=0 must be at least 1"),
        (4, 3, "seeds_per_vmap=3 must divide num_seeds=4"),
        (2, -1, "seeds_per_vmap=-1"),
    ],
)
def test_invalid_numbers_of_seeds_are_refused(count, per_vmap, message):
    config = read_config("cond_aae")
    config.num_seeds, config.seeds_per_vmap = count, per_vmap
    with pytest.raises(ValueError, match=message):
        validate_config(config)


@pytest.mark.slow
def test_a_run_of_two_seeds_resumes_and_reports_mean_and_std(tmp_path):
    two = (COND_AAE + ":smoke", *SMALL, "--config.num_seeds=2", "--workdir=two")
    run = launch_here(*two, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    results = json.loads((tmp_path / "two" / "results.json").read_text())
    values = [metrics["mse"] for metrics in results["per_seed"]]
    assert results["metrics"]["mse"] == pytest.approx(np.mean(values))
    assert results["std"]["mse"] == pytest.approx(np.std(values, ddof=1))
    first, second = (jaxgen.load(tmp_path / "two", seed=seed) for seed in (0, 1))
    assert second.metrics["mse"] == values[1]
    assert not same(first.params, second.params)
    with pytest.raises(ValueError, match=r"seed=2 was not trained in this run; its seeds are 0 to 1"):
        jaxgen.load(tmp_path / "two", seed=2)
    again = launch_here(*two, "--mode=evaluate", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "two" / "results.json").read_text())["metrics"] == results["metrics"]
    shutil.rmtree(tmp_path / "two" / "checkpoints" / "20")  # as if the run had ended after the previous save
    (tmp_path / "two" / "results.json").unlink()
    resumed = launch_here(*two, cwd=tmp_path)
    assert "resuming at step 10" in resumed.stdout, resumed.stderr
    assert json.loads((tmp_path / "two" / "results.json").read_text())["metrics"] == results["metrics"]


def test_the_spread_over_seeds_is_logged_beside_the_mean():
    assert seeds.mean_and_spread([{"mse": 1.0}]) == {"mse": 1.0}
    both = seeds.mean_and_spread([{"mse": 1.0}, {"mse": 4.0}])
    assert both == {"mse": 2.5, "mse_seed_std": pytest.approx(np.sqrt(4.5))}


def test_the_mean_over_seeds_has_the_metrics_that_every_seed_has():
    per_seed = [{"recall": 0.2, "precision": 0.5}, {"recall": 0.4}]
    assert seeds.mean_over_seeds(per_seed) == pytest.approx({"recall": 0.3})
    assert seeds.std_over_seeds(per_seed) == pytest.approx({"recall": 0.2 / 2**0.5})
