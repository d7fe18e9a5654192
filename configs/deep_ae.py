"""Deep autoencoder with a three-dimensional code, shown as a scatter plot.

    python launch.py --config=configs/deep_ae.py                  bundled digits
    python launch.py --config=configs/deep_ae.py:mnist            MNIST
    python launch.py --config=configs/deep_ae.py:mnist,tutorial   the tutorials' recipe, for the same number of epochs

Presets: a data set (digits, mnist, …), tutorial, smoke.
"""

from jaxgen.config.families import autoencoder_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = autoencoder_config("autoencoder.Autoencoder")
    config.hidden_sizes, config.latent_size = (128, 64, 12), 3
    config.batch_size = 128
    config.input_noise_std = 0.1  # keeps the encoder from memorizing the training images
    config.learning_rates.reconstruction = 2e-3
    config.steps = 6000
    return apply_presets(config, presets, {"mnist": mnist, "tutorial": tutorial, "smoke": smoke_test})


def mnist(config):
    """40 of the tutorials' 100 epochs."""
    config.input_noise_std = 0.0  # 55,000 images are not memorized
    config.steps = 17_200
    config.eval_every = config.checkpoint_every = 4300


def tutorial(config):
    """Pixels in [-1, 1] by a tanh, Adam at a constant 1e-3 with an L2 penalty of 1e-5."""
    config.pixel_loss, config.pixel_range, config.weight_decay = "mse", "-1_1", 1e-5
    config.learning_rates.reconstruction, config.input_noise_std = 1e-3, 0.0
    config.lr_schedule, config.kernel_init = "constant", "torch"
