"""Input throughput: how fast images stream from files, beside how fast a training step consumes them.

    python -m benchmarks.speed.input_throughput                        64 × 64 images of noise, written as JPEG
    python -m benchmarks.speed.input_throughput --path=DIR             any folder of images, resized to 64 × 64
    python -m benchmarks.speed.input_throughput --config=vaegan --batch_size=128

Three rates of the program's own parts, in images per second, each the median of --repeats rounds of --steps steps:

  stream    decoding images and copying them to the devices (`training.batches`), with nothing else to do.
  step      the training step of --config, with data that are on the devices.
  together  training that streams its images.

ratio is stream / step; above 1 a step need not wait. waits is 1 - together / step: the fraction of its speed that a
streaming step loses by waiting or, on a CPU, by the decoding that runs at the same time.
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
from benchmarks.common.timing import time_call
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
    """Runs the command line; returns the exit status, 2 after a user's mistake."""
    options = parse(argv)
    return records.run_and_print(lambda: [run(options)], COLUMNS, options.out, "; images/s")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = records.parser("speed.input_throughput", "input_throughput", __doc__)
    add = parser.add_argument
    add("--path", type=Path, help="folder of images (default: noise)")
    add(
        "--images",
        type=records.parse_count,
        default=2000,
        metavar="N",
        help="number of images of noise (default: 2000)",
    )
    add("--config", default="dcgan", metavar="NAME", help="recipe of the training step (default: dcgan)")
    add("--batch_size", type=records.parse_count, default=64, metavar="B", help="images per step (default: 64)")
    add("--steps", type=records.parse_count, default=20, metavar="N", help="steps per round (default: 20)")
    add("--repeats", type=records.parse_count, default=7, metavar="N", help="rounds (default: 7)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> dict:
    """Measures the row and appends it to `options.out`.

    Raises:
      ValueError: the config is unknown, the images cannot be read, the devices do not divide the batch, or the file
        cannot be written.
    """
    records.prepare(options.out)
    with tempfile.TemporaryDirectory() as folder:
        row = measure_row(options, options.path or write_noise(Path(folder), options.images))
    records.append(options.out, row)
    return row


def write_noise(folder: Path, count: int) -> Path:
    """Writes JPEG files of smooth noise, which take about as long to decode as photos of that size."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 256, (SIZE // 4, SIZE // 4, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        image.save(folder / f"{i:06}.jpg", quality=90)
    return folder


def measure_row(options: argparse.Namespace, folder: Path) -> dict:
    """Measures the three rates of a config on the images of a folder."""
    config = records.recipe(options.config)
    config.data.update({"source": "folder", "path": str(folder), "image_size": SIZE, "channels": 3})
    config.batch_size, config.log_every = options.batch_size, options.steps
    config.steps = options.steps * (1 + options.repeats)
    devices.validate_parallelism(config.batch_size, config.parallel, devices.data_mesh())
    memory = load_dataset(config.data)
    config.data.memory_budget_mib = 0
    streamed = load_dataset(config.data).train_source
    model = models.build_model(config, memory.spec)
    make = make_step(model, augment=Augmentation.from_config(config))
    rates = {
        "stream": measure_rate(config, streamed, model, make_empty_step),
        "step": measure_rate(config, memory.train, model, make),
        "together": measure_rate(config, streamed, model, make),
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


def make_empty_step(axis_name: str | None) -> Callable:
    """Returns a step that receives its examples and does nothing."""
    del axis_name

    def step(state, data, batch, rng):
        del data, rng
        return state, {"examples": jax.numpy.float32(len(batch.label))}

    return step


def measure_rate(config, data: Split, model, make: Callable) -> float:
    """Returns the images per second of compiled steps.

    Streams decode ahead: images decoded while the first round compiles speed up the two rounds after it. The median
    ignores these two, because they are fewer than half.

    Args:
      config: gives batch size, steps per round (`log_every`) and number of steps.
      data: the training images, in memory or streamed.
      model: gives the initial state.
      make: returns the step for a mapped axis, as `devices.compile_steps` calls it.
    """
    mesh = devices.data_mesh()
    run_steps = make_step_runner(devices.compile_steps(make, mesh, config.parallel), data, config, mesh, start=0)
    state = devices.compile_init(model.init, mesh)(jax.random.key(0))
    seconds = []
    for start in range(0, config.steps, config.log_every):
        (state, _), round_seconds = time_call(run_steps, state, start, start + config.log_every)
        seconds.append(round_seconds)
    return config.log_every * config.batch_size / statistics.median(seconds[1:])


if __name__ == "__main__":
    sys.exit(main())
