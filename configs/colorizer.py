"""The colorizer: from grey faces, or what a VAE makes of them, to colour.

    python launch.py --config=configs/colorizer.py --config.data.path=FACES                       from grey originals
    python launch.py --config=configs/colorizer.py --config.data.path=FACES --config.base_model_workdir=runs/anime_vae   from a VAE's
    python launch.py --config=configs/colorizer.py:digits                                         digits, a hue each

With a VAE it also colours random faces and a traversal of the code. Tokens: a data set (digits, mnist, anime_faces),
published (the tutorial's net of 90 million parameters, its rate and its noise), smoke.
"""

from jaxgen.config.base import base_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = base_config("colorizer.Colorizer")
    config.data.update({"source": "folder", "name": "anime_faces"})
    config.base_model_workdir = ""  # the workdir of the VAE whose outputs are coloured; "": grey originals
    config.batch_size = 80
    config.steps, config.log_every = 520, 20  # the tutorial's 40 epochs of 13 batches
    config.eval_every = config.checkpoint_every = 260
    config.best_metric = "color_mse"
    config.random_flip = True

    config.colorizer_network = "coarse"  # or "published"
    config.hidden_sizes = (512, 256)
    config.color_grid_size = 5
    config.dropout_rate = 0.5
    config.kernel_init = "he_normal"
    config.input_noise_std = 0.05

    config.update_order = "simultaneous"
    config.learning_rates = {"reconstruction": 1e-3}  # Adam
    config.lr_schedule = "cosine"
    presets = {"digits": tinted, "mnist": tinted, "published": published, "smoke": smoke_test}
    config = apply_presets(config, tokens, presets)
    config.data.channels = 0 if config.data.tint_by_class else 3
    config.data.image_size = 30 if config.data.name == "anime_faces" else 0
    return config


def tinted(config):
    """Grey images get a colour by class: what is to be coloured has to be read first."""
    config.data.tint_by_class, config.random_flip = True, False
    config.dropout_rate, config.color_grid_size = 0.2, 7
    config.steps, config.log_every = 3000, 100
    config.eval_every = config.checkpoint_every = 1000


def published(config):
    """Two dense layers with nothing between, Adam at 1e-4, noise of one grey level, which is left out in testing."""
    config.random_flip = False
    config.colorizer_network, config.input_noise_std = "published", 1 / 255
    config.learning_rates.reconstruction, config.lr_schedule, config.kernel_init = 1e-4, "constant", "torch"
