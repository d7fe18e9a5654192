"""Collection of the mistakes in a config, so that all are reported at once. Imports no jax."""

import contextlib
import difflib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
_GATHERED: ContextVar[list[str] | None] = ContextVar("gathered errors", default=None)


class ConfigError(ValueError):
    """Several mistakes; the text has one line for each.

    Attributes:
      messages: the lines.
    """

    def __init__(self, messages: list[str]):
        super().__init__("\n".join(messages))
        self.messages = messages


@contextlib.contextmanager
def gather_errors() -> Iterator[list[str]]:
    """Gathers the mistakes that are found in its block, and raises none of them.

    A check reports a mistake by `report_error`, and the block continues. A ValueError ends the block and is one of the
    mistakes. After a mistake, any other exception, and a ValueError of a library, is a consequence and is dropped.

    Yields:
      The mistakes, complete at the end of the block.
    """
    messages: list[str] = []
    token = _GATHERED.set(messages)
    try:
        yield messages
    except ConfigError as error:
        messages.extend(error.messages)
    except Exception as error:
        is_mistake = isinstance(error, ValueError) and (not messages or _is_raised_by_jaxgen(error))
        if not messages and not is_mistake:
            raise
        messages.extend([str(error)] if is_mistake else [])
    finally:
        _GATHERED.reset(token)


@contextlib.contextmanager
def collect_errors() -> Iterator[None]:
    """Raises the mistakes that are found in its block together, at the end of the block; see `gather_errors`.

    Raises:
      ConfigError: there are mistakes.
    """
    with gather_errors() as messages:
        yield
    raise_errors(messages)


def report_error(message: str) -> None:
    """Adds a mistake to those of the enclosing block of `gather_errors`; without a block, raises it as a ValueError."""
    messages = _GATHERED.get()
    if messages is None:
        raise ValueError(message)
    messages.append(message)


def run_check(check: Callable, *arguments: Any) -> None:
    """Calls a check that raises a ValueError, and reports the error."""
    try:
        check(*arguments)
    except ConfigError as error:
        for message in error.messages:
            report_error(message)
    except ValueError as error:
        report_error(str(error))


def raise_errors(messages: list[str] | None = None) -> None:
    """Raises the mistakes, if there are any; by default those of the enclosing block of `gather_errors` so far."""
    if messages := list(dict.fromkeys(_GATHERED.get() or [] if messages is None else messages)):
        raise ConfigError(messages)


def _is_raised_by_jaxgen(error: BaseException) -> bool:
    """Returns whether the statement that raised an error is in this package."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and Path(frame.tb_frame.f_code.co_filename).is_relative_to(PACKAGE)


def suggest(word: str, choices: Iterable[str]) -> str:
    """Returns ' (did you mean "…"?)' with the most similar choice, or "" if no choice is similar."""
    similar = difflib.get_close_matches(word, choices, n=1)
    return f' (did you mean "{similar[0]}"?)' if similar else ""
