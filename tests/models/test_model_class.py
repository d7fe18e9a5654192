"""Models outside of the package, and the checks of a model when it is built: each mistake is one line with its fix."""

import dataclasses
import sys

import optax
import pytest
from helpers import H, K, W, read_config, tiny_model

from jaxgen import models
from jaxgen.config.base import base_config, validate_config
from jaxgen.evaluation.evaluators import EVALUATORS
from jaxgen.evaluation.figures import FIGURES
from jaxgen.models.autoencoder import Autoencoder
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.model_class import find_model_class
from jaxgen.models.requirements import EVALUATOR_NEEDS, FIGURE_NEEDS, validate_model
from jaxgen.optimization.players import Player
from jaxgen.types import DatasetSpec

SPEC = DatasetSpec("tiny", (H, W, 1), K)
SOURCE = """
import dataclasses
from jaxgen.models import GenerativeModel, LatentVariableModel
from jaxgen.models.autoencoder import Autoencoder

@dataclasses.dataclass(frozen=True)
class MyModel(Autoencoder):
    note = NOTE

class Unfinished(LatentVariableModel):
    def decode(self, params, stats, code, label): ...

class Other: ...

def function(): ...

@dataclasses.dataclass(frozen=True)
class NeedsAKey(Autoencoder):
    @classmethod
    def from_config(cls, config, info):
        return super().from_config(config, info) if config.latent_sise else None
"""

CONSTANT = """
import jax.numpy as jnp
import optax
from flax import linen
from jaxgen.models.priors import Gaussian
from jaxgen.optimization.players import Player

@dataclasses.dataclass(frozen=True)
class Constant(LatentVariableModel):
    info: object
    networks: dict
    prior: Gaussian
    update_order = "alternating"
    evaluators = figures = ()

    @classmethod
    def from_config(cls, config, info):
        return cls(info, {"decoder": linen.Dense(1)}, Gaussian(1))

    @property
    def players(self):
        return (Player("all", ("decoder",), optax.sgd(0.1), self.loss),)

    def loss(self, params, stats, batch, rng):
        return jnp.zeros(()), ({"my_own_name": jnp.zeros(())}, {})

    def make_example_inputs(self):
        return {"decoder": (jnp.zeros((1, 1)),)}

    def decode(self, params, stats, code, label): ...

    def per_example_metrics(self, params, stats, batch, rng): ...
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Returns the current folder, with the module outside_model.py."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "outside_model.py").write_text(SOURCE.replace("NOTE", "1"))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("outside_", "broken"))]:
        del sys.modules[name]


def build(name):
    config = read_config("ae")
    config.model = name
    return models.build_model(config, SPEC)


def test_a_model_of_a_module_in_the_current_folder_is_built(folder):
    assert type(build("outside_model:MyModel")).__module__ == "outside_model"
    package = folder / "outside_package"
    package.mkdir()
    (package / "inner.py").write_text(SOURCE.replace("NOTE", "2"))
    assert build("outside_package.inner:MyModel").note == 2


def test_the_module_of_the_present_folder_replaces_one_of_the_same_name_elsewhere(folder, monkeypatch):
    assert build("outside_model:MyModel").note == 1
    other = folder / "other"
    other.mkdir()
    (other / "outside_model.py").write_text(SOURCE.replace("NOTE", "3"))
    monkeypatch.chdir(other)
    assert build("outside_model:MyModel").note == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("outside_modle:MyModel", r'there is no module "outside_modle" in .*set PYTHONPATH'),
        ("outside_model:MyModle", r'has no class "MyModle" \(did you mean "MyModel"\?\); its models are Autoencoder, '),
        ("outside_model:", r'has no class ""'),
        ("outside_model.py:MyModel", r'there is no module "outside_model.py"'),
        ("folder/outside_model:MyModel", r'must be "module:Class"'),
        ("outside_model:Other", r"must be a class derived from .*Other in .* is a class of other bases"),
        ("outside_model:function", r"must be a class derived from .*is of type function"),
        ("outside_model:LatentVariableModel", r"must be a class derived from jaxgen.models.GenerativeModel"),
        ("outside_model:Unfinished", r"lacks from_config, make_example_inputs, per_example_metrics, players"),
        ("outside_model:NeedsAKey", r'reads the key "latent_sise".*did you mean "latent_size"'),
        ("colorizr.Colorizer", r'no module "colorizr" \(did you mean "colorizer"\?\)'),
        ("aae.ConditionalAEE", r'no class "ConditionalAEE" \(did you mean "ConditionalAAE"\?\)'),
        ("aae", r'no class ""'),
        ("", r'no module ""'),
    ],
)
def test_a_wrong_model_name_is_one_line_with_a_fix(folder, name, message):
    with pytest.raises(ValueError, match=message) as error:
        build(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_package", r"ModuleNotFoundError: No module named 'no_such_package' \(broken.py, line 1\)"),
        ("\nx = (", r"SyntaxError: .* \(broken.py, line 2\)"),
        ("1 / 0", r"ZeroDivisionError: division by zero \(broken.py, line 1\)"),
    ],
)
def test_a_module_that_cannot_be_imported_is_reported_with_the_line_of_the_mistake(folder, source, message):
    (folder / "broken.py").write_text(source)
    with pytest.raises(ValueError, match=message) as error:
        find_model_class("broken:MyModel")
    assert "\n" not in str(error.value)


def test_the_requirements_list_every_evaluator_and_figure():
    assert set(EVALUATOR_NEEDS) == set(EVALUATORS)
    assert set(FIGURE_NEEDS) == set(FIGURES)


def changed_model(recipe="ae", **attributes):
    """Returns a tiny model of a subclass with other class attributes."""
    model = tiny_model(recipe)
    kind = type("Changed", (type(model),), {"__annotations__": {}, **attributes})
    return kind(**{field.name: getattr(model, field.name) for field in dataclasses.fields(model)})


def player(*, name="x", networks=("encoder",)):
    made = Player(name, ("encoder",), optax.sgd(0.1), lambda *_: None)
    object.__setattr__(made, "networks", networks)  # past the check of types, which runs in tests only
    return made


@pytest.mark.parametrize(
    ("recipe", "attributes", "message"),
    [
        ("ae", {"evaluators": ("reconstructions",)}, r'unknown name "reconstructions" \(did you mean "reconstruction"'),
        ("ae", {"validation_evaluators": ("sample_qualty",)}, r'validation_evaluators .*did you mean "sample_quality"'),
        ("ae", {"figures": ("reconstruction",)}, r'figures .*did you mean "reconstructions"'),
        ("ae", {"evaluators": "reconstruction"}, r"evaluators must be a tuple of names; got 'reconstruction'"),
        ("ae", {"figures": (3,)}, r'figures has the unknown name "3"'),
        ("ae", {"evaluators": ("likelihood",)}, r"needs sample_log_importance_weights of the model"),
        ("ae", {"evaluators": ("clustering",)}, r"needs predict_category and num_conditions|needs predict_category"),
        ("aae", {"figures": ("denoised",)}, r"needs input_noise_std"),
        ("gan", {"figures": ("reconstructions",)}, r"needs encode of the model"),
        ("gan", {"figures": ("latent_manifold",)}, r"codes of 2 dimensions"),
        (
            "ae",
            {"players": (player(networks=("encodr",)),)},
            r'"encodr", which does not exist \(did you mean "encoder"',
        ),
        ("ae", {"players": (player(networks="encoder"),)}, r"must have a tuple of networks"),
        ("ae", {"players": (player(), player(networks=("decoder",)))}, r'two players "x" with different networks'),
        ("ae", {"players": ()}, r"at least one Player"),
        ("ae", {"make_example_inputs": lambda _: {"encoder": ()}}, r"one entry for each of the networks"),
    ],
)
def test_a_model_that_is_not_complete_is_refused_when_it_is_built(recipe, attributes, message):
    with pytest.raises(ValueError, match=message) as error:
        validate_model(changed_model(recipe, **attributes))
    assert "\n" not in str(error.value)


def test_a_model_without_its_fields_is_refused_when_it_is_built():
    class Bare(LatentVariableModel):
        evaluators, figures, players = (), (), ()

        def nothing(self, *_): ...

        from_config = make_example_inputs = per_example_metrics = decode = nothing

    with pytest.raises(ValueError, match="Bare has no info and no networks and no update_order and no prior; add them"):
        validate_model(Bare())


def test_a_recipe_of_another_model_needs_only_the_keys_that_the_model_reads(folder):
    config = base_config("outside_model:Constant")
    (folder / "outside_model.py").write_text(SOURCE.replace("NOTE", "1") + CONSTANT)
    validate_config(config)
    assert models.build_model(config, SPEC).evaluators == ()


def test_the_models_of_the_package_are_complete():
    assert issubclass(find_model_class("autoencoder.Autoencoder"), Autoencoder)
