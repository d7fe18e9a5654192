"""Compiler options are those that the installed jaxlib knows; others are left out with a warning."""

import logging

import jax
import pytest

from jaxgen.distributed import compiler_options
from jaxgen.distributed.compiler_options import COMPILER_OPTIONS, CompilerOption, supported_options


@pytest.fixture(autouse=True)
def _fresh():
    supported_options.cache_clear()
    yield
    supported_options.cache_clear()


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_this_jaxlib_knows_every_option(platform, caplog):
    expected = {option.name: option.value for option in COMPILER_OPTIONS if option.platform == platform}
    assert supported_options(platform) == expected
    assert not caplog.records


@pytest.mark.parametrize(
    "unknown", [("xla_no_such_option", True), ("xla_cpu_experimental_ynn_fusion_type", "NONE_SUCH")]
)
def test_an_unknown_option_or_value_is_left_out_with_a_warning(monkeypatch, caplog, unknown):
    row = CompilerOption("cpu", *unknown, effect="", measured="", jaxlib="")
    kept = COMPILER_OPTIONS[1]
    monkeypatch.setattr(compiler_options, "COMPILER_OPTIONS", (kept, row))
    with caplog.at_level(logging.WARNING, "jaxgen"):
        options = supported_options("cpu")
    assert options == {kept.name: kept.value}
    (warning,) = (record.getMessage() for record in caplog.records)
    assert warning.endswith(f"does not know the compiler option {unknown[0]}; steps run without it")
    assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2


def test_every_row_says_what_it_does_what_it_buys_and_where_it_exists():
    for option in COMPILER_OPTIONS:
        assert option.name.startswith("xla_")
        assert all((option.effect, option.measured, option.jaxlib))
