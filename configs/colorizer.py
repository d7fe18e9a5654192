"""Colorizer: a network that maps gray faces, or a VAE's outputs, to color.

    python launch.py --config=configs/colorizer.py --config.data.path=FACES
    python launch.py --config=configs/colorizer.py --config.data.path=FACES --config.base_model_workdir=runs/anime_vae
    python launch.py --config=configs/colorizer.py:digits

The first command colorizes gray originals, the second the outputs of a trained VAE, the third digits with one hue per
class. With a VAE, figures also show colorized samples and a colorized traversal. Presets: a data set (digits, mnist,
anime_faces), published (the tutorial's network of 90 million parameters, its learning rate and noise), smoke.
"""

from jaxgen.config.base import base_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = base_config("colorizer.Colorizer")
    config.data.update({"source": "folder", "name": "anime_faces"})
    config.base_model_workdir = ""  # run folder of the VAE whose outputs are colorized; "" for gray originals
    config.batch_size = 80
    config.steps, config.log_every = 520, 20  # the tutorial's 40 epochs of 13 batches
    config.eval_every = config.checkpoint_every = 260
    config.best_metric = "color_mse"
    config.random_flip = True

    config.colorizer_network = "coarse"  # or "published"
    config.hidden_sizes = (512, 256)  # units of the encoder's hidden layers; the decoder has them in reverse order
    config.color_grid_size = 5  # pixels between the points of the color grid
    config.dropout_rate = 0.5  # fraction of hidden units of encoder and decoder that are dropped in training
    config.kernel_init = "he_normal"  # initialization: "he_normal", "lecun_normal", "torch" or "dcgan"
    config.input_noise_std = 0.05  # std of the Gaussian noise on the input in training, pixels in [0, 1]

    config.update_order = "simultaneous"  # or "alternating": each player sees the updates before its own
    config.learning_rates = {"reconstruction": 1e-3}  # Adam
    config.lr_schedule = "cosine"  # to 2% of the rate at the last step; or "constant"
    available = {"digits": tinted, "mnist": tinted, "published": published, "smoke": smoke_test}
    config = apply_presets(config, presets, available)
    config.data.channels = 0 if config.data.tint_by_class else 3
    config.data.image_size = 30 if config.data.name == "anime_faces" else 0
    return config


def tinted(config):
    """Gray images are tinted by class, so that the network has to recognize the class."""
    config.data.tint_by_class, config.random_flip = True, False
    config.dropout_rate, config.color_grid_size = 0.2, 7
    config.steps, config.log_every = 3000, 100
    config.eval_every = config.checkpoint_every = 1000


def published(config):
    """Two dense layers without an activation between them, Adam at 1e-4, noise of one gray level in training."""
    config.random_flip = False
    config.colorizer_network, config.input_noise_std = "published", 1 / 255
    config.learning_rates.reconstruction, config.lr_schedule, config.kernel_init = 1e-4, "constant", "torch"
