"""Values of the command line: their types, whole numbers with an exponent, and suggestions for wrong keys."""

import pytest
from helpers import read_config

from jaxgen.config.errors import ConfigError, collect_errors
from jaxgen.config.overrides import apply_overrides, parse_value


@pytest.mark.parametrize(
    ("key", "text", "default", "value"),
    [
        ("steps", "1e3", 100, 1000),
        ("steps", "1_000", 100, 1000),
        ("steps", "2.0", 100, 2),
        ("evaluation.num_samples", "5e2", 10_000, 500),
        ("hidden_sizes", "(1e3,500.0)", (400, 400), (1000, 500)),
        ("hidden_sizes", "64,32", (400, 400), (64, 32)),
        ("hidden_sizes", "64", (400, 400), (64,)),
        ("lr_boundaries", "(1e3,)", (), (1000,)),
        ("opponent_color_gains", "(3.0,6.0)", (), (3.0, 6.0)),
        ("evaluation.samplers", "prior,mixture", ("prior",), ("prior", "mixture")),
        ("layers", '(("dense",256),("leaky_relu",0.2))', (), (("dense", 256), ("leaky_relu", 0.2))),
        ("learning_rates.elbo", "1e-3", 0.1, 0.001),
        ("learning_rates.elbo", "1", 0.1, 1.0),
        ("data.download", "True", False, True),
        ("data.download", "no", True, False),
        ("data.name", "1e3", "digits", "1e3"),
    ],
)
def test_a_value_has_the_type_of_the_key(key, text, default, value):
    parsed = parse_value(key, text, default)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "default", "message"),
    [
        ("steps", "1.5", 100, "steps=1.5 must be a whole number; try --config.steps=2"),
        ("steps", "many", 100, "steps=many must be a whole number; try --config.steps=100"),
        ("steps", "inf", 100, "steps=inf must be a whole number"),
        ("evaluation.num_samples", "1.5e0", 10, "evaluation.num_samples=1.5e0 must be a whole number"),
        ("beta", "big", 1.0, "beta=big must be a number; try --config.beta=1.0"),
        ("data.download", "maybe", False, "data.download=maybe must be true or false; try --config.data.download=true"),
    ],
)
def test_a_value_of_another_type_gets_one_line(key, text, default, message):
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        parse_value(key, text, default)


def test_all_wrong_keys_and_values_are_reported_at_once_with_suggestions():
    config = read_config("vae")
    overrides = {"latent_sise": "3", "split": "test", "data": "x", "zzz": "1", "steps": "1.5", "beta": "2"}
    with pytest.raises(ConfigError) as raised, collect_errors():
        apply_overrides(config, overrides)
    assert config.beta == 2.0
    unknown, moved, group, unlike, number = raised.value.messages
    assert 'no key "latent_sise"; Did you mean "latent_size"?' in unknown
    assert "--config.evaluation.split" in moved
    assert group.startswith("data is a group of keys; try --config.data.")
    assert unlike.startswith('the config has no key "zzz"; the recipe\'s file lists its keys')
    assert number.startswith("steps=1.5 must be a whole number")


def test_only_values_that_differ_count_as_changed():
    config = read_config("vae")
    same = {"seed": str(config.seed), "beta": str(config.beta), "hidden_sizes": str(config.hidden_sizes)}
    assert apply_overrides(config, {**same, "seed": "1"}) == {"seed": 1}
