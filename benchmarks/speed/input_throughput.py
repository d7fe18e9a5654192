"""Whether a training step waits for its images: how fast they stream from files beside how fast a step takes them.

    python -m benchmarks.speed.input_throughput                        images of noise, 64 × 64, written for it as JPEG
    python -m benchmarks.speed.input_throughput --path=DIR             any folder of images, made 64 × 64
    python -m benchmarks.speed.input_throughput --config=vaegan --batch_size=128

Three rates, in images a second, all of the program's own parts, each the median of --repeats turns:

  stream    what `feeding` decodes and puts on the devices, with nothing else to do;
  step      what the step of --config takes from data that are on the devices;
  together  a training that streams.

ratio is stream over step: above 1, a step need not wait; waits is 1 - together / step, the share of its time that a
streaming step loses, to waiting or, on a CPU, to the decoding that goes on beside it.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks.common import records
from benchmarks.common.timing import timed
from jaxgen import models
from jaxgen.data import Augmentation, load_dataset
from jaxgen.distributed import devices
from jaxgen.training.batches import make_step_runner
from jaxgen.training.loop import make_step
from jaxgen.types import Split

COLUMNS = {"config": "config", "stream": "stream", "step": "step", "together": "together", "ratio": "ratio"}
COLUMNS |= {"waits": "waits"}
SIZE = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 for a user's mistake."""
    options = parse(argv)
    return records.main(lambda: [run(options)], COLUMNS, options.out, "; images/s")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = records.parser("speed.input_throughput", "input_throughput", __doc__)
    add = parser.add_argument
    add("--path", type=Path, help="a folder of images (default: noise)")
    add("--images", type=records.count, default=2000, metavar="N", help="of noise (default: 2000)")
    add("--config", default="dcgan", metavar="NAME", help="whose step takes them (default: dcgan)")
    add("--batch_size", type=records.count, default=64, metavar="B", help="(default: 64)")
    add("--steps", type=records.count, default=20, metavar="N", help="a turn (default: 20)")
    add("--repeats", type=records.count, default=7, metavar="N", help="turns (default: 7)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> dict:
    """The row, which is added to `options.out`.

    Raises:
      ValueError: the config is unknown, the images can't be read, or devices do not divide the batch; the file can't
        be written.
    """
    records.prepare(options.out)
    with tempfile.TemporaryDirectory() as folder:
        row = measured(options, options.path or write_noise(Path(folder), options.images))
    records.append(options.out, row)
    return row


def write_noise(folder: Path, count: int) -> Path:
    """So many JPEG files of smooth noise: about as long to decode as photos of their size."""
    numbers = np.random.default_rng(0)
    for i in range(count):
        coarse = numbers.integers(0, 256, (SIZE // 4, SIZE // 4, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        image.save(folder / f"{i:06}.jpg", quality=90)
    return folder


def measured(options: argparse.Namespace, folder: Path) -> dict:
    """The row of a config on a folder's images."""
    config = records.recipe(options.config)
    config.data.update({"source": "folder", "path": str(folder), "image_size": SIZE, "channels": 3})
    config.batch_size, config.log_every = options.batch_size, options.steps
    config.steps = options.steps * (1 + options.repeats)
    devices.validate_parallelism(config.batch_size, config.parallel, devices.data_mesh())
    memory = load_dataset(config.data)
    config.data.memory_budget_mib = 0
    streamed = load_dataset(config.data).train_source
    model = models.build_model(config, memory.spec)
    step = make_step(model, augment=Augmentation.from_config(config))
    rates = {
        "stream": rate(config, streamed, model, make_look),
        "step": rate(config, memory.train, model, step),
        "together": rate(config, streamed, model, step),
    }
    return {
        "config": options.config,
        "batch_size": config.batch_size,
        "image_shape": list(memory.image_shape),
        "images": len(streamed.label),
        **rates,
        "ratio": rates["stream"] / rates["step"],
        "waits": 1 - rates["together"] / rates["step"],
        **records.provenance(jax.devices()[0]),
    }


def make_look(axis_name: str | None) -> Callable:
    """Makes a step that takes its examples and does nothing."""
    del axis_name

    def look(state, data, batch, rng):
        del data, rng
        return state, {"examples": jax.numpy.float32(len(batch.label))}

    return look


def rate(config, data: Split, model, make: Callable) -> float:
    """Images a second of the steps that `make` makes for `parallel.compile_steps`.

    What was decoded while the first turn compiled hastens the two after it: fewer than half.
    """
    mesh = devices.data_mesh()
    take = make_step_runner(devices.compile_steps(make, mesh, config.parallel), data, config, mesh, start=0)
    state = devices.compile_init(model.init, mesh)(jax.random.key(0))
    seconds = []
    for start in range(0, config.steps, config.log_every):
        (state, _), its_seconds = timed(take, state, start, start + config.log_every)
        seconds.append(its_seconds)
    return config.log_every * config.batch_size / statistics.median(seconds[1:])


if __name__ == "__main__":
    sys.exit(main())
