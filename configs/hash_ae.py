"""Semantic hashing (Salakhutdinov & Hinton 2009): an autoencoder with a code of 32 bits, for search and compression.

    python launch.py --config=configs/hash_ae.py                                  bundled digits
    python launch.py --config=configs/hash_ae.py:mnist                            MNIST
    python launch.py --config=configs/hash_ae.py:mnist --config.latent_size=128   sixteen bytes per image
    python -m benchmarks.quality.compression runs/hash_ae-mnist                   bytes against PSNR and SSIM, with JPEG

The bits have a straight-through gradient (Bengio et al. 2013). Presets: a data set (digits, mnist, …), tutorial, smoke.
"""

from jaxgen.config.families import autoencoder_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = autoencoder_config("autoencoder.HashAutoencoder")
    config.hidden_sizes, config.latent_size = (500, 500), 32
    # Bits that are robust to noise separate the digits.
    config.input_noise_std, config.mask_ratio, config.latent_noise_std = 0.3, 0.5, 2.0
    return apply_presets(config, presets, {"mnist": mnist, "tutorial": tutorial, "smoke": smoke_test})


def mnist(config):
    """10 epochs; longer training adds detail to the bits, which search does not need."""
    config.steps = 5500
    config.eval_every = config.checkpoint_every = 1100


def tutorial(config):
    """Straight-through bits alone: no noise, Adam at a constant 1e-3."""
    config.hidden_sizes = (1000, 1000)
    config.input_noise_std = config.mask_ratio = config.latent_noise_std = 0.0
    config.pixel_loss, config.lr_schedule, config.kernel_init = "mse", "constant", "torch"
