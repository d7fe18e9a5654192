"""Every config key of every recipe has a comment, which `--config=X --help` shows."""

from functools import partial

import pytest
from helpers import CONFIGS, REPOSITORY

from jaxgen.cli.run_config import describe_keys, load_recipe
from jaxgen.config.comments import comment_of, find_comments, known_functions, record_functions
from jaxgen.config.overrides import flatten_config

VARIANTS = [(name, "") for name in CONFIGS]
VARIANTS += [("cond_aae", "tutorial"), ("aae", "tutorial"), ("vaegan", "vae"), ("vaegan", "faces"), ("dcgan", "faces")]
VARIANTS += [("semi_aae", "paper"), ("cluster_aae", "plane"), ("colorizer", "published"), ("gan", "conditional")]


@pytest.mark.parametrize(("name", "presets"), VARIANTS)
def test_every_key_of_a_recipe_has_a_comment(name, presets):
    config, functions = record_functions(partial(load_recipe, f"{REPOSITORY}/configs/{name}.py:{presets}"))
    comments = find_comments(functions)
    assert [key for key in flatten_config(config) if not comment_of(key, comments)] == []


def test_the_help_of_a_recipe_lists_each_key_with_its_value_and_comment():
    text = describe_keys(f"{REPOSITORY}/configs/vae.py:mnist", {"steps": "1e3", "beta": "2"}, "")
    lines = {line.strip().partition("=")[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert set(lines) == set(flatten_config(load_recipe(f"{REPOSITORY}/configs/vae.py:mnist")))
    assert lines["steps"].split("#")[0].strip() == "steps=1000"
    assert lines["beta"].split() == ["beta=2.0", "#", "weight", "of", "the", "KL"]
    assert 'data.name="mnist"' in lines["data.name"]
    assert "log_every" in lines["eval_every"].partition("# ")[2]


def test_a_comment_above_an_assignment_and_one_for_several_keys_are_found(tmp_path):
    recipe = tmp_path / "mine.py"
    recipe.write_text(
        "from jaxgen.config.base import base_config\n\n\n"
        "def get_config(presets=''):\n"
        "    config = base_config('ae.AE')\n"
        "    # Two lines\n"
        "    # above.\n"
        "    config.one = 1\n"
        "    config.two, config.three = 2, 3  # both\n"
        "    config.rates = {  # of a group\n"
        "        'a': 1.0,\n"
        "    }\n"
        "    return config\n"
    )
    config, functions = record_functions(partial(load_recipe, str(recipe)))
    comments = find_comments(functions)
    found = [comment_of(key, comments) for key in ("one", "two", "three", "rates.a")]
    assert found == ["Two lines above.", "both", "both", "of a group"]
    assert comment_of("steps", comments)  # from base_config
    assert "steps" in flatten_config(config)


def test_the_keys_of_the_package_have_comments_without_a_recipe():
    comments = find_comments(known_functions())
    assert comment_of("steps", comments)
    assert comment_of("learning_rates.elbo", comments)
