"""What every recipe shares: the common keys, the presets that tokens choose, and the checks before anything starts.

No jax here, so that `launch.py --help` and a mistyped key answer at once.
"""

import difflib
import math
from collections.abc import Callable

from ml_collections import ConfigDict

DATASETS = {
    "digits": {"source": "digits", "name": "digits"},
    "mnist": {"source": "tfds", "name": "mnist"},
    "fashion_mnist": {"source": "tfds", "name": "fashion_mnist"},
    "kmnist": {"source": "tfds", "name": "kmnist"},
    "anime_faces": {"source": "folder", "name": "anime_faces", "size": 0, "channels": 1},
}
SAMPLERS = ("prior", "mixture", "two_stage")  # of codes; see samplers.py
BINARISATIONS = ("none", "static", "dynamic")


def common(algorithm: str) -> ConfigDict:
    """The keys that every config has, for the bundled digits; a recipe adds its own."""
    config = ConfigDict()
    config.algorithm = algorithm  # "module.Class" in jaxgen/algorithms
    config.seed = 0
    config.seeds = 1  # so many copies, of seeds seed, seed + 1, …, are trained in one compiled update
    config.seeds_at_once = 0  # how many of them side by side, where memory ends; a divisor of seeds; 0: all
    config.data = ConfigDict({"source": "digits", "name": "digits", "path": "", "download": False})
    config.data.size = 0  # side, in pixels, of a folder's images, made square; 0: as they are, which is all of one size
    config.data.fit = "crop"  # how they are made square: "crop" cuts the centre out, "pad" adds black, or "stretch"
    config.data.channels = 0  # 1: grey, 3: colour; 0: a folder's images are grey if all files are
    config.data.on_bad_image = "skip"  # or "stop", where a file of a folder can't be used
    config.data.held_out = 0.1  # share of a folder's images for validation, and the same for the test
    config.data.split_seed = 0  # says which images of a folder these are
    config.data.budget = 4096  # MiB of pixels that memory, and each device, may hold; a larger set is streamed to them
    config.data.tint = False  # gives grey images, of any source, a colour by class
    config.data.binarisation = "none"  # "static": every pixel drawn once and for all; "dynamic": in training, anew
    config.labels = -1  # of so many training images, balanced over the classes, training is told the label; -1: of all
    config.labelled_every = 0  # fills every n-th place of a batch with such an image; 0: they come as any other
    config.mirror = False  # training images are mirrored left to right by a fair coin
    config.shift = 0  # … are moved by up to so many pixels either way, what comes in being black
    config.repeat_edge = False  # … or the edge again
    config.batch_size = 100
    config.start_from = ""  # the workdir of a run whose networks training begins with, its optimisers fresh
    config.steps = 1000
    config.parallel = "jit"  # or "pmap"
    config.precision = "float32"  # or "bfloat16": of the networks' products; all that is kept or summed stays float32
    config.log_every = 100  # steps a dispatch: metrics come back once per so many steps
    config.evaluate_every = 1000  # validation metrics and figures; a multiple of log_every
    config.checkpoint_every = 1000  # a multiple of log_every
    config.keep_checkpoints = 2  # the newest so many, and the best
    config.best_metric = "nll"  # on the validation split, smaller is better
    config.evaluation = ConfigDict()
    config.evaluation.split = "test"  # or "validation", to choose a recipe by
    config.evaluation.samples_per_class = 1000
    config.evaluation.classifier_steps = 1000
    config.evaluation.probe_epochs = 200
    config.evaluation.parzen_samples = 10_000
    config.evaluation.importance_samples = 5000  # draws of the importance-weighted bound, for each image
    config.evaluation.quality_samples = 10_000  # drawn images, and training images, set against the held-out ones
    config.evaluation.samplers = ("prior", "mixture", "two_stage")  # of codes, whose images are judged
    config.evaluation.retrieval_base = 10_000  # training images, at most, that are searched
    return config


def add_networks(config: ConfigDict, hidden: tuple[int, ...]) -> None:
    """The keys that `algorithms/nets.py` builds an encoder and a decoder from."""
    config.hidden = hidden  # the encoder's; the decoder has them in reverse
    config.encoder_layers = config.decoder_layers = ()  # instead of hidden layers; see networks/stack.py
    config.width = 0  # … or convolutions, so many channels next to the image, for any size
    config.dropout = 0.0
    config.shortcut = False  # a linear map beside the hidden layers
    config.kernel_init = "he_normal"


def autoencoder(algorithm: str) -> ConfigDict:
    """What the recipes of `algorithms/autoencoder.py` share, for the bundled digits."""
    config = common(algorithm)
    config.steps = 3000
    config.evaluate_every = config.checkpoint_every = 1000
    config.best_metric = "mse"
    config.latent_size = 2
    add_networks(config, hidden=(500, 500))
    config.pixel_loss = "cross_entropy"  # or "squared_error"
    config.signed = False  # pixels in [-1, 1] by a tanh, not in [0, 1] by a sigmoid
    config.noise, config.masking = 0.0, 0.0  # of the pixels that the encoder sees in training
    config.code_noise = 0.0
    config.schedule = "simultaneous"
    config.rates = {"reconstruction": 1e-3}  # Adam
    config.weight_decay = 0.0
    config.decay = "cosine"
    return config


def variational(algorithm: str) -> ConfigDict:
    """What the recipes of `algorithms/vae.py` share, for the bundled digits."""
    config = common(algorithm)
    config.steps = 6000
    config.evaluate_every = config.checkpoint_every = 2000
    config.best_metric = "negative_elbo"
    config.latent_size = 20
    add_networks(config, hidden=(400, 400))
    config.likelihood = "bernoulli"  # or "gaussian", of std pixel_std
    config.pixel_std, config.learned_std = 0.1, False  # learned_std: pixel_std is where it begins
    config.centred = False  # images, Gaussian ones, are coded and drawn as distances from one learnt beside
    config.beta, config.free_bits = 1.0, 0.0
    config.draws = 1
    config.input_noise = 0.0  # of the pixels that the encoder sees in training
    config.schedule = "simultaneous"
    config.rates = {"elbo": 1e-3, "kl": 0.0}  # Adam; kl 0: a term of the bound, no player
    config.decay = "cosine"
    return config


def adversarial(algorithm: str) -> ConfigDict:
    """What the recipes of `algorithms/gan.py` share, for the bundled digits."""
    config = common(algorithm)
    config.best_metric = "frechet_distance"
    config.latent_size = 100
    config.generator_layers = config.critic_layers = ()  # see networks/stack.py; empty: a DCGAN's of `width`
    config.width = 32  # channels of the layers next to the image; twice as many with every halving of the side
    config.dense = 0  # units of a dense layer at a DCGAN's other ends; 0: none
    config.critic_norm = False  # batch normalisation in a DCGAN's critic
    config.spectral = False  # spectral normalisation of the critic
    config.kernel_init = "dcgan"
    config.game = "non_saturating"  # or least_squares, hinge, wasserstein; see games.py
    config.critic_steps = 1  # the critic's moves for one of the generator's, each on its share of the batch
    config.r1, config.slope_penalty = 0.0, 0.0  # weights in the critic's loss
    config.average = 0.999  # of the generator's parameters; 0: none
    config.schedule = "simultaneous"
    config.rates = {"critic": 3e-4, "generator": 3e-4}  # Adam
    config.momentum = 0.5  # Adam's b1
    config.decay = "none"
    config.snapshot_epochs = (1, 15, 30, 50, 70, 100)  # at whose ends the same codes are drawn again
    return config


def vaegan() -> ConfigDict:
    """What the recipes of `algorithms/vaegan.py` share, for the bundled digits."""
    config = common("vaegan.VAEGAN")
    config.best_metric = "kernel_distance"
    config.latent_size = 16  # of 128 dimensions, few draws are digits
    config.encoder_layers = config.decoder_layers = ()  # see networks/stack.py; empty: nets of `width`
    config.feature_layers = config.critic_layers = ()
    config.width = 32  # channels of the layers next to the image; twice as many with every halving of the side
    config.dense = 256  # units of a dense layer at their other ends; 0: none
    config.spectral = False  # spectral normalisation of features and critic
    config.kernel_init = "he_normal"
    config.game = "non_saturating"
    config.beta, config.gamma = 15.0, 1e-5  # weights of the KL, and of the dissimilarity in the decoder's loss
    config.similarity_std = 0.0  # of the features' Gaussian; 0: the batch's own
    config.standardised = True  # codes of a batch together have the prior's mean and variance in each dimension
    config.decorrelation = 10.0  # weight of the squared covariances of every two dimensions of standardised codes
    config.opponent = ()  # (3.0, 6.0): the critic sees colours as much as brightness
    config.equilibrium, config.margin = 0.68, 0.0  # margin 0.4: a side that is further ahead than this rests
    config.r1 = 3.0
    config.average = 0.99
    config.schedule = "simultaneous"
    config.optimizer = "adam"  # or "rmsprop", as published
    config.rates = {"encoder": 1e-3, "decoder": 2e-3, "critic": 1e-3}
    config.momentum = 0.0
    config.decay = "cosine"
    return config


def colour_faces(config: ConfigDict) -> dict[str, tuple[tuple, ...]]:
    """Sets what GANs of colour images of 64 × 64 pixels out of a folder share, and returns the layers of their nets.

    DCGAN's (Radford et al. 2016) with changes. The painter normalises each image by itself, so that the running mean of
    its parameters fits what it normalises by. Free kernels that double the side, or a first layer of the critic that
    sees some pixels oftener than the next, leave a grid over what is painted. "hindered" stands before the features of
    a critic that would win early.
    """
    config.data.update({"source": "folder", "name": "faces", "size": 64, "channels": 3})
    config.mirror = True
    config.batch_size, config.kernel_init = 32, "dcgan"
    leaky, normalised = ("leaky_relu", 0.2), (("group_norm", 8), ("relu",))
    up = "smooth_transpose"
    doubling = [layer for width in (128, 64, 32) for layer in ((up, width, 4, 2, 1), *normalised)]
    halving = [layer for width in (128, 256) for layer in (("conv", width, 4, 2, 1), leaky)]
    return {
        "painter": (("seed", 16, 256), *normalised, *doubling, (up, 3, 4, 2, 1)),
        "hindered": (("shift", 8), ("cutout", 0.5)),
        "features": (("fold", 2), ("conv", 32, 3, 1, 1), leaky, ("conv", 64, 4, 2, 1)),
        "critic": (leaky, *halving),
    }


def with_tokens(config: ConfigDict, tokens: str, presets: dict[str, Callable[[ConfigDict], None]]) -> ConfigDict:
    """Applies comma-separated presets: a data set's name, or one of the recipe's own. Data sets come first.

    Raises:
      ValueError: a token is unknown, or two are of data sets.
    """
    chosen = [token for token in tokens.split(",") if token]
    if len(sets := [token for token in chosen if token in DATASETS]) > 1:
        raise ValueError(f"the tokens {' and '.join(sets)} are two data sets; give one")
    for token in chosen:
        if token not in DATASETS and token not in presets:
            choices = DATASETS | presets
            raise ValueError(
                f'token "{token}" is unknown{did_you_mean(token, choices)}; choose from {", ".join(choices)}, '
                "or any TFDS set by --config.data.source=tfds --config.data.name=NAME"
            )
    for token in chosen:
        if token in DATASETS:
            config.data.update(DATASETS[token])
            config.evaluation.classifier_steps = 1000 if token == "digits" else 3000
    for name, preset in presets.items():  # in the recipe's order, whatever the order they are asked in
        if name in chosen:
            preset(config)
    return config


def smoke(config: ConfigDict) -> None:
    """Seconds on a CPU: proves that every part runs, says nothing about quality."""
    config.steps, config.log_every = 20, 10
    config.evaluate_every = config.checkpoint_every = 10
    config.evaluation.update(
        {"samples_per_class": 10, "classifier_steps": 20, "probe_epochs": 2, "parzen_samples": 100}
        | {"quality_samples": 100, "retrieval_base": 100, "importance_samples": 60, "samplers": ("prior",)}
    )


def validate(config: ConfigDict) -> None:
    """Checks the common keys.

    Raises:
      ValueError: a count below its least, or an interval that log_every does not divide.
    """
    for key in ("seeds", "batch_size", "steps", "log_every", "evaluate_every", "checkpoint_every", "keep_checkpoints"):
        if config[key] < 1:
            instead = 1 if key == "seeds" else 100
            raise ValueError(f"{key}={config[key]} must be at least 1; try --config.{key}={instead}")
    for key, least in (("seed", 0), ("labels", -1), ("labelled_every", 0), ("seeds_at_once", 0), ("shift", 0)):
        if config[key] < least:
            raise ValueError(f"{key}={config[key]} must be at least {least}; try --config.{key}={least}")
    for name, rate in config.rates.items():
        if not 0 <= rate < math.inf:
            raise ValueError(
                f"rates.{name}={rate} must be a learning rate, at least 0; try --config.rates.{name}=0.001"
            )
    if config.seeds_at_once and config.seeds % config.seeds_at_once:
        raise ValueError(
            f"seeds_at_once={config.seeds_at_once} must divide seeds={config.seeds}; try --config.seeds_at_once=1"
        )
    if config.labelled_every and config.labels == 0:
        raise ValueError(
            f"labelled_every={config.labelled_every} asks for labelled images, and labels=0 leaves none; "
            "try --config.labelled_every=0"
        )
    if unknown := set(config.evaluation.samplers) - set(SAMPLERS):
        raise ValueError(f"evaluation.samplers names {sorted(unknown)}; choose from {', '.join(SAMPLERS)}")
    if config.evaluation.split not in ("test", "validation"):
        raise ValueError(f'evaluation.split="{config.evaluation.split}" is unknown; choose "test" or "validation"')
    if config.data.binarisation not in BINARISATIONS:
        known = ", ".join(BINARISATIONS)
        raise ValueError(f'data.binarisation="{config.data.binarisation}" is unknown; choose one of {known}')
    for key, default in common(config.algorithm).evaluation.items():
        least = 4 if key == "quality_samples" else 1
        if isinstance(default, int) and (value := config.evaluation[key]) < least:
            way_out = f"try --config.evaluation.{key}={default}"
            raise ValueError(f"evaluation.{key}={value} must be at least {least}; {way_out}")
    for key in ("evaluate_every", "checkpoint_every"):
        if config[key] % config.log_every:
            way_out = max(config[key] // config.log_every, 1) * config.log_every
            raise ValueError(
                f"{key}={config[key]} must be a multiple of log_every={config.log_every}; try --config.{key}={way_out}"
            )


def did_you_mean(word: str, choices) -> str:
    """' (did you mean "…"?)' where a choice is near, else ''."""
    near = difflib.get_close_matches(word, choices, n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""
