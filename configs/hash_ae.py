"""The autoencoder with a code of 32 bits, for search by Hamming distance and for compression.

    python launch.py --config=configs/hash_ae.py                              bundled digits
    python launch.py --config=configs/hash_ae.py:mnist                        MNIST
    python launch.py --config=configs/hash_ae.py:mnist --config.latent_size=128   sixteen bytes an image
    python -m benchmarks.compression runs/hash_ae-mnist                       bytes against PSNR and SSIM, beside JPEG

Salakhutdinov & Hinton 2009; Bengio et al. 2013. Tokens: a data set (digits, mnist, …), tutorial, smoke.
"""

from jaxgen.config.families import autoencoder_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = autoencoder_config("autoencoder.HashAutoencoder")
    config.hidden_sizes, config.latent_size = (500, 500), 32
    config.input_noise_std, config.mask_ratio, config.latent_noise_std = (
        0.3,
        0.5,
        2.0,
    )  # bits that survive noise tell digits apart
    return apply_presets(config, tokens, {"mnist": mnist, "tutorial": tutorial, "smoke": smoke_test})


def mnist(config):
    """10 epochs: what longer training adds to the bits is detail, which is not what is searched for."""
    config.steps = 5500
    config.eval_every = config.checkpoint_every = 1100


def tutorial(config):
    """Bits passed straight through and nothing else: no noise, Adam at 1e-3 throughout."""
    config.hidden_sizes = (1000, 1000)
    config.input_noise_std = config.mask_ratio = config.latent_noise_std = 0.0
    config.pixel_loss, config.lr_schedule, config.kernel_init = "mse", "constant", "torch"
