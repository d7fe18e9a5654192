"""The loop: one run from a config to a trained, measured and pictured model, straight down."""

import json
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from jaxgen import algorithms, copies, evaluation, hosts, parallel, pictures, prng, results, snapshots
from jaxgen import workdir as workdirs
from jaxgen.algorithms import Algorithm
from jaxgen.checkpoint_folder import list_checkpoints
from jaxgen.checkpoints import Checkpoints
from jaxgen.config import validate
from jaxgen.data import Augmentation, Dataset, as_batch, gather, is_other, load_dataset
from jaxgen.feeding import feeder
from jaxgen.figures import curves
from jaxgen.loading import Networks, accompanied, inherited
from jaxgen.model import Model
from jaxgen.players import make_update, rng_of_step
from jaxgen.profiling import Profile
from jaxgen.reports import Dispatch, Report, refuse_non_finite
from jaxgen.telemetry import Silence, Telemetry
from jaxgen.types import Data, TrainState

log = logging.getLogger("jaxgen")

MOVES = 2**32 - 1  # sets the draws of an augmentation apart from those of a step, which are told by its number


class Interrupted(RuntimeError):  # noqa: N818 (not a fault: the run was asked to stop)
    """Training stopped because a signal asked it to; everything is saved."""

    def __init__(self, signum: int, step: int):
        super().__init__(f"{signal.Signals(signum).name}: saved at step {step}; the same command resumes")
        self.signum = signum


def make_step(algorithm: Algorithm, seeds: int = 1, at_once: int = 0, augment: Augmentation | None = None) -> Callable:
    """What `parallel.compile_steps` compiles: gather a batch, change it, let every player move, in every copy.

    Of streamed examples, `data` is None and what comes in the place of their indices is themselves.
    """

    def for_axis(axis_name: str | None):
        update = make_update(algorithm.players, algorithm.schedule, axis_name)

        def step(state, data, index, rng):
            batch = gather(data, index) if data else as_batch(index)
            if augment and any(augment):
                batch = augment(batch, rng_of_step(prng.fold_in(rng, MOVES), state, axis_name))
            return update(state, batch, rng)

        return copies.step(step, seeds, at_once)

    return for_axis


class Run(NamedTuple):
    """What a run is made of; only its state changes."""

    config: ConfigDict
    dataset: Dataset
    seen: Data  # the training split with the labels that training is told; those of each copy where it has several
    algorithm: Algorithm
    mesh: parallel.Mesh
    workdir: Path
    checkpoints: Checkpoints
    data: str  # the data set's identity
    profile: bool = False  # a log interval is traced


def run(config: ConfigDict, workdir: str | Path, profile: bool = False) -> dict:
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
    validate(config)
    mesh = parallel.data_mesh()
    parallel.check(config.batch_size, config.parallel, mesh)
    dataset = load_dataset(config.data)
    seen = copies.seen(dataset.training, config, dataset.num_classes)
    algorithm = accompanied(algorithms.build(config, dataset.info))
    workdir = Path(workdir).absolute()
    begun = bool(list_checkpoints(workdir / "checkpoints"))  # goes on by its own networks
    networks = None if begun else inherited(config, algorithm)
    evaluation.check(config, algorithm, dataset)
    best, identity = (f"validation/{config.best_metric}", "min"), dataset.identity
    if hosts.several():
        hosts.check_same(str(workdirs.tied(config.to_dict(), free=workdirs.PLACES)), "config")
        hosts.check_same(identity, "data")
    with (
        hosts.with_peers(),
        hosts.lead_in(workdirs.claim(workdir, config.to_dict(), free=workdirs.PLACES)),
        Checkpoints(workdir / "checkpoints", config.keep_checkpoints, best) as checkpoints,
    ):
        traced = profile and hosts.is_lead()
        this = Run(config, dataset, seen, algorithm, mesh, workdir, checkpoints, identity, traced)
        state, start, seconds = restore_or_init(this, networks)
        hosts.check_same(str(start), f"checkpoints in workdir={workdir}, which has to be on a disk that all see")
        finished = workdirs.read_results(workdir)
        if finished and finished["step"] == start == config.steps:
            print(f"The run in {workdir} is complete ({start} steps). For another: --workdir=DIR")
            return finished
        with Telemetry(workdir, config.steps, start) if hosts.is_lead() else Silence() as telemetry:
            telemetry.message(describe(this, state, start))
            state, seconds = train(this, state, start, seconds, telemetry)
            return finish(this, state, seconds, telemetry)


def restore_or_init(this: Run, networks: Networks | None) -> tuple[TrainState, int, float]:
    """The state to begin with, by a fresh run's `networks` where there are some; its step, the seconds behind it.

    Raises:
      ValueError: the run has been trained on other data, so that what it holds out now may be what it has seen.
    """
    init, rng = copies.init(this.algorithm.init, this.config.seeds), copies.keys(this.config)
    restored = this.checkpoints.restore(parallel.like(jax.eval_shape(init, rng), this.mesh))
    if restored is None:
        state = parallel.compile_init(init, this.mesh)(rng)
        return state.replace(**parallel.replicate(networks, this.mesh)._asdict()) if networks else state, 0, 0.0
    if is_other(restored.meta.get("data", this.data), this.data):
        raise ValueError(
            f"workdir={this.workdir} holds a run on other images than those of {this.dataset.name} here: what it was "
            "trained on may be held out now; give it the images that it began with, or begin another run with its "
            f"networks: --workdir=DIR --config.start_from={this.workdir}"
        )
    return restored.state, restored.step, restored.meta["seconds"]


def train(this: Run, state: TrainState, start: int, seconds: float, telemetry: Telemetry) -> tuple[TrainState, float]:
    """The steps from `start` to `config.steps`, `log_every` of them a dispatch; the state and all seconds so far."""
    config, dataset = this.config, this.dataset
    steps = parallel.compile_steps(
        make_step(this.algorithm, config.seeds, config.seeds_at_once, Augmentation.from_config(config)),
        this.mesh,
        config.parallel,
    )
    take = feeder(steps, this.seen, config, this.mesh, start)
    measures = evaluation.compile_measures(this.algorithm)
    profile = Profile(this.workdir, this.profile, start, config.log_every, config.steps)
    began = time.monotonic() - seconds
    with StopSignals() as stop:
        step, report = start, Report(telemetry, config.batch_size * config.seeds)
        while step < config.steps:
            until = min(step + config.log_every, config.steps)
            with profile.of(step):
                dispatched = time.monotonic()
                state, metrics = take(state, step, until)
                report.add(Dispatch(metrics, step, until, dispatched))
                if this.profile or hosts.several():  # processes exchange their signals while no step is under way
                    report.finish()
            step, before = until, step
            signum = hosts.most(stop.signum)
            last = step == config.steps or bool(signum)
            evaluate, save = (last or step % every == 0 for every in (config.evaluate_every, config.checkpoint_every))
            snapshot = snapshots.due(config, len(dataset.training.image), before, step, evaluate)
            if evaluate or save or snapshot:
                report.finish()
            if evaluate or save:
                validation = validate_copies(this, state, measures)
                refuse_non_finite(validation, step, "validation")
                telemetry.log(step, validation, split="validation")
            if snapshot and hosts.is_lead():
                snapshots.take(first_model(this, state), this.workdir, step)
            if evaluate and not last:
                draw_figures(this, state, step, dataset.validation, telemetry)
            if evaluate or save:  # which take a while
                signum = hosts.most(stop.signum)
            if save or signum:
                save_checkpoint(this, state, validation, time.monotonic() - began)
            if signum:
                break
        this.checkpoints.wait()
        # Even where no step is left, and of one that came during the last save: the same command makes the results.
        if signum := hosts.most(stop.signum):
            raise Interrupted(signum, step)
    return state, time.monotonic() - began


def validate_copies(this: Run, state: TrainState, measures: Callable) -> dict[str, float]:
    """What is watched on the validation split, mean over the copies."""
    models = [Model(this.algorithm, each.params, each.stats) for each in own_copies(this, state)]
    found = copies.mean([evaluation.watch(model, this.dataset, this.config, measures) for model in models])
    return json.loads(hosts.told_by_lead(json.dumps(found)))  # all must find the same checkpoint the best


def save_checkpoint(this: Run, state: TrainState, validation: dict[str, float], seconds: float) -> None:
    meta = {
        "config": this.config.to_dict(),
        "data": this.data,
        "info": this.dataset.info._asdict(),
        "versions": workdirs.versions(),
        "seconds": seconds,
    }
    this.checkpoints.save(state, meta, {f"validation/{name}": value for name, value in validation.items()})


def draw_figures(this: Run, state: TrainState, step: int, split: Data, telemetry: Telemetry) -> None:
    """Writes the family's pictures of a split, of the first copy, and the curves so far; the lead alone does."""
    if not hosts.is_lead():
        return
    drawn = pictures.draw(first_model(this, state), this.dataset, split)
    epochs = snapshots.rows(this.config, len(this.dataset.training.image), this.workdir)
    for name, image in (drawn if epochs is None else {**drawn, "epochs": epochs}).items():
        telemetry.figure(step, name, image)
    telemetry.figure(step, "curves", curves(telemetry.history))


def own_copies(this: Run, state: TrainState) -> list[TrainState]:
    """The copies one by one, for this process to compute with."""
    return copies.split(parallel.local(state), this.config.seeds)


def first_model(this: Run, state: TrainState) -> Model:
    """The first copy, to be used."""
    first = own_copies(this, state)[0]
    return Model(this.algorithm, first.params, first.stats)


def finish(this: Run, state: TrainState, seconds: float, telemetry: Telemetry) -> dict:
    """The figures and the evaluation at the end, on the split that the run is judged by, and `results.json`."""
    split, config = this.config.evaluation.split, this.config.to_dict()
    telemetry.message(f"Evaluating on the {split} split")
    draw_figures(this, state, config["steps"], evaluation.held_out(this.dataset, this.config), telemetry)
    if hosts.is_lead():
        moving = this.workdir / "figures" / "epochs.gif"
        snapshots.write_moving(this.config, len(this.dataset.training.image), this.workdir, moving)
    models = [
        Model(this.algorithm, each.params, each.stats, config, int(each.step)) for each in own_copies(this, state)
    ]
    return results.write(models, this.dataset, this.config, seconds, this.workdir, telemetry)


def describe(this: Run, state: TrainState, start: int) -> str:
    config, parameters = this.config, sum(x.size for x in jax.tree.leaves(state.params))
    images = len(this.dataset.training.image)
    often = f", each about {config.batch_size / images:.0f} times a step" if config.batch_size >= 2 * images else ""
    return (
        f"{config.algorithm} on {this.dataset.name} ({images:,} training images{often}), "
        f"{parameters:,} parameters, {parallel.describe_devices()} ({config.parallel}); "
        f"{f'resuming at step {start}' if start else 'starting'}, {config.steps} steps of {config.batch_size} images"
    )


class StopSignals:
    """Notes SIGTERM and Ctrl-C for the loop to act on between two dispatches; a second one acts at once."""

    def __init__(self):
        self.signum = 0
        self._before = {}

    def __enter__(self):
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._before[signum] = signal.signal(signum, self._note)
        return self

    def _note(self, signum, frame):
        del frame
        log.info("%s: saving and leaving after this dispatch", signal.Signals(signum).name)
        self.signum = signum
        signal.signal(signum, self._before[signum])

    def __exit__(self, *exc):
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
