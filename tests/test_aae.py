import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import K, tiny_algorithm, tiny_batch

from jaxgen.distributions import gaussian_kl
from jaxgen.objectives import unit
from jaxgen.types import Batch

Z = 15


def start(**changes):
    algorithm = tiny_algorithm("cond_aae", **changes)
    return algorithm, jax.jit(algorithm.init)(jax.random.key(0))


def gradient(algorithm, loss, state):
    return jax.grad(lambda params: loss(params, state.stats, tiny_batch(), jax.random.key(1))[0])(state.params)


def largest(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def test_a_critic_that_sees_the_label_scores_a_code_differently_under_each():
    algorithm, state = start()
    scores = algorithm.score(state.params, state.stats, jnp.ones((K, Z)), jnp.arange(K))
    assert len(np.unique(np.asarray(scores))) == K


def test_a_critic_that_does_not_see_the_label_scores_a_code_the_same():
    algorithm, state = start(critic_sees_label=False, label_products=())
    scores = algorithm.score(state.params, state.stats, jnp.ones((K, Z)), jnp.arange(K))
    assert len(np.unique(np.asarray(scores))) == 1


def test_products_give_each_label_a_first_layer_of_its_own():
    algorithm, state = start()
    code, _, product = algorithm.seen("critic", jnp.arange(1.0, Z + 1)[None], jnp.array([2]))
    assert product.shape == (1, K, Z)
    np.testing.assert_array_equal(product[0, 2], code[0])
    assert float(jnp.abs(product).sum()) == float(code.sum())
    assert len(algorithm.seen("decoder", code, jnp.array([2]))) == 2
    assert state.params["critic"]["Dense_0"]["kernel"].shape[0] == Z + K + K * Z


def test_a_gaussian_posterior_is_drawn_from_and_a_point_is_not():
    image = tiny_batch().image
    for gaussian, differs in ((True, True), (False, False)):
        algorithm, state = start(gaussian_posterior=gaussian, kl_weight=0.0)
        codes = [algorithm.encode(state.params, state.stats, image, None, jax.random.key(seed)) for seed in (0, 1)]
        assert (float(jnp.abs(codes[0] - codes[1]).max()) > 1e-3) == differs


def test_the_kl_as_a_player_moves_the_encoder_as_the_weighted_term_would():
    weighted, state = start(kl_weight=0.5)
    alone = tiny_algorithm("cond_aae", "separate_kl,smoke")
    assert [player.name for player in alone.players] == ["reconstruction", "critic", "encoder", "kl"]
    expected = gradient(weighted, weighted.reconstruct, state)["encoder"]
    parts = [gradient(alone, loss, state)["encoder"] for loss in (alone.reconstruct, alone.compress)]
    joined = jax.tree.map(lambda nll, kl: nll + 0.5 * kl, *parts)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), joined, expected)


@pytest.mark.parametrize("moves", [False, True])
def test_the_game_moves_the_posteriors_std_only_where_it_is_told_to(moves):
    algorithm, state = start(game_moves_spread=moves)
    last = gradient(algorithm, algorithm.fool_critic, state)["encoder"]["Dense_2"]["bias"]
    mean, log_std = last[:Z], last[Z:]
    assert largest(mean) > 0
    assert (largest(log_std) > 0) == moves


def test_the_critics_loss_adds_its_weight_of_the_penalty_of_both_kinds_of_code():
    losses = {}
    for weight in (0.0, 2.0):
        algorithm, state = start(gradient_penalty=weight)
        losses[weight], (metrics, _) = algorithm.tell_prior_from_code(
            state.params, state.stats, tiny_batch(), jax.random.key(1)
        )
    assert float(losses[2.0] - losses[0.0]) == pytest.approx(2 * float(metrics["penalty"]), rel=1e-4)
    assert float(losses[0.0]) == pytest.approx(float(metrics["loss"]), rel=1e-6)


def test_the_posteriors_kl_to_a_wider_prior_is_the_closed_form():
    algorithm, state = start(prior_std=3.0)
    posterior = algorithm.posterior(state.params, state.stats, tiny_batch().image)
    mean, std = np.asarray(posterior.mean), np.exp(np.asarray(posterior.log_std))
    expected = (np.log(3.0 / std) + (std**2 + mean**2) / (2 * 9.0) - 0.5).sum(1)
    np.testing.assert_allclose(algorithm.kl(posterior), expected, rtol=1e-4)
    assert not np.allclose(algorithm.kl(posterior), gaussian_kl(posterior.mean, 2 * posterior.log_std))


def test_the_reconstruction_adds_its_weight_of_the_kl():
    losses = {}
    for weight in (0.0, 0.5):
        algorithm, state = start(kl_weight=weight)
        losses[weight], (metrics, _) = algorithm.reconstruct(state.params, state.stats, tiny_batch(), jax.random.key(1))
    assert float(losses[0.5] - losses[0.0]) == pytest.approx(0.5 * float(metrics["kl"]), rel=1e-4)


def test_the_players_of_a_step_see_the_same_codes_so_that_one_forward_pass_serves_them():
    algorithm, state = start(dropout=0.0)
    rng = jax.random.key(1)
    code_rng = jax.random.split(rng)[0]
    batch = tiny_batch()
    codes = [
        algorithm.draw(algorithm.posterior(state.params, state.stats, batch.image, code_rng), code_rng),
        algorithm.draw(algorithm.posterior(state.params, state.stats, batch.image), code_rng),
    ]
    np.testing.assert_array_equal(*codes)


def test_the_critics_loss_gives_the_encoder_a_gradient_only_where_it_accumulates():
    """The tutorial's missing detach: the loss reaches the encoder, and the routing by argument is what stops it."""
    algorithm, state = start(schedule="accumulating")
    through = gradient(algorithm, algorithm.tell_prior_from_code, state)
    assert largest(through["encoder"]) > 0
    assert largest(through["decoder"]) == 0


def test_smoothness_is_the_codes_movement_under_a_change_that_is_worse_than_chance_ones():
    algorithm, state = start(perturbation=2.0, prior_std=3.0)
    batch = tiny_batch()
    squared, _ = algorithm.resist(state.params, state.stats, batch, jax.random.key(1))
    code = algorithm.posterior(state.params, state.stats, batch.image).mean
    by_chance = []
    for seed in range(20):
        change = 2.0 * unit(jax.random.normal(jax.random.key(seed), batch.image.shape))
        changed = algorithm.posterior(state.params, state.stats, batch.image + change).mean
        by_chance.append(float((((changed - code) / 3.0) ** 2).sum(-1).mean()))
    assert float(squared) > max(by_chance)


def test_an_unknown_label_is_decoded_and_scored_as_none():
    algorithm, _ = start()
    np.testing.assert_array_equal(algorithm.one_hot(jnp.array([-1, 1])), [[0] * K, [0, 1, 0, 0]])


def test_the_measures_of_an_example_do_not_depend_on_the_others_of_its_batch():
    algorithm, state = start(gaussian_posterior=False, kl_weight=0.0)
    batch = tiny_batch()
    whole = algorithm.evaluate(state.params, state.stats, batch, jax.random.key(0))
    part = algorithm.evaluate(state.params, state.stats, Batch(*(x[:2] for x in batch)), jax.random.key(0))
    for name, value in part.items():
        np.testing.assert_allclose(value, whole[name][:2], rtol=1e-5)


def test_the_tutorials_decoder_is_linear_after_its_second_layer():
    algorithm = tiny_algorithm("cond_aae", "tutorial,smoke")
    assert algorithm.networks["decoder"].linear == (1,)
    assert algorithm.schedule == "accumulating"
    assert algorithm.prior.std == 5.0
    assert not algorithm.critic_sees_label


def test_an_unlabelled_decoder_sees_the_code_alone():
    algorithm = tiny_algorithm("aae")
    assert len(algorithm.seen("decoder", jnp.zeros((1, 2)), jnp.zeros(1, jnp.int32))) == 1
    assert algorithm.evaluations == ("reconstruction", "prior_gap", "parzen")


def test_a_labelled_prior_draws_known_labels_from_their_piece_and_unknown_ones_from_anywhere():
    algorithm = tiny_algorithm("aae", "mixture,labelled,smoke")
    assert algorithm.prior.pieces == K
    label = jnp.repeat(jnp.arange(-1, K), 500)
    piece = algorithm.prior.nearest_piece(algorithm.prior_code(jax.random.key(0), label))
    known = np.asarray(label) >= 0
    assert (np.asarray(piece) == np.asarray(label))[known].mean() > 0.98
    assert set(np.asarray(piece)[~known]) == set(range(K))
    assert "own_component" in algorithm.evaluations


def test_without_labels_a_priors_pieces_belong_to_no_class():
    algorithm = tiny_algorithm("aae", "mixture,smoke")
    piece = algorithm.prior.nearest_piece(algorithm.prior_code(jax.random.key(0), jnp.zeros(500, jnp.int32)))
    assert set(np.asarray(piece)) == set(range(K))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": "mixtur"}, 'prior="mixtur" is unknown'),
        ({"prior": "swiss_roll", "latent_size": 3}, "latent_size=3 must be 2 for this prior"),
        ({"prior": "uniform", "gaussian_posterior": True, "kl_weight": 1.0}, "has no KL in closed form"),
        ({"label_products": ("critic",)}, "gives the critic a label that critic_sees_label=False keeps from it; try"),
        ({"log_eps": -1.0}, "log_eps=-1.0 must be at least 0"),
        ({"label_products": ("decoder",)}, "a label that this family does not tell it"),
    ],
)
def test_a_prior_or_a_label_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_algorithm("aae", **changes)
