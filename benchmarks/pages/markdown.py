"""Markdown tables, and the regions of a page that hold a generated one."""

import difflib
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pages.rows import Rows

REGION = re.compile(r"(<!-- table: ([\w-]+) -->\n)(.*?)(<!-- end table -->)", re.DOTALL)
MARKER = re.compile(r"<!-- (?:table: .*?|end table) -->")
PROVENANCE = ("Seeds", "Steps", "Minutes", "Device", "Commit", "Date")  # column titles
WIDTH = 138  # of a page's lines
Lines = list[list[str]]


@dataclass(frozen=True)
class Table:
    """A generated table: its columns, its lines, and the command that measures them."""

    name: str
    columns: tuple[str, ...] | Callable[[Rows], tuple[str, ...]]
    lines: Callable[[Rows], Lines]
    command: str
    file: str
    note: str = ""

    def render(self, rows: Rows) -> str:
        """Returns the region's text: the table, then what all its lines share, the note, the command and the file.

        Raises:
          ValueError: the table has no lines.
        """
        columns = self.columns(rows) if callable(self.columns) else self.columns
        lines = self.lines(rows)
        if not lines:
            raise ValueError(f'table "{self.name}" is empty; run {self.command} to record its rows')
        shared = shared_columns(columns, lines)
        common = "; ".join(f"{columns[i]}: {lines[0][i]}" for i in sorted(shared))
        source = f"`{self.command}`; rows in `benchmarks/results/{self.file}.jsonl`." if self.command else ""
        caption = " ".join(filter(None, [self.note, common and f"{common}.", source]))
        return "\n".join([*format_table(columns, lines, shared), "", wrap(caption), ""])


def wrap(text: str) -> str:
    """Returns the text in lines of at most WIDTH characters, broken at spaces outside of `code`."""
    unbroken = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), text)
    return textwrap.fill(unbroken, WIDTH, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def shared_columns(columns: Sequence[str], lines: Lines) -> set[int]:
    """Returns the columns of provenance in which all of several lines agree: the caption names their value once."""
    return {
        i
        for i, column in enumerate(columns)
        if column in PROVENANCE and len(lines) > 1 and lines[0][i] and len({line[i] for line in lines}) == 1
    }


def format_table(columns: Sequence[str], lines: Lines, left_out: set[int] = frozenset()) -> list[str]:
    """Returns the lines of a Markdown table, without columns that are left out or empty throughout."""
    kept = [i for i in range(len(columns)) if i not in left_out and any(line[i] for line in lines)]
    cells = [[columns[i] for i in kept], ["---"] * len(kept), *([line[i] for i in kept] for line in lines)]
    return [f"| {' | '.join(line)} |" for line in cells]


def find_pages(root: Path) -> list[Path]:
    """Returns README.md and every page of docs/, sorted."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def rewrite(text: str, tables: dict[str, Table], rows: Rows) -> str:
    """Returns a page with every region generated anew.

    Raises:
      ValueError: a region is not closed, its name is unknown, or its table is empty.
    """
    if stray := MARKER.search(REGION.sub("", text)):
        raise ValueError(f"{stray[0]} has no counterpart; a region ends with <!-- end table --> on a line of its own")

    def generate(region: re.Match) -> str:
        opening, name, _, closing = region.groups()
        if name not in tables:
            near = difflib.get_close_matches(name, tables, n=1)
            hint = f' (did you mean "{near[0]}"?)' if near else ""
            raise ValueError(f'table "{name}" is unknown{hint}; choose from {", ".join(tables)}')
        return f"{opening}{tables[name].render(rows)}{closing}"

    return REGION.sub(generate, text)
