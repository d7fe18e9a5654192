"""Trains, evaluates, samples or explores a model of jaxgen.

    python launch.py --config=configs/cond_aae.py                    train on the bundled digits
    python launch.py --config=configs/cond_aae.py:mnist              train on MNIST
    python launch.py --config=configs/cond_aae.py --config.steps=500 --workdir=runs/short
    python launch.py --config=configs/cond_aae.py --mode=sample      sample from the trained model

`python -m jaxgen` and, once the package is installed, `jaxgen` take the same flags.

Flags:
  --config=FILE[:PRESETS]  a recipe; presets are words separated by commas: a data set (digits, mnist, …), smoke
                           (a run of seconds, to test that everything works), and the recipe's own, such as tutorial
  --config.KEY=VALUE       changes one key of the recipe; must come after --config
  --workdir=DIR            folder of the run's files; default: runs/NAME, where NAME joins recipe and presets by "-"
  --mode=MODE              train (default): trains to config.steps, or resumes from the last checkpoint; then evaluates
                           evaluate: evaluates the newest checkpoint again (on the validation split with
                               --config.evaluation.split=validation)
                           sample: samples images: samples.png, samples.npz (images, labels, codes)
                           reconstruct: encodes and decodes held-out images: reconstruct.png, reconstruct.npz
                           interpolate: decodes paths between pairs of images: interpolate_linear.png,
                               interpolate_spherical.png, interpolate.gif
                           traverse: varies one latent dimension at a time: traverse.png, traverse.gif
                           latent_walk: decodes a closed path through sampled codes: latent_walk.png, latent_walk.gif
                           attributes: moves images towards each class, for models whose codes contain the class:
                               attributes.png
  --sampler=NAME           sample, latent_walk: distribution of the codes: prior (default), or a sampler fitted to the
                           codes of the training images: mixture (of Gaussians) or two_stage (a second VAE). Fitted
                           samplers are kept in samplers/, and file names end in their name: samples_mixture.png
  --images=PATHS           reconstruct, interpolate, traverse: your own images, as a folder, with everything nested in
                           it, or as files separated by commas; may be repeated; default: held-out images
  --count=N                number of images (sample, reconstruct), pairs (interpolate), dimensions (traverse) or sampled
                           codes (latent_walk). Conditional models sample whole rows: one image of each class
  --spherical              interpolate: interpolate.gif follows the spherical path instead of the linear one
  --profile                train: traces the second log interval into profile/, for ui.perfetto.dev or TensorBoard
  --distributed            train: this process is one of several; each is started by the same command. Under srun,
                           mpirun or Kubernetes this is detected. From plain shells, give each process also:
                           --coordinator_address=HOST:PORT --num_processes=N --process_id=I
                           where HOST is the machine of process 0, and I is a different number from 0 to N - 1 in each

A run writes config.json, checkpoints/, tensorboard/, metrics.jsonl, log.txt, figures/*.png and results.json.
The same command again resumes the run, or reports that it is complete.
"""

import ast
import logging
import signal
import sys
import traceback
from pathlib import Path

from jaxgen.cli import errors
from jaxgen.config.base import SAMPLERS, suggest
from jaxgen.config.unused import require_used_data_keys

MODES = ("train", "evaluate", "sample", "reconstruct", "interpolate", "traverse", "latent_walk", "attributes")
PROCESS_FLAGS = ("coordinator_address", "num_processes", "process_id")  # the first fields of launchers.ProcessSpec
FLAG_MODES = {  # the modes in which each optional flag has a meaning
    "sampler": ("sample", "latent_walk"),
    "images": ("reconstruct", "interpolate", "traverse"),
    "count": ("sample", "reconstruct", "interpolate", "traverse", "latent_walk"),
    "spherical": ("interpolate",),
    "profile": ("train",),
    **dict.fromkeys(("distributed", *PROCESS_FLAGS), ("train",)),
}
CONFIGS = Path(__file__).parents[2] / "configs"  # of a clone; an installed package has none


def run() -> None:
    """Runs the command line and exits the process with its status."""
    sys.exit(main(sys.argv))


def main(argv: list[str]) -> int:
    """Runs the command line.

    Args:
      argv: the program's name and its arguments.

    Returns:
      The exit status: 0, 1 for a run that failed, 2 for a mistake of the user, 128 + N after signal N.
    """
    if {"--help", "-h", "-help"} & set(argv[1:]):
        print(__doc__ + "\nConfigs:\n" + list_configs())
        return 0
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        return execute(*parse_flags(argv))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def list_configs() -> str:
    """Returns one line per recipe: its path and the first line of its docstring."""
    if not find_recipes():
        return "  none here: the recipes are part of a clone of the repository"
    headlines = [ast.get_docstring(ast.parse(path.read_text())).splitlines()[0] for path in find_recipes()]
    return "\n".join(f"  configs/{path.name:<20}{line}" for path, line in zip(find_recipes(), headlines, strict=True))


def find_recipes() -> list[Path]:
    """Returns the files in configs/, sorted by name."""
    return sorted(CONFIGS.glob("*.py"))


def parse_flags(argv: list[str]):
    """Parses the flags.

    Returns:
      The config, the workdir, the mode, and the options that only some modes have, by name.

    Raises:
      ValueError: a flag or a key is wrong; the message is one line.
    """
    from absl import flags
    from ml_collections import config_flags

    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "the recipe", flag_values=values)
    flags.DEFINE_string("workdir", None, "folder of the run's files", flag_values=values)
    flags.DEFINE_enum("mode", "train", MODES, "what to do", flag_values=values)
    flags.DEFINE_enum("sampler", "prior", SAMPLERS, "distribution of the codes", flag_values=values)
    flags.DEFINE_multi_string("images", [], "your own images", flag_values=values)
    flags.DEFINE_integer(
        "count", None, "number of images, pairs, dimensions or codes", lower_bound=1, flag_values=values
    )
    flags.DEFINE_boolean("spherical", False, "follow the spherical path", flag_values=values)
    flags.DEFINE_boolean("profile", False, "trace a log interval", flag_values=values)
    flags.DEFINE_boolean("distributed", None, "one of several processes", flag_values=values)
    flags.DEFINE_string("coordinator_address", None, "HOST:PORT of process 0", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "number of processes", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("process_id", None, "number of this process", lower_bound=0, flag_values=values)
    require_config_file(argv[1:])
    try:
        positional = values(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(errors.describe_flag_error(error)) from error
    if len(positional) > 1:
        raise ValueError(f'"{positional[1]}" is not a flag; every argument must be --name=value, see --help')
    for name, modes in FLAG_MODES.items():
        if values[name].present and values.mode not in modes:
            raise ValueError(f"--{name} is for --mode={' or '.join(modes)}, not for --mode={values.mode}")
    options = {name: values[name].value for name in FLAG_MODES}
    require_process_flags(options)
    if values.mode == "train":
        require_used_data_keys(values.config, config_flags.get_override_values(values["config"]))
    return values.config, values.workdir or default_workdir(argv[1:]), values.mode, options


def require_process_flags(options: dict) -> None:
    """Raises a ValueError unless the process flags are all given, consistently, or all left out."""
    address, num_processes, process_id = (options[name] for name in PROCESS_FLAGS)
    given = [f"--{name}" for name in PROCESS_FLAGS if options[name] is not None]
    if given and not options["distributed"]:
        raise ValueError(f"{given[0]} is for runs of several processes; add --distributed")
    if given and len(given) < len(PROCESS_FLAGS):
        raise ValueError(
            f"{' and '.join(given)} must come with all of --coordinator_address, --num_processes and --process_id"
        )
    if given and process_id >= num_processes:
        raise ValueError(f"--process_id={process_id} must be below --num_processes={num_processes}; the first is 0")
    if given and not address.rpartition(":")[2].isdigit():
        raise ValueError(f"--coordinator_address={address} must be HOST:PORT; try localhost:12345")


def require_config_file(arguments: list[str]) -> None:
    """Raises a ValueError of one line if --config is missing or wrong; absl's own message has 50 lines."""
    path = config_argument(arguments).partition(":")[0]
    if not path:
        raise ValueError("--config is missing; try --config=configs/cond_aae.py, see --help")
    first = next(argument for argument in arguments if argument.lstrip("-").startswith("config"))
    if first.lstrip("-").startswith("config."):
        raise ValueError(f"{first} comes before --config; write --config first")
    recipes = {recipe.name: recipe for recipe in find_recipes()}
    if not Path(path).is_file():
        if recipe := recipes.get(Path(path).name):
            raise ValueError(f"--config={path} does not exist in {Path.cwd()}; try --config={recipe}")
        hint = suggest(Path(path).name, recipes)
        raise ValueError(f"--config={path} does not exist{hint}; the recipes are:\n{list_configs()}")
    if Path(path).suffix != ".py":
        raise ValueError(f"--config={path} must be a recipe, a Python file; try --config=configs/cond_aae.py")


def config_argument(arguments: list[str]) -> str:
    """Returns the value of --config, "FILE[:PRESETS]", or "" if it is missing."""
    for index, argument in enumerate(arguments):
        name, equals, value = argument.lstrip("-").partition("=")
        if name == "config" and argument.startswith("-"):
            return value if equals else "".join(arguments[index + 1 : index + 2])
    return ""


def default_workdir(arguments: list[str]) -> str:
    """Returns runs/NAME, where NAME is the recipe's name followed by its presets."""
    path, _, presets = config_argument(arguments).partition(":")
    return str(Path("runs") / "-".join([Path(path).stem, *(preset for preset in presets.split(",") if preset)]))


def execute(config, workdir: str, mode: str, options: dict) -> int:
    """Configures jax, connects to the run's other processes if there are any, and runs a mode.

    Args:
      config: the recipe's config.
      workdir: folder of the run's files.
      mode: one of `MODES`.
      options: the value of each flag in `FLAG_MODES`.

    Returns:
      The exit status, where the process survives `exit_process`.
    """
    from jaxgen.distributed import devices, launchers, processes
    from jaxgen.io.atomic import cache_dir

    devices.configure_jax(cache_dir("compiled"))
    logging.getLogger("jaxgen").setLevel(logging.INFO)
    spec = launchers.ProcessSpec(*(options.pop(name) for name in PROCESS_FLAGS))
    distributed, profile = options.pop("distributed"), options.pop("profile")
    try:
        if mode == "train" and (launchers.launcher_detected() if distributed is None else distributed):
            processes.initialize(spec)
        status = run_mode(config, workdir, mode, profile, options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except Exception:  # a bug of jaxgen: several processes must exit without waiting for each other
        if not processes.is_multiprocess():
            raise
        traceback.print_exc()
        status = 1
    processes.exit_process(status)
    return status


def run_mode(config, workdir: str, mode: str, profile: bool, options: dict) -> int:
    """Runs a mode and reports failures that are not the user's mistake in one line.

    Args:
      config: the recipe's config.
      workdir: folder of the run's files.
      mode: one of `MODES`.
      profile: whether training traces a log interval.
      options: the fields of `commands.ModeOptions`.

    Returns:
      The exit status.
    """
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
        print(f"error: {errors.describe_disk_error(error)}", file=sys.stderr)
        return 1
    except jax.errors.JaxRuntimeError as error:
        if not processes.is_out_of_memory(error):
            raise
        print(f"error: {errors.describe_out_of_memory(error)}", file=sys.stderr)
        return 1
    except signals.Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        return 128 + interrupted.signum
    except KeyboardInterrupt:
        print("SIGINT: stopped at once; saved checkpoints are kept, and the same command resumes", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0
