"""Promises that every recipe keeps; recipes are found in configs/, so that a new one is tested without a new test."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import CONFIGS, C, H, K, W, channels_of, read_config, same, tiny_batch, tiny_data, tiny_model
from ml_collections import ConfigDict

from jaxgen import models
from jaxgen.distributed import devices
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.models.base import LatentVariableModel
from jaxgen.optimization.players import make_update, run_forward
from jaxgen.training.loop import make_step
from jaxgen.types import DatasetSpec

VARIANTS = [(name, "smoke") for name in CONFIGS]
VARIANTS += [("cond_aae", f"{presets},smoke") for presets in ("tutorial", "separate_kl", "mnist")]
VARIANTS += [("vae", f"{presets},smoke") for presets in ("weighted", "conv", "conditional", "separate_kl")]
VARIANTS += [("anime_vae", "conv,smoke"), ("aae", "mixture,labeled,smoke"), ("cluster_aae", "plane,smoke")]
VARIANTS += [("gan", "conditional,smoke"), ("gan", "tutorial,smoke"), ("dcgan", "batch_norm,smoke")]
# Names of the losses among a player's metrics, in order of preference; without one of them, the loss itself.
LOSSES = ("nll", "negative_bound", "distortion", "mse", "feature_mse", "loss")
MESH = devices.data_mesh(jax.devices()[:1])
# One variant per model family runs in the first tier; the others are slow.
FAST = ("cond_aae", "semi_aae", "ae", "vae", "gan", "vaegan", "colorizer")


def with_marks(name, *values):
    """Returns the parameters of one case, slow unless it is the smoke test of a recipe in FAST."""
    is_fast = name in FAST and values in ((), ("smoke",))
    return pytest.param(name, *values, marks=[] if is_fast else pytest.mark.slow)


every_config = pytest.mark.parametrize(("name", "presets"), [with_marks(*variant) for variant in VARIANTS])


@functools.cache
def compile_initializer(name, presets):
    model = tiny_model(name, presets)
    return model, devices.compile_init(model.init, MESH)


@functools.cache
def initial_state(name, presets):
    model, init = compile_initializer(name, presets)
    return model, init(jax.random.key(0))


@functools.cache
def compile_training_steps(name, presets, precision="float32"):
    """Returns two steps, compiled as in training; they consume the state that they receive."""
    return devices.compile_steps(make_step(tiny_model(name, presets, compute_dtype=precision)), MESH, "jit")


def training_inputs(name, number=0):
    """Returns the inputs of two steps beside the state; `number` shifts the examples."""
    index = (np.arange(12, dtype=np.int32).reshape(2, 6) + number) % 18
    data, rng = (devices.replicate(x, MESH) for x in (tiny_data(channels=channels_of(name)), jax.random.key(1)))
    return data, index, rng


def train_two_steps(name, presets, precision="float32"):
    """Returns the state and the metrics after two steps from the initial state."""
    _, init = compile_initializer(name, presets)
    return compile_training_steps(name, presets, precision)(init(jax.random.key(0)), *training_inputs(name))


@every_config
def test_a_runs_config_json_builds_the_same_model(name, presets):
    config = read_config(name, presets)
    info = DatasetSpec("tiny", (28, 28, channels_of(name)), K)
    stored = ConfigDict(json.loads(json.dumps(config.to_dict())))  # JSON turns tuples into lists
    built, rebuilt = (models.build_model(each, info) for each in (config, stored))
    functions = {"networks": None, "optimizers": None}  # they hold functions, which do not compare equal
    assert {**vars(built), **functions} == {**vars(rebuilt), **functions}
    shapes, rebuilt_shapes = (jax.eval_shape(each.init, jax.random.key(0)) for each in (built, rebuilt))
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, rebuilt_shapes)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in ("ae", "cond_aae", "gan") else pytest.mark.slow) for name in CONFIGS],
)
def test_bfloat16_gives_nearly_the_same_metrics_and_a_float32_state(name):
    after, metrics = train_two_steps(name, "smoke", precision="bfloat16")
    _, expected = train_two_steps(name, "smoke")
    assert all(x.dtype != jnp.bfloat16 for x in jax.tree.leaves((after, metrics)))
    assert any((metrics[key] != expected[key]).any() for key in metrics)
    for key in metrics:
        assert float(metrics[key][0]) == pytest.approx(float(expected[key][0]), rel=0.05, abs=0.02), key


@functools.cache
def update_by_each_player(name, presets):
    """Returns {player: the state after an update by that player alone}."""
    model, state = initial_state(name, presets)
    batch, rng = tiny_batch(model.info.image_shape[-1]), jax.random.key(1)
    updates = {player: jax.jit(make_update((player,), model.update_order)) for player in model.players}
    return {player: update(state, batch, rng)[0] for player, update in updates.items()}


@every_config
def test_a_player_trains_its_own_networks_and_no_other(name, presets):
    _, state = initial_state(name, presets)
    for player, updated in update_by_each_player(name, presets).items():
        for network in state.params:
            unchanged = same(state.params[network], updated.params[network])
            assert unchanged == (network not in player.networks), (player.name, network)


@every_config
def test_a_player_changes_its_own_optimizer_state_and_no_other(name, presets):
    _, state = initial_state(name, presets)
    for player, updated in update_by_each_player(name, presets).items():
        for other in state.opt_states:
            unchanged = same(state.opt_states[other], updated.opt_states[other])
            assert unchanged == (other != player.name), (player.name, other)


@every_config
def test_steps_are_deterministic_and_counted_and_have_finite_metrics(name, presets):
    model, _ = initial_state(name, presets)
    first, metrics = train_two_steps(name, presets)
    repeated, _ = train_two_steps(name, presets)
    assert same(first, repeated)
    assert int(first.step) == 2
    assert all(np.isfinite(value).all() for value in metrics.values())
    assert {key.split("/")[0] for key in metrics} == {player.name for player in model.players}


@every_config
def test_the_steps_compile_once(name, presets):
    steps, (state, _) = compile_training_steps(name, presets), train_two_steps(name, presets)
    for number in (1, 2):
        state, _ = steps(state, *training_inputs(name, number))
    assert steps._cache_size() == 1
    assert int(state.step) == 6


@every_config
def test_the_loss_of_the_reconstruction_or_first_player_falls_on_one_batch(name, presets):
    model, state = initial_state(name, presets)
    if name == "vaegan":  # with its KL weight of 15, codes do not pay off while the decoder is fixed
        model = dataclasses.replace(model, beta=1.0)
    player = next((p for p in model.players if p.name == "reconstruction"), model.players[0])
    player = dataclasses.replace(player, tx=optax.adam(3e-3))
    state = state.replace(opt_states={player.name: player.tx.init({n: state.params[n] for n in player.networks})})
    update, compute_loss = jax.jit(make_update((player,))), jax.jit(loss_function(player))
    losses = []
    batch = tiny_batch(channels_of(name))
    for _ in range(150):  # a KL of weight 1 falls first, for about 60 steps
        before = state
        state, metrics = update(state, batch, jax.random.key(0))
        values = {key.partition("/")[2]: float(value) for key, value in metrics.items()}
        value = next((values[key] for key in LOSSES if key in values), None)
        losses.append(float(compute_loss(before, batch)) if value is None else value)
    assert losses[-1] < 0.95 * losses[0]


def loss_function(player):
    """Returns the loss of a player as a function of state and batch, for players whose metrics have other names."""

    def compute_loss(state, batch):
        forward = run_forward(player, state, batch, jax.random.key(0))
        return player.loss(state.params, state.stats, batch, forward(state.params))[0]

    return compute_loss


def test_a_players_metrics_may_have_any_name_because_the_loss_itself_is_measured():
    model, state = initial_state("ae", "smoke")
    (player,) = model.players
    batch, rng = tiny_batch(), jax.random.key(0)
    loss = player.loss(state.params, state.stats, batch, rng)[0]
    assert float(loss_function(player)(state, batch)) == pytest.approx(float(loss))


@every_config
def test_samples_lie_in_0_1_and_differ_by_label_for_conditional_models(name, presets):
    model, state = initial_state(name, presets)
    trained = TrainedModel(model, state.params, state.stats)
    if not isinstance(model, LatentVariableModel):
        with pytest.raises(ValueError, match=f"{type(model).__name__} has no code"):
            trained.sample(1)
        return
    code = np.repeat(trained.sample_prior(1), K, axis=0)
    images = trained.decode(code, np.arange(K))
    assert images.shape == (K, H, W, C)
    assert images.min() >= 0
    assert images.max() <= 1
    differ = [np.abs(images[0] - images[k]).max() > 1e-4 for k in range(1, K)]
    assert all(differ) if model.is_conditional else not any(differ)


@every_config
def test_metrics_have_one_number_per_example(name, presets):
    model, state = initial_state(name, presets)
    evaluate = jax.jit(model.per_example_metrics)
    metrics = evaluate(state.params, state.stats, tiny_batch(channels_of(name)), jax.random.key(0))
    assert all(value.shape == (6,) and bool(jnp.isfinite(value).all()) for value in metrics.values())
