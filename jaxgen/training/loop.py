"""The training loop: one run from a config to a trained and evaluated model, for every model family."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from jaxgen import models
from jaxgen.config.automatic import resolve_auto
from jaxgen.config.base import validate_config
from jaxgen.config.errors import collect_errors, raise_errors, report_error, run_check
from jaxgen.config.overrides import NO_COMMAND, Command
from jaxgen.data import Augmentation, Dataset, gather_batch, is_different_dataset, load_dataset, to_batch
from jaxgen.distributed import devices, processes
from jaxgen.evaluation import descriptions, diagnostics, evaluators, figures, results, sample_snapshots, titles
from jaxgen.evaluation.optional import skip_on_failure
from jaxgen.inference.loading import NetworkState, attach_base_model, load_initial_networks
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io import versions
from jaxgen.io import workdir as workdirs
from jaxgen.io.checkpoint_files import list_checkpoints
from jaxgen.io.checkpoints import CheckpointManager
from jaxgen.io.paths import resolve_path
from jaxgen.io.run_logger import NullLogger, RunLogger
from jaxgen.kernels import random
from jaxgen.models import GenerativeModel
from jaxgen.optimization import seeds
from jaxgen.optimization.players import make_update, step_rng
from jaxgen.plotting import training_curves
from jaxgen.training import batches, resuming
from jaxgen.training.batches import make_step_runner
from jaxgen.training.deferred_metrics import DeferredMetrics, StepBatch, require_finite
from jaxgen.training.effects import require_effect
from jaxgen.training.profiling import IntervalProfiler
from jaxgen.training.signals import Interrupted, StopSignals
from jaxgen.types import Split, TrainState

log = logging.getLogger("jaxgen")

# Separates the rng stream of augmentation from the streams of training steps, which are numbered from 0.
AUGMENTATION_STREAM = 2**32 - 1


def make_step(
    model: GenerativeModel, num_seeds: int = 1, at_once: int = 0, augment: Augmentation | None = None
) -> Callable:
    """Returns the function that `devices.compile_steps` compiles: gather a batch, augment it, update every player.

    Args:
      model: the model to train.
      num_seeds: number of seeds that are trained in one update.
      at_once: seeds that are vectorized together; 0 for all.
      augment: augmentation of training images.

    Returns:
      A function that builds `step(state, data, index, rng) -> (state, metrics)` for the name of a mapped axis. For
      streamed data, `data` is None and `index` is the examples themselves.
    """

    def build_step(axis_name: str | None):
        update = make_update(model.players, model.update_order, axis_name)

        def step(state, data, index, rng):
            batch = gather_batch(data, index) if data else to_batch(index)
            if augment and augment.changes_images:
                batch = augment(batch, step_rng(random.fold_in(rng, AUGMENTATION_STREAM), state, axis_name))
            return update(state, batch, rng)

        return seeds.vmap_step(step, num_seeds, at_once)

    return build_step


class TrainingRun(NamedTuple):
    """One run of training: everything but its state, which changes."""

    config: ConfigDict
    dataset: Dataset
    train_data: Split  # the training split; labels are [N], or [seeds, N] for several seeds; -1 if not labeled
    model: GenerativeModel
    mesh: devices.Mesh
    workdir: Path
    checkpoints: CheckpointManager
    dataset_id: str  # identifies the training images
    best_metric: str  # validation metric of the best checkpoint
    profile: bool = False  # whether a log interval is traced


@devices.in_float32
def train_and_evaluate(
    config: ConfigDict, workdir: str | Path, profile: bool = False, command: Command = NO_COMMAND
) -> dict:
    """Trains to `config.steps`, resuming from the workdir's newest checkpoint, and then evaluates.

    Args:
      config: the recipe's config.
      workdir: folder of the run; created if necessary.
      profile: whether to trace one log interval; see `profiling.py`.
      command: what the command line says; a value without an effect is refused.

    Returns:
      The contents of `results.json`.

    Raises:
      ValueError: the config (all its mistakes at once), the data or the workdir is wrong; nothing has been overwritten.
        Or a streamed image cannot be read any more; the last checkpoint is kept.
      NonFiniteLossError: a loss became NaN or infinite; the last good checkpoint is kept.
      Interrupted: SIGTERM or Ctrl-C, after saving a checkpoint.
      LostPeerError: another process of the run is gone; the last checkpoint is kept.
    """
    mesh, workdir = devices.data_mesh(), resolve_path(workdir, "--workdir")
    with collect_errors():
        for mistake in command.mistakes:
            report_error(mistake)
        run_check(validate_config, config)
        run_check(devices.validate_parallelism, config.batch_size, config.parallel, mesh)
        if config.data.download:
            raise_errors()  # before gigabytes are fetched
        config = resolve_auto(config)
        dataset = load_dataset(config.data)
        model = models.build_model(config, dataset.spec)
        run_check(require_effect, command, config, model)
        evaluators.validate_evaluation(config, model, dataset)
    train_data = batches.training_labels_per_seed(dataset.train_source, config, dataset.num_classes)
    model = attach_base_model(model, workdir)
    has_checkpoint = bool(list_checkpoints(workdir / "checkpoints"))  # a resumed run ignores config.init_from
    networks = None if has_checkpoint else load_initial_networks(config, model)
    changes = resuming.read_changes(workdir, config)
    best_metric, dataset_id = evaluators.select_best_metric(config, dataset), dataset.content_id
    best = (f"validation/{best_metric}", "min")
    if processes.is_multiprocess():
        identity = workdirs.identity_config(config.to_dict(), free=workdirs.MACHINE_KEYS)
        processes.require_equal_across_processes(str(identity), "config")
        processes.require_equal_across_processes(dataset_id, "data")
    with (
        processes.lost_peer_guard(),
        processes.enter_on_primary(
            workdirs.lock_workdir(workdir, config.to_dict(), free=workdirs.RESUME_KEYS, recipe=command.to_json())
        ),
        CheckpointManager(workdir / "checkpoints", config.max_to_keep, best) as checkpoints,
    ):
        traced = profile and processes.is_primary()
        run = TrainingRun(
            config, dataset, train_data, model, mesh, workdir, checkpoints, dataset_id, best_metric, traced
        )
        state, start, seconds = restore_or_init(run, networks)
        processes.require_equal_across_processes(
            str(start), f"checkpoints in workdir={workdir}, which must be on a disk that all processes share"
        )
        finished = workdirs.read_results(workdir)
        if finished and finished["step"] == start == config.steps:
            for message in resuming.describe_changes(changes, config, start):
                print(message)
            print(
                f"The run in {workdir} is complete ({start} steps). To extend it: --config.steps={2 * start}; "
                "to measure it again: --mode=evaluate; for another run: --workdir=DIR"
            )
            return finished
        with RunLogger(workdir, config.steps, start) if processes.is_primary() else NullLogger() as logger:
            for text in (describe_run(run, state, start), *diagnostics.describe_data(run.dataset, config, best_metric)):
                logger.log_message(text)
            for message in resuming.describe_changes(changes, config, start):
                logger.log_message(message)
            state, seconds = train_loop(run, state, start, seconds, logger)
            return evaluate_and_report(run, state, seconds, logger)


def restore_or_init(run: TrainingRun, networks: NetworkState | None) -> tuple[TrainState, int, float]:
    """Restores the newest good checkpoint, or initializes a state.

    Args:
      run: the run.
      networks: parameters and statistics that replace the initial ones, if there is no checkpoint.

    Returns:
      The state, its step, and the seconds of training before it.

    Raises:
      ValueError: the checkpoint was trained on other images, so that held-out images may be among them.
    """
    init, rng = seeds.vmap_init(run.model.init, run.config.num_seeds), seeds.seed_keys(run.config)
    restored = run.checkpoints.restore(devices.abstract_like(jax.eval_shape(init, rng), run.mesh))
    if restored is None:
        state = devices.compile_init(init, run.mesh)(rng)
        return state.replace(**devices.replicate(networks, run.mesh)._asdict()) if networks else state, 0, 0.0
    if is_different_dataset(restored.meta.get("data", run.dataset_id), run.dataset_id):
        raise ValueError(
            f"workdir={run.workdir} holds a run on other images than {run.dataset.name} has here, so that images held "
            "out now may be among its training images. Try the images of that run, or start a new run with its "
            f"networks: --workdir=DIR --config.init_from={run.workdir}"
        )
    return restored.state, restored.step, restored.meta["seconds"]


def train_loop(
    run: TrainingRun, state: TrainState, start: int, seconds: float, logger: RunLogger | NullLogger
) -> tuple[TrainState, float]:
    """Takes the steps from `start` to `config.steps`, `log_every` steps per dispatch.

    Args:
      run: the run.
      state: the state at `start`; its arrays are donated.
      start: number of steps taken before.
      seconds: duration of training before `start`.
      logger: receives metrics and figures.

    Returns:
      The final state, and the seconds of training from step 0.

    Raises:
      Interrupted: a signal came; the state is saved.
    """
    config, dataset = run.config, run.dataset
    num_images = len(dataset.train_source.image)
    augment = Augmentation.from_config(config)
    step_fn = make_step(run.model, config.num_seeds, config.seeds_per_vmap, augment)
    compiled_steps = devices.compile_steps(step_fn, run.mesh, config.parallel)
    run_steps = make_step_runner(compiled_steps, run.train_data, config, run.mesh, start)
    metric_sums = evaluators.compile_metric_sums(run.model)
    profiler = IntervalProfiler(run.workdir, run.profile, start, config.log_every, config.steps)
    started_at = time.monotonic() - seconds
    with StopSignals() as stop:
        step, deferred = start, DeferredMetrics(logger, config.batch_size * config.num_seeds)
        while step < config.steps:
            until = min(batches.next_dispatch(step, config.log_every), config.steps)
            with profiler.trace_interval(step):
                dispatched_at = time.monotonic()
                state, metrics = run_steps(state, step, until)
                deferred.add(StepBatch(metrics, step, until, dispatched_at))
                # Several processes exchange their signals below, when no step may be running.
                if run.profile or processes.is_multiprocess():
                    deferred.finish()
            previous, step = step, until
            signum = processes.all_max(stop.signum)
            last = step == config.steps or bool(signum)
            evaluate, save = (last or step % every == 0 for every in (config.eval_every, config.checkpoint_every))
            snapshot = sample_snapshots.is_due(config, num_images, previous, step, evaluate)
            if evaluate or save or snapshot:
                deferred.finish()
            if evaluate or save:
                validation = validate_seeds(run, state, metric_sums)
                require_finite(validation, step, "validation")
                logger.log_metrics(step, validation, split="validation")
            if snapshot and processes.is_primary():
                with skip_on_failure("snapshot of samples"):
                    sample_snapshots.save_snapshot(first_seed_model(run, state), run.workdir, step)
            if evaluate or save:  # a signal may have arrived in the meantime
                signum = processes.all_max(stop.signum)
            if save or signum:
                save_checkpoint(run, state, validation, time.monotonic() - started_at)
            if signum:
                break
            if evaluate and not last:
                run.checkpoints.wait_until_finished()  # no figure can harm a checkpoint that is on the disk
                draw_figures(run, state, step, dataset.validation, logger)
                if processes.all_max(stop.signum):
                    save_checkpoint(run, state, validation, time.monotonic() - started_at)
                    break
        run.checkpoints.wait_until_finished()
        # Also honor a signal that arrived during the last save: the same command then only evaluates.
        if signum := processes.all_max(stop.signum):
            raise Interrupted(signum, step)
    return state, time.monotonic() - started_at


def validate_seeds(run: TrainingRun, state: TrainState, metric_sums: Callable) -> dict[str, float]:
    """Returns the metrics on the validation split, averaged over seeds, and NAME_seed_std for several seeds.

    Args:
      run: the run.
      state: of all seeds.
      metric_sums: the result of `evaluators.compile_metric_sums`.
    """
    trained_models = [TrainedModel(run.model, one.params, one.stats) for one in states_per_seed(run, state)]
    metrics = seeds.mean_and_spread(
        [evaluators.evaluate_validation(trained, run.dataset, run.config, metric_sums) for trained in trained_models]
    )
    return json.loads(processes.broadcast_text(json.dumps(metrics)))  # all processes must agree on the best checkpoint


def save_checkpoint(run: TrainingRun, state: TrainState, validation: dict[str, float], seconds: float) -> None:
    """Saves the state with the run's config, data set, versions and metrics.

    Args:
      run: the run.
      state: of all seeds.
      validation: the metrics of this step, which decide the best checkpoint.
      seconds: duration of training so far.
    """
    metadata = {
        "config": run.config.to_dict(),
        "data": run.dataset_id,
        "best_metric": run.best_metric,
        "info": run.dataset.spec._asdict(),
        "versions": versions.collect_versions(),
        "seconds": seconds,
    }
    run.checkpoints.save(state, metadata, {f"validation/{name}": value for name, value in validation.items()})


def draw_figures(run: TrainingRun, state: TrainState, step: int, split: Split, logger: RunLogger | NullLogger) -> None:
    """Logs the model's figures of a split, for the first seed, and the training curves. Only the primary draws.

    Args:
      run: the run.
      state: of all seeds.
      step: number of steps taken.
      split: images of the data set.
      logger: receives the figures.
    """
    if not processes.is_primary():
        return
    images = figures.draw_figures(first_seed_model(run, state), run.dataset, split)
    with skip_on_failure("figure samples_by_epoch"):
        epochs = sample_snapshots.draw_snapshots(run.config, len(run.dataset.train_source.image), run.workdir)
        if epochs is not None:
            images["samples_by_epoch"] = titles.add_figure_title(epochs, "samples_by_epoch", run.dataset.name)
    with skip_on_failure("figure curves"):
        history = logger.history
        names = {name.rpartition("/")[2] for name in history}
        curves = training_curves(history, descriptions.name_references(names, run.dataset, run.model))
        images["curves"] = titles.add_curves_title(curves, run.dataset.name, run.config)
    for name, image in images.items():
        logger.log_figure(step, name, image)


def states_per_seed(run: TrainingRun, state: TrainState) -> list[TrainState]:
    """Returns the state of each seed, as arrays of this process."""
    return seeds.unstack_seeds(devices.addressable(state), run.config.num_seeds)


def first_seed_model(run: TrainingRun, state: TrainState) -> TrainedModel:
    """Returns the trained model of the first seed."""
    first = states_per_seed(run, state)[0]
    return TrainedModel(run.model, first.params, first.stats)


def evaluate_and_report(run: TrainingRun, state: TrainState, seconds: float, logger: RunLogger | NullLogger) -> dict:
    """Draws the final figures, evaluates on the split that the config names, and writes `results.json`.

    Args:
      run: the run.
      state: the final state, of all seeds.
      seconds: duration of training.
      logger: receives figures and metrics.

    Returns:
      The contents of `results.json`.
    """
    split, config = run.config.evaluation.split, run.config.to_dict()
    logger.log_message(f"Evaluating on the {split} split")
    draw_figures(run, state, config["steps"], evaluators.get_evaluation_split(run.dataset, run.config), logger)
    if processes.is_primary():
        path = run.workdir / "figures" / "samples_by_epoch.gif"
        with skip_on_failure("figure samples_by_epoch.gif"):
            sample_snapshots.write_snapshot_gif(run.config, len(run.dataset.train_source.image), run.workdir, path)
    trained_models = [
        TrainedModel(run.model, one.params, one.stats, config, int(one.step)) for one in states_per_seed(run, state)
    ]
    return results.write_results(trained_models, run.dataset, run.config, seconds, run.workdir, logger)


def describe_run(run: TrainingRun, state: TrainState, start: int) -> str:
    """Returns the first line of a run's log: model, data set, number of parameters, devices and steps."""
    config, num_parameters = run.config, sum(x.size for x in jax.tree.leaves(state.params))
    images = len(run.dataset.train_source.image)
    repeats = f", each about {config.batch_size / images:.0f} times a step" if config.batch_size >= 2 * images else ""
    return (
        f"{config.model} on {run.dataset.name} ({images:,} training images{repeats}), "
        f"{num_parameters:,} parameters, {devices.describe_devices()} ({config.parallel}); "
        f"{f'resuming at step {start} of' if start else 'starting'} {config.steps} steps of {config.batch_size} images"
    )
