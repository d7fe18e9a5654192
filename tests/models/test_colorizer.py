"""The colorizer: its inputs, its loss, and the configs that it rejects."""

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


def count_parameters(network, height, width):
    params = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, height, width, 1)), train=False))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_grayscale_has_the_luma_weights_of_television():
    color = jnp.array([[[[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]]])
    np.testing.assert_allclose(transforms.rgb_to_grayscale(color)[0, 0, :, 0], [0.30, 0.59, 0.11, 1.0], rtol=1e-6)


def test_the_loss_is_the_color_error_plus_the_grayscale_error():
    model, state = started()
    batch = tiny_batch(3)
    loss, (metrics, _) = model.colorization_loss(state.params, state.stats, batch, jax.random.key(0))
    gray = transforms.rgb_to_grayscale(batch.image)
    output = model.apply_network("colorizer", state.params, state.stats, gray)
    color_mse = float(jnp.square(output - batch.image).mean())
    gray_mse = float(jnp.square(transforms.rgb_to_grayscale(output) - gray).mean())
    assert float(metrics["color_mse"]) == pytest.approx(color_mse, rel=1e-5)
    assert float(loss) == pytest.approx(color_mse + gray_mse, rel=1e-5)


def test_the_inputs_are_a_vaes_outputs_from_sampled_codes_in_training_and_mean_codes_after(vae):
    model = started()[0].with_base_model(vae)
    batch = tiny_batch(3)
    gray = transforms.rgb_to_grayscale(batch.image)
    mean = vae.decode(vae.encode_mean(np.asarray(gray)))
    np.testing.assert_allclose(model.grayscale_inputs(batch), mean, atol=1e-5)
    first, second = (model.grayscale_inputs(batch, jax.random.key(number)) for number in range(2))
    assert np.abs(first - second).max() > 1e-3
    assert np.abs(first - mean).max() > 1e-3


def test_the_vae_is_not_part_of_the_state_and_is_not_trained(vae):
    alone, state = started()
    before = jax.tree.map(jnp.copy, vae.params)
    model = alone.with_base_model(vae)
    after, _ = make_update(model.players)(state, tiny_batch(3), jax.random.key(1))
    assert set(after.params) == {"colorizer"}
    assert not same(after.params, state.params)
    assert same(vae.params, before)


def test_the_published_network_has_90_million_parameters_and_the_default_less_than_a_twentieth():
    published = count_parameters(TutorialColorizer((30, 30)), 30, 30)
    assert 90e6 < published < 92e6
    config = read_config("colorizer")
    default = CoarseColorizer(tuple(config.hidden_sizes), config.color_grid_size, config.dropout_rate)
    assert count_parameters(default, 30, 30) < 0.05 * published


def test_the_colors_of_the_coarse_network_change_slowly():
    network = CoarseColorizer((16,), 5)
    gray = jnp.asarray(np.random.default_rng(0).random((1, 20, 20, 1)), jnp.float32)
    params = network.init(jax.random.key(0), gray, train=False)
    flat = jnp.full_like(gray, 0.5)

    def shift(image):  # gain and shift depend on the image, so both calls get the same one
        return network.apply(params, image, train=False) - image

    steps = np.abs(np.diff(np.asarray(shift(flat)), axis=1))
    assert steps.max() < 0.5 * np.ptp(np.asarray(shift(flat)))


def test_a_colorizer_has_no_codes():
    model, state = started()
    trained = TrainedModel(model, state.params, state.stats)
    gray = np.random.default_rng(0).random((B, H, W, 1)).astype(np.float32)
    color = trained.colorize(gray)
    assert color.shape == (B, H, W, 3)
    assert 0 <= color.min() <= color.max() <= 1
    for call in (lambda: trained.encode(color), lambda: trained.decode(np.zeros((1, 2))), lambda: trained.sample(2)):
        with pytest.raises(ValueError, match=r"Colorizer has no codes; use model.colorize\(images\)"):
            call()
    with pytest.raises(ValueError, match=r"images of shape \(6, 8, 10, 3\) must be \[N, 8, 10, 1\]"):
        trained.colorize(color)


def test_the_figure_shows_inputs_colorized_images_and_originals():
    model, state = started()
    split = Split(*jax.device_get(tiny_data(B, channels=3)))
    rows = figures.draw_colorized(
        TrainedModel(model, state.params, state.stats), Dataset("tiny", split, split, split, K), split
    )
    chroma = np.ptp(rows.astype(int), axis=-1).max(axis=1)  # of each line of pixels
    assert chroma[: len(rows) // 4].max() == 0 < min(chroma[len(rows) // 2], chroma[-len(rows) // 4])


def test_other_models_do_not_colorize(vae):
    with pytest.raises(ValueError, match=r"VAE does not colorize; train configs/colorizer\.py"):
        vae.colorize(np.zeros((1, H, W, 1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colorizer_network": "fine"}, 'colorizer_network="fine" is unknown; choose one of coarse, published'),
        ({"color_grid_size": 0}, "color_grid_size=0 must be at least 1 pixel"),
        ({"input_noise_std": -0.1}, "input_noise_std=-0.1 must be at least 0"),
    ],
)
def test_invalid_values_are_rejected(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_model("colorizer", **changes)


def test_grayscale_data_is_rejected_with_a_fix():
    with pytest.raises(
        ValueError, match=r"has images of 1 channel; colors need 3: .* --config.data.tint_by_class=true"
    ):
        models.build_model(read_config("colorizer"), DatasetSpec("gray", (H, W, 1), 4))


def test_a_vae_of_another_image_size_is_rejected(vae):
    other = models.build_model(read_config("colorizer"), DatasetSpec("tiny", (H, W + 1, 3), 4))
    with pytest.raises(
        ValueError, match=r"is a VAE of images \(8, 10, 1\); it must be an unconditional model .* \(8, 11, 1\)"
    ):
        other.with_base_model(vae)


def test_colorizing_twice_compiles_once():
    model, state = started()
    trained = TrainedModel(model, state.params, state.stats)
    for count in (2, 3):
        trained.colorize(np.zeros((count, H, W, 1)))
    assert trained._colorize._cache_size() == 1


def test_a_missing_base_model_is_rejected_before_the_run_folder_is_made(tmp_path):
    config = read_config("colorizer", "digits,smoke")
    config.base_model_workdir = str(tmp_path / "nowhere")
    expected = r"Colorizer cannot load its base model: .*nowhere is not a run: .* train the base model first, .*nowhere"
    with pytest.raises(ValueError, match=expected):
        loop.train_and_evaluate(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_on_a_vaes_outputs_colorizes_its_samples_and_loads_without_the_vae(tmp_path):
    vae = (f"--config={REPOSITORY}/configs/anime_vae.py:digits,smoke", "--workdir=vae", "--config.hidden_sizes=(32,)")
    assert launch_here(*vae, cwd=tmp_path).returncode == 0
    config = f"--config={REPOSITORY}/configs/colorizer.py:digits,smoke"
    flags = (config, "--workdir=run", "--config.base_model_workdir=vae", "--config.hidden_sizes=(32,)")
    run = launch_here(*flags, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    figures = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert figures >= {"colorized", "colorized_samples", "colorized_traversal"}
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["protocol"]["inputs"] == "outputs of vae"
    assert set(results["metrics"]) == {"color_mse", "grayscale_baseline_mse"}
    (tmp_path / "moved").mkdir()
    for name in ("vae", "run"):  # moved together, the runs find each other
        (tmp_path / name).rename(tmp_path / "moved" / name)
    moved = launch_here("--workdir=moved/run", "--mode=evaluate", cwd=tmp_path)
    assert moved.returncode == 0, moved.stderr
    for name in ("vae", "run"):
        (tmp_path / "moved" / name).rename(tmp_path / name)
    (tmp_path / "vae").rename(tmp_path / "gone")
    color = jaxgen.load(tmp_path / "run").colorize(np.full((2, 28, 28, 1), 0.5))
    assert color.shape == (2, 28, 28, 3)
    again = launch_here(*flags, "--mode=evaluate", cwd=tmp_path)
    assert again.returncode == 2
    assert f"workdir={tmp_path / 'vae'} is not a run" in again.stderr
