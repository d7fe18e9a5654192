"""Errors of libraries are shortened to one line."""

import pytest

from jaxgen.io.errors import describe_error, first_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("\n  one line \nand a page", "one line"), ("x" * 200, "x" * 200), ("x" * 201, "x" * 199 + "…")],
)
def test_the_first_line_is_kept_up_to_200_characters(text, expected):
    assert first_line(ValueError(text)) == expected


def test_a_description_starts_with_the_type():
    assert describe_error(KeyError("image")) == "KeyError: 'image'"
