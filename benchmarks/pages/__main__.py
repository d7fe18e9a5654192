"""The command line of `python -m benchmarks.pages`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import pages
from benchmarks.pages.markdown import find_pages, rewrite
from benchmarks.pages.rows import RESULTS, Rows
from benchmarks.pages.tables import TABLES

ROOT = Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 1 if --check finds a stale page, 2 for a mistake in a page."""
    options = parse(argv)
    try:
        stale = update_pages(options.root, Rows(options.results), write=not options.check)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for page in stale:
        print(f"{page.relative_to(options.root)}: {'stale' if options.check else 'rewritten'}")
    if options.check and stale:
        print("run: python -m benchmarks.pages", file=sys.stderr)
    return int(options.check and bool(stale))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options of the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.pages", description=pages.__doc__, formatter_class=form)
    parser.add_argument("--check", action="store_true", help="rewrite nothing; exit status 1 if a table is stale")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="the repository (default: this one)")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="the recorded rows")
    return parser.parse_args(argv)


def update_pages(root: Path, rows: Rows, write: bool) -> list[Path]:
    """Generates the tables of all pages.

    Args:
      root: the folder of README.md and docs/.
      rows: the recorded rows.
      write: whether to write the pages that change.

    Returns:
      The pages whose tables differ from the generated ones.

    Raises:
      ValueError: a page has a mistake; the message names the page.
    """
    stale = []
    for page in find_pages(root):
        text = page.read_text(encoding="utf-8")
        try:
            new = rewrite(text, TABLES, rows)
        except ValueError as error:
            raise ValueError(f"{page.relative_to(root)}: {error}") from error
        if new != text:
            stale.append(page)
            if write:
                page.write_text(new, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
