"""The variational autoencoder: Bernoulli or Gaussian pixels, weighted, conditional or importance-weighted.

    python launch.py --config=configs/vae.py                     bundled digits
    python launch.py --config=configs/vae.py:mnist               MNIST, binarised once: the likelihood table's
    python launch.py --config=configs/vae.py:mnist,weighted      the same with 50 importance-weighted draws
    python launch.py --config=configs/vae.py:mnist,conv          convolutions: a better bound in a quarter of the steps
    python launch.py --config=configs/vae.py:conditional         told the label, encoder and decoder

Kingma & Welling 2014; Burda et al. 2016. Tokens: a data set (digits, mnist, …), weighted, conv, conditional,
separate_kl, tutorial, smoke. The binarisation is --config.data.binarization=none, static or dynamic.
"""

from jaxgen.config.families import vae_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = vae_config("vae.VAE")
    config.data.binarization = "dynamic"  # of 1,400 images one draw would be learnt by heart, grain by grain
    config.input_noise_std = 0.15  # without, the encoder learns the training images by heart
    presets = {"mnist": mnist, "weighted": weighted, "conv": conv, "conditional": conditional}
    presets |= {"separate_kl": separate_kl, "tutorial": tutorial, "smoke": smoke_test}
    return apply_presets(config, tokens, presets)


def mnist(config):
    """The likelihood table's protocol and full length."""
    config.data.binarization = "static"
    config.steps = 200_000
    config.eval_every = config.checkpoint_every = 10_000
    config.log_every = 500


def weighted(config):
    """The importance-weighted bound of 50 draws, with the paper's net and batches of 20 (Burda et al. 2016, sec. 5)."""
    config.num_importance_samples, config.batch_size = 50, 20
    config.hidden_sizes, config.latent_size = (200, 200), 50
    if config.data.name == "digits":
        config.steps, config.eval_every, config.checkpoint_every = 4000, 2000, 2000


def conv(config):
    """Convolutions at a quarter of the side, where they cost little: they learn a stroke once for all places."""
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
        config.evaluation.importance_samples = 1000  # of the usual 5,000, the run would take four minutes
    else:
        config.steps, config.eval_every, config.checkpoint_every = 50_000, 5000, 5000


def conditional(config):
    """p(x | y): the label is told (Sohn et al. 2015)."""
    config.model = "vae.ConditionalVAE"


def separate_kl(config):
    """The KL as a player of its own optimiser state, which moves the encoder alone."""
    config.learning_rates.kl = 1e-3


def tutorial(config):
    """The tutorial's net and rate: one hidden layer, grey pixels taken as probabilities, no decay."""
    config.hidden_sizes, config.batch_size = (400,), 128
    config.data.binarization = "none"
    config.steps = 43_000 if config.data.name == "mnist" else config.steps  # 100 epochs
    config.eval_every = config.checkpoint_every = min(config.eval_every, config.steps)
    config.input_noise_std, config.lr_schedule, config.kernel_init = 0.0, "constant", "torch"
