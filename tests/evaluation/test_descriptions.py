"""Every metric has a direction, a phrase, a reference if there is one, and a definition in docs/metrics.md."""

import ast
import re

import jax
import numpy as np
import pytest
from helpers import CONFIGS, REPOSITORY, channels_of, tiny_batch, tiny_model

from jaxgen.data import Dataset
from jaxgen.evaluation import descriptions
from jaxgen.types import Split

NAME = re.compile(r"[a-z][a-z0-9_]+")
EVALUATION = REPOSITORY / "jaxgen" / "evaluation"
# Keys of dictionaries in the evaluators that are no metrics.
OTHER_KEYS = {"split", "samplers", "num_samples", "evaluation"}


def evaluator_keys() -> set[str]:
    """Returns the keys of dictionaries in the functions that measure or evaluate, with the suffixes of f-strings."""
    found = set()
    for path in (EVALUATION / "evaluators.py", EVALUATION / "sample_quality.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                keys = [key for node in ast.walk(function) if isinstance(node, ast.Dict) for key in node.keys]
                found |= {key.value for key in keys if isinstance(key, ast.Constant) and NAME.fullmatch(key.value)}
    return found - OTHER_KEYS


def documented_names() -> set[str]:
    """Returns the names in the first column of the tables of docs/metrics.md."""
    lines = (REPOSITORY / "docs" / "metrics.md").read_text().splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`([a-z_0-9]+)`", cell)}


def test_every_key_of_an_evaluator_is_described():
    keys = evaluator_keys()
    assert {"frechet_distance", "coverage", "code_std_max", "retrieval_map_pixels"} <= keys
    assert keys <= descriptions.known_names()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ("vae", "gan") else pytest.mark.slow) for name in CONFIGS]
)
def test_every_validation_metric_of_a_model_is_described(name):
    model = tiny_model(name)
    state = jax.eval_shape(model.init, jax.random.key(0))
    batch = tiny_batch(channels_of(name))
    found = jax.eval_shape(model.per_example_metrics, state.params, state.stats, batch, jax.random.key(0))
    assert set(found) <= descriptions.known_names()


def test_every_described_metric_is_defined_in_the_documentation():
    suffixes = ("_train_baseline", "_mixture", "_two_stage")
    names = {name for name in descriptions.known_names() if not name.endswith(suffixes)}
    assert names <= documented_names()
    assert {f"…{suffix}" for suffix in suffixes} <= set(
        re.findall(r"`(…[a-z_]+)`", (REPOSITORY / "docs" / "metrics.md").read_text())
    )


def test_directions_and_phrases_are_complete_and_short():
    for name, description in descriptions.DESCRIPTIONS.items():
        assert description.direction in "↑↓–", name
        assert 0 < len(description.phrase) <= 36, name
        assert description.constant is None or description.label, name


@pytest.fixture
def data():
    numbers = np.random.default_rng(0)

    def split(labels):
        return Split(numbers.integers(0, 256, (len(labels), 4, 5, 1)).astype(np.uint8), np.array(labels, np.int32))

    return Dataset("tiny", split([0, 1, 2, 3] * 5), split([0, 1]), split([0, 0, 0, 1, 2, 3]), 4)


def test_chance_is_one_of_k_classes_or_the_largest_class(data):
    names = ("content_accuracy", "style_leakage", "test_error", "retrieval_map", "code_std_max")
    found = descriptions.compute_references(names, data, data.test, tiny_model("vae"))
    expected = {"content_accuracy": 1 / 4, "style_leakage": 1 / 2, "test_error": 1 / 2, "retrieval_map": 1 / 3}
    assert found == pytest.approx(expected | {"code_std_max": 1.0})
    assert descriptions.chance_levels(1, data.test.label) == {}


def test_the_mean_image_is_the_reference_of_reconstructions(data):
    found = descriptions.compute_references(("mse", "psnr", "nll", "elbo"), data, data.test, tiny_model("vae"))
    mean, images = data.train.image.mean(0) / 255, data.test.image / 255
    assert found["mse"] == pytest.approx(np.square(images - mean).mean())
    error = np.square(images - mean).mean((1, 2, 3))
    assert found["psnr"] == pytest.approx((-10 * np.log10(error)).mean(), rel=1e-5)
    logits = np.log(mean / (1 - mean))
    nll = (np.log1p(np.exp(logits)) - images * logits).sum((1, 2, 3)).mean()
    assert (found["nll"], found["elbo"]) == pytest.approx((nll, -nll), rel=1e-5)


def test_baselines_stand_beside_their_metric():
    metrics = {"recall": 0.5, "recall_train_baseline": 0.91234, "test_error": 0.1}
    assert descriptions.format_reference("recall", metrics, {}) == "train 0.912"
    assert descriptions.format_reference("test_error", metrics, {"test_error": 0.9}) == "chance 0.9"
    assert descriptions.format_reference("my_metric", metrics, {}) == ""


def test_training_curves_have_the_references_of_the_validation_split_by_label():
    split = Split(np.zeros((8, 8, 10, 1), np.uint8), np.array([0, 0, 0, 0, 1, 2, 3, 3], np.int32))
    names = {"content_accuracy", "quadratic_style_leakage", "mse", "d_real", "loss"}
    found = descriptions.name_references(names, Dataset("tiny", split, split, split, 4), tiny_model("cond_aae"))
    assert found == {
        "content_accuracy": ("chance", 0.25),
        "quadratic_style_leakage": ("chance", 0.5),
        "mse": ("mean image", 0.0),
        "d_real": ("undecided", 0.5),
    }


def test_the_conditional_autoencoder_measures_separation_during_training():
    assert "separation_quickly" in tiny_model("cond_aae").validation_evaluators
