"""The main job: the label-conditioned adversarial autoencoder that pulls style apart from content.

    python launch.py --config=configs/cond_aae.py                  the bundled digits, offline
    python launch.py --config=configs/cond_aae.py:mnist            MNIST, prepared by TFDS
    python launch.py --config=configs/cond_aae.py:mnist,tutorial   the literal published recipe, to compare

The critic scores (code, label), so that q(z | y) meets the prior for every digit y (Makhzani et al. 2016, section 2.3).
Tokens: a data set (digits, mnist, …), tutorial, separate_kl, smoke.
"""

from jaxgen.config.base import base_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = base_config("aae.ConditionalAAE")
    config.steps = 3000
    config.eval_every = config.checkpoint_every = 1000

    config.latent_size = 15
    config.prior, config.prior_std = "gaussian", 1.0
    config.hidden_sizes = (
        500,
        500,
    )  # half the published width: 1,400 images need no more, and a step is three times as fast
    config.critic_hidden_sizes = (500, 500)
    config.dropout_rate = 0.0
    config.critic_dropout_rate = 0.0
    config.kernel_init = "he_normal"
    config.encoder_negative_slope = 0.0  # the slope of the encoder's hidden units below 0
    config.conditional_critic = True
    config.bilinear_label_networks = ("critic",)
    config.decoder_film = False
    config.gaussian_posterior = True
    config.kl_weight = 1.0  # trades reconstruction for separation
    config.adversarial_loss_trains_std = False
    config.r1_r2_weight = 2.0

    config.update_order = "simultaneous"
    config.learning_rates = {  # Adam; kl 0: no player
        "reconstruction": 1e-3,
        "critic": 2e-3,
        "adversarial": 5e-4,
        "kl": 0.0,
        "vat": 1e-3,
    }
    # The encoder's game is mostly noise once the critic is near chance, and Adam scales that to full steps, which cost
    # the reconstruction dearly: .9 averages it away where the customary .5 does not.
    config.b1 = {"reconstruction": 0.9, "critic": 0.5, "adversarial": 0.9, "kl": 0.9, "vat": 0.9}
    config.lr_schedule = "cosine"
    config.vat_epsilon = 0.0

    return apply_presets(
        config, tokens, {"mnist": mnist, "tutorial": tutorial, "separate_kl": separate_kl, "smoke": smoke_test}
    )


def mnist(config):
    """The published scale."""
    config.hidden_sizes = config.critic_hidden_sizes = (1000, 1000)
    config.steps = 10_000
    config.eval_every = config.checkpoint_every = 2500
    # The game switches ReLUs off for good: with them, 62% of the second layer's units were so lost by step 20,000 at
    # seed 1, and the error grew from step 8,500 on. The leak keeps their gradients; it does not end that growth.
    config.encoder_negative_slope = 0.02
    # The label scales and shifts every hidden layer of the decoder, where one-hot input moves the first one's bias
    # alone. In 6000 steps on the validation split: error .0188 at a swap accuracy of 98.8%, without .0193 at 98.8%.
    config.decoder_film = True
    config.learning_rates.reconstruction = 6e-4
    # On the digits both lower the error at the same leakage. Here, in 6000 steps and on the validation split, they led
    # to .0161 at a leakage of 52%, the first alone to .0171 at 32%; neither, in 7000 steps, to .0193 at 18.5%.
    config.adversarial_loss_trains_std, config.r1_r2_weight = True, 0.0


def tutorial(config):
    """The literal published recipe, mistakes included.

    Gradients are zeroed once a step, so the encoder's game also applies those of the reconstruction and of the critic;
    the decoder has no ReLU after its second layer; the critic never sees the label; log(sigmoid + eps).
    """
    config.hidden_sizes = (1000, 1000)
    config.steps = 50_000 if config.data.name == "mnist" else 8000
    config.eval_every = config.checkpoint_every = config.steps // 10
    config.prior_std = 5.0
    config.critic_hidden_sizes = (500, 500)
    config.dropout_rate, config.critic_dropout_rate = 0.25, 0.2
    config.kernel_init = "torch"
    config.encoder_negative_slope = 0.0
    config.conditional_critic, config.bilinear_label_networks = False, ()
    config.decoder_film = False
    config.gaussian_posterior, config.kl_weight = False, 0.0
    config.r1_r2_weight = 0.0
    config.update_order = "alternating"
    config.learning_rates.update({"reconstruction": 1e-4, "critic": 5e-5, "adversarial": 5e-5})
    config.b1.update({"critic": 0.9, "adversarial": 0.9})
    config.lr_schedule = "constant"
    config.model = "tutorial_aae.LiteralTutorialAAE"
    config.accumulate_gradients = True  # gradients add up over the players of a step, instead of update_order
    config.decoder_linear_layers = (1,)  # hidden layers of the decoder without a ReLU
    config.average_pixel_nll = True  # reconstruction loss in nats per pixel
    config.log_sigmoid_eps = 1e-15  # losses from log(sigmoid(x) + eps)


def separate_kl(config):
    """The KL as a player with an Adam of its own.

    Its steps then no longer shrink where the reconstruction's gradients are large. On the digits' validation split
    (seed 0, no penalty, the game moving the spread) that gave an error of .0094 at a leakage of 82%, where the weighted
    term gave .0099 at 17%: it is not the default.
    """
    config.kl_weight, config.learning_rates.kl = 0.0, 5e-4
