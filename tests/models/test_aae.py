import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import K, tiny_batch, tiny_model

from jaxgen.losses.regularizers import normalize_per_example
from jaxgen.models.posterior import gaussian_kl
from jaxgen.types import Batch

Z = 15


def start(**changes):
    model = tiny_model("cond_aae", **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


def gradient(model, loss, state):
    return jax.grad(lambda params: loss(params, state.stats, tiny_batch(), jax.random.key(1))[0])(state.params)


def largest(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def test_a_critic_that_sees_the_label_scores_a_code_differently_under_each():
    model, state = start()
    scores = model.critic_logits(state.params, state.stats, jnp.ones((K, Z)), jnp.arange(K))
    assert len(np.unique(np.asarray(scores))) == K


def test_a_critic_that_does_not_see_the_label_scores_a_code_the_same():
    model, state = start(conditional_critic=False, bilinear_label_networks=())
    scores = model.critic_logits(state.params, state.stats, jnp.ones((K, Z)), jnp.arange(K))
    assert len(np.unique(np.asarray(scores))) == 1


def test_products_give_each_label_a_first_layer_of_its_own():
    model, state = start()
    code, _, product = model.network_inputs("critic", jnp.arange(1.0, Z + 1)[None], jnp.array([2]))
    assert product.shape == (1, K, Z)
    np.testing.assert_array_equal(product[0, 2], code[0])
    assert float(jnp.abs(product).sum()) == float(code.sum())
    assert len(model.seen("decoder", code, jnp.array([2]))) == 2
    assert state.params["critic"]["Dense_0"]["kernel"].shape[0] == Z + K + K * Z


def test_a_gaussian_posterior_is_drawn_from_and_a_point_is_not():
    image = tiny_batch().image
    for gaussian, differs in ((True, True), (False, False)):
        model, state = start(gaussian_posterior=gaussian, kl_weight=0.0)
        codes = [model.encode(state.params, state.stats, image, None, jax.random.key(seed)) for seed in (0, 1)]
        assert (float(jnp.abs(codes[0] - codes[1]).max()) > 1e-3) == differs


def test_the_kl_as_a_player_moves_the_encoder_as_the_weighted_term_would():
    weighted, state = start(kl_weight=0.5)
    alone = tiny_model("cond_aae", "separate_kl,smoke")
    assert [player.name for player in alone.players] == ["reconstruction", "critic", "encoder", "kl"]
    expected = gradient(weighted, weighted.reconstruct, state)["encoder"]
    parts = [gradient(alone, loss, state)["encoder"] for loss in (alone.reconstruction_loss, alone.kl_loss)]
    joined = jax.tree.map(lambda nll, kl: nll + 0.5 * kl, *parts)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), joined, expected)


@pytest.mark.parametrize("moves", [False, True])
def test_the_game_moves_the_posteriors_std_only_where_it_is_told_to(moves):
    model, state = start(adversarial_loss_trains_std=moves)
    last = gradient(model, model.fool_critic, state)["encoder"]["Dense_2"]["bias"]
    mean, log_std = last[:Z], last[Z:]
    assert largest(mean) > 0
    assert (largest(log_std) > 0) == moves


def test_the_critics_loss_adds_its_weight_of_the_penalty_of_both_kinds_of_code():
    losses = {}
    for weight in (0.0, 2.0):
        model, state = start(r1_r2_weight=weight)
        losses[weight], (metrics, _) = model.critic_loss(state.params, state.stats, tiny_batch(), jax.random.key(1))
    assert float(losses[2.0] - losses[0.0]) == pytest.approx(2 * float(metrics["penalty"]), rel=1e-4)
    assert float(losses[0.0]) == pytest.approx(float(metrics["loss"]), rel=1e-6)


def test_the_posteriors_kl_to_a_wider_prior_is_the_closed_form():
    model, state = start(prior_std=3.0)
    posterior = model.posterior(state.params, state.stats, tiny_batch().image)
    mean, std = np.asarray(posterior.mean), np.exp(np.asarray(posterior.log_std))
    expected = (np.log(3.0 / std) + (std**2 + mean**2) / (2 * 9.0) - 0.5).sum(1)
    np.testing.assert_allclose(model.kl(posterior), expected, rtol=1e-4)
    assert not np.allclose(model.kl(posterior), gaussian_kl(posterior.mean, 2 * posterior.log_std))


def test_the_reconstruction_adds_its_weight_of_the_kl():
    losses = {}
    for weight in (0.0, 0.5):
        model, state = start(kl_weight=weight)
        losses[weight], (metrics, _) = model.reconstruction_loss(
            state.params, state.stats, tiny_batch(), jax.random.key(1)
        )
    assert float(losses[0.5] - losses[0.0]) == pytest.approx(0.5 * float(metrics["kl"]), rel=1e-4)


def test_the_players_of_a_step_see_the_same_codes_so_that_one_forward_pass_serves_them():
    model, state = start(dropout_rate=0.0)
    rng = jax.random.key(1)
    code_rng = jax.random.split(rng)[0]
    batch = tiny_batch()
    codes = [
        model.sample_posterior(model.posterior(state.params, state.stats, batch.image, code_rng), code_rng),
        model.sample_posterior(model.posterior(state.params, state.stats, batch.image), code_rng),
    ]
    np.testing.assert_array_equal(*codes)


def test_the_critics_loss_gives_the_encoder_a_gradient_only_where_it_accumulates():
    """The tutorial's missing detach: the loss reaches the encoder, and the routing by argument is what stops it."""
    model, state = start(update_order="accumulating")
    through = gradient(model, model.tell_prior_from_code, state)
    assert largest(through["encoder"]) > 0
    assert largest(through["decoder"]) == 0


def test_smoothness_is_the_codes_movement_under_a_change_that_is_worse_than_chance_ones():
    model, state = start(vat_epsilon=2.0, prior_std=3.0)
    batch = tiny_batch()
    squared, _ = model.vat_loss(state.params, state.stats, batch, jax.random.key(1))
    code = model.posterior(state.params, state.stats, batch.image).mean
    by_chance = []
    for seed in range(20):
        change = 2.0 * normalize_per_example(jax.random.normal(jax.random.key(seed), batch.image.shape))
        changed = model.posterior(state.params, state.stats, batch.image + change).mean
        by_chance.append(float((((changed - code) / 3.0) ** 2).sum(-1).mean()))
    assert float(squared) > max(by_chance)


def test_an_unknown_label_is_decoded_and_scored_as_none():
    model, _ = start()
    np.testing.assert_array_equal(model.one_hot(jnp.array([-1, 1])), [[0] * K, [0, 1, 0, 0]])


def test_the_measures_of_an_example_do_not_depend_on_the_others_of_its_batch():
    model, state = start(gaussian_posterior=False, kl_weight=0.0)
    batch = tiny_batch()
    whole = model.per_example_metrics(state.params, state.stats, batch, jax.random.key(0))
    part = model.per_example_metrics(state.params, state.stats, Batch(*(x[:2] for x in batch)), jax.random.key(0))
    for name, value in part.items():
        np.testing.assert_allclose(value, whole[name][:2], rtol=1e-5)


def test_the_tutorials_decoder_is_linear_after_its_second_layer():
    model = tiny_model("cond_aae", "tutorial,smoke")
    assert model.networks["decoder"].linear_layers == (1,)
    assert model.update_order == "accumulating"
    assert model.prior.std == 5.0
    assert not model.conditional_critic


def test_an_unlabelled_decoder_sees_the_code_alone():
    model = tiny_model("aae")
    assert len(model.seen("decoder", jnp.zeros((1, 2)), jnp.zeros(1, jnp.int32))) == 1
    assert model.evaluators == ("reconstruction", "prior_mmd", "parzen")


def test_a_labelled_prior_draws_known_labels_from_their_piece_and_unknown_ones_from_anywhere():
    model = tiny_model("aae", "mixture,labelled,smoke")
    assert model.prior.num_components == K
    label = jnp.repeat(jnp.arange(-1, K), 500)
    piece = model.prior.nearest_component(model.sample_prior_for_label(jax.random.key(0), label))
    known = np.asarray(label) >= 0
    assert (np.asarray(piece) == np.asarray(label))[known].mean() > 0.98
    assert set(np.asarray(piece)[~known]) == set(range(K))
    assert "prior_component_accuracy" in model.evaluators


def test_without_labels_a_priors_pieces_belong_to_no_class():
    model = tiny_model("aae", "mixture,smoke")
    piece = model.prior.nearest_component(model.sample_prior_for_label(jax.random.key(0), jnp.zeros(500, jnp.int32)))
    assert set(np.asarray(piece)) == set(range(K))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": "mixtur"}, 'prior="mixtur" is unknown'),
        ({"prior": "swiss_roll", "latent_size": 3}, "latent_size=3 must be 2 for this prior"),
        ({"prior": "uniform", "gaussian_posterior": True, "kl_weight": 1.0}, "has no KL in closed form"),
        (
            {"bilinear_label_networks": ("critic",)},
            "passes a label to the critic, which receives none with conditional_critic=False; try",
        ),
        ({"log_sigmoid_eps": -1.0}, "log_eps=-1.0 must be at least 0"),
        ({"bilinear_label_networks": ("decoder",)}, "pass a label to the decoder, which receives none in this model"),
    ],
)
def test_a_prior_or_a_label_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_model("aae", **changes)
