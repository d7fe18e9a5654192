"""Tables of speed: steps a second, roofline, scaling, streaming, startup; and of kills that runs survive."""

from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.pages.markdown import Lines, Table
from benchmarks.pages.numbers import format_number
from benchmarks.pages.rows import Row, Rows, commit_of, date_of, device_of


def spread(row: Row, key: str, digits: int = 3) -> str:
    """Returns the median, least and most of a measurement, as recorded under `key`, `key_min` and `key_max`."""
    median, least, most = (format_number(row[f"{key}{suffix}"], digits) for suffix in ("", "_min", "_max"))
    return f"{median} ({least} to {most})"


def provenance(row: Row) -> list[str]:
    """Returns the device, the commit and the day of a row."""
    return [device_of(row), commit_of(row), date_of(row)]


def recipe_of(row: Row) -> str:
    """Returns a row's recipe with its presets."""
    presets = row.get("presets", "")
    return f"`{row['config']}:{presets}`" if presets else f"`{row['config']}`"


def step_lines(rows: Rows) -> Lines:
    """Returns a line for each recipe, way of compiling and device."""
    newest = rows.newest_by("step_throughput", ("config", "presets", "parallel", "devices", "device"))
    return [
        [
            *(recipe_of(row), str(row["parallel"]), str(row["batch_size"])),
            *(spread(row, "steps_per_s"), f"{row['images_per_s']:,.0f}", format_number(row["gflop_per_step"], 3)),
            *(format_number(row["compile_s"], 2), *provenance(row)),
        ]
        for row in newest
    ]


def roofline_lines(rows: Rows) -> Lines:
    """Returns a line for each recipe and device."""
    numbers = ("gflop_per_step", "matrix_gflop_per_s", "memory_gb_per_s", "matrix_ms", "memory_ms", "step_ms")
    return [
        [recipe_of(row), *(format_number(row[key], 3) for key in numbers), roofline_distance(row), *provenance(row)]
        for row in rows.newest_by("floor", ("config", "presets", "device"))
    ]


def roofline_distance(row: Row) -> str:
    """Returns how far a step is from its roofline; cond_aae has a target."""
    target = {"cond_aae": 1.5}.get(row["config"])
    reached = (
        "" if target is None else f" (target ≤ {target}: {'reached' if row['distance'] <= target else '**missed**'})"
    )
    return f"{row['distance']:.2f}{reached}"


def roofline_history(rows: Rows) -> Lines:
    """Returns a line for every row of cond_aae, oldest first."""
    numbers = ("gflop_per_step", "matrix_gflop_per_s", "memory_gb_per_s", "step_ms")
    recorded = [row for row in rows["floor"] if row["config"] == "cond_aae"]
    return [
        [*(format_number(row[key], 3) for key in numbers), roofline_distance(row), *provenance(row)] for row in recorded
    ]


def scaling_lines(rows: Rows) -> Lines:
    """Returns a line for each recipe, growth, way of compiling and number of devices above 1."""
    keys = ("config", "presets", "growth", "way", "devices", "device")
    return [
        [
            *(recipe_of(row), str(row["growth"]), str(row["way"])),
            *(f"{row['devices']}{' simulated' if row['simulated'] else ''}", str(row["batch_size"])),
            *(f"{row['images_per_s']:,.0f}", spread(row, "speedup")),
            *(f"{row['collective_bytes']:,}" if row["collective_bytes"] is not None else "", *provenance(row)),
        ]
        for row in rows.newest_by("scaling", keys)
        if row["devices"] > 1
    ]


def startup_lines(rows: Rows) -> Lines:
    """Returns a line for each recipe and device."""
    return [
        [
            *(f"`{row['config']}`", str(row["steps"]), f"{row['first_s']:.1f}", spread(row, "second_s", 2)),
            *(f"≤ 8: {'reached' if row['second_s'] <= 8 else '**missed**'}", *provenance(row)),
        ]
        for row in rows.newest_by("startup", ("config", "device"))
    ]


def streaming_lines(rows: Rows) -> Lines:
    """Returns a line for each recipe and device."""
    return [
        [
            *(f"`{row['config']}`", "×".join(map(str, row["image_shape"])), str(row["batch_size"])),
            *(f"{row[key]:,.0f}" for key in ("stream", "step", "together")),
            *(f"{row['ratio']:.1f} (target ≥ 1.5: {'reached' if row['ratio'] >= 1.5 else '**missed**'})",),
            *(f"{100 * row['waits']:.1f}%", *provenance(row)),
        ]
        for row in rows.newest_by("input_throughput", ("config", "device"))
    ]


def kill_lines(rows: Rows) -> Lines:
    """Returns a line for each seed, and their sum."""
    newest = rows.newest_by("endurance", ("seed",))
    keys = ("kills", "runs", "identical")
    lines = [
        [
            str(row["seed"]),
            *(str(row[key]) for key in keys),
            str(len(row["unreadable"])),
            moments([row]),
            *provenance(row),
        ]
        for row in newest
    ]
    sums = [str(sum(row[key] for row in newest)) for key in keys]
    return [*lines, ["all", *sums, str(sum(len(row["unreadable"]) for row in newest)), moments(newest), "", "", ""]]


def moments(found: Sequence[Row]) -> str:
    """Returns what the kills hit, with their number."""
    total: Counter[str] = sum((Counter(row["moments"]) for row in found), Counter())
    return ", ".join(f"{name} {number}" for name, number in sorted(total.items()))


def table(
    name: str, columns: tuple[str, ...], lines: Callable[[Rows], Lines], command: str, file: str, note: str = ""
) -> Table:
    """Returns a table whose lines end in the device, the commit and the date."""
    return Table(name, (*columns, "Device", "Commit", "Date"), lines, f"python -m benchmarks.{command}", file, note)


SPEED = (
    table(
        "step_throughput",
        ("Recipe", "Compiled by", "Batch", "Steps/s (least to most)", "Images/s", "GFLOP/step", "Compile, s"),
        step_lines,
        "speed.step_throughput",
        "step_throughput",
        "Median, least and most of 5 dispatches of 100 steps.",
    ),
    table(
        "roofline",
        ("Recipe", "GFLOP/step", "GFLOP/s", "GB/s", "Products, ms", "Memory, ms", "Step, ms", "Step over their sum"),
        roofline_lines,
        "speed.roofline",
        "floor",
    ),
    table(
        "roofline_history",
        ("GFLOP/step", "GFLOP/s", "GB/s", "Step, ms", "Step over the sum of products and memory"),
        roofline_history,
        "speed.roofline --configs=cond_aae",
        "floor",
        "`cond_aae` on the bundled digits.",
    ),
    table(
        "scaling",
        ("Recipe", "Growth", "Compiled by", "Devices", "Batch", "Images/s", "Over one device", "Exchanged bytes/step"),
        scaling_lines,
        "speed.scaling --simulate=8 --batch_size=104",
        "scaling",
        "Strong growth: one batch split over all devices. Weak growth: one such batch for each device.",
    ),
    table(
        "startup",
        ("Recipe", "Steps", "First start, s", "Later starts, s", "Target, s"),
        startup_lines,
        "speed.startup",
        "startup",
        "From the command to the end of the first steps; later starts find the compiled programs in the cache.",
    ),
    table(
        "streaming",
        (
            "Recipe",
            "Image",
            "Batch",
            "Decoding, images/s",
            "Step, images/s",
            "Both, images/s",
            "Ratio",
            "Step slower by",
        ),
        streaming_lines,
        "speed.input_throughput",
        "input_throughput",
    ),
    table(
        "kill_and_resume",
        ("Seed", "Kills", "Runs", "Bit-identical", "Unreadable files", "Killed during"),
        kill_lines,
        "robustness.kill_and_resume",
        "endurance",
    ),
)
