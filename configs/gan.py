"""Fully connected GAN (Goodfellow et al. 2014).

    python launch.py --config=configs/gan.py                    bundled digits
    python launch.py --config=configs/gan.py:mnist              MNIST
    python launch.py --config=configs/gan.py:mnist,conditional  conditional on the digit (cgan)
    python launch.py --config=configs/gan.py:mnist,tutorial     the tutorial's recipe, for the same number of steps

Other GAN losses: --config.gan_loss=least_squares, hinge, or wasserstein with --config.wgan_gp_weight=10. Five critic
steps per generator step: --config.critic_steps=5 --config.update_order=alternating --config.batch_size=320. Presets: a
data set (digits, mnist, …), conditional, tutorial, smoke.
"""

from jaxgen.config.families import gan_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = gan_config("gan.GAN")
    config.steps, config.eval_every, config.checkpoint_every = 4000, 1000, 1000
    config.log_every = 20  # an epoch has 14 steps, so snapshots of an epoch are close to its end
    config.generator_layers = (("dense", 256), ("batch_norm",), ("relu",)) * 2
    config.critic_layers = (("dense", 256), ("leaky_relu", 0.2)) * 2
    config.kernel_init = "he_normal"
    config.latent_size = 50
    config.learning_rates = {"critic": 2e-3, "generator": 2e-3}
    config.b1, config.lr_schedule = 0.0, "cosine"
    config.r1_weight = 3.0  # with less, the critic memorizes the 1,400 images
    available = {"mnist": mnist, "conditional": conditional, "tutorial": tutorial, "smoke": smoke_test}
    return apply_presets(config, presets, available)


def mnist(config):
    """100 epochs."""
    config.batch_size = 128
    config.steps = 43_000
    config.log_every, config.eval_every, config.checkpoint_every = 100, 4300, 4300
    # At 2e-3, rounding decides whether digits become clear.
    config.learning_rates.update({"critic": 1e-3, "generator": 1e-3})
    config.r1_weight = 1.0


def conditional(config):
    """Conditional on the label."""
    config.model = "gan.ConditionalGAN"


def tutorial(config):
    """The published networks and learning rates: Adam at 3e-4 with b1 = 0.9, no EMA."""
    config.generator_layers = (("dense", 256), ("relu",), ("dense", 256), ("relu",))
    config.critic_layers = (("dense", 256), ("leaky_relu", 0.2)) * 2
    config.batch_size = 128
    config.kernel_init, config.latent_size = "torch", 100
    config.learning_rates.update({"critic": 3e-4, "generator": 3e-4})
    config.lr_schedule = "constant"
    config.update_order, config.b1, config.ema_decay, config.r1_weight = "alternating", 0.9, 0.0, 0.0
