"""Denoising autoencoder (Vincent et al. 2008): reconstructs clean images from noisy or masked ones.

    python launch.py --config=configs/denoising_ae.py                  bundled digits
    python launch.py --config=configs/denoising_ae.py:mnist            MNIST
    python launch.py --config=configs/denoising_ae.py:mnist,tutorial   the tutorials' recipe, for as long

Presets: a data set (digits, mnist, …), tutorial, smoke.
"""

from jaxgen.config.families import autoencoder_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = autoencoder_config("autoencoder.DenoisingAutoencoder")
    config.best_metric = "denoised_mse"
    config.hidden_sizes, config.latent_size = (500,), 128
    config.input_noise_std, config.mask_ratio = 0.3, 0.25
    return apply_presets(config, presets, {"mnist": mnist, "tutorial": tutorial, "smoke": smoke_test})


def mnist(config):
    """20 epochs at the published width."""
    config.hidden_sizes = (1000,)
    config.steps = 11_000
    config.eval_every = config.checkpoint_every = 1000


def tutorial(config):
    """The published networks, ReLU, sigmoid, mean squared error, Adam at a constant 1e-3."""
    config.hidden_sizes, config.latent_size = (1000, 1000), 32
    config.pixel_loss, config.lr_schedule, config.kernel_init = "mse", "constant", "torch"
