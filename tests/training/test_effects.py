"""Values of the command line that cannot have an effect are refused."""

import pytest
from helpers import CONFIGS, read_config, tiny_model

from jaxgen.config.base import base_config
from jaxgen.config.errors import ConfigError
from jaxgen.config.overrides import Command
from jaxgen.evaluation.evaluators import EVALUATORS
from jaxgen.training.effects import EVALUATION_KEYS, find_reason, require_effect

WITHOUT_EFFECT = [
    ("ae", {}, "seeds_per_vmap", "num_seeds=1 trains a single seed"),
    ("ae", {}, "shift_pad_mode", "random_shift=0 shifts no image"),
    ("ae", {}, "labeled_every_n", "Autoencoder trains without labels"),
    ("gan", {}, "num_labeled", "GAN trains without labels"),
    ("cluster_aae", {}, "num_labeled", "ClusteringAAE trains without labels"),
    ("ae", {}, "update_order", "single player"),
    ("ae", {}, "evaluation.parzen_samples", "evaluated without it"),
    ("gan", {}, "evaluation.importance_samples", "evaluated without it"),
    ("gan", {}, "evaluation.samplers", "no encoder"),
    ("cond_aae", {}, "learning_rates.vat", "no player vat"),
    ("cond_aae", {}, "b1.vat", "no player vat"),
    ("semi_aae", {}, "learning_rates.head_separation", "no player head_separation"),
    ("semi_aae", {}, "momentum.reconstruction", "optimizer=adam has no momentum"),
    ("semi_aae", {"optimizer": "sgd"}, "b1.reconstruction", "optimizer=sgd has no b1"),
    ("semi_aae", {}, "lr_boundaries", "lr_schedule=cosine has no boundaries"),
    ("vae", {"likelihood": "bernoulli"}, "decoder_std", "likelihood=bernoulli has no standard deviation"),
    ("aae", {}, "adversarial_loss_trains_std", "gaussian_posterior=false"),
    ("vaegan", {}, "equilibrium", "margin=0"),
    ("vae", {"base_channels": 8}, "hidden_sizes", "base_channels=8 makes the networks convolutional"),
    ("gan", {}, "base_channels", "spell out every network"),
]
WITH_EFFECT = [
    ("cond_aae", {}, "num_labeled"),
    ("cond_aae", {}, "evaluation.probe_epochs"),
    ("cond_aae", {}, "learning_rates.critic"),
    ("semi_aae", {"optimizer": "sgd"}, "momentum.reconstruction"),
    ("semi_aae", {}, "labeled_every_n"),
    ("ae", {"num_seeds": 2}, "seeds_per_vmap"),
    ("ae", {"random_shift": 1}, "shift_pad_mode"),
    ("ae", {}, "evaluation.split"),
    ("vae", {}, "hidden_sizes"),
    ("vae", {"base_channels": 8}, "base_channels"),
    ("dcgan", {}, "base_channels"),
]


def reason_of(name, changes, key):
    """Returns why a key has no effect in a recipe with some other values."""
    config = read_config(name)
    config.update(changes)
    return find_reason(key, config, tiny_model(name))


@pytest.mark.parametrize(("name", "changes", "key", "reason"), WITHOUT_EFFECT)
def test_a_value_without_an_effect_is_refused_with_the_reason(name, changes, key, reason):
    assert reason in reason_of(name, changes, key)


@pytest.mark.parametrize(("name", "changes", "key"), WITH_EFFECT)
def test_a_value_with_an_effect_is_accepted(name, changes, key):
    assert reason_of(name, changes, key) == ""


def test_all_values_without_an_effect_are_reported_at_once():
    command = Command("ae", {"shift_pad_mode": "edge", "steps": 7, "num_labeled": 5})
    with pytest.raises(ConfigError) as raised:
        require_effect(command, read_config("ae"), tiny_model("ae"))
    assert raised.value.messages == [
        "shift_pad_mode=edge has no effect: random_shift=0 shifts no image; leave it out",
        "num_labeled=5 has no effect: Autoencoder trains without labels; leave it out",
    ]


@pytest.mark.parametrize("name", CONFIGS)
def test_keys_of_every_run_have_an_effect_in_every_recipe(name):
    config, model = read_config(name), tiny_model(name)
    keys = ("model", "seed", "num_seeds", "batch_size", "steps", "log_every", "best_metric", "data.path")
    assert [key for key in keys if find_reason(key, config, model)] == []


def test_every_evaluation_key_names_the_evaluators_that_read_it():
    assert {*EVALUATION_KEYS, "split"} == set(base_config("ae.AE").evaluation)
    assert {name for names in EVALUATION_KEYS.values() for name in names} <= set(EVALUATORS)
