import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import B, K, same, tiny_batch, tiny_model
from scipy import stats as scipy_stats

from jaxgen.data.transforms import random_shift
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.losses.regularizers import normalize_per_example
from jaxgen.metrics.clustering import clustering_error, majority_class_per_cluster
from jaxgen.optimization.players import make_update


def start(name="semi_aae", presets="smoke", **changes):
    model = tiny_model(name, presets, **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


def evaluate(loss, model, state, batch=None, params=None):
    """Returns a loss and its metrics on a forward pass of the model."""
    batch = tiny_batch() if batch is None else batch
    params = state.params if params is None else params
    forward = model.shared_forward(params, state.stats, batch, jax.random.key(1))
    loss, (metrics, _) = loss(params, state.stats, batch, forward)
    return loss, metrics


def test_an_image_moves_by_whole_pixels_and_the_new_pixels_are_black():
    image = jnp.asarray(np.random.default_rng(0).random((200, 8, 10, 1)), jnp.float32)
    out = np.asarray(random_shift(image, jax.random.key(0), 2))
    padded = np.pad(np.asarray(image), ((0, 0), (2, 2), (2, 2), (0, 0)))
    shifts = {(down, right): padded[:, down : down + 8, right : right + 10] for down in range(5) for right in range(5)}
    hits = np.array([[np.array_equal(out[i], cut[i]) for cut in shifts.values()] for i in range(200)])
    assert (hits.sum(1) == 1).all()
    assert (hits.sum(0) > 0).all()  # each of the 25 shifts occurs


def test_a_unit_change_has_length_1_in_every_example():
    change = normalize_per_example(jnp.asarray(np.random.default_rng(0).normal(size=(B, 8, 10, 1)), jnp.float32))
    np.testing.assert_allclose(np.linalg.norm(np.asarray(change).reshape(B, -1), axis=1), 1.0, rtol=1e-5)


def test_classification_is_scipys_cross_entropy_of_the_known_labels_alone():
    model, state = start(input_noise_std=0.0)
    batch = tiny_batch()
    known = np.array([True, False, True, True, False, True])
    batch = batch._replace(label=jnp.where(known, batch.label, -1))
    loss, _ = evaluate(model.classification_loss, model, state, batch)
    logits = np.asarray(model.encoder_outputs(state.params, state.stats, batch.image)[0], np.float64)
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = [scipy_stats.entropy(np.eye(K)[y]) - np.log(p[y]) for p, y in zip(probability, batch.label, strict=True)]
    assert float(loss) == pytest.approx(np.mean(np.array(expected)[known]), rel=1e-5)


def test_a_batch_without_labels_gives_no_classification_gradient():
    model, state = start()
    batch = tiny_batch()._replace(label=jnp.full(B, -1))
    gradient = jax.grad(lambda params: evaluate(model.classification_loss, model, state, batch, params)[0])(
        state.params
    )
    assert all(float(jnp.abs(x).max()) == 0 for x in jax.tree.leaves(gradient))


@pytest.mark.slow
def test_clustering_does_not_use_labels():
    model, state = start("cluster_aae")
    update = jax.jit(make_update(model.players, model.update_order))
    batch = tiny_batch()
    labeled, _ = update(state, batch, jax.random.key(0))
    unlabeled, _ = update(state, batch._replace(label=jnp.full(B, -1)), jax.random.key(0))
    assert same(labeled, unlabeled)


def test_the_vat_loss_exceeds_the_kl_under_random_changes_of_the_same_norm():
    model, state = start(vat_epsilon=2.0, input_noise_std=0.0)
    batch = tiny_batch()
    kl, _ = evaluate(model.vat_loss, model, state)
    category = jax.nn.softmax(model.encoder_outputs(state.params, state.stats, batch.image)[0])
    random_changes = []
    for seed in range(20):
        change = 2.0 * normalize_per_example(jax.random.normal(jax.random.key(seed), batch.image.shape))
        other = jax.nn.softmax(model.encoder_outputs(state.params, state.stats, batch.image + change)[0])
        random_changes.append(scipy_stats.entropy(np.asarray(category), np.asarray(other), axis=1).mean())
    assert float(kl) > max(random_changes)


@pytest.mark.slow
def test_the_mutual_information_terms_are_added_to_the_vat_loss():
    plain, state = start("cluster_aae", vat_epsilon=1.0, mutual_information_weight=0.0)
    informed, _ = start("cluster_aae", vat_epsilon=1.0, mutual_information_weight=0.5)
    batch = tiny_batch()
    kl, _ = evaluate(plain.vat_loss, plain, state)
    loss, metrics = evaluate(informed.vat_loss, informed, state)
    category = np.asarray(jax.nn.softmax(plain.encoder_outputs(state.params, state.stats, batch.image)[0]), np.float64)
    entropy = scipy_stats.entropy(category, axis=1).mean()
    marginal_kl = scipy_stats.entropy(category.mean(0), np.ones(plain.categories))
    assert float(metrics["conditional_entropy"]) == pytest.approx(entropy, rel=1e-4)
    assert float(metrics["marginal_kl"]) == pytest.approx(marginal_kl, abs=1e-5)
    assert float(loss - kl) == pytest.approx(0.5 * (entropy + 2 * marginal_kl), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("trains", [True, False])
def test_reconstruction_trains_the_category_only_if_configured(trains):
    model, state = start("cluster_aae", reconstruction_trains_category=trains)
    gradient = jax.grad(lambda params: evaluate(model.reconstruction_loss, model, state, params=params)[0])(
        state.params
    )
    last = max(state.params["encoder"])  # the layer of both outputs: logits first, then the style
    slope = np.abs(gradient["encoder"][last]["kernel"]).max(0)
    assert (slope[: model.categories].max() > 0) == trains
    assert slope[model.categories :].min() > 0


def test_mutual_information_without_vat_is_refused():
    with pytest.raises(ValueError, match=r"mutual_information_weight=0.3 must be 0 without .* got vat_epsilon=0.0"):
        start("cluster_aae", mutual_information_weight=0.3, vat_epsilon=0.0)


def test_reconstruction_without_labels_uses_the_category_that_the_encoder_predicts():
    model, state = start()
    trained = TrainedModel(model, state.params, state.stats)
    images = np.asarray(tiny_batch().image)
    predicted = trained.predict_category(images)
    np.testing.assert_array_equal(trained.reconstruct(images), trained.reconstruct(images, predicted))


def test_a_straight_through_category_is_one_hot_and_has_the_gradient_of_the_soft_one():
    soft, _ = start()
    hard, _ = start(straight_through_category=True)
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(B, K)), jnp.float32)
    np.testing.assert_allclose(hard.category_code(logits), np.eye(K)[logits.argmax(-1)], atol=1e-6)
    weight = jnp.arange(float(K))
    slopes = [
        jax.grad(lambda x, model=model: (model.category_code(x) @ weight).sum())(logits) for model in (soft, hard)
    ]
    np.testing.assert_allclose(*slopes, rtol=1e-6)


def test_a_family_that_reads_no_category_says_so():
    model, state = start("cond_aae")
    with pytest.raises(ValueError, match="ConditionalAAE predicts no category"):
        TrainedModel(model, state.params, state.stats).predict_category(np.asarray(tiny_batch().image))


@pytest.mark.slow
def test_clusters_are_decoded_by_cluster_head():
    model, state = start("cluster_aae", num_clusters=7)
    trained = TrainedModel(model, state.params, state.stats)
    assert trained.decode(trained.sample_prior(7), np.arange(7)).shape[0] == 7
    with pytest.raises(ValueError, match=r"must lie in \[0, 7\)"):
        trained.decode(trained.sample_prior(1), 7)


def test_the_plain_network_has_the_classification_player_alone():
    model, _ = start(presets="plain,smoke")
    assert [player.name for player in model.players] == ["classification"]
    assert model.evaluators == ("classification",)


@pytest.mark.parametrize(("name", "extra"), [("semi_aae", {"classification"}), ("cluster_aae", set())])
def test_the_tutorials_recipe_is_reconstruction_and_two_critics(name, extra):
    players = {player.name for player in tiny_model(name, "tutorial,smoke").players}
    assert players == {"reconstruction", "category_critic", "style_critic", "adversarial", *extra}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("semi_aae", {"num_labeled": 0}, "num_labeled=0 and labeled_every_n=2 must both differ from 0"),
        ("semi_aae", {"labeled_every_n": 0}, "labeled_every_n=0 must both"),
        ("semi_aae", {"vat_epsilon": -1.0}, "vat_epsilon=-1.0 must be at least 0"),
        ("cluster_aae", {"num_clusters": 0}, "num_clusters=0 must be at least 1; try --config.num_clusters=16"),
    ],
)
def test_values_that_no_model_can_be_built_from_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(name, **changes)


def test_a_cluster_stands_for_its_most_frequent_class():
    # By hand: cluster 0 holds 1 1 2, cluster 1 nothing, cluster 2 holds 0 0; judged on 0:2, 2:0, 0:1.
    classes = majority_class_per_cluster(np.array([0, 0, 0, 2, 2]), np.array([1, 1, 2, 0, 0]), 3)
    assert classes.tolist() == [1, -1, 0]
    assert clustering_error(np.array([0, 2, 0]), np.array([2, 0, 1]), classes) == pytest.approx(1 / 3)
    assert (
        clustering_error(np.array([1]), np.array([0]), classes) == 1.0
    )  # an empty cluster has no class to be right by


def test_the_papers_reconstruction_is_half_the_squared_error_by_hand():
    model, state = start(pixel_loss="mse", input_noise_std=0.0)
    batch = tiny_batch()
    loss, _ = evaluate(model.reconstruction_loss, model, state)
    logits, style = model.encoder_outputs(state.params, state.stats, batch.image)
    pixels = model.apply_network("decoder", state.params, state.stats, style, jax.nn.softmax(logits))
    decoded = 1 / (1 + np.exp(-np.asarray(pixels, np.float64)))
    expected = 0.5 * ((decoded - np.asarray(batch.image)) ** 2).reshape(B, -1).sum(1).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_papers_sgd_divides_its_rates_by_ten_at_each_boundary():
    model = tiny_model("semi_aae", "paper", steps=40, lr_boundaries=(2, 3))
    tx = model.optimizers["adversarial"]
    state, steps = tx.init(0.0), []
    for gradient in (1.0, 0.0, 1.0, 1.0):
        update, state = tx.update(gradient, state)
        steps.append(float(update))
    # By hand: velocities 1, .1, 1.01, 1.101 (momentum .1) at the rates .1, .1, .01, .001.
    np.testing.assert_allclose(steps, [-0.1, -0.01, -0.0101, -0.001101], rtol=1e-5)


@pytest.mark.slow
def test_a_cluster_embedding_is_the_style_plus_the_head_of_its_category():
    model, state = start("cluster_aae", "plane,smoke", num_clusters=5)
    style = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.float32)
    layer = state.params["cluster_heads"]["Dense_0"]
    expected = style + np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
    np.testing.assert_allclose(
        model.add_cluster_head(state.params, state.stats, style, jnp.eye(5)), expected, rtol=1e-6
    )
    # The decoder receives only that sum: a style moved by the difference of two heads decodes as the other category.
    difference = np.asarray(layer["kernel"][3] - layer["kernel"][1])
    one = model.decode(state.params, state.stats, style[:1] + difference, jnp.array([1]))
    other = model.decode(state.params, state.stats, style[:1], jnp.array([3]))
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_the_head_separation_loss_is_the_missing_distance_by_hand():
    model, state = start("cluster_aae", "plane,smoke", num_clusters=3, min_head_distance=4.0)
    heads = {"Dense_0": {"kernel": jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 9.0]]), "bias": jnp.zeros(2)}}
    params = {**state.params, "cluster_heads": heads}
    loss, _ = evaluate(model.head_separation_loss, model, state, params=params)
    assert float(loss) == pytest.approx(1.0)  # 0 and 1 lie 3 apart, 1 short of 4; the other pairs are farther apart


@pytest.mark.slow
def test_the_player_head_separation_moves_heads_apart():
    model, state = start("cluster_aae", "plane,smoke", num_clusters=4, lr_schedule="constant")
    player = next(player for player in model.players if player.name == "head_separation")
    update = jax.jit(make_update((player,)))
    losses = []
    for _ in range(300):
        state, metrics = update(state, tiny_batch(), jax.random.key(0))
        losses.append(float(metrics["head_separation/loss"]))
    assert losses[0] > 10
    assert losses[-1] < 0.5
