"""Adversarial autoencoder (Makhzani et al. 2016): without labels, or with one component of the prior per class.

    python launch.py --config=configs/aae.py                            a 2-D Gaussian, bundled digits
    python launch.py --config=configs/aae.py:mnist,mixture,labeled     10 Gaussians, one per digit, 10,000 labels
    python launch.py --config=configs/aae.py:swiss_roll,labeled        the same on a swiss roll

Makhzani et al. 2016, sections 2 and 2.3, figures 2 and 4. Presets: a data set (digits, mnist, …); a prior (uniform,
mixture, swiss_roll; by default Gaussian); labeled; likelihood; tutorial; smoke.
"""

from functools import partial

from jaxgen.config.base import base_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = base_config("aae.AAE")
    config.steps = 3000
    config.eval_every = config.checkpoint_every = 1000

    config.latent_size = 2  # dimensions of the code
    config.prior, config.prior_std = "gaussian", 1.0  # or "uniform", "mixture", "swiss_roll"; its scale
    config.hidden_sizes = (500, 500)  # units of the encoder's hidden layers; the decoder has them in reverse order
    config.critic_hidden_sizes = (500, 500)  # units of each critic's hidden layers
    config.dropout_rate = 0.0  # fraction of hidden units of encoder and decoder that are dropped in training
    config.critic_dropout_rate = 0.0  # the same for the critic
    config.kernel_init = "he_normal"  # initialization: "he_normal", "lecun_normal", "torch" or "dcgan"
    config.encoder_negative_slope = 0.0  # slope of the encoder's hidden units below 0
    config.conditional_critic = False  # whether the critic receives (code, label)
    config.bilinear_label_networks = ()  # which of "decoder", "critic" also receive code ⊗ label
    config.decoder_film = False  # the label scales and shifts every hidden layer of the decoder
    config.gaussian_posterior = False  # the encoder outputs mean and std, and codes are sampled
    config.kl_weight = 0.0  # weight of KL(q(z | x) || prior) in the reconstruction loss
    config.adversarial_loss_trains_std = True  # whether the adversarial loss also trains the posterior's std
    config.r1_r2_weight = 2.0  # weight of the critic's squared gradient norm at prior samples and at codes

    config.update_order = "simultaneous"  # or "alternating": each player sees the updates before its own
    config.learning_rates = {  # Adam; kl 0: no such player
        "reconstruction": 1e-3,
        "critic": 2e-3,
        "adversarial": 5e-4,
        "kl": 0.0,
        "vat": 1e-3,
    }
    config.b1 = {"reconstruction": 0.9, "critic": 0.5, "adversarial": 0.9, "kl": 0.9, "vat": 0.9}  # of Adam
    config.lr_schedule = "cosine"  # to 2% of the rate at the last step; or "constant"
    config.vat_epsilon = 0.0  # norm of the perturbation of virtual adversarial training; 0: no such player

    available = {"mnist": mnist} | {name: partial(prior, name=name) for name in ("uniform", "mixture", "swiss_roll")}
    available |= {"labeled": labeled, "likelihood": likelihood, "tutorial": tutorial, "smoke": smoke_test}
    return apply_presets(config, presets, available)


def mnist(config):
    """Half the published width, at three times the steps a minute; full: --config.hidden_sizes="(1000,1000)"."""
    config.steps = 12_000
    config.eval_every = config.checkpoint_every = 3000


def prior(config, name: str):
    """A prior with edges. The critic may have larger gradients, and a larger std makes the edges easier to score.

    MNIST, labeled mixture, 8,000 steps, validation split: at a std of 1, 93.2% of the codes lie on their class's
    component, at 5 95.0%, at 10 87.0%.
    """
    config.prior, config.prior_std = name, 5.0
    config.r1_r2_weight = 0.02
    config.learning_rates.adversarial = 1e-3


def labeled(config):
    """Gives the critic the labels of 10,000 images (of 700 of the 1,400 digits); other labels are unknown.

    More hidden layers leave fewer codes between the components. On MNIST's mixture (validation split, seed 0) 96.7% lie
    on their own component with four layers after 10,000 steps, 96.6% with three. After 8,000 steps it is 96.4% with
    three layers, 95.0% with two, and 97.1% with a dropout rate of 0.1. Shifts by up to two pixels make the task too
    hard (95.7%). A reconstruction rate of 2e-4 changes nothing (96.7%). On the swiss roll, one seed of three failed
    with dropout (20%); without dropout that seed has 94.6%.
    """
    config.num_labeled = 10_000
    if config.data.name == "digits":
        config.num_labeled, config.steps = 700, 2000
        config.eval_every = config.checkpoint_every = 1000
    config.labeled_every_n = 2
    config.random_shift, config.vat_epsilon = 1, 1.0
    config.dropout_rate = 0.1 if config.prior == "mixture" else 0.0
    config.hidden_sizes = (*config.hidden_sizes, *config.hidden_sizes)
    config.learning_rates.reconstruction, config.learning_rates.vat = 5e-4, 3e-4
    config.conditional_critic, config.bilinear_label_networks = True, ("critic",)


def likelihood(config):
    """The code size of the paper's likelihood table: eight dimensions."""
    config.latent_size = 8


def tutorial(config):
    """The tutorials' recipe: one Adam rate per player, mean losses from log(sigmoid + eps), prior N(0, 5²)."""
    config.hidden_sizes = config.critic_hidden_sizes = (1000, 1000)
    config.prior_std = 5.0
    config.kernel_init = "torch"
    config.r1_r2_weight = 0.0
    config.update_order = "alternating"
    config.learning_rates.update({"reconstruction": 1e-3, "critic": 1e-3, "adversarial": 1e-3})
    config.b1.update({"critic": 0.9})
    config.lr_schedule = "constant"
    config.model = "tutorial_aae.TutorialAAE"
    config.average_pixel_nll = True  # reconstruction loss in nats per pixel
    config.log_sigmoid_eps = 1e-15  # losses from log(sigmoid(x) + eps)
    config.decoder_linear_layers, config.accumulate_gradients = (), False  # see models/tutorial_aae.py
