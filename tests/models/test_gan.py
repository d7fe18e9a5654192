"""Generative adversarial networks: games against their papers' values, moves, the running mean, what is refused."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import B, C, H, K, W, read_config, same, tiny_batch, tiny_model

from jaxgen import models
from jaxgen.kernels.shared_backward import shared_fake_backward
from jaxgen.losses.adversarial import GAN_LOSSES, MAX_CONFIDENT_LOGIT
from jaxgen.losses.regularizers import r1_penalty, wgan_gp_penalty
from jaxgen.models.builders import build_gan_networks
from jaxgen.models.gan import EMA, GAN, batch_slice
from jaxgen.optimization.players import make_update
from jaxgen.types import Batch, DatasetSpec


def started(tokens="smoke", name="gan", **changes):
    model = tiny_model(name, tokens, **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


def numbers(metrics):
    return {name: float(value) for name, value in metrics.items()}


def updated(model, state, steps=1):
    update = jax.jit(make_update(model.players, model.schedule))
    for step in range(steps):
        state, metrics = update(state, tiny_batch(), jax.random.key(step))
    return state, metrics


@pytest.mark.parametrize(
    ("game", "critic", "generator"),
    [
        ("non_saturating", np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0)), np.log1p(np.exp(1.0))),
        ("least_squares", 0.5 * (1 + 1), 0.5 * 4),
        ("hinge", 0.0 + 0.0, 1.0),
        ("wasserstein", -3.0, 1.0),
    ],
)
def test_games_of_a_real_at_2_and_a_fake_at_minus_1(game, critic, generator):
    real, fake = jnp.array([2.0]), jnp.array([-1.0])
    assert float(GAN_LOSSES[game].critic(real, fake)[0]) == pytest.approx(critic, rel=1e-6)
    assert float(GAN_LOSSES[game].generator(fake)[0]) == pytest.approx(generator, rel=1e-6)


def test_simultaneous_players_share_the_forward_passes_of_what_is_drawn():
    def flops(schedule):
        model, state = started(
            update_order=schedule, generator_layers=(("dense", 1000),), critic_layers=(("dense", 10),)
        )
        update = jax.jit(make_update(model.players, schedule))
        return update.lower(state, tiny_batch(), jax.random.key(0)).compile().cost_analysis()["flops"]

    of_the_generator = 2 * B * 1000 * H * W * C  # its last layer, one way
    assert flops("alternating") - flops("simultaneous") > 0.9 * of_the_generator


TURNED = [name for name, game in GAN_LOSSES.items() if game.generator_to_critic_slope]


def score(params, fake):
    along = fake @ params
    return 2 * along + jnp.sin(along), None


@pytest.mark.parametrize("name", TURNED)
def test_one_way_back_gives_both_sides_their_gradients(name):
    game, params, fake = GAN_LOSSES[name], jnp.array([0.7, -0.2]), jnp.array([[-9.0, 2.0], [0.5, -1.0], [3.0, 4.0]])

    def apart(params, fake):
        said, _ = score(params, fake)
        return game.critic(jnp.zeros(3), said).mean(), game.generator(said).mean()

    (told, fooled), slopes = apart(params, fake), jax.jacrev(apart, (0, 1))(params, fake)
    logits, telling, fooling, _ = shared_fake_backward(game, score, params, fake)
    assert game.critic(jnp.zeros(3), logits).mean() + telling == told
    assert fooling == fooled
    together = jax.jacrev(lambda *at: shared_fake_backward(game, score, *at)[1:3], (0, 1))(params, fake)
    np.testing.assert_allclose(together[0][0], slopes[0][0], rtol=1e-5)
    np.testing.assert_allclose(together[1][1], slopes[1][1], rtol=1e-5)
    assert not together[0][1].any()
    assert not together[1][0].any()


@pytest.mark.parametrize("logit", [-MAX_CONFIDENT_LOGIT, -3 * MAX_CONFIDENT_LOGIT, 3 * MAX_CONFIDENT_LOGIT])
def test_a_generator_whose_critic_is_sure_has_a_finite_gradient(logit):
    def fooling(fake):
        return shared_fake_backward(GAN_LOSSES["non_saturating"], lambda _, fake: (fake[:, 0], None), (), fake)[2]

    expected = {-MAX_CONFIDENT_LOGIT: -1.0}.get(logit, 0.0)
    np.testing.assert_allclose(jax.grad(fooling)(jnp.full((1, 1), logit)), [[expected]], rtol=1e-5, atol=1e-20)


@pytest.mark.parametrize(
    "options", [{}, {"spectral_norm": True}, {"gan_loss": "wasserstein", "r1_weight": 1.0}, {"r1_weight": 1.0}]
)
def test_simultaneous_players_go_back_through_the_critic_once_and_move_as_if_twice(monkeypatch, options):
    def step():
        model, state = started(critic_layers=(("dense", 256), ("relu",), ("dense", 256), ("relu",)), **options)
        update = jax.jit(make_update(model.players, model.update_order))
        compiled = update.lower(state, tiny_batch(), jax.random.key(0)).compile()
        return compiled(state, tiny_batch(), jax.random.key(0)), compiled.cost_analysis()["flops"]

    (once, metrics), flops = step()
    monkeypatch.setattr(GAN, "one_way_back", False)
    (twice, others), more = step()
    of_the_middle_layer = 2 * B * 256 * 256
    assert more - flops > 0.9 * of_the_middle_layer
    for one, two in zip(jax.tree.leaves(once.opt_states), jax.tree.leaves(twice.opt_states), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-7)
    assert numbers(metrics) == pytest.approx(numbers(others))


@pytest.mark.parametrize("options", [{"critic_batch_norm": True, "critic_layers": ()}, {"gan_loss": "hinge"}])
def test_a_generator_goes_its_own_way_back_where_the_critics_is_another(options):
    assert not tiny_model("dcgan", "smoke", **options).shares_critic_backward


@pytest.mark.parametrize("game", GAN_LOSSES)
def test_a_critic_gains_by_raising_reals_and_a_generator_by_raising_fakes(game):
    real, fake = jnp.array([0.1]), jnp.array([0.2])
    by_real, by_fake = jax.grad(lambda r, f: GAN_LOSSES[game].critic(r, f).sum(), (0, 1))(real, fake)
    assert by_real[0] < 0 < by_fake[0]
    assert jax.grad(lambda f: GAN_LOSSES[game].generator(f).sum())(fake)[0] < 0


@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_the_slope_penalty_is_of_the_distance_from_1(slope, penalty):
    direction = jnp.array([0.6, 0.8])
    found = wgan_gp_penalty(lambda x: slope * x @ direction, jnp.ones((B, 2)), jnp.zeros((B, 2)), jax.random.key(0))
    np.testing.assert_allclose(found, penalty, atol=1e-4)


def test_a_flat_critic_has_a_finite_gradient_of_its_slope_penalty():
    def penalty(weight):
        return wgan_gp_penalty(
            lambda x: (weight * x).sum(-1), jnp.ones((B, 2)), jnp.zeros((B, 2)), jax.random.key(0)
        ).sum()

    assert np.isfinite(jax.grad(penalty)(jnp.zeros(2))).all()


def test_the_running_mean_keeps_its_share_of_itself():
    """Under simultaneous moves the parameters that made the images are those before the move."""
    model, state = started(ema_decay=0.9)
    assert same(state.stats[EMA], state.params["generator"])
    first, _ = updated(model, state)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), first.stats[EMA], state.params["generator"])
    second, _ = jax.jit(make_update(model.players, model.update_order))(first, tiny_batch(), jax.random.key(1))
    old, new = (jax.tree.leaves(each)[0] for each in (first.stats[EMA], first.params["generator"]))
    np.testing.assert_allclose(jax.tree.leaves(second.stats[EMA])[0], 0.9 * old + 0.1 * new, rtol=1e-5, atol=1e-7)


def test_images_are_drawn_by_the_running_mean_where_there_is_one():
    code = jax.random.normal(jax.random.key(5), (3, 50))
    for average, moved in ((0.9, False), (0.0, True)):
        model, state = started(ema_decay=average)
        params = {**state.params, "generator": jax.tree.map(lambda x: x + 0.1, state.params["generator"])}
        before, after = (model.decode(each, state.stats, code, None) for each in (state.params, params))
        assert (not np.array_equal(before, after)) == moved


def test_the_critics_moves_share_the_batch_out_and_each_is_one():
    parts = [batch_slice(tiny_batch(), turn, 3) for turn in range(3)]
    images = np.concatenate([part.image for part in parts])
    assert all(part.image.shape[0] == B // 3 for part in parts)
    assert sorted(images.sum((1, 2, 3))) == pytest.approx(sorted(np.asarray(tiny_batch().image.sum((1, 2, 3)))))
    model, state = started(critic_steps=3, batch_size=6, update_order="alternating")
    moved, _ = updated(model, state)
    counts = [x for x in jax.tree.leaves(moved.opt_states["critic"]) if x.dtype == jnp.int32]
    assert all(int(count) == 3 for count in counts)
    assert int(moved.step) == 1


@pytest.mark.parametrize("game", GAN_LOSSES)
def test_every_game_moves_both_sides(game):
    model, state = started(gan_loss=game, r1_weight=1.0)
    moved, metrics = updated(model, state, 2)
    assert all(np.isfinite(value) for value in metrics.values())
    assert not any(same(state.params[side], moved.params[side]) for side in ("critic", "generator"))


@pytest.mark.parametrize("tokens", ["conditional,smoke", "smoke"])
@pytest.mark.parametrize(
    "options", [{"r1_weight": 1.0}, {"wgan_gp_weight": 10.0, "gan_loss": "wasserstein"}, {"spectral_norm": True}]
)
def test_penalties_and_spectral_norms_train(tokens, options):
    model, state = started(tokens, name="dcgan", base_channels=4, **options)
    moved, metrics = updated(model, state, 2)
    assert all(np.isfinite(value) for value in metrics.values())
    assert not same(state.params["critic"], moved.params["critic"])


def test_the_nets_of_faces_make_and_see_colour_images_of_64_pixels_and_keep_no_statistics_of_batches_to_draw_by():
    model = models.build_model(read_config("dcgan", "faces"), DatasetSpec("faces", (64, 64, 3), 1))
    state = jax.eval_shape(model.init, jax.random.key(0))
    drawn = jax.eval_shape(model.decode, state.params, state.stats, jnp.zeros((2, 128)), jnp.zeros(2, jnp.int32))
    assert drawn.shape == (2, 64, 64, 3)
    assert not jax.tree.leaves(state.stats["generator"])  # the mean of the parameters would not fit them


@pytest.mark.parametrize("shape", [(28, 28, 1), (28, 28, 3), (32, 32, 1), (32, 32, 3), (64, 64, 1), (64, 64, 3)])
@pytest.mark.parametrize("tokens", ["", "conditional", "batch_norm"])
def test_a_dcgan_doubles_to_every_size_from_7_or_4_pixels_in_grey_and_in_colour(shape, tokens):
    model = models.build_model(read_config("dcgan", tokens), DatasetSpec("some", shape, K))
    state = jax.eval_shape(model.init, jax.random.key(0))
    code, label = jnp.zeros((2, model.latent_size)), jnp.zeros(2, jnp.int32)
    assert jax.eval_shape(model.decode, state.params, state.stats, code, label).shape == (2, *shape)
    (seed,) = (numbers for kind, *numbers in model.networks["generator"].layers if kind == "seed")
    assert shape[0] / seed[0] == (7 if shape[0] == 28 else 4)


def test_conv_gan_is_dcgan_on_mnist():
    assert read_config("conv_gan", "mnist").to_dict() == read_config("dcgan", "mnist").to_dict()


def test_the_tutorials_conv_gan_has_its_nets():
    model = models.build_model(read_config("conv_gan", "tutorial"), DatasetSpec("some", (28, 28, 1), K))
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    shapes = {side: [x.shape for x in jax.tree.leaves(params[side]) if x.ndim > 1] for side in params}
    assert sorted(shapes["generator"]) == [(2, 2, 25, 1), (3, 3, 1, 50), (3, 3, 50, 25), (100, 56 * 56)]
    assert sorted(shapes["critic"]) == [(5, 5, 1, 32), (5, 5, 32, 64), (1024, 1), (7 * 7 * 64, 1024)]


def test_cgan_is_gan_told_the_label():
    assert read_config("cgan", "mnist").to_dict() == read_config("gan", "mnist,conditional").to_dict()


def test_a_gan_that_is_told_labels_is_refused_where_some_are_hidden():
    with pytest.raises(ValueError, match="labels=100 hides labels"):
        started("conditional,smoke", num_labeled=100)


def test_the_slope_is_of_the_very_images_that_the_critic_was_shown():
    model, state = started(name="dcgan", critic_layers=(("cutout", 0.5), ("dense", 8), ("relu",)), r1_weight=1.0)
    batch = tiny_batch()
    play, handed = seen = model.shared_forward(0, state.params, state.stats, batch, jax.random.key(0))

    def score(image):
        return model.critic_logits(state.params, state.stats, image, batch.label, handed.rng)[0]

    image = 2 * batch.image - 1
    np.testing.assert_allclose(score(image), play.real, rtol=1e-6)
    _, (metrics, _) = model.critic_loss(state.params, state.stats, batch, seen)
    assert float(metrics["r1"]) == pytest.approx(float(r1_penalty(score, image).mean()), rel=1e-5)


def test_a_critic_that_sees_images_moved_covered_and_their_spread_trains_and_then_judges_each_by_itself():
    layers = (("shift", 2), ("cutout", 0.5), ("conv", 4, 4, 2, 1), ("leaky_relu", 0.2), ("minibatch_std",))
    model, state = started(name="dcgan", base_channels=4, r1_weight=0.0, critic_layers=layers)
    moved, metrics = updated(model, state, 2)
    assert all(np.isfinite(value) for value in metrics.values())
    spread = [stats["critic"]["batch_stats"]["BatchStd_0"]["std"] for stats in (state.stats, moved.stats)]
    assert spread[0] != spread[1]
    images = jax.random.normal(jax.random.key(0), (4, *model.info.image_shape))
    together = model.apply_network("critic", moved.params, moved.stats, images)
    alone = jnp.concatenate([model.apply_network("critic", moved.params, moved.stats, each[None]) for each in images])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_a_critics_moves_that_do_not_share_out_what_a_device_sees_are_refused():
    with pytest.raises(ValueError, match="critic_steps=10 must divide the 5 images"):
        batch_slice(Batch(jnp.zeros((5, 2, 2, 1)), jnp.zeros(5), jnp.ones(5)), 0, 10)


def test_a_spectral_critic_has_kernels_of_norm_at_most_about_1():
    model, state = started(spectral_norm=True, r1_weight=0.0)
    state, _ = updated(model, state, 30)
    images = jax.random.normal(jax.random.key(0), (2, *model.info.image_shape))
    said, _ = model.critic_logits(state.params, state.stats, images, None, jax.random.key(0))
    assert abs(float(said[0] - said[1])) <= 1.1 * float(jnp.linalg.norm(images[0] - images[1]))


def test_the_projection_critic_adds_the_labels_own_score():
    model, _ = started("conditional,smoke")
    said = jnp.array([[1.0, 10.0, 20.0, 30.0, 40.0]])
    assert float(model.heard(said, jnp.array([2]))[0]) == 31.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gan_loss": "chess"}, 'game="chess"'),
        ({"critic_steps": 0}, "critic_steps=0"),
        ({"critic_steps": 5, "batch_size": 64}, "divide batch_size=64"),
        ({"critic_steps": 5, "batch_size": 64}, "--config.update_order=alternating"),
        ({"critic_steps": 2, "batch_size": 64}, 'needs schedule="alternating"'),
        ({"gan_loss": "wasserstein", "r1_weight": 0.0}, "not steep"),
        ({"r1_weight": -1.0}, "r1=-1.0"),
        ({"r1_weight": float("nan")}, "r1=nan"),
        ({"ema_decay": 1.0}, "average=1.0"),
        ({"critic_layers": ("dense", 8)}, "critic_layers must be a tuple of layers"),
        ({"critic_layers": (("pol", 2),)}, '"pol"'),
    ],
)
def test_what_no_gan_can_be_built_with_is_refused_in_one_line(options, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")) as refused:
        started(**options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [{"critic_batch_norm": True}, {"critic_layers": (("batch_norm",),)}, {"critic_layers": (("minibatch_std",),)}],
)
def test_a_slope_penalty_is_refused_where_the_critic_sees_a_batch(options):
    with pytest.raises(ValueError, match="is of each image by itself"):
        started(name="dcgan", wgan_gp_weight=10.0, **options)


def test_critic_norm_is_refused_where_layers_are_spelled():
    with pytest.raises(ValueError, match="critic_norm=True is of the critic that width makes"):
        started(name="dcgan", critic_batch_norm=True, critic_layers=(("dense", 8),))


def test_the_papers_nets_are_those_of_faces_too():
    config = read_config("dcgan", "faces,batch_norm")
    nets = build_gan_networks(config, (64, 64, 3), scores=1)
    assert ("batch_norm",) in nets["critic"].layers
    assert not any(kind == "group_norm" for kind, *_ in nets["generator"].layers)


def test_images_too_small_for_a_dcgan_are_refused():
    with pytest.raises(ValueError, match="images of 4 pixels are too small"):
        models.build_model(read_config("dcgan"), DatasetSpec("tiny", (4, 4, 1), 4))


def test_a_generator_encodes_nothing_and_says_so():
    model, state = started()
    with pytest.raises(ValueError, match="encodes no image"):
        model.encode(state.params, state.stats, tiny_batch().image, None, None)


def test_simultaneous_players_keep_the_statistics_of_their_own_networks():
    layers = (("dense", 8), ("batch_norm",), ("relu",))
    model, state = started(update_order="simultaneous", critic_layers=layers, generator_layers=layers, ema_decay=0.5)
    once, _ = updated(model, state)
    twice, _ = updated(model, once)
    assert {name for name in twice.stats if not same(twice.stats[name], once.stats[name])} == {*twice.stats}
