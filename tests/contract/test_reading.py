"""References of docs/reading.md to definitions. `python tests/contract/test_reading.py --fix` updates their lines."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reading.md"
REFERENCE = re.compile(r"`([\w.]+)` at `([\w./]+\.py):(\d+)-(\d+)`")
STEP = re.compile(r"^## (\d+)\. ", re.MULTILINE)


def find_lines(path: Path, symbol: str) -> tuple[int, int]:
    """Returns the first and the last line of a definition, such as "AAE.players", with its decorators."""
    body, node = ast.parse(path.read_text()).body, None
    for name in symbol.split("."):
        definitions = [node for node in body if getattr(node, "name", None) == name]
        if not definitions:
            raise ValueError(f"{symbol} is not defined in {path}")
        (node,) = definitions
        body = node.body
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]), node.end_lineno


def update_lines(text: str) -> str:
    """Returns the page with the present lines of every reference."""

    def update(match: re.Match) -> str:
        symbol, path = match[1], match[2]
        first, last = find_lines(ROOT / path, symbol)
        return f"`{symbol}` at `{path}:{first}-{last}`"

    return REFERENCE.sub(update, text)


@pytest.mark.parametrize(("symbol", "path", "first", "last"), REFERENCE.findall(PAGE.read_text()))
def test_a_reference_gives_the_lines_of_the_definition(symbol, path, first, last):
    assert (int(first), int(last)) == find_lines(ROOT / path, symbol), f"run python {Path(__file__)} --fix"


def test_the_page_has_ten_steps_with_a_reference_each():
    text = PAGE.read_text()
    assert STEP.findall(text) == [str(number) for number in range(1, 11)]
    assert all(REFERENCE.search(step) for step in STEP.split(text)[2::2])
    assert len(re.findall(r"\.py:\d", text)) == len(REFERENCE.findall(text))


def test_the_update_replaces_lines_that_moved_and_names_a_definition_that_is_gone():
    first, last = find_lines(ROOT / "jaxgen/models/aae.py", "AAE.players")
    page = "- `AAE.players` at `jaxgen/models/aae.py:1-2`"
    assert update_lines(page) == f"- `AAE.players` at `jaxgen/models/aae.py:{first}-{last}`"
    with pytest.raises(ValueError, match=r"AAE.player is not defined in"):
        update_lines(page.replace("players", "player"))


if __name__ == "__main__":
    if sys.argv[1:] != ["--fix"]:
        sys.exit(f"usage: python {sys.argv[0]} --fix")
    PAGE.write_text(update_lines(PAGE.read_text()))
