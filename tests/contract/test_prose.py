"""The language of code and documentation: phrases of 0.1 that readers of the field do not know are rejected."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest
from helpers import REPOSITORY

PHRASES = re.compile(
    r"\b(told|said|whose loss|way back|what is drawn|is drawn|are drawn|throws? off|by turns|as many|such a|the former|"
    r"the latter|its own affair|comes? to lie|knows? no|sees? no|say once|of which|of those|that of the|bettered)\b",
    re.IGNORECASE,
)
BRITISH = re.compile(
    r"\b\w*(colour|grey|neighbour|centre|behaviour|labelled|normalis|optimis|initialis|binaris|standardis|minimis|"
    r"maximis|summaris|recognis|randomis|regularis|serialis|vectoris|organis|learnt|modell)\w*",
    re.IGNORECASE,
)
CODE = sorted(
    path
    for folder in ("jaxgen", "configs", "benchmarks", "tests")
    for path in (REPOSITORY / folder).rglob("*.py")
    if path != Path(__file__)
)
FOLDERS = ("docs", "benchmarks")
PAGES = sorted([*REPOSITORY.glob("*.md"), *(path for name in FOLDERS for path in (REPOSITORY / name).rglob("*.md"))])


def prose_of(path: Path) -> list[str]:
    """Returns the comments of a Python file and its strings that hold more than one word."""
    source = path.read_text()
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    strings = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return comments + [text for text in strings if isinstance(text, str) and " " in text]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_code_has_none_of_the_rejected_phrases(path):
    assert [match.group() for text in prose_of(path) for match in PHRASES.finditer(text)] == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_code_is_spelled_in_american_english(path):
    assert sorted({match.group() for match in BRITISH.finditer(path.read_text())}) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_pages_have_none_of_the_rejected_phrases_and_american_spelling(path):
    text = path.read_text()
    assert [match.group() for pattern in (PHRASES, BRITISH) for match in pattern.finditer(text)] == []
