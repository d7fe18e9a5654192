"""What every recipe shares: the common keys, the presets that tokens choose, and the checks before anything starts.

No jax here, so that `launch.py --help` and a mistyped key answer at once.
"""

import difflib
import math

from ml_collections import ConfigDict

SAMPLERS = ("prior", "mixture", "two_stage")  # of codes; see samplers.py
BINARISATIONS = ("none", "static", "dynamic")


def base_config(model: str) -> ConfigDict:
    """The keys that every config has, for the bundled digits; a recipe adds its own."""
    config = ConfigDict()
    config.model = model  # "module.Class" in jaxgen/models
    config.seed = 0
    config.num_seeds = 1  # so many copies, of seeds seed, seed + 1, …, are trained in one compiled update
    config.seeds_per_vmap = 0  # how many of them side by side, where memory ends; a divisor of seeds; 0: all
    config.data = ConfigDict({"source": "digits", "name": "digits", "path": "", "download": False})
    config.data.image_size = (
        0  # side, in pixels, of a folder's images, made square; 0: as they are, which is all of one size
    )
    config.data.resize = "crop"  # how they are made square: "crop" cuts the centre out, "pad" adds black, or "stretch"
    config.data.channels = 0  # 1: grey, 3: colour; 0: a folder's images are grey if all files are
    config.data.on_bad_image = "skip"  # or "stop", where a file of a folder can't be used
    config.data.holdout_fraction = 0.1  # share of a folder's images for validation, and the same for the test
    config.data.split_seed = 0  # says which images of a folder these are
    config.data.memory_budget_mib = (
        4096  # MiB of pixels that memory, and each device, may hold; a larger set is streamed to them
    )
    config.data.tint_by_class = False  # gives grey images, of any source, a colour by class
    config.data.binarization = "none"  # "static": every pixel drawn once and for all; "dynamic": in training, anew
    config.num_labeled = (
        -1
    )  # of so many training images, balanced over the classes, training is told the label; -1: of all
    config.labeled_every_n = 0  # fills every n-th place of a batch with such an image; 0: they come as any other
    config.random_flip = False  # training images are mirrored left to right by a fair coin
    config.random_shift = 0  # … are moved by up to so many pixels either way, what comes in being black
    config.shift_pad_mode = "zeros"  # … or the edge again
    config.batch_size = 100
    config.init_from = ""  # the workdir of a run whose networks training begins with, its optimisers fresh
    config.steps = 1000
    config.parallel = "jit"  # or "pmap"
    config.compute_dtype = (
        "float32"  # or "bfloat16": of the networks' products; all that is kept or summed stays float32
    )
    config.log_every = 100  # steps a dispatch: metrics come back once per so many steps
    config.eval_every = 1000  # validation metrics and figures; a multiple of log_every
    config.checkpoint_every = 1000  # a multiple of log_every
    config.max_to_keep = 2  # the newest so many, and the best
    config.best_metric = "nll"  # on the validation split, smaller is better
    config.evaluation = ConfigDict()
    config.evaluation.split = "test"  # or "validation", to choose a recipe by
    config.evaluation.samples_per_class = 1000
    config.evaluation.classifier_steps = 1000
    config.evaluation.probe_epochs = 200
    config.evaluation.parzen_samples = 10_000
    config.evaluation.importance_samples = 5000  # draws of the importance-weighted bound, for each image
    config.evaluation.num_samples = 10_000  # drawn images, and training images, set against the held-out ones
    config.evaluation.samplers = ("prior", "mixture", "two_stage")  # of codes, whose images are judged
    config.evaluation.retrieval_database_size = 10_000  # training images, at most, that are searched
    return config


def validate_config(config: ConfigDict) -> None:
    """Checks the common keys.

    Raises:
      ValueError: a count below its least, or an interval that log_every does not divide.
    """
    for key in ("num_seeds", "batch_size", "steps", "log_every", "eval_every", "checkpoint_every", "max_to_keep"):
        if config[key] < 1:
            instead = 1 if key == "num_seeds" else 100
            raise ValueError(f"{key}={config[key]} must be at least 1; try --config.{key}={instead}")
    for key, least in (
        ("seed", 0),
        ("num_labeled", -1),
        ("labeled_every_n", 0),
        ("seeds_per_vmap", 0),
        ("random_shift", 0),
    ):
        if config[key] < least:
            raise ValueError(f"{key}={config[key]} must be at least {least}; try --config.{key}={least}")
    for name, rate in config.learning_rates.items():
        if not 0 <= rate < math.inf:
            raise ValueError(
                f"learning_rates.{name}={rate} must be a learning rate, at least 0; try --config.learning_rates.{name}=0.001"
            )
    if config.seeds_per_vmap and config.num_seeds % config.seeds_per_vmap:
        raise ValueError(
            f"seeds_at_once={config.seeds_per_vmap} must divide seeds={config.num_seeds}; try --config.seeds_per_vmap=1"
        )
    if config.labeled_every_n and config.num_labeled == 0:
        raise ValueError(
            f"labelled_every={config.labeled_every_n} asks for labelled images, and labels=0 leaves none; "
            "try --config.labeled_every_n=0"
        )
    if unknown := set(config.evaluation.samplers) - set(SAMPLERS):
        raise ValueError(f"evaluation.samplers names {sorted(unknown)}; choose from {', '.join(SAMPLERS)}")
    if config.evaluation.split not in ("test", "validation"):
        raise ValueError(f'evaluation.split="{config.evaluation.split}" is unknown; choose "test" or "validation"')
    if config.data.binarization not in BINARISATIONS:
        known = ", ".join(BINARISATIONS)
        raise ValueError(f'data.binarisation="{config.data.binarization}" is unknown; choose one of {known}')
    for key, default in base_config(config.model).evaluation.items():
        least = 4 if key == "num_samples" else 1
        if isinstance(default, int) and (value := config.evaluation[key]) < least:
            way_out = f"try --config.evaluation.{key}={default}"
            raise ValueError(f"evaluation.{key}={value} must be at least {least}; {way_out}")
    for key in ("eval_every", "checkpoint_every"):
        if config[key] % config.log_every:
            way_out = max(config[key] // config.log_every, 1) * config.log_every
            raise ValueError(
                f"{key}={config[key]} must be a multiple of log_every={config.log_every}; try --config.{key}={way_out}"
            )


def suggest(word: str, choices) -> str:
    """' (did you mean "…"?)' where a choice is near, else ''."""
    near = difflib.get_close_matches(word, choices, n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""
