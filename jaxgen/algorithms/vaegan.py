"""VAE/GAN (Larsen et al. 2016, arXiv 1512.09300): an autoencoder that is told by a critic's features what is alike."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen import objectives, prng
from jaxgen.algorithms import checks
from jaxgen.algorithms.base import Algorithm
from jaxgen.algorithms.gan import AVERAGE, Handed, said_real
from jaxgen.algorithms.moments import Moments, moments_of, squared_off_diagonal, standard
from jaxgen.algorithms.nets import vaegan_networks
from jaxgen.algorithms.posterior import Posterior, as_posterior
from jaxgen.distributions import Gaussian, Prior
from jaxgen.games import GAMES
from jaxgen.networks.normalisation import KEPT, batch_mean, running_mean
from jaxgen.networks.precision import Network
from jaxgen.optimizers import decayed, descent, resting
from jaxgen.players import Player
from jaxgen.types import Info

OPTIONS = (
    *("schedule", "game", "beta", "gamma", "similarity_std", "standardised", "decorrelation"),
    *("equilibrium", "margin", "r1", "average"),
)
CODES = "codes"  # in the statistics: the running `Moments` of standardised codes
PLAYERS = ("encoder", "decoder", "critic")


class Play(NamedTuple):
    """What the three players of a step look at."""

    kl: Float[Array, " B"]  # of q(z | x) from the prior, in nats
    dissimilarity: Float[Array, " B"]  # -log p(features(x) | z), in nats, less its constant
    feature_mse: Float[Array, ""]  # what it comes from: features have no unit
    real: Float[Array, " B"]  # logits of images
    reconstructed: Float[Array, " B"]  # … of what is decoded from their codes
    drawn: Float[Array, " B"]  # … from the prior's
    correlation: Float[Array, ""]  # of standardised codes: the squares of the covariances of every two dimensions


@dataclasses.dataclass(frozen=True)
class VAEGAN(Algorithm):
    """Variational autoencoder whose reconstruction error is of a critic's features, with a GAN on top.

    Four networks: encoder; decoder; "features", the critic's lower layers, and "critic", the upper ones. Three players
    (algorithm 1 of the paper), each with its own optimiser:

      encoder: beta KL + dissimilarity of the features of an image and of its reconstruction.
      decoder: gamma dissimilarity + the loss of being told from images, for reconstructions and drawn images alike.
      critic, which moves features and critic: the loss of telling them apart, nothing else.

    The dissimilarity is ½ ‖features(x) - features(x̃)‖² / std², summed over the features (eq. 7): -log of a Gaussian.

    Attributes:
      beta: weight of the KL.
      gamma: weight of the dissimilarity in the decoder's loss.
      similarity_std: the Gaussian's std; 0: that of the batch's errors, its maximum-likelihood estimate (Rybkin et al.
        2021, arXiv 2006.13202, section 3.3), whatever the scale of the features.
      standardised: whether the posteriors of a batch are shifted and scaled, each dimension alike for all, so that
        its codes together have the prior's mean and variance: by running moments after training. Else the encoder moves
        all codes to where none is drawn, as the decoder is freer there to paint what resembles, and what no GAN says.
      decorrelation: weight, in the encoder's loss, of the squared covariances of every two dimensions of standardised
        codes (DIP-VAE-II: Kumar et al. 2018, arXiv 1711.00848), by their running mean with the batch's own. Of
        variances alone, all codes lie near a few lines, where few are drawn.
      equilibrium, margin: a side that is further ahead than this rests for the step: the critic if its cross-entropy of
        images or of what is decoded is below equilibrium - margin, the decoder if one is above equilibrium + margin;
        both move if both would rest. margin 0: neither ever rests. The paper does not tell of this rule; its
        authors' code has a margin.
      r1: weight of ½ ‖∇ critic‖² at images (Mescheder et al. 2018); 0: none.
      average: the share of itself that the running mean of the encoder's and decoder's parameters, which is what is
        shown and measured, keeps a step; 0: none. Of standardised codes the encoder's are its own: the running moments
        are not those of what the mean of its parameters would make.
      opponent: by how much features see differences of red and blue, and of green and both, enlarged beside those of
        brightness; see `objectives.opponent`. (): images as they are.
    """

    info: Info
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    schedule: str
    game: str
    beta: float
    gamma: float
    similarity_std: float
    standardised: bool
    decorrelation: float
    equilibrium: float
    margin: float
    r1: float
    average: float
    opponent: tuple[float, ...]

    decoder_needs_label = False
    evaluations = ("reconstruction", "image_quality", "prior_gap", "sample_quality", "reconstruction_quality", "critic")
    watched = ("sample_quality", "reconstruction_quality")
    pictures = ("real", "reconstructions_18", "interpolation", "random_100", "traversal")

    @classmethod
    def from_config(cls, config, info: Info) -> "VAEGAN":
        check(config, info)
        networks = vaegan_networks(config, info.image_shape)
        rates = {name: decayed(config.rates[name], config.steps, config.decay) for name in PLAYERS}
        optimizers = {name: descent(config.optimizer, rates[name], config.momentum) for name in PLAYERS}
        if config.margin:
            optimizers = {name: resting(each) for name, each in optimizers.items()}
        options = {name: config[name] for name in OPTIONS}
        opponent = tuple(config.opponent)  # of a run's config.json it is a list
        return cls(info, Gaussian(config.latent_size), networks, optimizers, opponent=opponent, **options)

    @property
    def players(self) -> tuple[Player, ...]:
        moved = {"encoder": ("encoder",), "decoder": ("decoder",), "critic": ("features", "critic")}
        losses = {"encoder": self.resemble, "decoder": self.please, "critic": self.tell}
        look = self.look
        return tuple(Player(name, moved[name], self.optimizers[name], losses[name], look) for name in PLAYERS)

    def example_inputs(self):
        image, code = self.example_image(), jnp.zeros((1, self.latent_size))
        features = self.networks["features"]
        seen = jax.eval_shape(
            lambda rng: features.apply(features.init(rng, image, train=False), image, train=False), jax.random.key(0)
        )
        return {"encoder": (image,), "decoder": (code,), "features": (image,), "critic": (jnp.zeros(seen.shape),)}

    def init(self, rng):
        state = super().init(rng)
        stats = dict(state.stats)
        if self.average:
            stats[AVERAGE] = self.averaged(state.params)
        if self.standardised:
            size = self.latent_size
            stats[CODES] = Moments(jnp.zeros(size), jnp.ones(size), jnp.eye(size))
        return state.replace(stats=stats)

    # The losses.

    def resemble(self, params, stats, batch, seen: tuple[Play, Handed]):
        """The encoder's."""
        del params, batch
        play, handed = seen
        loss = (self.beta * play.kl + play.dissimilarity).mean() + self.decorrelation * play.correlation
        after = {name: handed.stats[name] for name in ("encoder", CODES) if name in handed.stats}
        metrics = {"kl": play.kl.mean(), "feature_mse": play.feature_mse}
        if self.decorrelation:
            metrics["correlation"] = play.correlation
        return loss, (metrics, {**stats, **after})

    def please(self, params, stats, batch, seen: tuple[Play, Handed]):
        """The decoder's; the running mean takes in the parameters that made the images."""
        del batch
        play, handed = seen
        generator = GAMES[self.game].generator
        fooling = (generator(play.reconstructed) + generator(play.drawn)).mean()
        _, moves = self.balance(play)
        after = {**stats, "decoder": handed.stats["decoder"]}
        if self.average:
            after[AVERAGE] = running_mean(stats[AVERAGE], self.averaged(params), self.average)
        loss = moves * (self.gamma * play.dissimilarity.mean() + fooling)
        return loss, ({"fooling": fooling, "moves": moves}, after)

    def tell(self, params, stats, batch, seen: tuple[Play, Handed]):
        """The critic's."""
        play, handed = seen
        told = GAMES[self.game].critic
        loss = (told(play.real, play.reconstructed) + told(play.real, play.drawn)).mean() / 2
        moves, _ = self.balance(play)
        metrics = {"loss": loss, "d_real": said_real(play.real), "d_fake": said_real(play.drawn), "moves": moves}
        if self.r1:

            def score(image):
                return self.judged(params, stats, image, handed.rng)[1]

            metrics["r1"] = objectives.gradient_penalty(score, self.shown(2 * batch.image - 1)).mean()
            loss = loss + self.r1 * metrics["r1"]
        after = {name: handed.stats[name] for name in ("features", "critic")}
        return moves * loss, (metrics, {**stats, **after})

    def balance(self, play: Play) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """1 where the critic, and where the decoder, moves; else 0."""
        if not self.margin:
            return jnp.ones(()), jnp.ones(())
        real = batch_mean(jax.nn.softplus(-play.real))
        fake = batch_mean(jax.nn.softplus(jnp.concatenate([play.reconstructed, play.drawn])))
        low, high = self.equilibrium - self.margin, self.equilibrium + self.margin
        critic, decoder = (real >= low) & (fake >= low), (real <= high) & (fake <= high)
        neither = ~(critic | decoder)
        return jax.lax.stop_gradient(((critic | neither) * 1.0, (decoder | neither) * 1.0))

    # The networks' parts, in training: pixels in [-1, 1].

    def look(self, params, stats, batch, rng) -> tuple[Play, Handed]:
        """One pass through all networks, of images, reconstructions and drawn images."""
        noise_rng, code_rng, rng = prng.split(rng, 3)
        image = 2 * batch.image - 1
        output, after = self.train_apply("encoder", params, stats, image, rng=prng.fold_in(rng, 0))
        posterior, correlation = as_posterior(output), jnp.zeros(())
        if self.standardised:
            moments = moments_of(posterior)
            posterior = standard(posterior, moments.mean, moments.square)
            so_far = running_mean(stats[CODES], moments, KEPT)
            correlation = squared_off_diagonal(so_far.covariance, moments.covariance)
            after = {**after, CODES: so_far}
        code = posterior.draw(noise_rng)
        codes = jnp.concatenate([code, self.prior.sample(code_rng, len(code))])
        decoded, after = self.train_apply("decoder", params, after, codes, rng=prng.fold_in(rng, 1))
        # Each kind by itself: a critic that normalises a batch of all kinds tells them apart by what sets each off from
        # their mean, and wins. By the same draws: what moves or covers an image does so to its reconstruction.
        features, logits = [], []
        shown_rng = prng.fold_in(rng, 2)
        for kind in (image, *jnp.split(jnp.tanh(decoded), 2)):
            seen, said, after = self.judged(params, after, self.shown(kind), shown_rng)
            features.append(seen)
            logits.append(said)
        real, reconstructed, _ = features
        kl = posterior.kl_by_dimension().sum(-1)
        error = jnp.square(reconstructed - real).mean()
        play = Play(kl, self.dissimilarity(reconstructed, real), error, *logits, correlation)
        return play, Handed(batch, shown_rng, after)

    def dissimilarity(self, features: Float[Array, "B ..."], others: Float[Array, "B ..."]) -> Float[Array, " B"]:
        squares = jnp.square(features - others).reshape(len(features), -1)
        variance = self.similarity_std**2 or jax.lax.stop_gradient(batch_mean(squares)) + 1e-8
        return 0.5 * squares.sum(-1) / variance

    def shown(self, image: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """What features see of images in [-1, 1]."""
        return objectives.opponent(image, *self.opponent) if self.opponent else image

    def judged(self, params, stats, image, rng) -> tuple[Float[Array, "B ..."], Float[Array, " B"], dict]:
        """The critic's features of shown images, how real these seem, and the statistics after them."""
        features, after = self.train_apply("features", params, stats, image, rng=prng.fold_in(rng, 0))
        said, after = self.train_apply("critic", params, after, features, rng=prng.fold_in(rng, 1))
        return features, said[:, 0], after

    # What the loop, the evaluation and `jaxgen.load` use.

    def averaged(self, params: Mapping) -> dict:
        """The networks that a running mean is kept of."""
        return {name: params[name] for name in (("decoder",) if self.standardised else ("encoder", "decoder"))}

    def settled(self, params, stats):
        """The parameters that are shown and measured."""
        return {**params, **stats[AVERAGE]} if self.average else params

    def posterior(self, params, stats, image) -> Posterior:
        """q(z | x) of each example, pixels in [0, 1]."""
        posterior = as_posterior(self.apply("encoder", self.settled(params, stats), stats, 2 * image - 1))
        if not self.standardised:
            return posterior
        return standard(posterior, stats[CODES].mean, stats[CODES].square)

    def encode(self, params, stats, image, label, rng):
        del label
        return self.posterior(params, stats, image).draw(rng)

    def mean_code(self, params, stats, image, label):
        del label
        return self.posterior(params, stats, image).mean

    def decode(self, params, stats, code, label):
        del label
        return (jnp.tanh(self.apply("decoder", self.settled(params, stats), stats, code)) + 1) / 2

    def evaluate(self, params, stats, batch, rng):
        """`mse` of what is decoded from q(z | x)'s mean; `kl` in nats; `d_real`, `d_fake` as of `GAN.evaluate`."""
        posterior = self.posterior(params, stats, batch.image)
        decoded = self.decode(params, stats, posterior.mean, batch.label)
        drawn = self.decode(params, stats, self.prior.sample(rng, len(batch.label)), batch.label)

        def said(image):
            features = self.apply("features", params, stats, self.shown(2 * image - 1))
            return jax.nn.sigmoid(self.apply("critic", params, stats, features)[:, 0])

        return {
            "mse": objectives.squared_error(decoded, batch.image),
            "kl": posterior.kl_by_dimension().sum(-1),
            "d_real": said(batch.image),
            "d_fake": said(drawn),
        }


def check(config, info: Info) -> None:
    """Refuses values that no model could be built with, or that would be ignored.

    Raises:
      ValueError: naming the value, the rule and the way out.
    """
    checks.game(config, GAMES, "r1")
    checks.at_least_0(config, "beta", "gamma", "similarity_std", "decorrelation")
    checks.at_least_0(config, "equilibrium", "margin", "r1", "dense")
    checks.shares(config, "average", "momentum")
    if config.opponent and (len(config.opponent) != 2 or not min(config.opponent) > 0 or info.image_shape[-1] != 3):
        raise ValueError(
            f"opponent={config.opponent} must be two numbers above 0, of images of 3 channels, and here they have "
            f"{info.image_shape[-1]}; try --config.opponent='()'"
        )
    if config.decorrelation and not config.standardised:
        raise ValueError(
            f"decorrelation={config.decorrelation} is of standardised codes alone; try --config.standardised=true"
        )
    if config.margin and config.game != "non_saturating":
        raise ValueError(
            f'margin={config.margin} compares cross-entropies, which game="{config.game}" has none of; try '
            "--config.margin=0.0"
        )
    if config.margin and config.schedule != "simultaneous":
        raise ValueError(
            f'margin={config.margin} lets a side rest by one and the same pass: it needs schedule="simultaneous", here '
            f'"{config.schedule}"; try --config.margin=0.0'
        )
