"""The loop: one run from a config to a trained, measured and pictured model, straight down."""

import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxgen import algorithms, evaluation, parallel
from jaxgen import workdir as workdirs
from jaxgen.algorithms import Algorithm
from jaxgen.checkpoints import Checkpoints
from jaxgen.config import validate
from jaxgen.data import Dataset, batch_indices, gather, load_dataset
from jaxgen.figures import curves
from jaxgen.model import Model
from jaxgen.players import make_update
from jaxgen.telemetry import Telemetry
from jaxgen.types import TrainState

log = logging.getLogger("jaxgen")


class NonFiniteLossError(RuntimeError):
    """Training stopped: a loss became NaN or infinite."""


class Interrupted(RuntimeError):  # noqa: N818 (not a fault: the run was asked to stop)
    """Training stopped because a signal asked it to; everything is saved."""

    def __init__(self, signum: int, step: int):
        super().__init__(f"{signal.Signals(signum).name}: saved at step {step}; the same command resumes")
        self.signum = signum


def make_step(algorithm: Algorithm) -> Callable:
    """What `parallel.compile_steps` compiles: gather a batch on the device, let every player move."""

    def for_axis(axis_name: str | None):
        update = make_update(algorithm.players, algorithm.schedule, axis_name)
        return lambda state, data, index, rng: update(state, gather(data, index), rng)

    return for_axis


def run(config, workdir: str | Path) -> dict:
    """Trains to `config.steps`, resuming where the workdir stands; evaluates once, at the end.

    Returns:
      What `results.json` holds.

    Raises:
      ValueError: the config, the data or the workdir does not fit; nothing has been overwritten.
      NonFiniteLossError: a loss became NaN or infinite; the last good checkpoint is kept.
      Interrupted: SIGTERM or Ctrl-C; the state is saved.
    """
    validate(config)
    mesh = parallel.data_mesh()
    parallel.check(config.batch_size, config.parallel, mesh)
    dataset = load_dataset(config.data)
    algorithm = algorithms.build(config, dataset.info)
    best = (f"validation/{config.best_metric}", "min")
    with (
        workdirs.claim(workdir, config.to_dict(), free=workdirs.PLACES) as workdir,
        Checkpoints(workdir / "checkpoints", config.keep_checkpoints, best) as checkpoints,
    ):
        state, start = restore_or_init(algorithm, config, checkpoints, mesh)
        finished = workdirs.read_results(workdir)
        if finished and finished["step"] == start == config.steps:
            log.info("The run in %s is complete (%d steps). Another: --workdir=DIR", workdir, start)
            return finished
        with Telemetry(workdir, config.steps, start) as telemetry:
            telemetry.message(describe(config, dataset, state, mesh, start))
            began = time.monotonic()
            state = train(algorithm, dataset, config, mesh, state, start, checkpoints, telemetry)
            seconds = time.monotonic() - began
            return finish(algorithm, dataset, config, state, seconds, workdir, telemetry)


def restore_or_init(algorithm: Algorithm, config, checkpoints: Checkpoints, mesh) -> tuple[TrainState, int]:
    init = parallel.compile_init(algorithm.init, mesh)
    rng = jax.random.key(config.seed)
    restored = checkpoints.restore(parallel.like(jax.eval_shape(algorithm.init, rng), mesh))
    return (init(rng), 0) if restored is None else (restored.state, restored.step)


def train(
    algorithm: Algorithm,
    dataset: Dataset,
    config,
    mesh,
    state: TrainState,
    start: int,
    checkpoints: Checkpoints,
    telemetry: Telemetry,
) -> TrainState:
    """The steps from `start` to `config.steps`, `log_every` of them a dispatch."""
    steps = parallel.compile_steps(make_step(algorithm), mesh, config.parallel)
    data = parallel.replicate(jax.tree.map(np.asarray, dataset.train), mesh)
    rng = parallel.replicate(jax.random.fold_in(jax.random.key(config.seed), 1), mesh)
    measures = evaluation.compile_measures(algorithm)
    meta = {"config": config.to_dict(), "info": dataset.info._asdict(), "versions": workdirs.versions()}
    with StopSignals() as stop:
        step, began = start, time.monotonic()
        while step < config.steps:
            until = min(step + config.log_every, config.steps)
            index = batch_indices(config.seed, step, until, config.batch_size, len(dataset.train.image))
            state, metrics = steps(state, data, index, rng)
            log_training(metrics, step, until, config.batch_size, began, telemetry)
            step, began = until, time.monotonic()
            at_end = step == config.steps
            if step % config.evaluate_every == 0 or step % config.checkpoint_every == 0 or at_end or stop.signum:
                validation = evaluation.mean_measures(measures, state.params, state.stats, dataset.validation)
                telemetry.log(step, validation, split="validation")
                if step % config.evaluate_every == 0 and not at_end:
                    draw_figures(algorithm, dataset, state, step, telemetry)
                if step % config.checkpoint_every == 0 or at_end or stop.signum:
                    scores = {f"validation/{name}": value for name, value in validation.items()}
                    checkpoints.save(state, meta, scores)
                began = time.monotonic()
            if stop.signum and not at_end:
                checkpoints.wait()
                raise Interrupted(stop.signum, step)
    checkpoints.wait()
    return state


def log_training(metrics, step: int, until: int, batch_size: int, began: float, telemetry: Telemetry) -> None:
    """Fetches a dispatch's metrics, once, and logs their means.

    Raises:
      NonFiniteLossError: one of them is not finite.
    """
    fetched = jax.device_get(metrics)
    for name, values in fetched.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise NonFiniteLossError(
                f"{name} became {values[bad[0]]} at step {step + bad[0] + 1}; the last good checkpoint is kept; "
                "try smaller rates (--config.rates.NAME=VALUE) in a new --workdir"
            )
    rate = (until - step) * batch_size / (time.monotonic() - began)
    telemetry.log(until, {name: float(values.mean()) for name, values in fetched.items()}, images_per_s=rate)


def draw_figures(algorithm, dataset, state, step, telemetry, split=None) -> None:
    """Writes the family's pictures, of validation images unless told otherwise, and the curves so far."""
    model = Model(algorithm, state.params, state.stats)
    for name, image in evaluation.draw(model, dataset, split or dataset.validation).items():
        telemetry.figure(step, name, image)
    telemetry.figure(step, "curves", curves(telemetry.history))


def finish(algorithm, dataset, config, state, seconds, workdir, telemetry) -> dict:
    """The evaluation and figures at the end, on the test split, and `results.json`."""
    telemetry.message("Evaluating on the test split")
    model = Model(algorithm, state.params, state.stats, config.to_dict(), int(state.step))
    draw_figures(algorithm, dataset, state, model.step, telemetry, dataset.test)
    return write_results(model, dataset, config, seconds, workdir, telemetry)


def write_results(model: Model, dataset: Dataset, config, seconds: float, workdir: Path, telemetry) -> dict:
    """Measures a model on the test split and writes `results.json`."""
    metrics = evaluation.report(model, dataset, config)
    results = {
        "config": config.to_dict(),
        "dataset": dataset.name,
        "step": model.step,
        "seconds": seconds,
        "metrics": metrics,
        "device": f"{jax.device_count()} × {jax.devices()[0].device_kind}",
        "versions": workdirs.versions(),
    }
    workdirs.write_json(workdir / "results.json", results)
    telemetry.log(model.step, metrics, split="test")
    telemetry.table(f"{dataset.name}, test split, step {model.step}", metrics)
    return results


def describe(config, dataset: Dataset, state: TrainState, mesh, start: int) -> str:
    parameters = sum(x.size for x in jax.tree.leaves(state.params))
    began = f"resuming at step {start}" if start else "starting"
    return (
        f"{config.algorithm} on {dataset.name} ({len(dataset.train.image):,} training images), "
        f"{parameters:,} parameters, {mesh.size} × {jax.devices()[0].device_kind} ({config.parallel}); "
        f"{began}, {config.steps} steps of {config.batch_size} images"
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
