"""Comments of config keys, read from the source of the functions that set the keys. Imports no jax.

`config.steps = 1000  # updates` has the comment "updates"; a comment of whole lines stands above its assignment. One
comment can belong to several keys: `config.beta, config.gamma = 15.0, 1e-5  # weights of …`. A key of a group without a
comment of its own, such as `learning_rates.critic`, has the comment of the group.
"""

import ast
import io
import sys
import tokenize
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

PACKAGE = Path(__file__).parent
Result = TypeVar("Result")
Function = tuple[str, str]  # path and name


def record_functions(call: Callable[[], Result]) -> tuple[Result, list[Function]]:
    """Returns the result of `call`, and the Python functions that it ran, in order, each once."""
    codes: dict[CodeType, None] = {}

    def record(frame: Any, event: str, argument: Any) -> None:
        """Keeps the code of a Python function that starts."""
        del argument
        if event == "call":
            codes.setdefault(frame.f_code)

    previous = sys.getprofile()
    sys.setprofile(record)
    try:
        result = call()
    finally:
        sys.setprofile(previous)
    return result, [(code.co_filename, code.co_name) for code in codes]


def find_comments(functions: list[Function]) -> dict[str, str]:
    """Returns the comment of each key that the functions set; those of this package come first."""
    recipes = [function for function in functions if not _is_in_package(function[0])]
    comments: dict[str, str] = {}
    for path, name in (*(function for function in functions if _is_in_package(function[0])), *recipes):
        if Path(path).suffix == ".py" and "site-packages" not in path and Path(path).is_file():
            comments = read_comments(path).get(name, {}) | comments
    return comments


def known_functions() -> list[Function]:
    """Returns the functions of this package that set keys."""
    return [(str(path), name) for path in sorted(PACKAGE.glob("*.py")) for name in read_comments(str(path))]


def comment_of(key: str, comments: Mapping[str, str]) -> str:
    """Returns the comment of a dotted key or of its group; "" if there is none."""
    return comments.get(key) or comments.get(key.rpartition(".")[0], "")


@cache
def read_comments(path: str) -> dict[str, dict[str, str]]:
    """Returns {function: {key: comment}} for the functions of a file that have a `config`."""
    source = Path(path).read_text(encoding="utf-8")
    trailing, whole = _find_comment_lines(source)
    comments = {}
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        keys: dict[str, str] = {}
        for statement in ast.walk(function):
            if isinstance(statement, ast.Assign) and (targets := list(_target_keys(statement))):
                comment = _statement_comment(statement, trailing, whole)
                keys = {key: comment for key in targets if comment} | keys
        comments[function.name] = keys
    return comments


def _is_in_package(path: str) -> bool:
    return Path(path).parent == PACKAGE


def _find_comment_lines(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """Returns the comments behind code and those of whole lines, by line number."""
    trailing, whole = {}, {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            is_whole = token.line.strip().startswith("#")
            (whole if is_whole else trailing)[token.start[0]] = token.string.lstrip("# ").strip()
    return trailing, whole


def _statement_comment(statement: ast.Assign, trailing: Mapping[int, str], whole: Mapping[int, str]) -> str:
    """Returns the comment at the end of a statement's first or last line, or else the lines above it."""
    for line in (statement.lineno, statement.end_lineno):
        if line in trailing:
            return trailing[line]
    lines, above = [], statement.lineno - 1
    while above in whole:
        lines.append(whole[above])
        above -= 1
    return " ".join(reversed(lines))


def _target_keys(statement: ast.Assign) -> Iterator[str]:
    """Yields "data.name" for the target `config.data.name`."""
    for target in statement.targets:
        for node in target.elts if isinstance(target, ast.Tuple) else [target]:
            names: list[str] = []
            while isinstance(node, ast.Attribute):
                names.insert(0, node.attr)
                node = node.value
            if names and isinstance(node, ast.Name) and node.id == "config":
                yield ".".join(names)
