"""The deep autoencoder with a code of three dimensions, drawn as a cloud.

    python launch.py --config=configs/deep_ae.py                  bundled digits
    python launch.py --config=configs/deep_ae.py:mnist            MNIST
    python launch.py --config=configs/deep_ae.py:mnist,tutorial   the tutorials' recipe, at as many epochs

Tokens: a data set (digits, mnist, …), tutorial, smoke.
"""

from jaxgen.config import autoencoder, smoke, with_tokens


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = autoencoder("autoencoder.Autoencoder")
    config.hidden, config.latent_size = (128, 64, 12), 3
    config.batch_size = 128
    config.noise = 0.1  # what keeps the encoder from learning the training images by heart
    config.rates.reconstruction = 2e-3
    config.steps = 6000
    return with_tokens(config, tokens, {"mnist": mnist, "tutorial": tutorial, "smoke": smoke})


def mnist(config):
    """40 of the tutorials' 100 epochs."""
    config.noise = 0.0  # 55,000 images are not learnt by heart
    config.steps = 17_200
    config.evaluate_every = config.checkpoint_every = 4300


def tutorial(config):
    """Pixels in [-1, 1] by a tanh, Adam at 1e-3 throughout with an L2 penalty of 1e-5."""
    config.pixel_loss, config.signed, config.weight_decay = "squared_error", True, 1e-5
    config.rates.reconstruction, config.noise = 1e-3, 0.0
    config.decay, config.kernel_init = "none", "torch"
