import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import K, tiny_batch, tiny_model

from jaxgen.losses.regularizers import normalize_per_example
from jaxgen.models.posterior import gaussian_kl
from jaxgen.types import Batch

Z = 15
RNG = jax.random.key(1)


def start(presets="smoke", **changes):
    model = tiny_model("cond_aae", presets, **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


def evaluate(model, name, state, params=None):
    """Returns the player's loss and metrics on its forward pass."""
    player = next(player for player in model.players if player.name == name)
    params = state.params if params is None else params
    forward = player.shared_forward(params, state.stats, tiny_batch(), RNG)
    loss, (metrics, _) = player.loss(params, state.stats, tiny_batch(), forward)
    return loss, metrics


def gradient(model, name, state):
    return jax.grad(lambda params: evaluate(model, name, state, params)[0])(state.params)


def largest(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def critic_logits(model, state, code, label):
    return model.make_critic(state.params, state.stats, label).logits(code)


def test_a_conditional_critic_scores_a_code_differently_under_each_label():
    model, state = start()
    assert len(np.unique(np.asarray(critic_logits(model, state, jnp.ones((K, Z)), jnp.arange(K))))) == K


def test_an_unconditional_critic_scores_a_code_the_same_under_each_label():
    model, state = start(conditional_critic=False, bilinear_label_networks=())
    assert len(np.unique(np.asarray(critic_logits(model, state, jnp.ones((K, Z)), jnp.arange(K))))) == 1


def test_bilinear_inputs_give_each_label_a_first_layer_of_its_own():
    model, state = start()
    code, _, product = model.network_inputs("critic", jnp.arange(1.0, Z + 1)[None], jnp.array([2]))
    assert product.shape == (1, K, Z)
    np.testing.assert_array_equal(product[0, 2], code[0])
    assert float(jnp.abs(product).sum()) == float(code.sum())
    assert len(model.network_inputs("decoder", code, jnp.array([2]))) == 2
    assert state.params["critic"]["Dense_0"]["kernel"].shape[0] == Z + K + K * Z


def test_a_gaussian_posterior_is_sampled_and_a_point_is_not():
    image = tiny_batch().image
    for gaussian, differs in ((True, True), (False, False)):
        model, state = start(gaussian_posterior=gaussian, kl_weight=0.0)
        codes = [model.encode(state.params, state.stats, image, None, jax.random.key(seed)) for seed in (0, 1)]
        assert (float(jnp.abs(codes[0] - codes[1]).max()) > 1e-3) == differs


@pytest.mark.slow
def test_the_kl_player_has_the_gradient_of_the_weighted_term():
    weighted, state = start(kl_weight=0.5)
    separate, _ = start("separate_kl,smoke")
    assert [player.name for player in separate.players] == ["reconstruction", "critic", "adversarial", "kl"]
    expected = gradient(weighted, "reconstruction", state)["encoder"]
    parts = [gradient(separate, name, state)["encoder"] for name in ("reconstruction", "kl")]
    joined = jax.tree.map(lambda nll, kl: nll + 0.5 * kl, *parts)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), joined, expected)


@pytest.mark.parametrize("trains_std", [False, True])
def test_the_adversarial_loss_trains_the_posteriors_std_only_if_configured(trains_std):
    model, state = start(adversarial_loss_trains_std=trains_std)
    bias = gradient(model, "adversarial", state)["encoder"]["Dense_2"]["bias"]
    mean, log_std = bias[:Z], bias[Z:]
    assert largest(mean) > 0
    assert (largest(log_std) > 0) == trains_std


def test_the_critic_loss_adds_the_weighted_penalty():
    losses = {}
    for weight in (0.0, 2.0):
        model, state = start(r1_r2_weight=weight)
        losses[weight], metrics = evaluate(model, "critic", state)
    assert float(losses[2.0] - losses[0.0]) == pytest.approx(2 * float(metrics["r1_r2"]), rel=1e-4)
    assert float(losses[0.0]) == pytest.approx(float(metrics["loss"]), rel=1e-6)


def test_the_kl_to_a_wider_prior_is_the_closed_form():
    model, state = start(prior_std=3.0)
    posterior = model.posterior(state.params, state.stats, tiny_batch().image)
    mean, std = np.asarray(posterior.mean), np.exp(np.asarray(posterior.log_std))
    expected = (np.log(3.0 / std) + (std**2 + mean**2) / (2 * 9.0) - 0.5).sum(1)
    np.testing.assert_allclose(model.posterior_kl(posterior), expected, rtol=1e-4)
    assert not np.allclose(model.posterior_kl(posterior), gaussian_kl(posterior.mean, 2 * posterior.log_std))


def test_the_reconstruction_loss_adds_the_weighted_kl():
    losses = {}
    for weight in (0.0, 0.5):
        model, state = start(kl_weight=weight)
        losses[weight], metrics = evaluate(model, "reconstruction", state)
    assert float(losses[0.5] - losses[0.0]) == pytest.approx(0.5 * float(metrics["kl"]), rel=1e-4)


def test_all_players_share_one_forward_pass():
    model, _ = start("separate_kl,smoke", vat_epsilon=1.0)
    assert [player.name for player in model.players] == ["reconstruction", "critic", "adversarial", "vat", "kl"]
    assert {player.shared_forward for player in model.players} == {model.shared_forward}


def test_the_critic_and_the_encoder_score_the_codes_that_are_decoded():
    model, state = start(dropout_rate=0.2, r1_r2_weight=0.0)
    outputs, _ = model.shared_forward(state.params, state.stats, tiny_batch(), RNG)
    logits = critic_logits(model, state, outputs.code, tiny_batch().label)
    np.testing.assert_allclose(outputs.critic_losses.generator, jax.nn.softplus(-logits).mean(), rtol=1e-6)


def test_vat_starts_from_codes_without_dropout():
    model, state = start(dropout_rate=0.2, vat_epsilon=1.0)
    outputs, aux = model.shared_forward(state.params, state.stats, tiny_batch(), RNG)
    clean = model.posterior(state.params, state.stats, tiny_batch().image).mean
    np.testing.assert_array_equal(aux.mean, clean)
    assert float(jnp.abs(outputs.posterior.mean - clean).max()) > 1e-3


def test_the_vat_loss_exceeds_that_of_random_changes_of_the_same_norm():
    model, state = start(vat_epsilon=2.0, prior_std=3.0)
    batch = tiny_batch()
    squared, _ = evaluate(model, "vat", state)
    code = model.posterior(state.params, state.stats, batch.image).mean
    random_changes = []
    for seed in range(20):
        change = 2.0 * normalize_per_example(jax.random.normal(jax.random.key(seed), batch.image.shape))
        changed = model.posterior(state.params, state.stats, batch.image + change).mean
        random_changes.append(float((((changed - code) / 3.0) ** 2).sum(-1).mean()))
    assert float(squared) > max(random_changes)


def test_an_unknown_label_is_a_row_of_zeros():
    model, _ = start()
    np.testing.assert_array_equal(model.one_hot(jnp.array([-1, 1])), [[0] * K, [0, 1, 0, 0]])


def test_the_metrics_of_an_example_do_not_depend_on_the_rest_of_its_batch():
    model, state = start(gaussian_posterior=False, kl_weight=0.0)
    batch = tiny_batch()
    whole = model.per_example_metrics(state.params, state.stats, batch, jax.random.key(0))
    part = model.per_example_metrics(state.params, state.stats, Batch(*(x[:2] for x in batch)), jax.random.key(0))
    for name, value in part.items():
        np.testing.assert_allclose(value, whole[name][:2], rtol=1e-5)


def test_an_unconditional_decoder_receives_the_code_alone():
    model = tiny_model("aae")
    assert len(model.network_inputs("decoder", jnp.zeros((1, 2)), jnp.zeros(1, jnp.int32))) == 1
    assert model.evaluators == ("reconstruction", "prior_mmd", "parzen")


def test_a_class_conditional_prior_samples_known_labels_from_their_component_and_unknown_ones_from_all():
    model = tiny_model("aae", "mixture,labeled,smoke")
    assert model.prior.num_components == K
    label = jnp.repeat(jnp.arange(-1, K), 500)
    component = model.prior.nearest_component(model.sample_prior_for_label(jax.random.key(0), label))
    known = np.asarray(label) >= 0
    assert (np.asarray(component) == np.asarray(label))[known].mean() > 0.98
    assert set(np.asarray(component)[~known]) == set(range(K))
    assert "prior_component_accuracy" in model.evaluators


def test_without_labels_the_components_of_a_prior_belong_to_no_class():
    model = tiny_model("aae", "mixture,smoke")
    code = model.sample_prior_for_label(jax.random.key(0), jnp.zeros(500, jnp.int32))
    assert set(np.asarray(model.prior.nearest_component(code))) == set(range(K))


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
        ({"vat_epsilon": -1.0}, "vat_epsilon=-1.0 must be at least 0"),
        ({"bilinear_label_networks": ("decoder",)}, "pass a label to the decoder, which receives none in this model"),
    ],
)
def test_a_prior_or_a_label_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_model("aae", **changes)
