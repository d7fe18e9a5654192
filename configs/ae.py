"""Autoencoder with a two-dimensional code (Hinton & Salakhutdinov 2006).

    python launch.py --config=configs/ae.py                  bundled digits
    python launch.py --config=configs/ae.py:mnist            MNIST
    python launch.py --config=configs/ae.py:mnist,tutorial   the tutorials' recipe, for the same number of epochs

Presets: a data set (digits, mnist, …), tutorial, smoke.
"""

from jaxgen.config.families import autoencoder_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = autoencoder_config("autoencoder.Autoencoder")
    config.hidden_sizes, config.latent_size = (500, 500), 2
    config.input_noise_std = 0.1  # keeps the encoder from memorizing the training images
    return apply_presets(config, presets, {"mnist": mnist, "tutorial": tutorial, "smoke": smoke_test})


def mnist(config):
    """The published width; 20 of the tutorials' 200 epochs."""
    config.hidden_sizes = (1000, 1000)
    config.input_noise_std = 0.0  # 55,000 images are not memorized
    config.batch_size, config.steps = 50, 22_000
    config.eval_every = config.checkpoint_every = 2000


def tutorial(config):
    """784-1000-1000-2 and back, ReLU, sigmoid, mean squared error, Adam at a constant 1e-3."""
    config.hidden_sizes = (1000, 1000)
    if config.data.name == "mnist":
        config.batch_size, config.steps = 100, 11_000
        config.eval_every = config.checkpoint_every = 1000
    config.pixel_loss, config.input_noise_std = "mse", 0.0
    config.lr_schedule, config.kernel_init = "constant", "torch"
