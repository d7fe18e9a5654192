"""Tables of steps a second beside PyTorch: on CPUs, on a GPU, and the record of every commit."""

from collections.abc import Callable

from benchmarks.pages.markdown import Lines, Table
from benchmarks.pages.numbers import format_number
from benchmarks.pages.rows import Row, Rows, commit_of
from benchmarks.pages.speed import provenance, spread

H100 = "NVIDIA H100 80GB HBM3"
XEON, EPYC = "Intel(R) Xeon(R) Processor, 2 cores", "AMD EPYC, 2 cores"
CPUS = {XEON: "Intel Xeon", EPYC: "AMD EPYC", "AMD EPYC (family 25, model 1), 2 cores": "AMD EPYC without AVX-512"}
CONVOLUTIONAL = ("conv_gan", "dcgan32", "dcgan64", "vaegan", "conv_ae")
RATIO_TARGETS = {"cond_aae": 2.0, "tutorial": None} | dict.fromkeys(CONVOLUTIONAL, 1.0)  # the others: 1.5
FORM_TARGETS = {"compile, CUDA graph": 1.2, "eager": 3.0}
COMMAND = "python -m benchmarks.speed.pytorch.compare"


def ratio_lines(rows: Rows) -> Lines:
    """Returns a line for each case beside PyTorch, with a cell for each CPU."""
    newest = [row for row in rows.newest_by("peers", ("config", "device")) if row["device"] != H100]
    cells = {(row["config"], row["device"]): row for row in newest}
    return [
        [f"`{case}`", target_text(case), *(ratio_cell(cells.get((case, device))) for device in devices_of(rows))]
        for case in dict.fromkeys(row["config"] for row in newest)
    ]


def devices_of(rows: Rows) -> list[str]:
    """Returns the CPUs that PyTorch was compared on, in order of their first row."""
    return list(dict.fromkeys(row["device"] for row in rows["peers"] if row["device"] != H100))


def target_text(case: str) -> str:
    """Returns the target of a case's ratio."""
    target = RATIO_TARGETS.get(case, 1.5)
    return "none" if target is None else f"{target:.1f}"


def ratio_cell(row: Row | None) -> str:
    """Returns the ratio of a case on one CPU, whether it misses its target, and its commit."""
    if row is None:
        return ""
    target = RATIO_TARGETS.get(row["config"], 1.5)
    missed = " **missed**" if target and row["ratio"] < target else ""
    return f"{spread(row, 'ratio')}{missed}, {commit_of(row)}"


def missed_lines(rows: Rows) -> Lines:
    """Returns a line for each CPU and target, with the cases that miss the target."""
    newest = [row for row in rows.newest_by("peers", ("config", "device")) if row["device"] != H100]
    missed: dict[tuple[str, str], list[str]] = {}
    for row in newest:
        target = RATIO_TARGETS.get(row["config"], 1.5)
        if target and row["ratio"] < target:
            key = (CPUS.get(row["device"], row["device"]), target_text(row["config"]))
            missed.setdefault(key, []).append(f"`{row['config']}` {format_number(row['ratio'], 3)}")
    return [[*key, ", ".join(cases)] for key, cases in sorted(missed.items())]


def gpu_lines(rows: Rows) -> Lines:
    """Returns a line for each form of PyTorch on the GPU, and one for jaxgen."""
    row = rows.newest("peers", config="tutorial", device=H100)
    ours = row["forms"]["jaxgen"]
    forms = sorted(row["forms"].items(), key=lambda form: -form[1])
    ratios = {form: ours / rate for form, rate in forms if form != "jaxgen"}
    return [
        [
            *(form, f"{rate:,.0f}", f"{ratios[form]:.3g}" if form in ratios else ""),
            *(form_target(form, ratios.get(form, 1.0)), *provenance(row)),
        ]
        for form, rate in forms
    ]


def form_target(form: str, ratio: float) -> str:
    """Returns the target of the ratio over a form of PyTorch, and whether it is reached."""
    if form not in FORM_TARGETS:
        return ""
    return f"≥ {FORM_TARGETS[form]}: {'reached' if ratio >= FORM_TARGETS[form] else '**missed**'}"


def history(device: str) -> Callable[[Rows], Lines]:
    """Returns the function that generates a line for each case, with every ratio by commit, oldest first."""

    def lines(rows: Rows) -> Lines:
        recorded = [row for row in rows["peers"] if row["device"] == device]
        commits = commits_of(device)(rows)[1:]
        return [
            [f"`{case}`", *(ratios_at(recorded, case, commit) for commit in commits)]
            for case in dict.fromkeys(row["config"] for row in recorded)
        ]

    return lines


def ratios_at(recorded: list[Row], case: str, commit: str) -> str:
    """Returns the ratios of a case at a commit."""
    found = (row["ratio"] for row in recorded if row["config"] == case and commit_of(row) == commit)
    return ", ".join(f"{ratio:.2f}" for ratio in found)


def commits_of(device: str) -> Callable[[Rows], tuple[str, ...]]:
    """Returns the function that gives the columns of a history: the commits measured on a device."""
    return lambda rows: (
        "Case",
        *dict.fromkeys(commit_of(row) for row in rows["peers"] if row["device"] == device),
    )


NOTE = "Steps a second of jaxgen over those of PyTorch's fastest form"
PYTORCH = (
    Table(
        "pytorch_cpu",
        lambda rows: ("Case", "Target", *(CPUS.get(device, device) for device in devices_of(rows))),
        ratio_lines,
        COMMAND,
        "peers",
        f"{NOTE}: median, least and most of the turns, then the commit. Two cores of each CPU.",
    ),
    Table(
        "pytorch_missed",
        ("CPU", "Target", "Cases that miss it"),
        missed_lines,
        COMMAND,
        "peers",
        f"{NOTE}, newest row of each case and CPU.",
    ),
    Table(
        "pytorch_gpu",
        ("Form", "Steps/s", "jaxgen over it", "Target", "Device", "Commit", "Date"),
        gpu_lines,
        f"{COMMAND} --configs=tutorial",
        "peers",
        "`cond_aae:mnist,tutorial`, batch 100; jax 0.11.2, PyTorch 2.11, CUDA 13; TF32 products on both sides.",
    ),
    Table("pytorch_xeon_history", commits_of(XEON), history(XEON), COMMAND, "peers", f"{NOTE}; columns are commits."),
    Table("pytorch_epyc_history", commits_of(EPYC), history(EPYC), COMMAND, "peers", f"{NOTE}; columns are commits."),
)
