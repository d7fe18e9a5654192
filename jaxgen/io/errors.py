"""Shortens the errors of libraries, whose texts can fill a page, to one line."""

MAX_LENGTH = 200  # characters


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's text, of at most `MAX_LENGTH` characters; "" for an error without text."""
    line = next(iter(str(error).strip().splitlines()), "").rstrip()
    return line if len(line) <= MAX_LENGTH else f"{line[: MAX_LENGTH - 1]}…"


def describe_error(error: BaseException) -> str:
    """Returns the type and the first line of an error, such as "KeyError: 'image'"."""
    return f"{type(error).__name__}: {first_line(error)}"
