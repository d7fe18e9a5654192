"""The convolutional GAN of the tutorials, for images of 28 × 28 pixels.

    python launch.py --config=configs/conv_gan.py                 bundled digits
    python launch.py --config=configs/conv_gan.py:mnist           MNIST
    python launch.py --config=configs/conv_gan.py:mnist,tutorial  the tutorial's recipe

The critic is the tutorial's: convolutions of 5 × 5 with average pooling. Its generator made an image of 56 × 56 pixels
out of one dense layer, to halve it in the end; ours grows from 7 × 7, at a tenth of the cost. Tokens: a data set
(digits, mnist, …), conditional, tutorial, smoke.
"""

from jaxgen.config import adversarial, smoke, with_tokens


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = adversarial("gan.GAN")
    config.batch_size = 64
    config.steps, config.evaluate_every, config.checkpoint_every = 1500, 500, 500
    config.generator_layers = (
        *(("seed", 4, 100), ("batch_norm",), ("relu",)),
        *(("conv_transpose", 50, 4, 2, 1), ("batch_norm",), ("relu",)),
        ("conv_transpose", 1, 4, 2, 1),
    )
    config.critic_layers = (
        *(("conv", 32, 5, 1, 2), ("leaky_relu", 0.2), ("average_pool", 2, 2)),
        *(("conv", 64, 5, 1, 2), ("leaky_relu", 0.2), ("average_pool", 2, 2)),
        *(("dense", 1024), ("leaky_relu", 0.2)),
    )
    config.kernel_init = "he_normal"
    config.latent_size = 50
    config.rates = {"critic": 1e-3, "generator": 1e-3}
    config.momentum, config.decay = 0.0, "cosine"
    config.r1 = 0.05
    presets = {"mnist": mnist, "conditional": conditional, "tutorial": tutorial, "smoke": smoke}
    return with_tokens(config, tokens, presets)


def mnist(config):
    """10 epochs."""
    config.steps = 8000
    config.evaluate_every = config.checkpoint_every = 1000


def conditional(config):
    """Told the label."""
    config.algorithm = "gan.ConditionalGAN"


def tutorial(config):
    """The published generator and rates: Adam at 3e-4 with b1 .9, no mean of the parameters."""
    config.generator_layers = (
        *(("dense", 56 * 56), ("reshape", 56, 56, 1), ("batch_norm",), ("relu",)),
        *(("conv", 50, 3, 1, 1), ("batch_norm",), ("relu",)),
        *(("conv", 25, 3, 1, 1), ("batch_norm",), ("relu",)),
        ("conv", 1, 2, 2, 0),
    )
    config.batch_size = 128
    config.kernel_init, config.latent_size = "torch", 100
    config.rates.update({"critic": 3e-4, "generator": 3e-4})
    config.decay = "none"
    config.schedule, config.momentum, config.average, config.r1 = "alternating", 0.9, 0.0, 0.0
