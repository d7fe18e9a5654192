"""The recorded rows: reading them, finding the newest one of a key, and naming where it comes from."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

RESULTS = Path(__file__).parents[1] / "results"
Row = Mapping[str, object]


class Rows:
    """All recorded rows, by the name of their file."""

    def __init__(self, folder: Path = RESULTS):
        self.files = {path.stem: read_rows(path) for path in sorted(folder.glob("*.jsonl"))}

    def __getitem__(self, file: str) -> list[Row]:
        """Returns the rows of a file, oldest first; an empty list if there is no such file."""
        return self.files.get(file, [])

    def newest(self, file: str, **match: object) -> Row | None:
        """Returns the last row of a file whose values equal `match`, or None.

        Args:
          file: name of the file, without `.jsonl`.
          **match: values by key. A tuple accepts each of its entries; `commit` is compared with the row's commit.
        """
        return next((row for row in reversed(self[file]) if matches(row, match)), None)

    def newest_by(self, file: str, keys: Iterable[str]) -> list[Row]:
        """Returns the newest row of each combination of values under `keys`, in the order of their first row."""
        keys = tuple(keys)
        return list({tuple(row.get(key, "") for key in keys): row for row in self[file]}.values())


def read_rows(path: Path) -> list[Row]:
    """Returns the rows of a file of JSON lines, in order."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def matches(row: Row, match: Mapping[str, object]) -> bool:
    """Whether every value of `match` equals the row's, or contains it if the value is a tuple."""
    return all(
        (commit_of(row) if key == "commit" else row.get(key)) in (value if isinstance(value, tuple) else (value,))
        for key, value in match.items()
    )


def commit_of(row: Row) -> str:
    """Returns the short commit that a row was measured at, with `+dirty` if there were uncommitted changes."""
    commit = row.get("versions", {}).get("commit") or row.get("commit", "")
    return commit if "," in commit or "+" in commit else commit[:7]


def date_of(row: Row) -> str:
    """Returns the day of a row, or a dash for rows from before dates were recorded."""
    return str(row.get("date", "–"))[:10]


def device_of(row: Row) -> str:
    """Returns the device of a row, without the trademark signs of Intel's name."""
    return str(row["device"]).replace("Intel(R) Xeon(R) Processor", "Intel Xeon").replace("1 cores", "1 core")


@dataclass(frozen=True)
class Source:
    """Names one recorded number: a metric of the newest row that matches."""

    file: str
    metric: str
    match: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    def row(self, rows: Rows) -> Row | None:
        """Returns the newest row that matches, or None."""
        return rows.newest(self.file, **self.match)

    def values(self, rows: Rows) -> list[float]:
        """Returns the metric of each seed.

        Raises:
          ValueError: no row matches.
        """
        row = self.row(rows)
        if row is None:
            raise ValueError(f"benchmarks/results/{self.file}.jsonl has no row with {dict(self.match)}")
        found = row["per_seed"] if "per_seed" in row else row[self.metric]
        return list(found) if isinstance(found, list) else [found]
