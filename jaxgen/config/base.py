"""The keys that every recipe has, and their validation before anything starts.

Imports no jax, so that `--help` and the report of a mistyped key take no time.
"""

import difflib
import math

from ml_collections import ConfigDict

SAMPLERS = ("prior", "mixture", "two_stage")  # of codes; see inference/samplers.py
BINARIZATIONS = ("none", "static", "dynamic", "auto")


def base_config(model: str) -> ConfigDict:
    """Returns the keys that every config has, for the bundled digits; a recipe adds its own.

    Args:
      model: "module.Class" in jaxgen/models.
    """
    config = ConfigDict()
    config.model = model
    config.seed = 0  # of initial parameters, noise, data order and the choice of labeled images
    config.num_seeds = 1  # seeds seed, seed + 1, … are trained in one compiled update
    # Seeds that are vectorized together, to save memory; must divide num_seeds; 0 means all.
    config.seeds_per_vmap = 0
    config.data = ConfigDict({"source": "digits", "name": "digits", "path": "", "download": False})
    # Side, in pixels, to which a folder's images are resized; 0 keeps their size, which must be the same for all.
    config.data.image_size = 0
    # How images are made square: "crop" cuts out the center, "pad" adds black borders, "stretch" ignores proportions.
    config.data.resize = "crop"
    config.data.channels = 0  # 1: gray, 3: color; 0: gray if all files of the folder are gray
    config.data.on_bad_image = "skip"  # or "stop", if a file of the folder cannot be used
    config.data.holdout_fraction = 0.1  # fraction of a folder's images for validation, and the same for test
    config.data.split_seed = 0  # of the choice of these images
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
    config.steps = 1000
    config.parallel = "jit"  # or "pmap"
    # Or "bfloat16" for matrix products and convolutions; parameters, states and sums stay float32.
    config.compute_dtype = "float32"
    config.log_every = 100  # steps per compiled dispatch; metrics are logged once per dispatch
    config.eval_every = 1000  # steps between validation metrics and figures; a multiple of log_every
    config.checkpoint_every = 1000  # a multiple of log_every
    config.max_to_keep = 2  # number of newest checkpoints that are kept, besides the best
    config.best_metric = "nll"  # validation metric of the best checkpoint; smaller is better
    config.evaluation = ConfigDict()
    config.evaluation.split = "test"  # or "validation", to compare recipes
    config.evaluation.samples_per_class = 1000
    config.evaluation.classifier_steps = 1000
    config.evaluation.probe_epochs = 200
    config.evaluation.parzen_samples = 10_000
    config.evaluation.importance_samples = 5000  # posterior samples per image of the importance-weighted bound
    config.evaluation.num_samples = 10_000  # samples, and training images, that are compared with held-out images
    config.evaluation.samplers = ("prior", "mixture", "two_stage")  # latent samplers whose images are measured
    config.evaluation.retrieval_database_size = 10_000  # maximum number of training images that are searched
    return config


def validate_config(config: ConfigDict) -> None:
    """Validates the keys of `base_config` and the learning rates.

    Raises:
      ValueError: a value breaks its rule; the message ends in a flag to try.
    """
    for key in ("num_seeds", "batch_size", "steps", "log_every", "eval_every", "checkpoint_every", "max_to_keep"):
        if config[key] < 1:
            suggestion = 1 if key == "num_seeds" else 100
            raise ValueError(f"{key}={config[key]} must be at least 1; try --config.{key}={suggestion}")
    minimums = {"seed": 0, "num_labeled": -1, "labeled_every_n": 0, "seeds_per_vmap": 0, "random_shift": 0}
    for key, minimum in minimums.items():
        if config[key] < minimum:
            raise ValueError(f"{key}={config[key]} must be at least {minimum}; try --config.{key}={minimum}")
    for name, rate in config.learning_rates.items():
        if not 0 <= rate < math.inf:
            key = f"learning_rates.{name}"
            raise ValueError(f"{key}={rate} must be a finite number, at least 0; try --config.{key}=0.001")
    if config.seeds_per_vmap and config.num_seeds % config.seeds_per_vmap:
        raise ValueError(
            f"seeds_per_vmap={config.seeds_per_vmap} must divide num_seeds={config.num_seeds}; "
            "try --config.seeds_per_vmap=1"
        )
    if config.labeled_every_n and config.num_labeled == 0:
        raise ValueError(
            f"labeled_every_n={config.labeled_every_n} needs labeled images, but num_labeled=0; "
            "try --config.labeled_every_n=0"
        )
    _validate_evaluation_keys(config)
    if config.data.binarization not in BINARIZATIONS:
        choices = ", ".join(BINARIZATIONS)
        raise ValueError(f'data.binarization="{config.data.binarization}" is unknown; choose one of {choices}')
    for key in ("eval_every", "checkpoint_every"):
        if config[key] % config.log_every:
            suggestion = max(config[key] // config.log_every, 1) * config.log_every
            raise ValueError(
                f"{key}={config[key]} must be a multiple of log_every={config.log_every}; "
                f"try --config.{key}={suggestion}"
            )


def _validate_evaluation_keys(config: ConfigDict) -> None:
    if unknown := set(config.evaluation.samplers) - set(SAMPLERS):
        raise ValueError(f"evaluation.samplers has unknown names {sorted(unknown)}; choose from {', '.join(SAMPLERS)}")
    if config.evaluation.split not in ("test", "validation"):
        raise ValueError(f'evaluation.split="{config.evaluation.split}" is unknown; choose "test" or "validation"')
    for key, default in base_config(config.model).evaluation.items():
        minimum = 4 if key == "num_samples" else 1
        if isinstance(default, int) and (value := config.evaluation[key]) < minimum:
            raise ValueError(
                f"evaluation.{key}={value} must be at least {minimum}; try --config.evaluation.{key}={default}"
            )


def suggest(word: str, choices) -> str:
    """Returns ' (did you mean "…"?)' with the most similar choice, or "" if no choice is similar."""
    similar = difflib.get_close_matches(word, choices, n=1)
    return f' (did you mean "{similar[0]}"?)' if similar else ""
