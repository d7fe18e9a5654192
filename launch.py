"""Trains, evaluates, samples or explores a model of jaxgen.

    python launch.py --config=configs/cond_aae.py                    train it on the bundled digits
    python launch.py --config=configs/cond_aae.py:mnist              the same on MNIST
    python launch.py --config=configs/cond_aae.py --config.steps=500 --config.learning_rates.critic=0.001 --workdir=runs/mine
    python launch.py --config=configs/cond_aae.py --mode=sample      draw from the trained model

Flags:
  --config=FILE[:TOKENS]   a recipe; comma-separated tokens choose presets: a data set (digits, mnist, …), smoke
                           (seconds, proves that all parts run), and the recipe's own, such as tutorial
  --config.KEY=VALUE       changes one value of the recipe; comes after --config
  --workdir=DIR            where the run's files go: runs/NAME by default, NAME from the config and its tokens
  --mode=MODE              train (default): to config.steps, resuming where the workdir stands, then measures
                           evaluate: measures the newest checkpoint again (--config.evaluation.split=validation: there)
                           sample: draws from the model: samples.png, samples.npz (images, labels, codes)
                           reconstruct: held-out images and what becomes of them: reconstruct.png, .npz
                           interpolate: between pairs of them: interpolate_linear.png, _spherical.png, interpolate.gif
                           traverse: one code, a dimension at a time: traverse.png, .gif
                           walk: through drawn codes and back: walk.gif, .png
                           attributes: from the other classes to each, where codes hold the class: attributes.png
  --sampler=NAME           what sample and walk draw codes from: the prior (default), or what is fitted to the codes of
                           the training images: mixture (of Gaussians), two_stage (a second VAE); kept in samplers/;
                           files then bear its name: samples_mixture.png
  --images=DIR             your own images, or files with commas between, to reconstruct, interpolate or traverse
  --count=N                how many images to sample (under labels: rounded up to whole styles) or to reconstruct, pairs
                           to interpolate, dimensions to traverse, codes to walk through
  --spherical              interpolate.gif moves on the sphere, not on the straight line
  --profile                train: the second log interval is traced into profile/, for ui.perfetto.dev or TensorBoard
  --distributed            train: in several processes, each started by this command; srun and mpirun are noticed by
                           themselves. From plain shells, in each, with one I for each of 0 … N - 1:
                           --distributed --coordinator=HOST:PORT --processes=N --process=I (HOST: that of process 0)

A run leaves config.json, checkpoints/, tensorboard/, metrics.jsonl, log.txt, figures/*.png and results.json.
The same command again resumes it, or says that it is complete.
"""

import ast
import logging
import signal
import sys
import traceback
from pathlib import Path

from jaxgen.config.base import SAMPLERS, suggest

MODES = ("train", "evaluate", "sample", "reconstruct", "interpolate", "traverse", "walk", "attributes")
PLACE = ("coordinator", "processes", "process")  # see hosts.Place
MODES_OF = {  # the modes that a flag means something to
    "sampler": ("sample", "walk"),
    "images": ("reconstruct", "interpolate", "traverse"),
    "count": ("sample", "reconstruct", "interpolate", "traverse", "walk"),
    "spherical": ("interpolate",),
    "profile": ("train",),
    **dict.fromkeys(("distributed", *PLACE), ("train",)),
}


def main(argv: list[str]) -> int:
    """Runs the command line; returns the exit status: 2 for a user's mistake, 1 for a run that failed."""
    if {"--help", "-h", "-help"} & set(argv[1:]):
        print(__doc__ + "\nConfigs:\n" + list_configs())
        return 0
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        return hand_over(*parse(argv))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def list_configs() -> str:
    """One line a recipe: its path and the first line of its docstring."""
    headlines = [ast.get_docstring(ast.parse(path.read_text())).splitlines()[0] for path in recipes()]
    return "\n".join(f"  configs/{path.name:<20}{line}" for path, line in zip(recipes(), headlines, strict=True))


def recipes() -> list[Path]:
    """The files in configs/."""
    return sorted((Path(__file__).parent / "configs").glob("*.py"))


def parse(argv: list[str]):
    """Reads the flags: (config, workdir, mode, the options that are for some modes alone).

    Raises:
      ValueError: any of them is wrong, in one line.
    """
    from absl import flags
    from ml_collections import config_flags

    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "the recipe", flag_values=values)
    flags.DEFINE_string("workdir", None, "where the run's files go", flag_values=values)
    flags.DEFINE_enum("mode", "train", MODES, "what to do", flag_values=values)
    flags.DEFINE_enum("sampler", "prior", SAMPLERS, "what codes are drawn from", flag_values=values)
    flags.DEFINE_string("images", "", "your own images", flag_values=values)
    flags.DEFINE_integer("count", None, "how many", lower_bound=1, flag_values=values)
    flags.DEFINE_boolean("spherical", False, "move on the sphere", flag_values=values)
    flags.DEFINE_boolean("profile", False, "trace a log interval", flag_values=values)
    flags.DEFINE_boolean("distributed", None, "several processes", flag_values=values)
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0", flag_values=values)
    flags.DEFINE_integer("processes", None, "how many", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("process", None, "which this is", lower_bound=0, flag_values=values)
    check_config_path(argv[1:])
    try:
        rest = values(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(one_line(error)) from error
    if len(rest) > 1:
        raise ValueError(f'"{rest[1]}" is no flag; every argument is --name=value, see --help')
    for name, modes in MODES_OF.items():
        if values[name].present and values.mode not in modes:
            raise ValueError(f"--{name} is for --mode={' or '.join(modes)}, not for --mode={values.mode}")
    options = {name: values[name].value for name in MODES_OF}
    check_place(options)
    return values.config, values.workdir or default_workdir(argv[1:]), values.mode, options


def check_place(options: dict) -> None:
    """Refuses half an answer to where this process stands among several."""
    coordinator, processes, process = (options[name] for name in PLACE)
    given = [f"--{name}" for name in PLACE if options[name] is not None]
    if given and not options["distributed"]:
        raise ValueError(f"{given[0]} is for runs of several processes; add --distributed")
    if given and len(given) < len(PLACE):
        raise ValueError(f"{' and '.join(given)} must come with all of --coordinator, --processes and --process")
    if given and process >= processes:
        raise ValueError(f"--process={process} must be below --processes={processes}: the first is 0")
    if given and not coordinator.rpartition(":")[2].isdigit():
        raise ValueError(f"--coordinator={coordinator} must be HOST:PORT, such as localhost:12345")


def check_config_path(arguments: list[str]) -> None:
    """Answers a missing or wrong --config before absl does, which takes 50 lines to."""
    path = config_path(arguments).partition(":")[0]
    if not path:
        raise ValueError("--config is missing; for example --config=configs/cond_aae.py, see --help")
    first = next(i for i, argument in enumerate(arguments) if argument.lstrip("-").startswith("config"))
    if arguments[first].lstrip("-").startswith("config."):
        raise ValueError(f"{arguments[first]} comes before --config; write --config first")
    ours = {each.name: each for each in recipes()}
    if not Path(path).is_file():
        if here := ours.get(Path(path).name):
            raise ValueError(f"--config={path} does not exist, seen from {Path.cwd()}; try --config={here}")
        near = suggest(Path(path).name, ours)
        raise ValueError(f"--config={path} does not exist{near}; the recipes are:\n{list_configs()}")
    if Path(path).suffix != ".py":
        raise ValueError(f"--config={path} must be a recipe, a Python file; for example --config=configs/cond_aae.py")


def config_path(arguments: list[str]) -> str:
    """What --config is given: "FILE[:TOKENS]", "" where it is missing."""
    for index, argument in enumerate(arguments):
        name, equals, value = argument.lstrip("-").partition("=")
        if name == "config" and argument.startswith("-"):
            return value if equals else "".join(arguments[index + 1 : index + 2])
    return ""


def default_workdir(arguments: list[str]) -> str:
    """runs/NAME, with the tokens behind the config's name."""
    path, _, tokens = config_path(arguments).partition(":")
    return str(Path("runs") / "-".join([Path(path).stem, *(token for token in tokens.split(",") if token)]))


def one_line(error: BaseException) -> str:
    """The last line of an error that says something; absl and ml_collections put the useful part there."""
    missing = next((each for each in (error, *error.args) if isinstance(each, KeyError)), None)
    if missing is not None:
        key, _, hint = str(missing.args[0]).partition("\n")
        return f"""the config has no key "{key.strip("'")}"; {hint or "its keys stand in the recipe's file"}"""
    lines = [line.strip() for line in str(error.args[0] if error.args else error).splitlines() if line.strip()]
    return lines[-1].removeprefix("ValueError: ") if lines else type(error).__name__


def hand_over(config, workdir: str, mode: str, options: dict) -> int:
    """Starts jax, joins the other processes if there are any, and does what `mode` says."""
    from jaxgen.distributed import devices, launchers, processes

    devices.configure_jax()
    logging.getLogger("jaxgen").setLevel(logging.INFO)
    place = launchers.ProcessSpec(*(options.pop(name) for name in PLACE))
    distributed, profile = options.pop("distributed"), options.pop("profile")
    try:
        if mode == "train" and (launchers.launcher_detected() if distributed is None else distributed):
            processes.initialize(place)
        status = act(config, workdir, mode, profile, options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except Exception:  # ours; alone it may end the process, among peers it must not wait for them
        if not processes.is_multiprocess():
            raise
        traceback.print_exc()
        status = 1
    processes.exit_process(status)
    return status


def act(config, workdir: str, mode: str, profile: bool, options: dict) -> int:
    """Does what `mode` says; returns the exit status."""
    import jax

    from jaxgen.cli import commands, explore
    from jaxgen.distributed import processes
    from jaxgen.training import deferred_metrics, loop, signals

    try:
        if mode in explore.MODES:
            explore.MODES[mode](config, workdir, commands.ModeOptions(**options))
        elif mode == "evaluate":
            commands.evaluate_run(config, workdir)
        else:
            loop.train_and_evaluate(config, workdir, profile)
    except (deferred_metrics.NonFiniteLossError, processes.LostPeerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {unwritten(error)}", file=sys.stderr)
        return 1
    except jax.errors.JaxRuntimeError as error:
        if not processes.is_out_of_memory(error):
            raise
        print(f"error: {too_full(error)}", file=sys.stderr)
        return 1
    except signals.Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signum
    except KeyboardInterrupt:
        print("SIGINT: stopped at once; what was saved is kept, and the same command goes on", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def unwritten(error: OSError) -> str:
    """What a disk's error means to the run."""
    if error.filename is None and error.errno is None:
        return str(error)  # ours: it says all of it
    where = f" with {error.filename}" if error.filename else ""
    return (
        f"the disk failed{where} ({error.strerror or error}); what was saved is kept: see that it has room and can be "
        "written, and the same command resumes"
    )


def too_full(error: Exception) -> str:
    """What a device without room means to the run."""
    said = str(error).partition("\n")[0]
    return (
        f"a device's memory is full ({said}); what was saved is kept: try a smaller --config.batch_size or networks in "
        "a new --workdir or, where another program is on the same GPU, XLA_PYTHON_CLIENT_PREALLOCATE=false"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
