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


def start(name="semi_aae", tokens="smoke", **changes):
    model = tiny_model(name, tokens, **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


def test_an_image_moves_by_whole_pixels_and_what_comes_in_is_black():
    image = jnp.asarray(np.random.default_rng(0).random((200, 8, 10, 1)), jnp.float32)
    out = np.asarray(random_shift(image, jax.random.key(0), 2))
    padded = np.pad(np.asarray(image), ((0, 0), (2, 2), (2, 2), (0, 0)))
    places = {(down, right): padded[:, down : down + 8, right : right + 10] for down in range(5) for right in range(5)}
    hits = np.array([[np.array_equal(out[i], cut[i]) for cut in places.values()] for i in range(200)])
    assert (hits.sum(1) == 1).all()
    assert (hits.sum(0) > 0).all()  # each of the 25 places is met


def test_a_unit_change_has_length_1_in_every_example():
    change = normalize_per_example(jnp.asarray(np.random.default_rng(0).normal(size=(B, 8, 10, 1)), jnp.float32))
    np.testing.assert_allclose(np.linalg.norm(np.asarray(change).reshape(B, -1), axis=1), 1.0, rtol=1e-5)


def test_classification_is_scipys_cross_entropy_of_the_known_labels_alone():
    model, state = start(input_noise_std=0.0)
    batch = tiny_batch()
    known = np.array([True, False, True, True, False, True])
    batch = batch._replace(label=jnp.where(known, batch.label, -1))
    loss, _ = model.classification_loss(state.params, state.stats, batch, jax.random.key(1))
    logits = np.asarray(model.heads(state.params, state.stats, batch.image)[0], np.float64)
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = [scipy_stats.entropy(np.eye(K)[y]) - np.log(p[y]) for p, y in zip(probability, batch.label, strict=True)]
    assert float(loss) == pytest.approx(np.mean(np.array(expected)[known]), rel=1e-5)


def test_a_batch_without_a_known_label_teaches_no_class():
    model, state = start()
    batch = tiny_batch()._replace(label=jnp.full(B, -1))
    loss = lambda params: model.classification_loss(params, state.stats, batch, jax.random.key(1))[0]  # noqa: E731
    assert all(float(jnp.abs(x).max()) == 0 for x in jax.tree.leaves(jax.grad(loss)(state.params)))


def test_hidden_labels_reach_no_player():
    model, state = start("cluster_aae")
    update = jax.jit(make_update(model.players, model.update_order))
    batch = tiny_batch()
    told, _ = update(state, batch, jax.random.key(0))
    untold, _ = update(state, batch._replace(label=jnp.full(B, -1)), jax.random.key(0))
    assert same(told, untold)


def test_smoothness_is_the_kl_under_a_change_that_is_worse_than_chance_ones():
    model, state = start(vat_epsilon=2.0, input_noise_std=0.0)
    batch, rng = tiny_batch(), jax.random.key(1)
    kl, _ = model.vat_loss(state.params, state.stats, batch, rng)
    category = jax.nn.softmax(model.heads(state.params, state.stats, batch.image)[0])
    by_chance = []
    for seed in range(20):
        change = 2.0 * normalize_per_example(jax.random.normal(jax.random.key(seed), batch.image.shape))
        other = jax.nn.softmax(model.heads(state.params, state.stats, batch.image + change)[0])
        by_chance.append(scipy_stats.entropy(np.asarray(category), np.asarray(other), axis=1).mean())
    assert float(kl) > max(by_chance)


def test_information_counts_what_the_category_leaves_unsaid_beside_smoothness():
    plain, state = start("cluster_aae", vat_epsilon=1.0, mutual_information_weight=0.0)
    informed, _ = start("cluster_aae", vat_epsilon=1.0, mutual_information_weight=0.5)
    batch, rng = tiny_batch(), jax.random.key(1)
    kl, _ = plain.vat_loss(state.params, state.stats, batch, rng)
    loss, (metrics, _) = informed.vat_loss(state.params, state.stats, batch, rng)
    category = np.asarray(jax.nn.softmax(plain.heads(state.params, state.stats, batch.image)[0]), np.float64)
    doubt = scipy_stats.entropy(category, axis=1).mean()
    imbalance = scipy_stats.entropy(category.mean(0), np.ones(plain.categories))
    assert float(metrics["conditional_entropy"]) == pytest.approx(doubt, rel=1e-4)
    assert float(metrics["marginal_kl"]) == pytest.approx(imbalance, abs=1e-5)
    assert float(loss - kl) == pytest.approx(0.5 * (doubt + 2 * imbalance), rel=1e-4)


@pytest.mark.parametrize("moves", [True, False])
def test_reconstruction_moves_the_category_where_it_is_let(moves):
    model, state = start("cluster_aae", reconstruction_trains_category=moves)
    loss = lambda params: model.reconstruction_loss(params, state.stats, tiny_batch(), jax.random.key(1))[0]  # noqa: E731
    last = max(state.params["encoder"])  # the layer of the heads: categories first, then the style
    slope = np.abs(jax.grad(loss)(state.params)["encoder"][last]["kernel"]).max(0)
    assert (slope[: model.categories].max() > 0) == moves
    assert slope[model.categories :].min() > 0


def test_information_without_smoothness_is_refused():
    with pytest.raises(ValueError, match=r"information=0.3 is a part of smoothness, which perturbation=0.0 switches"):
        start("cluster_aae", mutual_information_weight=0.3, vat_epsilon=0.0)


def test_reconstruction_without_labels_takes_the_category_that_the_encoder_reads():
    model, state = start()
    trained = TrainedModel(model, state.params, state.stats)
    images = np.asarray(tiny_batch().image)
    read = trained.predict_category(images)
    np.testing.assert_array_equal(trained.reconstruct(images), trained.reconstruct(images, read))


def test_a_hard_category_is_one_hot_and_passes_the_gradient_of_the_soft_one():
    soft, _ = start()
    hard, _ = start(straight_through_category=True)
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(B, K)), jnp.float32)
    np.testing.assert_allclose(hard.shown(logits), np.eye(K)[logits.argmax(-1)], atol=1e-6)
    weight = jnp.arange(float(K))
    slopes = [jax.grad(lambda x, of=of: (of.shown(x) @ weight).sum())(logits) for of in (soft, hard)]
    np.testing.assert_allclose(*slopes, rtol=1e-6)


def test_a_family_that_reads_no_category_says_so():
    model, state = start("cond_aae")
    with pytest.raises(ValueError, match="ConditionalAAE reads no category"):
        TrainedModel(model, state.params, state.stats).predict_category(np.asarray(tiny_batch().image))


def test_clusters_are_decoded_by_head_not_by_class():
    model, state = start("cluster_aae", num_clusters=7)
    trained = TrainedModel(model, state.params, state.stats)
    assert trained.decode(trained.sample_prior(7), np.arange(7)).shape[0] == 7
    with pytest.raises(ValueError, match=r"must lie in \[0, 7\)"):
        trained.decode(trained.sample_prior(1), 7)


def test_the_plain_net_is_trunk_and_softmax_alone():
    model, _ = start(tokens="plain,smoke")
    assert [player.name for player in model.players] == ["classification"]
    assert model.evaluators == ("classification",)


@pytest.mark.parametrize(("name", "extra"), [("semi_aae", {"classification"}), ("cluster_aae", set())])
def test_the_tutorials_recipe_is_reconstruction_and_the_two_games(name, extra):
    players = {player.name for player in tiny_model(name, "tutorial,smoke").players}
    assert players == {"reconstruction", "category_critic", "style_critic", "encoder", *extra}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("semi_aae", {"num_labeled": 0}, "labels=0 and labelled_every=2 must both be other than 0"),
        ("semi_aae", {"labeled_every_n": 0}, "labelled_every=0 must both"),
        ("semi_aae", {"vat_epsilon": -1.0}, "perturbation=-1.0 must be at least 0"),
        ("cluster_aae", {"num_clusters": 0}, "heads=0 must be at least 1; try --config.num_clusters=16"),
    ],
)
def test_values_that_no_model_can_be_built_from_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(name, **changes)


def test_a_cluster_stands_for_its_commonest_class():
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
    loss, _ = model.reconstruction_loss(state.params, state.stats, batch, jax.random.key(0))
    logits, style = model.encoder_outputs(state.params, state.stats, batch.image)
    pixels = model.apply_network("decoder", state.params, state.stats, style, jax.nn.softmax(logits))
    drawn = 1 / (1 + np.exp(-np.asarray(pixels, np.float64)))
    expected = 0.5 * ((drawn - np.asarray(batch.image)) ** 2).reshape(B, -1).sum(1).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_paper_descends_by_sgd_whose_rates_drop_to_a_tenth():
    model = tiny_model("semi_aae", "paper", steps=40, lr_boundaries=(2, 3))
    tx = model.optimizers["encoder"]
    state, steps = tx.init(0.0), []
    for gradient in (1.0, 0.0, 1.0, 1.0):
        update, state = tx.update(gradient, state)
        steps.append(float(update))
    # By hand: velocities 1, .1, 1.01, 1.101 (momentum .1) at the rates .1, .1, .01, .001.
    np.testing.assert_allclose(steps, [-0.1, -0.01, -0.0101, -0.001101], rtol=1e-5)


def test_a_place_is_the_style_plus_the_head_of_its_category():
    model, state = start("cluster_aae", "plane,smoke", num_clusters=5)
    style = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    layer = state.params["cluster_heads"]["Dense_0"]
    expected = style + np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
    np.testing.assert_allclose(model.place(state.params, state.stats, style, jnp.eye(5)), expected, rtol=1e-6)
    # The decoder sees that sum and nothing else: a style moved by the way between two heads draws the other category.
    moved_by = np.asarray(layer["kernel"][3] - layer["kernel"][1])
    one = model.decode(state.params, state.stats, style[:1] + moved_by, jnp.array([1]))
    other = model.decode(state.params, state.stats, style[:1], jnp.array([3]))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_distance_that_heads_lack_is_counted_by_hand():
    model, state = start("cluster_aae", "plane,smoke", num_clusters=3, min_head_distance=4.0)
    heads = {"Dense_0": {"kernel": jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 9.0]]), "bias": jnp.zeros(2)}}
    params = {**state.params, "cluster_heads": heads}
    missing, _ = model.head_separation_loss(params, state.stats, tiny_batch(), jax.random.key(0))
    assert float(missing) == pytest.approx(1.0)  # 0 and 1 lie 3 apart, 1 short of 4; the rest are farther


def test_the_player_distance_drives_heads_apart():
    model, state = start("cluster_aae", "plane,smoke", num_clusters=4, lr_schedule="constant")
    player = next(player for player in model.players if player.name == "distance")
    update = jax.jit(make_update((player,)))
    missing = []
    for _ in range(300):
        state, metrics = update(state, tiny_batch(), jax.random.key(0))
        missing.append(float(metrics["distance/missing"]))
    assert missing[0] > 10
    assert missing[-1] < 0.5
