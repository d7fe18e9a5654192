"""The colorizer: from grey faces, or what a VAE makes of them, to colour.

    python launch.py --config=configs/colorizer.py --config.data.path=FACES                       from grey originals
    python launch.py --config=configs/colorizer.py --config.data.path=FACES --config.vae=runs/anime_vae   from a VAE's
    python launch.py --config=configs/colorizer.py:digits                                         digits, a hue each

With a VAE it also colours random faces and a traversal of the code. Tokens: a data set (digits, mnist, anime_faces),
published (the tutorial's net of 90 million parameters, its rate and its noise), smoke.
"""

from jaxgen.config import common, smoke, with_tokens


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = common("colorizer.Colorizer")
    config.data.update({"source": "folder", "name": "anime_faces"})
    config.vae = ""  # the workdir of the VAE whose outputs are coloured; "": grey originals
    config.batch_size = 80
    config.steps, config.log_every = 520, 20  # the tutorial's 40 epochs of 13 batches
    config.evaluate_every = config.checkpoint_every = 260
    config.best_metric = "colour_mse"
    config.mirror = True

    config.painter = "coarse"  # or "published"
    config.hidden = (512, 256)
    config.coarseness = 5
    config.dropout = 0.5
    config.kernel_init = "he_normal"
    config.noise = 0.05

    config.schedule = "simultaneous"
    config.rates = {"reconstruction": 1e-3}  # Adam
    config.decay = "cosine"
    presets = {"digits": tinted, "mnist": tinted, "published": published, "smoke": smoke}
    config = with_tokens(config, tokens, presets)
    config.data.channels = 0 if config.data.tint else 3
    config.data.size = 30 if config.data.name == "anime_faces" else 0
    return config


def tinted(config):
    """Grey images get a colour by class: what is to be coloured has to be read first."""
    config.data.tint, config.mirror = True, False
    config.dropout, config.coarseness = 0.2, 7
    config.steps, config.log_every = 3000, 100
    config.evaluate_every = config.checkpoint_every = 1000


def published(config):
    """Two dense layers with nothing between, Adam at 1e-4, noise of one grey level, which is left out in testing."""
    config.mirror = False
    config.painter, config.noise = "published", 1 / 255
    config.rates.reconstruction, config.decay, config.kernel_init = 1e-4, "none", "torch"
