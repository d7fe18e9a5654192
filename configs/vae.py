"""Variational autoencoder (Kingma & Welling 2014): Bernoulli or Gaussian, conditional, importance-weighted.

    python launch.py --config=configs/vae.py                     bundled digits
    python launch.py --config=configs/vae.py:mnist               statically binarized MNIST, for the likelihood table
    python launch.py --config=configs/vae.py:mnist,weighted      importance-weighted, 50 samples (Burda et al. 2016)
    python launch.py --config=configs/vae.py:mnist,conv          convolutional: a better bound in a quarter of the steps
    python launch.py --config=configs/vae.py:conditional         conditional on the label (Sohn et al. 2015)

Photographs, in gray or color, have a Gaussian likelihood and are not binarized; the digits and MNIST are binary.
--config.likelihood=bernoulli or gaussian and --config.data.binarization=none, static or dynamic choose otherwise.
Presets: a data set (digits, mnist, …), weighted, conv, conditional, separate_kl, tutorial, smoke.
"""

from jaxgen.config.families import vae_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = vae_config("vae.VAE")
    # "dynamic" for the digits: a static binarization of 1,400 images would be memorized; "none" for photographs
    config.data.binarization = "auto"
    config.input_noise_std = 0.15  # keeps the encoder from memorizing the training images
    available = {"mnist": mnist, "weighted": weighted, "conv": conv, "conditional": conditional}
    available |= {"separate_kl": separate_kl, "tutorial": tutorial, "smoke": smoke_test}
    return apply_presets(config, presets, available)


def mnist(config):
    """The protocol of the likelihood table, at full length."""
    config.data.binarization = "static"
    config.steps = 200_000
    config.eval_every = config.checkpoint_every = 10_000
    config.log_every = 500


def weighted(config):
    """The importance-weighted bound of 50 samples; the paper's network and batches (Burda et al. 2016, section 5)."""
    config.num_importance_samples, config.batch_size = 50, 20
    config.hidden_sizes, config.latent_size = (200, 200), 50
    if config.data.name == "digits":
        config.steps, config.eval_every, config.checkpoint_every = 4000, 2000, 2000


def conv(config):
    """Convolutions at a quarter of the side, where they cost little; they learn a stroke once for all positions."""
    config.latent_size = 32
    config.encoder_layers = (
        *(("space_to_depth", 4), ("conv", 64, 3, 1, 1), ("relu",), ("conv", 64, 3, 2, 1), ("relu",)),
        *(("dense", 256), ("relu",)),
    )
    config.decoder_layers = (
        *(("dense", 256), ("relu",), ("seed", 4, 64), ("relu",)),
        *(("conv", 64, 3, 1, 1), ("relu",), ("conv", 16, 3, 1, 1), ("depth_to_space", 4)),
    )
    if config.data.name == "digits":
        config.steps, config.eval_every, config.checkpoint_every = 3000, 1000, 1000
        config.evaluation.importance_samples = 1000  # with the usual 5,000 the run would take four minutes
    else:
        config.steps, config.eval_every, config.checkpoint_every = 50_000, 5000, 5000


def conditional(config):
    """p(x | y), conditional on the label (Sohn et al. 2015)."""
    config.model = "vae.ConditionalVAE"


def separate_kl(config):
    """The KL as a player with its own optimizer state, which trains the encoder alone."""
    config.learning_rates.kl = 1e-3


def tutorial(config):
    """The tutorial's network: one hidden layer, gray pixels taken as probabilities, a constant learning rate."""
    config.hidden_sizes, config.batch_size = (400,), 128
    config.data.binarization, config.likelihood = "none", "bernoulli"
    config.steps = 43_000 if config.data.name == "mnist" else config.steps  # 100 epochs
    config.eval_every = config.checkpoint_every = min(config.eval_every, config.steps)
    config.input_noise_std, config.lr_schedule, config.kernel_init = 0.0, "constant", "torch"
