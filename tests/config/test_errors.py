"""Mistakes in a config are gathered and raised together."""

from functools import partial

import pytest
from helpers import read_config

from jaxgen.config.base import validate_config
from jaxgen.config.errors import ConfigError, collect_errors, gather_errors, report_error, run_check


def collect(*calls):
    """Calls the functions in a block of `collect_errors`."""
    with collect_errors():
        for call in calls:
            call()


def report(message):
    """Returns a function that reports a mistake."""
    return partial(report_error, message)


def test_all_mistakes_of_a_block_are_raised_at_its_end_each_once():
    with pytest.raises(ConfigError) as raised:
        collect(
            report("first"), report("first"), report("second"), partial(collect, report("inner")), report("no more")
        )
    assert raised.value.messages == ["first", "second", "inner"]


def test_a_check_that_raises_does_not_end_the_block():
    def check(value):
        raise ValueError(f"{value} is wrong")

    with gather_errors() as messages:
        run_check(check, 1)
        run_check(check, 2)
    assert messages == ["1 is wrong", "2 is wrong"]


def test_an_exception_after_a_mistake_is_a_consequence_and_without_a_mistake_is_raised():
    with pytest.raises(ConfigError, match=r"^cause$"):
        collect(report("cause"), partial({}.__getitem__, "consequence"))
    with pytest.raises(KeyError):
        collect(partial({}.__getitem__, "bug"))


def test_a_mistake_outside_of_a_block_is_raised_at_once():
    with pytest.raises(ValueError, match=r"^alone$"):
        report_error("alone")


def test_both_intervals_that_log_every_does_not_divide_are_reported_at_once():
    config = read_config("cond_aae", "")
    config.log_every, config.num_seeds, config.evaluation.split = 7, 0, "tset"
    with pytest.raises(ConfigError) as raised:
        validate_config(config)
    starts = [message.partition("=")[0] for message in raised.value.messages]
    assert starts == ["num_seeds", "evaluation.split", "eval_every", "checkpoint_every"]
    assert '(did you mean "test"?)' in raised.value.messages[1]
