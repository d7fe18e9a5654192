"""The autoencoder with a code of 32 bits, for search by Hamming distance and for compression.

    python launch.py --config=configs/hash_ae.py                              bundled digits
    python launch.py --config=configs/hash_ae.py:mnist                        MNIST
    python launch.py --config=configs/hash_ae.py:mnist --config.latent_size=128   sixteen bytes an image
    python -m benchmarks.compression runs/hash_ae-mnist                       bytes against PSNR and SSIM, beside JPEG

Salakhutdinov & Hinton 2009; Bengio et al. 2013. Tokens: a data set (digits, mnist, …), tutorial, smoke.
"""

from jaxgen.config import autoencoder, smoke, with_tokens


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = autoencoder("autoencoder.HashAutoencoder")
    config.hidden, config.latent_size = (500, 500), 32
    config.noise, config.masking, config.code_noise = 0.3, 0.5, 2.0  # bits that survive noise tell digits apart
    return with_tokens(config, tokens, {"mnist": mnist, "tutorial": tutorial, "smoke": smoke})


def mnist(config):
    """10 epochs: what longer training adds to the bits is detail, which is not what is searched for."""
    config.steps = 5500
    config.evaluate_every = config.checkpoint_every = 1100


def tutorial(config):
    """Bits passed straight through and nothing else: no noise, Adam at 1e-3 throughout."""
    config.hidden = (1000, 1000)
    config.noise = config.masking = config.code_noise = 0.0
    config.pixel_loss, config.decay, config.kernel_init = "squared_error", "none", "torch"
