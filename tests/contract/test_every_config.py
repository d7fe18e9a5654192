"""What every config promises: found by themselves, so that a new recipe is held to them without a new test."""

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
from jaxgen.optimization.players import make_update
from jaxgen.training.loop import make_step
from jaxgen.types import DatasetSpec

VARIANTS = [(name, "smoke") for name in CONFIGS]
VARIANTS += [("cond_aae", f"{tokens},smoke") for tokens in ("tutorial", "separate_kl", "mnist")]
VARIANTS += [("vae", f"{tokens},smoke") for tokens in ("weighted", "conv", "conditional", "separate_kl")]
VARIANTS += [("anime_vae", "conv,smoke"), ("aae", "mixture,labeled,smoke"), ("cluster_aae", "plane,smoke")]
VARIANTS += [
    (name, f"{tokens},smoke") for name, tokens in (("gan", "conditional"), ("gan", "tutorial"), ("dcgan", "batch_norm"))
]
LOSSES = ("nll", "negative_bound", "distortion", "mse", "feature_mse", "loss")  # a player's, whichever it has
MESH = devices.data_mesh(jax.devices()[:1])
# One variant per model family runs in the first tier; the others are slow.
FAST = ("cond_aae", "semi_aae", "ae", "vae", "gan", "vaegan", "colorizer")


def with_marks(name, *values):
    """Returns the parameters of one case, slow unless it is the smoke test of a recipe in FAST."""
    is_fast = name in FAST and values in ((), ("smoke",))
    return pytest.param(name, *values, marks=[] if is_fast else pytest.mark.slow)


every_config = pytest.mark.parametrize(("name", "tokens"), [with_marks(*variant) for variant in VARIANTS])


@functools.cache
def initialiser(name, tokens):
    model = tiny_model(name, tokens)
    return model, devices.compile_init(model.init, MESH)


@functools.cache
def start(name, tokens):
    model, init = initialiser(name, tokens)
    return model, init(jax.random.key(0))


@functools.cache
def compiled(name, tokens, precision="float32"):
    """The steps as training compiles them: they consume the state that they are given."""
    return devices.compile_steps(make_step(tiny_model(name, tokens, compute_dtype=precision)), MESH, "jit")


def seen(name, number=0):
    """What a dispatch of two steps takes beside the state; its number says of which examples."""
    index = (np.arange(12, dtype=np.int32).reshape(2, 6) + number) % 18
    data, rng = (devices.replicate(x, MESH) for x in (tiny_data(channels=channels_of(name)), jax.random.key(1)))
    return data, index, rng


def dispatched(name, tokens, precision="float32"):
    """The state and the metrics after a dispatch from the start."""
    _, init = initialiser(name, tokens)
    return compiled(name, tokens, precision)(init(jax.random.key(0)), *seen(name))


@every_config
def test_a_runs_config_json_builds_the_same_algorithm(name, tokens):
    config = read_config(name, tokens)
    info = DatasetSpec("tiny", (28, 28, channels_of(name)), K)
    again = ConfigDict(json.loads(json.dumps(config.to_dict())))  # where tuples are lists
    built, rebuilt = (models.build_model(each, info) for each in (config, again))
    functions = {"networks": None, "optimizers": None}  # which hold some that are made anew
    assert {**vars(built), **functions} == {**vars(rebuilt), **functions}
    shapes, again = (jax.eval_shape(each.init, jax.random.key(0)) for each in (built, rebuilt))
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, again)


@pytest.mark.parametrize("name", [with_marks(name) for name in CONFIGS])
def test_bfloat16_computes_nearly_the_same_and_keeps_float32(name):
    after, metrics = dispatched(name, "smoke", precision="bfloat16")
    _, expected = dispatched(name, "smoke")
    assert all(x.dtype != jnp.bfloat16 for x in jax.tree.leaves((after, metrics)))
    assert any((metrics[key] != expected[key]).any() for key in metrics)
    for key in metrics:
        assert float(metrics[key][0]) == pytest.approx(float(expected[key][0]), rel=0.05, abs=0.02), key


@functools.cache
def moved_by_each_player(name, tokens):
    """{player: the state after a step of that player alone}."""
    model, state = start(name, tokens)
    batch, rng = tiny_batch(model.info.image_shape[-1]), jax.random.key(1)
    updates = {player: jax.jit(make_update((player,), model.update_order)) for player in model.players}
    return {player: update(state, batch, rng)[0] for player, update in updates.items()}


@every_config
def test_a_player_moves_its_own_networks_and_no_other(name, tokens):
    _, state = start(name, tokens)
    for player, moved in moved_by_each_player(name, tokens).items():
        for network in state.params:
            untouched = same(state.params[network], moved.params[network])
            assert untouched == (network not in player.networks), (player.name, network)


@every_config
def test_a_player_changes_its_own_optimiser_state_and_no_other(name, tokens):
    _, state = start(name, tokens)
    for player, moved in moved_by_each_player(name, tokens).items():
        for other in state.opt_states:
            assert same(state.opt_states[other], moved.opt_states[other]) == (other != player.name), (
                player.name,
                other,
            )


@every_config
def test_steps_are_deterministic_and_counted_and_have_finite_metrics(name, tokens):
    model, _ = start(name, tokens)
    first, metrics = dispatched(name, tokens)
    again, _ = dispatched(name, tokens)
    assert same(first, again)
    assert int(first.step) == 2
    assert all(np.isfinite(value).all() for value in metrics.values())
    assert {key.split("/")[0] for key in metrics} == {player.name for player in model.players}


@every_config
def test_the_steps_compile_once(name, tokens):
    steps, (state, _) = compiled(name, tokens), dispatched(name, tokens)
    for number in (1, 2):
        state, _ = steps(state, *seen(name, number))
    assert steps._cache_size() == 1
    assert int(state.step) == 6


@every_config
def test_the_reconstruction_or_else_the_first_players_loss_falls_on_one_batch(name, tokens):
    model, state = start(name, tokens)
    if name == "vaegan":  # by its KL of weight 15, no code pays while the decoder stands still
        model = dataclasses.replace(model, beta=1.0)
    player = next((p for p in model.players if p.name == "reconstruction"), model.players[0])
    player = dataclasses.replace(player, tx=optax.adam(3e-3))
    state = state.replace(opt_states={player.name: player.tx.init({n: state.params[n] for n in player.networks})})
    update = jax.jit(make_update((player,)))
    losses = []
    batch = tiny_batch(channels_of(name))
    for _ in range(150):  # a KL of weight 1 falls first, and takes some 60 steps
        state, metrics = update(state, batch, jax.random.key(0))
        its = {key.partition("/")[2]: float(value) for key, value in metrics.items()}
        losses.append(next(its[key] for key in LOSSES if key in its))
    assert losses[-1] < 0.95 * losses[0]


@every_config
def test_samples_lie_in_0_1_and_differ_by_label_where_it_is_told(name, tokens):
    model, state = start(name, tokens)
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
def test_what_is_measured_is_one_number_an_example(name, tokens):
    model, state = start(name, tokens)
    evaluate = jax.jit(model.per_example_metrics)
    measures = evaluate(state.params, state.stats, tiny_batch(channels_of(name)), jax.random.key(0))
    assert all(value.shape == (6,) and bool(jnp.isfinite(value).all()) for value in measures.values())
