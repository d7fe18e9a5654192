"""The loop: one run from a config to a trained, measured and pictured model, straight down."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from jaxgen import models
from jaxgen.config.base import validate_config
from jaxgen.data import Augmentation, Dataset, gather_batch, is_different_dataset, load_dataset, to_batch
from jaxgen.distributed import devices, processes
from jaxgen.evaluation import evaluators, figures, results, sample_snapshots
from jaxgen.inference.loading import NetworkState, attach_base_model, load_initial_networks
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io import versions
from jaxgen.io import workdir as workdirs
from jaxgen.io.checkpoint_files import list_checkpoints
from jaxgen.io.checkpoints import CheckpointManager
from jaxgen.io.run_logger import NullLogger, RunLogger
from jaxgen.kernels import random
from jaxgen.models import GenerativeModel
from jaxgen.optimization import seeds
from jaxgen.optimization.players import make_update, step_rng
from jaxgen.plotting import training_curves
from jaxgen.training import batches
from jaxgen.training.batches import make_step_runner
from jaxgen.training.deferred_metrics import DeferredMetrics, StepBatch, require_finite
from jaxgen.training.profiling import IntervalProfiler
from jaxgen.training.signals import Interrupted, StopSignals
from jaxgen.types import Split, TrainState

log = logging.getLogger("jaxgen")

AUGMENTATION_STREAM = (
    2**32 - 1
)  # sets the draws of an augmentation apart from those of a step, which are told by its number


def make_step(
    model: GenerativeModel, num_seeds: int = 1, at_once: int = 0, augment: Augmentation | None = None
) -> Callable:
    """What `parallel.compile_steps` compiles: gather a batch, change it, let every player move, in every copy.

    Of streamed examples, `data` is None and what comes in the place of their indices is themselves.
    """

    def for_axis(axis_name: str | None):
        update = make_update(model.players, model.update_order, axis_name)

        def step(state, data, index, rng):
            batch = gather_batch(data, index) if data else to_batch(index)
            if augment and any(augment):
                batch = augment(batch, step_rng(random.fold_in(rng, AUGMENTATION_STREAM), state, axis_name))
            return update(state, batch, rng)

        return seeds.vmap_step(step, num_seeds, at_once)

    return for_axis


class TrainingRun(NamedTuple):
    """What a run is made of; only its state changes."""

    config: ConfigDict
    dataset: Dataset
    train_data: (
        Split  # the training split with the labels that training is told; those of each copy where it has several
    )
    model: GenerativeModel
    mesh: devices.Mesh
    workdir: Path
    checkpoints: CheckpointManager
    dataset_id: str  # the data set's identity
    profile: bool = False  # a log interval is traced


def train_and_evaluate(config: ConfigDict, workdir: str | Path, profile: bool = False) -> dict:
    """Trains to `config.steps`, resuming where the workdir stands; evaluates once, at the end.

    With `profile`, one log interval is traced; see `profiling.py`.

    Returns:
      What `results.json` holds.

    Raises:
      ValueError: the config, the data or the workdir does not fit; nothing has been overwritten. Or a streamed image
        can't be read any more; the last checkpoint is kept.
      NonFiniteLossError: a loss became NaN or infinite; the last good checkpoint is kept.
      Interrupted: SIGTERM or Ctrl-C; the state is saved.
      LostPeerError: another process of the run is gone; the last checkpoint is kept.
    """
    validate_config(config)
    mesh = devices.data_mesh()
    devices.validate_parallelism(config.batch_size, config.parallel, mesh)
    dataset = load_dataset(config.data)
    seen = batches.training_labels_per_seed(dataset.train_source, config, dataset.num_classes)
    model = attach_base_model(models.build_model(config, dataset.spec))
    workdir = Path(workdir).absolute()
    begun = bool(list_checkpoints(workdir / "checkpoints"))  # goes on by its own networks
    networks = None if begun else load_initial_networks(config, model)
    evaluators.validate_evaluation(config, model, dataset)
    best, identity = (f"validation/{config.best_metric}", "min"), dataset.content_id
    if processes.is_multiprocess():
        processes.require_equal_across_processes(
            str(workdirs.identity_config(config.to_dict(), free=workdirs.MACHINE_KEYS)), "config"
        )
        processes.require_equal_across_processes(identity, "data")
    with (
        processes.lost_peer_guard(),
        processes.enter_on_primary(workdirs.lock_workdir(workdir, config.to_dict(), free=workdirs.MACHINE_KEYS)),
        CheckpointManager(workdir / "checkpoints", config.max_to_keep, best) as checkpoints,
    ):
        traced = profile and processes.is_primary()
        this = TrainingRun(config, dataset, seen, model, mesh, workdir, checkpoints, identity, traced)
        state, start, seconds = restore_or_init(this, networks)
        processes.require_equal_across_processes(
            str(start), f"checkpoints in workdir={workdir}, which has to be on a disk that all see"
        )
        finished = workdirs.read_results(workdir)
        if finished and finished["step"] == start == config.steps:
            print(f"The run in {workdir} is complete ({start} steps). For another: --workdir=DIR")
            return finished
        with RunLogger(workdir, config.steps, start) if processes.is_primary() else NullLogger() as telemetry:
            telemetry.log_message(describe_run(this, state, start))
            state, seconds = train_loop(this, state, start, seconds, telemetry)
            return evaluate_and_report(this, state, seconds, telemetry)


def restore_or_init(this: TrainingRun, networks: NetworkState | None) -> tuple[TrainState, int, float]:
    """The state to begin with, by a fresh run's `networks` where there are some; its step, the seconds behind it.

    Raises:
      ValueError: the run has been trained on other data, so that what it holds out now may be what it has seen.
    """
    init, rng = seeds.vmap_init(this.model.init, this.config.num_seeds), seeds.seed_keys(this.config)
    restored = this.checkpoints.restore(devices.abstract_like(jax.eval_shape(init, rng), this.mesh))
    if restored is None:
        state = devices.compile_init(init, this.mesh)(rng)
        return state.replace(**devices.replicate(networks, this.mesh)._asdict()) if networks else state, 0, 0.0
    if is_different_dataset(restored.meta.get("data", this.dataset_id), this.dataset_id):
        raise ValueError(
            f"workdir={this.workdir} holds a run on other images than those of {this.dataset.name} here: what it was "
            "trained on may be held out now; give it the images that it began with, or begin another run with its "
            f"networks: --workdir=DIR --config.init_from={this.workdir}"
        )
    return restored.state, restored.step, restored.meta["seconds"]


def train_loop(
    this: TrainingRun, state: TrainState, start: int, seconds: float, telemetry: RunLogger
) -> tuple[TrainState, float]:
    """The steps from `start` to `config.steps`, `log_every` of them a dispatch; the state and all seconds so far."""
    config, dataset = this.config, this.dataset
    steps = devices.compile_steps(
        make_step(this.model, config.num_seeds, config.seeds_per_vmap, Augmentation.from_config(config)),
        this.mesh,
        config.parallel,
    )
    take = make_step_runner(steps, this.train_data, config, this.mesh, start)
    measures = evaluators.compile_metric_sums(this.model)
    profile = IntervalProfiler(this.workdir, this.profile, start, config.log_every, config.steps)
    began = time.monotonic() - seconds
    with StopSignals() as stop:
        step, report = start, DeferredMetrics(telemetry, config.batch_size * config.num_seeds)
        while step < config.steps:
            until = min(step + config.log_every, config.steps)
            with profile.trace_interval(step):
                dispatched = time.monotonic()
                state, metrics = take(state, step, until)
                report.add(StepBatch(metrics, step, until, dispatched))
                if (
                    this.profile or processes.is_multiprocess()
                ):  # processes exchange their signals while no step is under way
                    report.finish()
            step, before = until, step
            signum = processes.all_max(stop.signum)
            last = step == config.steps or bool(signum)
            evaluate, save = (last or step % every == 0 for every in (config.eval_every, config.checkpoint_every))
            snapshot = sample_snapshots.is_due(config, len(dataset.train_source.image), before, step, evaluate)
            if evaluate or save or snapshot:
                report.finish()
            if evaluate or save:
                validation = validate_seeds(this, state, measures)
                require_finite(validation, step, "validation")
                telemetry.log_metrics(step, validation, split="validation")
            if snapshot and processes.is_primary():
                sample_snapshots.save_snapshot(first_seed_model(this, state), this.workdir, step)
            if evaluate and not last:
                draw_figures(this, state, step, dataset.validation, telemetry)
            if evaluate or save:  # which take a while
                signum = processes.all_max(stop.signum)
            if save or signum:
                save_checkpoint(this, state, validation, time.monotonic() - began)
            if signum:
                break
        this.checkpoints.wait_until_finished()
        # Even where no step is left, and of one that came during the last save: the same command makes the results.
        if signum := processes.all_max(stop.signum):
            raise Interrupted(signum, step)
    return state, time.monotonic() - began


def validate_seeds(this: TrainingRun, state: TrainState, measures: Callable) -> dict[str, float]:
    """What is watched on the validation split, mean over the copies."""
    trained_models = [TrainedModel(this.model, each.params, each.stats) for each in states_per_seed(this, state)]
    found = seeds.mean_over_seeds(
        [evaluators.evaluate_validation(trained, this.dataset, this.config, measures) for trained in trained_models]
    )
    return json.loads(processes.broadcast_text(json.dumps(found)))  # all must find the same checkpoint the best


def save_checkpoint(this: TrainingRun, state: TrainState, validation: dict[str, float], seconds: float) -> None:
    meta = {
        "config": this.config.to_dict(),
        "data": this.dataset_id,
        "info": this.dataset.spec._asdict(),
        "versions": versions.versions(),
        "seconds": seconds,
    }
    this.checkpoints.save(state, meta, {f"validation/{name}": value for name, value in validation.items()})


def draw_figures(this: TrainingRun, state: TrainState, step: int, split: Split, telemetry: RunLogger) -> None:
    """Writes the family's pictures of a split, of the first copy, and the curves so far; the lead alone does."""
    if not processes.is_primary():
        return
    drawn = figures.draw_figures(first_seed_model(this, state), this.dataset, split)
    epochs = sample_snapshots.snapshot_figure(this.config, len(this.dataset.train_source.image), this.workdir)
    for name, image in (drawn if epochs is None else {**drawn, "samples_by_epoch": epochs}).items():
        telemetry.log_figure(step, name, image)
    telemetry.log_figure(step, "curves", training_curves(telemetry.history))


def states_per_seed(this: TrainingRun, state: TrainState) -> list[TrainState]:
    """The copies one by one, for this process to compute with."""
    return seeds.unstack_seeds(devices.addressable(state), this.config.num_seeds)


def first_seed_model(this: TrainingRun, state: TrainState) -> TrainedModel:
    """The first copy, to be used."""
    first = states_per_seed(this, state)[0]
    return TrainedModel(this.model, first.params, first.stats)


def evaluate_and_report(this: TrainingRun, state: TrainState, seconds: float, telemetry: RunLogger) -> dict:
    """The figures and the evaluation at the end, on the split that the run is judged by, and `results.json`."""
    split, config = this.config.evaluation.split, this.config.to_dict()
    telemetry.log_message(f"Evaluating on the {split} split")
    draw_figures(this, state, config["steps"], evaluators.evaluation_split(this.dataset, this.config), telemetry)
    if processes.is_primary():
        moving = this.workdir / "figures" / "samples_by_epoch.gif"
        sample_snapshots.write_snapshot_gif(this.config, len(this.dataset.train_source.image), this.workdir, moving)
    trained_models = [
        TrainedModel(this.model, each.params, each.stats, config, int(each.step))
        for each in states_per_seed(this, state)
    ]
    return results.write_results(trained_models, this.dataset, this.config, seconds, this.workdir, telemetry)


def describe_run(this: TrainingRun, state: TrainState, start: int) -> str:
    config, parameters = this.config, sum(x.size for x in jax.tree.leaves(state.params))
    images = len(this.dataset.train_source.image)
    often = f", each about {config.batch_size / images:.0f} times a step" if config.batch_size >= 2 * images else ""
    return (
        f"{config.model} on {this.dataset.name} ({images:,} training images{often}), "
        f"{parameters:,} parameters, {devices.describe_devices()} ({config.parallel}); "
        f"{f'resuming at step {start}' if start else 'starting'}, {config.steps} steps of {config.batch_size} images"
    )
