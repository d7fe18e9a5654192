"""The main job: the label-conditioned adversarial autoencoder that pulls style apart from content.

    python launch.py --config=configs/cond_aae.py                  the bundled digits, offline
    python launch.py --config=configs/cond_aae.py:mnist            MNIST, prepared by TFDS
    python launch.py --config=configs/cond_aae.py:mnist,tutorial   the literal published recipe, to compare

The critic scores (code, label), so that q(z | y) meets the prior for every digit y (Makhzani et al. 2016, section 2.3).
Tokens: a data set (digits, mnist, …), tutorial, separate_kl, smoke.
"""

from jaxgen.config import common, smoke, with_tokens


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    config = common("aae.ConditionalAAE")
    config.steps = 3000
    config.evaluate_every = config.checkpoint_every = 1000

    config.latent_size = 15
    config.prior, config.prior_std = "gaussian", 1.0
    config.hidden = (500, 500)  # half the published width: 1,400 images need no more, and a step is three times as fast
    config.critic_hidden = (500, 500)
    config.dropout = 0.0
    config.critic_dropout = 0.0
    config.decoder_linear = ()  # hidden layers of the decoder that leave out the ReLU
    config.kernel_init = "he_normal"
    config.encoder_leak = 0.0  # the slope of the encoder's hidden units below 0
    config.critic_sees_label = True
    config.label_products = ("critic",)
    config.label_modulates_decoder = False
    config.gaussian_posterior = True
    config.kl_weight = 1.0  # trades reconstruction for separation
    config.game_moves_spread = False
    config.gradient_penalty = 2.0

    config.schedule = "simultaneous"
    config.rates = {  # Adam; kl 0: no player
        "reconstruction": 1e-3,
        "critic": 2e-3,
        "encoder": 5e-4,
        "kl": 0.0,
        "smoothness": 1e-3,
    }
    # The encoder's game is mostly noise once the critic is near chance, and Adam scales that to full steps, which cost
    # the reconstruction dearly: .9 averages it away where the customary .5 does not.
    config.b1 = {"reconstruction": 0.9, "critic": 0.5, "encoder": 0.9, "kl": 0.9, "smoothness": 0.9}
    config.decay = "cosine"
    config.mean_over_pixels = False
    config.log_eps = 0.0
    config.perturbation = 0.0

    return with_tokens(
        config, tokens, {"mnist": mnist, "tutorial": tutorial, "separate_kl": separate_kl, "smoke": smoke}
    )


def mnist(config):
    """The published scale."""
    config.hidden = config.critic_hidden = (1000, 1000)
    config.steps = 10_000
    config.evaluate_every = config.checkpoint_every = 2500
    # The game switches ReLUs off for good: with them, 62% of the second layer's units were so lost by step 20,000 at
    # seed 1, and the error grew from step 8,500 on. The leak keeps their gradients; it does not end that growth.
    config.encoder_leak = 0.02
    # The label scales and shifts every hidden layer of the decoder, where one-hot input moves the first one's bias
    # alone. In 6000 steps on the validation split: error .0188 at a swap accuracy of 98.8%, without .0193 at 98.8%.
    config.label_modulates_decoder = True
    config.rates.reconstruction = 6e-4
    # On the digits both lower the error at the same leakage. Here, in 6000 steps and on the validation split, they led
    # to .0161 at a leakage of 52%, the first alone to .0171 at 32%; neither, in 7000 steps, to .0193 at 18.5%.
    config.game_moves_spread, config.gradient_penalty = True, 0.0


def tutorial(config):
    """The literal published recipe, mistakes included.

    Gradients are zeroed once a step, so the encoder's game also applies those of the reconstruction and of the critic;
    the decoder has no ReLU after its second layer; the critic never sees the label; log(sigmoid + eps).
    """
    config.hidden = (1000, 1000)
    config.steps = 50_000 if config.data.name == "mnist" else 8000
    config.evaluate_every = config.checkpoint_every = config.steps // 10
    config.prior_std = 5.0
    config.critic_hidden = (500, 500)
    config.dropout, config.critic_dropout = 0.25, 0.2
    config.decoder_linear = (1,)
    config.kernel_init = "torch"
    config.encoder_leak = 0.0
    config.critic_sees_label, config.label_products = False, ()
    config.label_modulates_decoder = False
    config.gaussian_posterior, config.kl_weight = False, 0.0
    config.gradient_penalty = 0.0
    config.schedule = "accumulating"
    config.rates.update({"reconstruction": 1e-4, "critic": 5e-5, "encoder": 5e-5})
    config.b1.update({"critic": 0.9, "encoder": 0.9})
    config.decay = "none"
    config.mean_over_pixels = True
    config.log_eps = 1e-15


def separate_kl(config):
    """The KL as a player with an Adam of its own.

    Its steps then no longer shrink where the reconstruction's gradients are large. On the digits' validation split
    (seed 0, no penalty, the game moving the spread) that gave an error of .0094 at a leakage of 82%, where the weighted
    term gave .0099 at 17%: it is not the default.
    """
    config.kl_weight, config.rates.kl = 0.0, 5e-4
