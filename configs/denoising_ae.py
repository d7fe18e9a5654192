"""The denoising autoencoder: sees images under Gaussian noise or with pixels missing, draws the clean ones.

    python launch.py --config=configs/denoising_ae.py                  bundled digits
    python launch.py --config=configs/denoising_ae.py:mnist            MNIST
    python launch.py --config=configs/denoising_ae.py:mnist,tutorial   the tutorials' recipe, at as many epochs

Vincent et al. 2008. Tokens: a data set (digits, mnist, …), tutorial, smoke.
"""

from jaxgen.config import autoencoder, smoke, with_tokens


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = autoencoder("autoencoder.DenoisingAutoencoder")
    config.best_metric = "denoised_mse"
    config.hidden, config.latent_size = (500,), 128
    config.noise, config.masking = 0.3, 0.25
    return with_tokens(config, tokens, {"mnist": mnist, "tutorial": tutorial, "smoke": smoke})


def mnist(config):
    """20 epochs of the published width."""
    config.hidden = (1000,)
    config.steps = 11_000
    config.evaluate_every = config.checkpoint_every = 1000


def tutorial(config):
    """The published nets, ReLU, sigmoid, mean squared error, Adam at 1e-3 throughout."""
    config.hidden, config.latent_size = (1000, 1000), 32
    config.pixel_loss, config.decay, config.kernel_init = "squared_error", "none", "torch"
