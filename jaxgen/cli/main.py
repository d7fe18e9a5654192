"""Trains, evaluates, samples or explores a model of jaxgen.

    python launch.py --config=configs/cond_aae.py                    train on the bundled digits
    python launch.py --config=configs/cond_aae.py:mnist              train on MNIST
    python launch.py --config=configs/cond_aae.py --config.steps=500 --workdir=runs/short
    python launch.py --config=configs/cond_aae.py --mode=sample      sample from the trained model

`python -m jaxgen` and, once the package is installed, `jaxgen` take the same flags.

Flags:
  --config=FILE[:PRESETS]  a recipe; presets are words separated by commas: a data set (digits, mnist, …), smoke
                           (a run of seconds, to test that everything works), and the recipe's own, such as tutorial.
                           With --help: lists the recipe's keys with their values and meanings
  --config.KEY=VALUE       changes one key of the recipe; must come after --config
  --workdir=DIR            folder of the run's files; default: runs/NAME, where NAME joins recipe and presets by "-".
                           In the folder of a run, every mode uses the run's own values, and --config may be left out
  --mode=MODE              train (default): trains to config.steps, or resumes from the last checkpoint; then evaluates
                           evaluate: evaluates the newest checkpoint again (on the validation split with
                               --config.evaluation.split=validation), or that of --step
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
  --step=N                 all modes but train: uses the checkpoint of step N, or the best one: --step=best; default:
                           the newest one
  --out=DIR                all modes but train: folder of the written files; default: the workdir
  --spherical              interpolate: interpolate.gif follows the spherical path instead of the linear one
  --profile                train: traces the second log interval into profile/, for ui.perfetto.dev or TensorBoard
  --distributed            train: this process is one of several; each is started by the same command. Under srun,
                           mpirun or Kubernetes this is detected. From plain shells, give each process also:
                           --coordinator_address=HOST:PORT --num_processes=N --process_id=I
                           where HOST is the machine of process 0, and I is a different number from 0 to N - 1 in each

A run writes config.json, checkpoints/, tensorboard/, metrics.jsonl, log.txt, figures/*.png and results.json.
The same command again resumes the run, or reports that it is complete; a larger --config.steps extends it. Values that
change no training step may change too: log_every, eval_every, checkpoint_every, max_to_keep, evaluation.KEY and others.
"""

import ast
import logging
import signal
import sys
import traceback

from jaxgen.cli import errors
from jaxgen.cli.flags import MODES as MODES
from jaxgen.cli.flags import PROCESS_FLAGS, parse_flags
from jaxgen.cli.run_config import describe_keys, find_recipes, resolve_config
from jaxgen.config.errors import ConfigError, gather_errors, raise_errors, run_check
from jaxgen.config.overrides import NO_COMMAND
from jaxgen.config.unused import require_used_data_keys


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
    help_flags = {"--help", "-h", "-help"}
    arguments = [argument for argument in argv[1:] if argument not in help_flags]
    asks_for_help = len(arguments) < len(argv) - 1
    if asks_for_help and not any(argument.lstrip("-").startswith(("config", "workdir")) for argument in arguments):
        print(__doc__ + "\nConfigs:\n" + list_configs())
        return 0
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        flags = parse_flags(arguments)
        if asks_for_help:
            print(describe_keys(flags.config.recipe, flags.config.overrides, flags.workdir))
            return 0
        config, command = None, NO_COMMAND
        with gather_errors() as mistakes:
            config, command = resolve_config(flags.config.recipe, flags.config.overrides, flags.workdir, flags.mode)
            if flags.mode == "train":
                run_check(require_used_data_keys, config, command.changed)
        if config is None or flags.mode != "train":
            raise_errors(mistakes)
        # Training reports the other mistakes with those that need the data and the model.
        command = command._replace(mistakes=tuple(mistakes))
        return execute(config, flags.workdir, flags.mode, {**flags.options, "command": command})
    except ValueError as error:
        print_error(error)
        return 2


def print_error(error: ValueError) -> None:
    """Prints one line for each mistake of the user."""
    for message in error.messages if isinstance(error, ConfigError) else [str(error)]:
        print(f"error: {message}", file=sys.stderr)


def list_configs() -> str:
    """Returns one line per recipe: its path and the first line of its docstring."""
    if not find_recipes():
        return "  none here: the recipes are part of a clone of the repository"
    headlines = [ast.get_docstring(ast.parse(path.read_text())).splitlines()[0] for path in find_recipes()]
    return "\n".join(f"  configs/{path.name:<20}{line}" for path, line in zip(find_recipes(), headlines, strict=True))


def execute(config, workdir: str, mode: str, options: dict) -> int:
    """Configures jax, connects to the run's other processes if there are any, and runs a mode.

    Args:
      config: the recipe's config.
      workdir: folder of the run's files.
      mode: one of `MODES`.
      options: the value of each flag in `FLAG_MODES`, and the `command`.

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
        print_error(error)
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
      options: the fields of `commands.ModeOptions`, and the `command`, if there is one.

    Returns:
      The exit status.
    """
    import jax

    from jaxgen.cli import commands, explore
    from jaxgen.distributed import processes
    from jaxgen.training import deferred_metrics, loop, signals

    command = {"command": options.pop("command")} if "command" in options else {}
    try:
        if mode in explore.MODES:
            explore.MODES[mode](config, workdir, commands.ModeOptions(**options))
        elif mode == "evaluate":
            commands.evaluate_run(config, workdir, options.get("step"), out=options.get("out", ""), **command)
        else:
            loop.train_and_evaluate(config, workdir, profile, **command)
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
