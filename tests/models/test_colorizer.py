"""The colorizer: what it is shown, what it learns, and what it refuses."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    REPOSITORY,
    B,
    H,
    K,
    W,
    launch_here,
    read_config,
    same,
    tiny_batch,
    tiny_data,
    tiny_model,
    tiny_trained_model,
)

import jaxgen
from jaxgen import models
from jaxgen.data import Dataset, transforms
from jaxgen.evaluation import figures
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.networks import CoarseColorizer, TutorialColorizer
from jaxgen.optimization.players import make_update
from jaxgen.training import loop
from jaxgen.types import DatasetSpec, Split


def started(**changes):
    model = tiny_model("colorizer", dropout_rate=0.0, input_noise_std=0.0, **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def vae():
    return tiny_trained_model("vae", seed=1)


def count(painter, height, width):
    params = jax.eval_shape(lambda: painter.init(jax.random.key(0), jnp.zeros((1, height, width, 1)), train=False))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_grey_weighs_red_green_and_blue_as_television_does():
    colour = jnp.array([[[[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]]])
    np.testing.assert_allclose(transforms.rgb_to_grayscale(colour)[0, 0, :, 0], [0.30, 0.59, 0.11, 1.0], rtol=1e-6)


def test_the_loss_is_the_colours_error_and_that_of_their_grey():
    model, state = started()
    batch = tiny_batch(3)
    loss, (metrics, _) = model.colorization_loss(state.params, state.stats, batch, jax.random.key(0))
    grey = transforms.rgb_to_grayscale(batch.image)
    drawn = model.apply_network("colorizer", state.params, state.stats, grey)
    colour = float(jnp.square(drawn - batch.image).mean())
    assert float(metrics["color_mse"]) == pytest.approx(colour, rel=1e-5)
    assert float(loss) == pytest.approx(
        colour + float(jnp.square(transforms.rgb_to_grayscale(drawn) - grey).mean()), rel=1e-5
    )


def test_with_a_vae_its_outputs_are_shown_from_drawn_codes_in_training(vae):
    model = started()[0].with_base_model(vae)
    batch = tiny_batch(3)
    grey = transforms.rgb_to_grayscale(batch.image)
    mean = vae.decode(vae.encode_mean(np.asarray(grey)))
    np.testing.assert_allclose(model.shown(batch), mean, atol=1e-5)
    first, second = (model.grayscale_inputs(batch, jax.random.key(number)) for number in range(2))
    assert np.abs(first - second).max() > 1e-3
    assert np.abs(first - mean).max() > 1e-3


def test_the_vae_is_no_part_of_the_state_and_is_not_moved(vae):
    alone, state = started()
    before = jax.tree.map(jnp.copy, vae.params)
    model = alone.with_base_model(vae)
    after, _ = make_update(model.players)(state, tiny_batch(3), jax.random.key(1))
    assert set(after.params) == {"colorizer"}
    assert not same(after.params, state.params)
    assert same(vae.params, before)


def test_the_published_net_has_90_million_parameters_and_ours_less_than_a_twentieth():
    published = count(TutorialColorizer((30, 30)), 30, 30)
    assert 90e6 < published < 92e6
    config = read_config("colorizer")
    ours = CoarseColorizer(tuple(config.hidden_sizes), config.color_grid_size, config.dropout_rate)
    assert count(ours, 30, 30) < 0.05 * published


def test_a_coarse_painters_colours_change_slowly():
    painter = CoarseColorizer((16,), 5)
    grey = jnp.asarray(np.random.default_rng(0).random((1, 20, 20, 1)), jnp.float32)
    params = painter.init(jax.random.key(0), grey, train=False)
    flat = jnp.full_like(grey, 0.5)

    def shift(at):  # gain and shift depend on the picture: the same picture, whose pixels are then left out
        return painter.apply(params, at, train=False) - at

    steps = np.abs(np.diff(np.asarray(shift(flat)), axis=1))
    assert steps.max() < 0.5 * np.ptp(np.asarray(shift(flat)))


def test_it_colours_grey_images_and_has_no_code():
    model, state = started()
    trained = TrainedModel(model, state.params, state.stats)
    grey = np.random.default_rng(0).random((B, H, W, 1)).astype(np.float32)
    coloured = trained.colorize(grey)
    assert coloured.shape == (B, H, W, 3)
    assert 0 <= coloured.min() <= coloured.max() <= 1
    for call in (lambda: trained.encode(coloured), lambda: trained.decode(np.zeros((1, 2))), lambda: trained.sample(2)):
        with pytest.raises(ValueError, match=r"Colorizer has no code .*; it colours: model.colour\(images\)"):
            call()
    with pytest.raises(ValueError, match=r"images of shape \(6, 8, 10, 3\) must be \[N, 8, 10, 1\]"):
        trained.colorize(coloured)


def test_grey_faces_are_shown_beside_their_colours_and_the_originals():
    model, state = started()
    split = Split(*jax.device_get(tiny_data(B, channels=3)))
    rows = figures.colorized(
        TrainedModel(model, state.params, state.stats), Dataset("tiny", split, split, split, K), split
    )
    colour = np.ptp(rows.astype(int), axis=-1).max(axis=1)  # of each line of pixels
    assert colour[: len(rows) // 4].max() == 0 < min(colour[len(rows) // 2], colour[-len(rows) // 4])


def test_other_models_do_not_colour(vae):
    with pytest.raises(ValueError, match=r"VAE does not colour; train configs/colorizer\.py"):
        vae.colorize(np.zeros((1, H, W, 1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colorizer_network": "fine"}, 'painter="fine" is unknown; choose one of coarse, published'),
        ({"color_grid_size": 0}, "coarseness=0 must be at least 1 pixel"),
        ({"input_noise_std": -0.1}, "noise=-0.1 must be at least 0"),
    ],
)
def test_values_that_no_model_can_be_built_with_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_model("colorizer", **changes)


def test_grey_data_is_refused_with_the_way_out():
    with pytest.raises(
        ValueError, match=r"has images of 1 channel; colours need 3: .* --config.data.tint_by_class=true"
    ):
        models.build_model(read_config("colorizer"), DatasetSpec("grey", (H, W, 1), 4))


def test_a_vae_of_another_size_is_refused(vae):
    other = models.build_model(read_config("colorizer"), DatasetSpec("tiny", (H, W + 1, 3), 4))
    with pytest.raises(ValueError, match=r"is a VAE of images \(8, 10, 1\); it must be a model .* \(8, 11, 1\)"):
        other.with_base_model(vae)


def test_colouring_again_compiles_nothing_again():
    model, state = started()
    trained = TrainedModel(model, state.params, state.stats)
    for count in (2, 3):
        trained.colorize(np.zeros((count, H, W, 1)))
    assert trained._colour._cache_size() == 1


def test_a_vae_that_is_no_run_is_refused_before_anything_is_made(tmp_path):
    config = read_config("colorizer", "digits,smoke")
    config.base_model_workdir = str(tmp_path / "nowhere")
    expected = r"Colorizer cannot open the model .*nowhere is no run: .* train that one first, with --workdir=.*nowhere"
    with pytest.raises(ValueError, match=expected):
        loop.train_and_evaluate(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_run_on_a_vaes_outputs_draws_its_faces_in_colour_and_then_works_without_it(tmp_path):
    vae = (f"--config={REPOSITORY}/configs/anime_vae.py:digits,smoke", "--workdir=vae", "--config.hidden_sizes=(32,)")
    assert launch_here(*vae, cwd=tmp_path).returncode == 0
    config = f"--config={REPOSITORY}/configs/colorizer.py:digits,smoke"
    flags = (config, "--workdir=run", "--config.base_model_workdir=vae", "--config.hidden_sizes=(32,)")
    run = launch_here(*flags, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    figures = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert figures >= {"colorized", "colorized_samples", "colorized_traversal"}
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["protocol"]["shown"] == "outputs of vae"
    assert set(results["metrics"]) == {"color_mse", "grayscale_baseline_mse"}
    (tmp_path / "vae").rename(tmp_path / "gone")
    coloured = jaxgen.load(tmp_path / "run").colorize(np.full((2, 28, 28, 1), 0.5))
    assert coloured.shape == (2, 28, 28, 3)
    again = launch_here(*flags, "--mode=evaluate", cwd=tmp_path)
    assert again.returncode == 2
    assert "workdir=vae is no run" in again.stderr
