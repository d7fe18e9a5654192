"""Generative adversarial networks: losses against their papers' values, updates, the EMA, invalid configs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import B, C, H, K, W, read_config, same, tiny_batch, tiny_model

from jaxgen import models
from jaxgen.kernels.switch import REFERENCE_VARIABLE
from jaxgen.losses.adversarial import GAN_LOSSES
from jaxgen.losses.regularizers import r1_penalty, wgan_gp_penalty
from jaxgen.models.builders import build_gan_networks
from jaxgen.models.gan import EMA, GAN, batch_slice
from jaxgen.optimization.players import make_update
from jaxgen.types import Batch, DatasetSpec


def started(tokens="smoke", name="gan", **changes):
    model = tiny_model(name, tokens, **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


def to_floats(metrics):
    return {name: float(value) for name, value in metrics.items()}


def train(model, state, steps=1):
    update = jax.jit(make_update(model.players, model.update_order))
    for step in range(steps):
        state, metrics = update(state, tiny_batch(), jax.random.key(step))
    return state, metrics


@pytest.mark.parametrize(
    ("gan_loss", "critic", "generator"),
    [
        ("non_saturating", np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0)), np.log1p(np.exp(1.0))),
        ("least_squares", 0.5 * (1 + 1), 0.5 * 4),
        ("hinge", 0.0 + 0.0, 1.0),
        ("wasserstein", -3.0, 1.0),
    ],
)
def test_losses_of_a_real_logit_of_2_and_a_fake_logit_of_minus_1(gan_loss, critic, generator):
    real, fake = jnp.array([2.0]), jnp.array([-1.0])
    assert float(GAN_LOSSES[gan_loss].critic(real, fake)[0]) == pytest.approx(critic, rel=1e-6)
    assert float(GAN_LOSSES[gan_loss].generator(fake)[0]) == pytest.approx(generator, rel=1e-6)


def test_simultaneous_players_generate_the_fakes_once():
    def flops(update_order):
        model, state = started(
            update_order=update_order, generator_layers=(("dense", 1000),), critic_layers=(("dense", 10),)
        )
        update = jax.jit(make_update(model.players, update_order))
        return update.lower(state, tiny_batch(), jax.random.key(0)).compile().cost_analysis()["flops"]

    last_layer = 2 * B * 1000 * H * W * C  # forward pass of the generator's last layer
    assert flops("alternating") - flops("simultaneous") > 0.9 * last_layer


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"spectral_norm": True}, {"gan_loss": "wasserstein", "r1_weight": 1.0}, {"r1_weight": 1.0}]
)
def test_simultaneous_players_share_the_critics_backward_pass_and_get_the_gradients_of_two(monkeypatch, options):
    def step():
        model, state = started(critic_layers=(("dense", 256), ("relu",), ("dense", 256), ("relu",)), **options)
        update = jax.jit(make_update(model.players, model.update_order))
        compiled = update.lower(state, tiny_batch(), jax.random.key(0)).compile()
        return compiled(state, tiny_batch(), jax.random.key(0)), compiled.cost_analysis()["flops"]

    monkeypatch.setenv(REFERENCE_VARIABLE, "0")
    (shared, metrics), flops = step()
    monkeypatch.setattr(GAN, "shares_critic_backward", False)
    (separate, other_metrics), separate_flops = step()
    middle_layer = 2 * B * 256 * 256
    assert separate_flops - flops > 0.9 * middle_layer
    for one, two in zip(jax.tree.leaves(shared.opt_states), jax.tree.leaves(separate.opt_states), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-7)
    assert to_floats(metrics) == pytest.approx(to_floats(other_metrics))


@pytest.mark.parametrize("options", [{"critic_batch_norm": True, "critic_layers": ()}, {"gan_loss": "hinge"}])
def test_the_backward_pass_is_not_shared_where_the_gradients_are_not_proportional(options):
    assert not tiny_model("dcgan", "smoke", **options).shares_critic_backward


@pytest.mark.parametrize("gan_loss", GAN_LOSSES)
def test_critics_raise_real_logits_and_generators_raise_fake_logits(gan_loss):
    real, fake = jnp.array([0.1]), jnp.array([0.2])
    real_gradient, fake_gradient = jax.grad(lambda r, f: GAN_LOSSES[gan_loss].critic(r, f).sum(), (0, 1))(real, fake)
    assert real_gradient[0] < 0 < fake_gradient[0]
    assert jax.grad(lambda f: GAN_LOSSES[gan_loss].generator(f).sum())(fake)[0] < 0


@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_the_wgan_gp_penalty_is_the_squared_distance_of_the_gradient_norm_from_1(slope, penalty):
    direction = jnp.array([0.6, 0.8])
    found = wgan_gp_penalty(lambda x: slope * x @ direction, jnp.ones((B, 2)), jnp.zeros((B, 2)), jax.random.key(0))
    np.testing.assert_allclose(found, penalty, atol=1e-4)


def test_the_wgan_gp_penalty_of_a_constant_critic_has_a_finite_gradient():
    def penalty(weight):
        return wgan_gp_penalty(
            lambda x: (weight * x).sum(-1), jnp.ones((B, 2)), jnp.zeros((B, 2)), jax.random.key(0)
        ).sum()

    assert np.isfinite(jax.grad(penalty)(jnp.zeros(2))).all()


def test_the_ema_decays_by_its_rate():
    """With simultaneous updates the parameters that generated the images are those before the update."""
    model, state = started(ema_decay=0.9)
    assert same(state.stats[EMA], state.params["generator"])
    first, _ = train(model, state)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), first.stats[EMA], state.params["generator"])
    second, _ = jax.jit(make_update(model.players, model.update_order))(first, tiny_batch(), jax.random.key(1))
    old, new = (jax.tree.leaves(each)[0] for each in (first.stats[EMA], first.params["generator"]))
    np.testing.assert_allclose(jax.tree.leaves(second.stats[EMA])[0], 0.9 * old + 0.1 * new, rtol=1e-5, atol=1e-7)


def test_images_are_generated_by_the_ema_if_there_is_one():
    code = jax.random.normal(jax.random.key(5), (3, 50))
    for ema_decay, changes in ((0.9, False), (0.0, True)):
        model, state = started(ema_decay=ema_decay)
        params = {**state.params, "generator": jax.tree.map(lambda x: x + 0.1, state.params["generator"])}
        before, after = (model.decode(each, state.stats, code, None) for each in (state.params, params))
        assert (not np.array_equal(before, after)) == changes


def test_each_critic_step_uses_its_own_part_of_the_batch():
    parts = [batch_slice(tiny_batch(), part, 3) for part in range(3)]
    images = np.concatenate([part.image for part in parts])
    assert all(part.image.shape[0] == B // 3 for part in parts)
    assert sorted(images.sum((1, 2, 3))) == pytest.approx(sorted(np.asarray(tiny_batch().image.sum((1, 2, 3)))))
    model, state = started(critic_steps=3, batch_size=6, update_order="alternating")
    moved, _ = train(model, state)
    counts = [x for x in jax.tree.leaves(moved.opt_states["critic"]) if x.dtype == jnp.int32]
    assert all(int(count) == 3 for count in counts)
    assert int(moved.step) == 1


@pytest.mark.parametrize("gan_loss", GAN_LOSSES)
def test_every_gan_loss_trains_both_networks(gan_loss):
    model, state = started(gan_loss=gan_loss, r1_weight=1.0)
    moved, metrics = train(model, state, 2)
    assert all(np.isfinite(value) for value in metrics.values())
    assert not any(same(state.params[name], moved.params[name]) for name in ("critic", "generator"))


@pytest.mark.slow
@pytest.mark.parametrize("tokens", ["conditional,smoke", "smoke"])
@pytest.mark.parametrize(
    "options", [{"r1_weight": 1.0}, {"wgan_gp_weight": 10.0, "gan_loss": "wasserstein"}, {"spectral_norm": True}]
)
def test_penalties_and_spectral_norm_train(tokens, options):
    model, state = started(tokens, name="dcgan", base_channels=4, **options)
    moved, metrics = train(model, state, 2)
    assert all(np.isfinite(value) for value in metrics.values())
    assert not same(state.params["critic"], moved.params["critic"])


def test_the_faces_networks_generate_64_pixel_color_images_without_batch_statistics():
    model = models.build_model(read_config("dcgan", "faces"), DatasetSpec("faces", (64, 64, 3), 1))
    state = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.eval_shape(model.decode, state.params, state.stats, jnp.zeros((2, 128)), jnp.zeros(2, jnp.int32))
    assert images.shape == (2, 64, 64, 3)
    assert not jax.tree.leaves(state.stats["generator"])  # they would not fit the EMA of the parameters


@pytest.mark.parametrize("shape", [(28, 28, 1), (28, 28, 3), (32, 32, 1), (32, 32, 3), (64, 64, 1), (64, 64, 3)])
@pytest.mark.parametrize("tokens", ["", "conditional", "batch_norm"])
def test_a_dcgan_upsamples_from_7_or_4_pixels_to_every_size_in_gray_and_in_color(shape, tokens):
    model = models.build_model(read_config("dcgan", tokens), DatasetSpec("some", shape, K))
    state = jax.eval_shape(model.init, jax.random.key(0))
    code, label = jnp.zeros((2, model.latent_size)), jnp.zeros(2, jnp.int32)
    assert jax.eval_shape(model.decode, state.params, state.stats, code, label).shape == (2, *shape)
    (seed,) = (numbers for kind, *numbers in model.networks["generator"].layers if kind == "seed")
    assert shape[0] / seed[0] == (7 if shape[0] == 28 else 4)


def test_conv_gan_is_dcgan_on_mnist():
    assert read_config("conv_gan", "mnist").to_dict() == read_config("dcgan", "mnist").to_dict()


def test_the_tutorial_preset_of_conv_gan_has_the_published_layers():
    model = models.build_model(read_config("conv_gan", "tutorial"), DatasetSpec("some", (28, 28, 1), K))
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    shapes = {side: [x.shape for x in jax.tree.leaves(params[side]) if x.ndim > 1] for side in params}
    assert sorted(shapes["generator"]) == [(2, 2, 25, 1), (3, 3, 1, 50), (3, 3, 50, 25), (100, 56 * 56)]
    assert sorted(shapes["critic"]) == [(5, 5, 1, 32), (5, 5, 32, 64), (1024, 1), (7 * 7 * 64, 1024)]


def test_cgan_is_the_conditional_preset_of_gan():
    assert read_config("cgan", "mnist").to_dict() == read_config("gan", "mnist,conditional").to_dict()


def test_a_conditional_gan_with_hidden_labels_is_rejected():
    with pytest.raises(ValueError, match="num_labeled=100 hides labels"):
        started("conditional,smoke", num_labeled=100)


@pytest.mark.slow
def test_the_r1_penalty_uses_the_augmentation_of_the_forward_pass():
    model, state = started(name="dcgan", critic_layers=(("cutout", 0.5), ("dense", 8), ("relu",)), r1_weight=1.0)
    batch = tiny_batch()
    outputs, aux = forward = model.shared_forward(0, state.params, state.stats, batch, jax.random.key(0))

    def score(image):
        return model.critic_logits(state.params, state.stats, image, batch.label, aux.rng)[0]

    image = 2 * batch.image - 1
    np.testing.assert_allclose(score(image), outputs.real_logits, rtol=1e-6)
    _, (metrics, _) = model.critic_loss(state.params, state.stats, batch, forward)
    assert float(metrics["r1"]) == pytest.approx(float(r1_penalty(score, image).mean()), rel=1e-5)


@pytest.mark.slow
def test_a_critic_with_augmentation_and_minibatch_std_trains_and_then_scores_each_image_on_its_own():
    layers = (("shift", 2), ("cutout", 0.5), ("conv", 4, 4, 2, 1), ("leaky_relu", 0.2), ("minibatch_std",))
    model, state = started(name="dcgan", base_channels=4, r1_weight=0.0, critic_layers=layers)
    moved, metrics = train(model, state, 2)
    assert all(np.isfinite(value) for value in metrics.values())
    stds = [stats["critic"]["batch_stats"]["MinibatchStd_0"]["std"] for stats in (state.stats, moved.stats)]
    assert stds[0] != stds[1]
    images = jax.random.normal(jax.random.key(0), (4, *model.info.image_shape))
    together = model.apply_network("critic", moved.params, moved.stats, images)
    alone = jnp.concatenate([model.apply_network("critic", moved.params, moved.stats, each[None]) for each in images])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_critic_steps_that_do_not_divide_the_batch_of_a_device_are_rejected():
    with pytest.raises(ValueError, match="critic_steps=10 must divide the 5 images"):
        batch_slice(Batch(jnp.zeros((5, 2, 2, 1)), jnp.zeros(5), jnp.ones(5)), 0, 10)


@pytest.mark.slow
def test_a_spectral_critic_has_kernels_of_norm_at_most_about_1():
    model, state = started(spectral_norm=True, r1_weight=0.0)
    state, _ = train(model, state, 30)
    images = jax.random.normal(jax.random.key(0), (2, *model.info.image_shape))
    logits, _ = model.critic_logits(state.params, state.stats, images, None, jax.random.key(0))
    assert abs(float(logits[0] - logits[1])) <= 1.1 * float(jnp.linalg.norm(images[0] - images[1]))


def test_the_projection_critic_adds_the_labels_output():
    model, _ = started("conditional,smoke")
    output = jnp.array([[1.0, 10.0, 20.0, 30.0, 40.0]])
    assert float(model.select_logit(output, jnp.array([2]))[0]) == 31.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gan_loss": "chess"}, 'gan_loss="chess"'),
        ({"critic_steps": 0}, "critic_steps=0"),
        ({"critic_steps": 5, "batch_size": 64}, "divide batch_size=64"),
        ({"critic_steps": 5, "batch_size": 64}, "--config.update_order=alternating"),
        ({"critic_steps": 2, "batch_size": 64}, 'needs update_order="alternating"'),
        ({"gan_loss": "wasserstein", "r1_weight": 0.0}, "limit on the gradient"),
        ({"r1_weight": -1.0}, "r1_weight=-1.0"),
        ({"r1_weight": float("nan")}, "r1_weight=nan"),
        ({"ema_decay": 1.0}, "ema_decay=1.0"),
        ({"critic_layers": ("dense", 8)}, "critic_layers must be a tuple of layers"),
        ({"critic_layers": (("pol", 2),)}, '"pol"'),
    ],
)
def test_invalid_values_are_rejected_in_one_line(options, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")) as error:
        started(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options",
    [{"critic_batch_norm": True}, {"critic_layers": (("batch_norm",),)}, {"critic_layers": (("minibatch_std",),)}],
)
def test_the_wgan_gp_penalty_is_rejected_for_a_batch_dependent_critic(options):
    with pytest.raises(ValueError, match="needs a critic that scores each image on its own"):
        started(name="dcgan", wgan_gp_weight=10.0, **options)


def test_critic_batch_norm_is_rejected_with_critic_layers():
    with pytest.raises(ValueError, match="critic_batch_norm=True applies to the critic built from base_channels"):
        started(name="dcgan", critic_batch_norm=True, critic_layers=(("dense", 8),))


def test_the_batch_norm_preset_also_replaces_the_faces_networks():
    config = read_config("dcgan", "faces,batch_norm")
    networks = build_gan_networks(config, (64, 64, 3), num_critic_outputs=1)
    assert ("batch_norm",) in networks["critic"].layers
    assert not any(kind == "group_norm" for kind, *_ in networks["generator"].layers)


def test_images_too_small_for_a_dcgan_are_rejected():
    with pytest.raises(ValueError, match="images of 4 pixels are too small"):
        models.build_model(read_config("dcgan"), DatasetSpec("tiny", (4, 4, 1), 4))


def test_a_gan_has_no_encoder():
    model, state = started()
    with pytest.raises(NotImplementedError, match="GAN has no encoder"):
        model.encode(state.params, state.stats, tiny_batch().image, tiny_batch().label, jax.random.key(0))


def test_simultaneous_players_update_the_statistics_of_their_own_networks():
    layers = (("dense", 8), ("batch_norm",), ("relu",))
    model, state = started(update_order="simultaneous", critic_layers=layers, generator_layers=layers, ema_decay=0.5)
    once, _ = train(model, state)
    twice, _ = train(model, once)
    assert {name for name in twice.stats if not same(twice.stats[name], once.stats[name])} == {*twice.stats}
