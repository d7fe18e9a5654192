"""The keys that every recipe has, and their validation before anything starts.

Imports no jax, so that `--help` and the report of a mistyped key take no time.
"""

import math

from ml_collections import ConfigDict

from jaxgen.config.errors import collect_errors, report_error
from jaxgen.config.errors import suggest as suggest

SAMPLERS = ("prior", "mixture", "two_stage")  # of codes; see inference/samplers.py
BINARIZATIONS = ("none", "static", "dynamic", "auto")
SPLITS = ("test", "validation")  # that a run is evaluated on


def base_config(model: str) -> ConfigDict:
    """Returns the keys that every config has, for the bundled digits; a recipe adds its own.

    Args:
      model: "module.Class" in jaxgen/models, or "my_module:MyModel" for a class outside of the package.
    """
    config = ConfigDict()
    config.model = model  # "module.Class" in jaxgen/models
    config.seed = 0  # first seed of initial parameters, noise, data order and the choice of labeled images
    config.num_seeds = 1  # seeds seed, seed + 1, … are trained in one compiled update
    # Seeds that are vectorized together, to save memory; must divide num_seeds; 0 means all.
    config.seeds_per_vmap = 0
    config.data = ConfigDict()
    config.data.source = "digits"  # "digits", "tfds" or "folder"
    config.data.name = "digits"  # name of the TFDS set, or a name for the folder
    config.data.path = ""  # directory of prepared TFDS sets, or the folder of images
    config.data.download = False  # downloads and prepares a TFDS set that is missing
    # Side, in pixels, to which a folder's images are resized; 0 keeps their size, which must be the same for all.
    config.data.image_size = 0
    # How images are made square: "crop" cuts out the center, "pad" adds black borders, "stretch" ignores proportions.
    config.data.resize = "crop"
    config.data.channels = 0  # 1: gray, 3: color; 0: gray if all files of the folder are gray
    config.data.on_bad_image = "skip"  # or "stop", if a file of the folder cannot be used
    config.data.holdout_fraction = 0.1  # fraction of a folder's images for validation, and the same for test
    config.data.split_seed = 0  # seed of the choice of the held-out images of a folder
    # MiB of pixels that host memory, and the memory of each device, may hold; larger data sets are streamed.
    config.data.memory_budget_mib = 4096
    config.data.tint_by_class = False  # gives gray images, of any source, a color by class
    # "static": every pixel is sampled once; "dynamic": training pixels are sampled at every step; "auto": "dynamic" for
    # sets whose protocol is binary, such as the digits and MNIST, and "none" for other images.
    config.data.binarization = "none"
    config.num_labeled = -1  # number of labeled training images, balanced over classes; -1 for all
    config.labeled_every_n = 0  # every n-th place of a batch holds a labeled image; 0 for no such rule
    config.random_flip = False  # mirrors each training image left to right with probability 1/2
    config.random_shift = 0  # shifts each training image by up to this many pixels in each direction
    config.shift_pad_mode = "zeros"  # border after a shift; or "edge"
    config.batch_size = 100  # images per step, over all devices
    config.init_from = ""  # workdir of a run whose networks training starts from, with new optimizers
    config.steps = 1000  # updates; a finished run can be extended by a larger value
    config.parallel = "jit"  # or "pmap"
    # Or "bfloat16" for matrix products and convolutions; parameters, states and sums stay float32.
    config.compute_dtype = "float32"
    config.log_every = 100  # steps per compiled dispatch; metrics are logged once per dispatch
    config.eval_every = 1000  # steps between validation metrics and figures; a multiple of log_every
    config.checkpoint_every = 1000  # steps between checkpoints; a multiple of log_every
    config.max_to_keep = 2  # number of newest checkpoints that are kept, besides the best
    config.best_metric = "nll"  # validation metric of the best checkpoint; smaller is better
    config.evaluation = ConfigDict()
    config.evaluation.split = "test"  # or "validation", to compare recipes
    config.evaluation.samples_per_class = 1000  # prior codes that are decoded under every label
    config.evaluation.classifier_steps = 1000  # training steps of the classifier whose features are compared
    config.evaluation.probe_epochs = 200  # maximum number of epochs of the probe for labels in codes
    config.evaluation.parzen_samples = 10_000  # generated images of the Parzen window
    config.evaluation.importance_samples = 5000  # posterior samples per image of the importance-weighted bound
    config.evaluation.num_samples = 10_000  # samples, and training images, that are compared with held-out images
    config.evaluation.samplers = ("prior", "mixture", "two_stage")  # latent samplers whose images are measured
    config.evaluation.retrieval_database_size = 10_000  # maximum number of training images that are searched
    return config


def validate_config(config: ConfigDict) -> None:
    """Validates the keys of `base_config` and the learning rates.

    Raises:
      ConfigError: values break their rules; each line ends in a flag to try.
    """
    with collect_errors():
        _validate_numbers(config)
        _validate_seeds_and_labels(config)
        _validate_evaluation_keys(config)
        if config.data.binarization not in BINARIZATIONS:
            choices, hint = ", ".join(BINARIZATIONS), suggest(config.data.binarization, BINARIZATIONS)
            report_error(f'data.binarization="{config.data.binarization}" is unknown; choose one of {choices}{hint}')
        _validate_intervals(config)


def _validate_numbers(config: ConfigDict) -> None:
    for key in ("num_seeds", "batch_size", "steps", "log_every", "eval_every", "checkpoint_every", "max_to_keep"):
        if config[key] < 1:
            suggestion = 1 if key == "num_seeds" else 100
            report_error(f"{key}={config[key]} must be at least 1; try --config.{key}={suggestion}")
    minimums = {"seed": 0, "num_labeled": -1, "labeled_every_n": 0, "seeds_per_vmap": 0, "random_shift": 0}
    for key, minimum in minimums.items():
        if config[key] < minimum:
            report_error(f"{key}={config[key]} must be at least {minimum}; try --config.{key}={minimum}")
    for name, rate in config.get("learning_rates", {}).items():
        if not 0 <= rate < math.inf:
            key = f"learning_rates.{name}"
            report_error(f"{key}={rate} must be a finite number, at least 0; try --config.{key}=0.001")


def _validate_seeds_and_labels(config: ConfigDict) -> None:
    if config.seeds_per_vmap > 0 and config.num_seeds % config.seeds_per_vmap:
        report_error(
            f"seeds_per_vmap={config.seeds_per_vmap} must divide num_seeds={config.num_seeds}; "
            "try --config.seeds_per_vmap=1"
        )
    if config.labeled_every_n and config.num_labeled == 0:
        report_error(
            f"labeled_every_n={config.labeled_every_n} needs labeled images, but num_labeled=0; "
            "try --config.labeled_every_n=0"
        )


def _validate_intervals(config: ConfigDict) -> None:
    for key in ("eval_every", "checkpoint_every"):
        if config[key] > 0 and config.log_every > 0 and config[key] % config.log_every:
            suggestion = max(config[key] // config.log_every, 1) * config.log_every
            report_error(
                f"{key}={config[key]} must be a multiple of log_every={config.log_every}; "
                f"try --config.{key}={suggestion}"
            )


def _validate_evaluation_keys(config: ConfigDict) -> None:
    if unknown := sorted(set(config.evaluation.samplers) - set(SAMPLERS)):
        hint = suggest(str(unknown[0]), SAMPLERS)
        report_error(f"evaluation.samplers has unknown names {unknown}; choose from {', '.join(SAMPLERS)}{hint}")
    if config.evaluation.split not in SPLITS:
        hint = suggest(config.evaluation.split, SPLITS)
        report_error(f'evaluation.split="{config.evaluation.split}" is unknown; choose "test" or "validation"{hint}')
    for key, default in base_config(config.model).evaluation.items():
        minimum = 4 if key == "num_samples" else 1
        if isinstance(default, int) and (value := config.evaluation[key]) < minimum:
            report_error(
                f"evaluation.{key}={value} must be at least {minimum}; try --config.evaluation.{key}={default}"
            )
