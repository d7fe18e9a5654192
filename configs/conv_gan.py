"""The convolutional GAN of the tutorials, for images of 28 × 28 pixels.

    python launch.py --config=configs/conv_gan.py                 bundled digits
    python launch.py --config=configs/conv_gan.py:mnist           MNIST
    python launch.py --config=configs/conv_gan.py:mnist,tutorial  the tutorial's recipe

The tutorial's generator makes an image of 56 × 56 pixels by one dense layer, to halve it in the end, and its critic
convolves at full size, by kernels of 5 × 5. Ours are the nets of `dcgan.py`: they grow from 7 × 7 and shrink to it, at
a twentieth of the cost, with a dense layer at the other end of each that sees the whole digit. Tokens: a data set
(digits, mnist, …), conditional, tutorial, smoke.
"""

from jaxgen.config import adversarial, smoke, with_tokens


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = adversarial("gan.GAN")
    config.batch_size = 64
    config.steps, config.evaluate_every, config.checkpoint_every = 2300, 500, 500
    config.log_every = 20  # of 23 steps an epoch, so that pictures of an epoch are of its end
    config.latent_size = 50
    config.width, config.dense = 32, 256
    config.kernel_init = "he_normal"
    config.rates = {"critic": 1e-3, "generator": 2e-3}
    config.momentum, config.decay = 0.0, "cosine"
    config.r1, config.average = 10.0, 0.99  # of so few images, by an r1 of 1 the critic learns each by heart, and wins
    presets = {"mnist": mnist, "conditional": conditional, "tutorial": tutorial, "smoke": smoke}
    return with_tokens(config, tokens, presets)


def mnist(config):
    """23 epochs."""
    config.steps, config.r1, config.average = 20_000, 1.0, 0.999
    config.log_every, config.evaluate_every, config.checkpoint_every = 100, 2000, 2000


def conditional(config):
    """Told the label."""
    config.algorithm = "gan.ConditionalGAN"


def tutorial(config):
    """The published nets and rates: Adam at 3e-4 with b1 .9, no mean of the parameters."""
    config.generator_layers = (
        *(("dense", 56 * 56), ("reshape", 56, 56, 1), ("batch_norm",), ("relu",)),
        *(("conv", 50, 3, 1, 1), ("batch_norm",), ("relu",)),
        *(("conv", 25, 3, 1, 1), ("batch_norm",), ("relu",)),
        ("conv", 1, 2, 2, 0),
    )
    config.critic_layers = (
        *(("conv", 32, 5, 1, 2), ("leaky_relu", 0.2), ("average_pool", 2, 2)),
        *(("conv", 64, 5, 1, 2), ("leaky_relu", 0.2), ("average_pool", 2, 2)),
        *(("dense", 1024), ("leaky_relu", 0.2)),
    )
    config.batch_size = 128
    config.kernel_init, config.latent_size = "torch", 100
    config.rates.update({"critic": 3e-4, "generator": 3e-4})
    config.decay = "none"
    config.schedule, config.momentum, config.average, config.r1 = "alternating", 0.9, 0.0, 0.0
