"""What a model shows of its codes: by a model whose code is the image, by hand, and by tiny ones of the recipes."""

import dataclasses
import os
from types import SimpleNamespace
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import C, H, K, W, tiny_data, tiny_trained_model
from PIL import Image

from jaxgen import plotting
from jaxgen.data import Dataset, image_files
from jaxgen.data.image_files import read_user_images
from jaxgen.evaluation import latent_figures
from jaxgen.evaluation.latent_figures import LATENT_FIGURES
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io.atomic import write_bytes_atomic
from jaxgen.models.base import GenerativeModel, LatentVariableModel
from jaxgen.models.priors import Gaussian
from jaxgen.types import DatasetSpec, Split

Z = 3


class WithoutCodes(GenerativeModel):
    """A model without codes, images or networks."""

    info = DatasetSpec("plain", (1, Z + 1, 1), K)
    networks, update_order, evaluators, figures, players = {}, "alternating", (), (), ()

    @classmethod
    def from_config(cls, config, info):
        raise NotImplementedError

    def example_inputs(self):
        return {}

    def per_example_metrics(self, params, stats, batch, rng):
        return {}


@dataclasses.dataclass(frozen=True)
class Plain(WithoutCodes, LatentVariableModel):
    """The code is an image's first three pixels, plus noise in `encode`; a decoded image's last pixel is the label."""

    is_conditional: bool = False
    has_binary_latent: bool = False
    matches_prior: bool = True
    prior = Gaussian(Z, 0.1)

    def encode(self, params, stats, image, label, rng):
        return image[:, 0, :Z, 0] + jax.random.normal(rng, (len(image), Z))

    def encode_mean(self, params, stats, image, label):
        return image[:, 0, :Z, 0]

    def decode(self, params, stats, code, label):
        last = (label / 10).astype(jnp.float32) if self.is_conditional else jnp.zeros(len(code))
        return jnp.concatenate([code, last[:, None]], axis=1)[:, None, :, None]


def image(*pixels):
    return np.array([*pixels, 0], np.float32).reshape(1, Z + 1, 1)


def plain(**options):
    return TrainedModel(Plain(**options), {}, {})


A, B_ = image(0.2, 0.4, 0.4), image(0.6, 0.0, 0.4)


def test_interpolation_decodes_the_straight_line_between_mean_codes():
    found = plain().interpolate(A, B_, interior=3)
    by_hand = [(0.2, 0.4, 0.4), (0.3, 0.3, 0.4), (0.4, 0.2, 0.4), (0.5, 0.1, 0.4), (0.6, 0.0, 0.4)]
    np.testing.assert_allclose(found[:, 0, :Z, 0], by_hand, atol=1e-6)


def test_interpolation_on_the_sphere_goes_evenly_from_norm_to_norm():
    found = plain().interpolate(A, B_, interior=3, spherical=True)[:, 0, :Z, 0]
    norms = np.linspace(0.6, np.sqrt(0.52), 5)  # √(.04 + .16 + .16) = .6
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), norms, rtol=1e-5)


def test_interpolation_tells_the_decoder_the_label_of_the_nearer_image():
    model = plain(is_conditional=True)
    shown = model.interpolate(A, B_, interior=2, labels=[1, 3])[:, 0, Z, 0]
    np.testing.assert_allclose(shown, [0.1, 0.1, 0.3, 0.3], atol=1e-6)
    np.testing.assert_allclose(model.interpolate(A, B_, interior=2, labels=2)[:, 0, Z, 0], 0.2, atol=1e-6)
    with pytest.raises(ValueError, match="labels are missing"):
        model.interpolate(A, B_)


def test_codes_of_bits_are_interpolated_and_traversed_by_flips():
    model = plain(has_binary_latent=True)
    found = model.interpolate(image(0, 1, 0), image(1, 1, 1), interior=1)
    np.testing.assert_array_equal(found[:, 0, :Z, 0], [[0, 1, 0], [1, 1, 0], [1, 1, 1]])
    found = model.traverse(image(0, 1, 0), dims=[1, 2])
    np.testing.assert_array_equal(found[:, :, 0, :Z, 0], [[[0, 1, 0], [0, 0, 0]], [[0, 1, 0], [0, 1, 1]]])


def test_a_traversal_is_centred_on_the_code_of_the_image_and_reaches_stds_of_the_prior():
    found = plain().traverse(image(0.4, 0.5, 0.6), steps=5, dims=[2, 0])[..., 0, :Z, 0]
    assert found.shape == (2, 5, Z)
    np.testing.assert_allclose(found[:, 2], [[0.4, 0.5, 0.6]] * 2, atol=1e-6)
    np.testing.assert_allclose(found[0, :, 2], [0.3, 0.45, 0.6, 0.75, 0.9], atol=1e-6)  # .6 ± 3 × .1
    np.testing.assert_allclose(found[1, :, 0], [0.1, 0.25, 0.4, 0.55, 0.7], atol=1e-6)


def test_a_walk_passes_the_codes_of_its_sampler_and_comes_back():
    anchors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    sampler = SimpleNamespace(sample=lambda count, seed: anchors[:count])
    found = plain().latent_walk(anchors=3, between=1, sampler=sampler)[:, 0, :Z, 0]
    half = np.sqrt(0.5)
    by_hand = [[1, 0, 0], [half, half, 0], [0, 1, 0], [0, half, half], [0, 0, 1], [half, 0, half]]
    np.testing.assert_allclose(found, by_hand, atol=1e-6)


def test_an_attribute_is_added_to_codes_by_so_many_times_its_direction():
    model = plain(is_conditional=True)
    images = np.stack([image(0.5, 0.1, 0), image(0.7, 0.1, 0), image(0.2, 0.1, 0.1), image(0.2, 0.3, 0.1)])
    direction = model.attribute_vector(images, [True, True, False, False])
    np.testing.assert_allclose(direction, [0.4, -0.1, -0.1], atol=1e-6)
    found = model.apply_direction(images[:2], direction, (-1, 0, 0.5), labels=[2, 3])[..., 0, :, 0]
    np.testing.assert_allclose(found[0], [[0.1, 0.2, 0.1, 0.2], [0.5, 0.1, 0, 0.2], [0.7, 0.05, -0.05, 0.2]], atol=1e-6)
    np.testing.assert_allclose(found[1, :, Z], 0.3, atol=1e-6)


def test_an_attribute_of_bits_moves_to_the_nearer_bits():
    found = plain(has_binary_latent=True).apply_direction(image(0, 1, 0)[None], np.array([0.4, -0.6, 0.6]), [1.0])
    np.testing.assert_array_equal(found[0, 0, 0, :Z, 0], [0, 0, 1])


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.interpolate(A, B_),
        lambda model: model.traverse(A),
        lambda model: model.latent_walk(),
        lambda model: model.sample(3),
        lambda model: model.attribute_vector(np.stack([A, B_]), [True, False]),
    ],
)
def test_a_family_without_a_code_says_so(use):
    with pytest.raises(ValueError, match="WithoutCodes has no code to draw, move or interpolate"):
        use(TrainedModel(WithoutCodes(), {}, {}))


@pytest.fixture(scope="module")
def model():
    return tiny_trained_model("cond_aae")


@pytest.fixture(scope="module")
def split():
    return Split(*jax.device_get(tiny_data(24)))


def test_the_mean_code_of_a_stochastic_encoder_is_what_its_draws_lie_around(model):
    one = np.random.default_rng(0).random((1, H, W, C)).astype(np.float32)
    mean = model.encode_mean(one)[0]
    draws = model.encode(np.repeat(one, 4000, axis=0))
    std = draws.std(axis=0)
    assert std.min() > 0.05  # e^-2 = .14 at the start
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * std.max() / np.sqrt(4000))


def test_pairs_are_of_one_class_where_the_decoder_needs_a_label(model, split):
    first, second = latent_figures.select_interpolation_pairs(model, split, 6)
    np.testing.assert_array_equal(first.labels, [0, 1, 2, 3, 0, 1])
    np.testing.assert_array_equal(second.labels, first.labels)
    np.testing.assert_allclose(first.images[1] * 255, split.image[1], atol=1e-4)
    np.testing.assert_allclose(second.images[1] * 255, split.image[5], atol=1e-4)  # labels are 0, 1, 2, 3, 0, …


def test_pairs_are_neighbours_where_the_decoder_needs_none(split):
    first, second = latent_figures.select_interpolation_pairs(plain(), split, 2)
    np.testing.assert_allclose(first.images * 255, split.image[[0, 2]], atol=1e-4)
    np.testing.assert_allclose(second.images * 255, split.image[[1, 3]], atol=1e-4)


def test_the_dimensions_that_vary_most_come_first():
    pixels = np.zeros((20, 1, Z + 1, 1), np.uint8)
    pixels[::2, 0, :Z, 0] = 10, 200, 50
    found = latent_figures.find_highest_variance_dims(plain(), Split(pixels, np.zeros(20, np.int32)), most=2)
    np.testing.assert_array_equal(found, [1, 2])


def test_dimensions_are_moved_by_stds_of_the_prior_or_of_the_codes_where_none_draws_them():
    pixels = np.zeros((20, 1, Z + 1, 1), np.uint8)
    pixels[::2, 0, :Z, 0] = 102, 204, 51
    split = Split(pixels, np.zeros(20, np.int32))
    assert latent_figures.traversal_scale(plain(), split) == 0.1
    np.testing.assert_allclose(
        latent_figures.traversal_scale(plain(matches_prior=False), split), [0.2, 0.4, 0.1], atol=1e-6
    )


@pytest.mark.parametrize("name", LATENT_FIGURES)
@pytest.mark.parametrize("config", ["aae", "cond_aae", "cluster_aae"])
def test_every_picture_of_codes_is_drawn_for_every_kind_of_decoder(name, config, split):
    dataset = Dataset("tiny", split, split, split, K)
    picture = LATENT_FIGURES[name](tiny_trained_model(config), dataset, split)
    assert picture.dtype == np.uint8
    assert picture.std() > 5


def test_random_grids_hold_the_draws_of_the_prior(model, split):
    dataset = Dataset("tiny", split, split, split, K)
    expected = model.sample(25, np.arange(25) % K, seed=0).reshape(5, 5, H, W, C)
    np.testing.assert_array_equal(
        LATENT_FIGURES["samples_25"](model, dataset, split), plotting.image_grid(expected, scale=2)
    )


def test_a_path_with_fewer_than_no_images_between_is_refused(model):
    with pytest.raises(ValueError, match="interior=-1 must be at least 0"):
        model.interpolate(np.zeros((H, W, C)), np.zeros((H, W, C)), interior=-1, labels=1)


def test_the_end_of_a_path_is_not_drawn_twice(model, split):
    first, second = latent_figures.select_interpolation_pairs(model, split, 2)
    with mock.patch.object(model, "interpolate", wraps=model.interpolate) as calls:
        rows = latent_figures.decode_interpolations(model, first, second, spherical=False)
    assert calls.call_count == 2
    ends = model.decode(model.encode_mean(first.images), first.labels)
    np.testing.assert_allclose(rows[:, 0], ends, atol=1e-6)
    assert rows.shape == (2, 9, H, W, C)


def test_own_images_are_read_in_order_at_the_models_size_and_channels(tmp_path):
    pixels = np.zeros((6, 12, 3), np.uint8)
    pixels[:, :6] = 255, 0, 0
    Image.fromarray(pixels).save(tmp_path / "b.png")
    Image.fromarray(np.full((5, 5), 51, np.uint8)).save(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    found = read_user_images(str(tmp_path), (6, 12, 3))
    assert found.shape == (2, 6, 12, 3)
    np.testing.assert_allclose(found[0], 0.2, atol=0.01)
    np.testing.assert_allclose(found[1, 0, 0], [1, 0, 0], atol=1e-6)
    grey = read_user_images(f"{tmp_path / 'b.png'},{tmp_path / 'a.jpg'}", (3, 6, 1))
    assert grey.shape == (2, 3, 6, 1)
    assert grey[0, 0, 0, 0] == pytest.approx(0.299, abs=0.005)  # the weight of red in luma


def test_own_images_become_what_those_of_a_training_folder_do(tmp_path):
    clear = np.full((6, 12, 4), 255, np.uint8)
    clear[:, 6:, 3] = 0  # where it is transparent
    Image.fromarray(clear).save(tmp_path / "a.png")
    turned = Image.fromarray(np.repeat(clear[..., :1] * (np.arange(12) < 6)[:, None].astype(np.uint8), 3, axis=2))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned.save(tmp_path / "b.png", exif=exif)
    options = image_files.DecodeOptions(size=0, fit="stretch", channels=1)
    found = read_user_images(str(tmp_path), (6, 12, 1))
    for image, name in zip(found, ("a.png", "b.png"), strict=True):
        np.testing.assert_allclose(image, image_files.decode(tmp_path / name, options) / 255, atol=1e-6)
    assert found[0, 0, 0, 0] == found[1, 0, -1, 0] == 1
    assert found[0, 0, -1, 0] == found[1, 0, 0, 0] == 0


def test_own_images_of_16_bits_a_channel_are_refused(tmp_path):
    Image.fromarray(np.full((6, 12), 40_000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a.png can't be used: of mode I;16, not of 8 bits a channel; leave it out"):
        read_user_images(str(tmp_path), (6, 12, 1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.png", "none.png does not exist; name one folder"),
        ("folder,", "folder is a folder among files; name one folder"),
        ("a.png", "no PNG, JPEG, WebP, BMP, GIF or TIFF image"),
        ("cut.png", "truncated or damaged"),
        ("", "no image file"),
    ],
)
def test_own_images_that_are_none_are_refused(name, message, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_text("no image")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 10)).astype(np.uint8)).save(tmp_path / "cut.png")
    os.truncate(tmp_path / "cut.png", 80)
    with pytest.raises(ValueError, match=message):
        read_user_images(str(tmp_path / name) if name else str(tmp_path / "folder"), (4, 4, 1))


def test_a_gif_loops_over_its_frames(tmp_path):
    shades = (0, 80, 160, 240)
    frames = [np.full((8, 10, 3), shade, np.uint8) for shade in shades]
    write_bytes_atomic(tmp_path / "x.gif", plotting.encode_gif(plotting.ping_pong(frames), 120))
    with Image.open(tmp_path / "x.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (6, (10, 8), 0)
        found = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            assert gif.info["duration"] == 120
            found.append(np.asarray(gif.convert("RGB"))[0, 0, 0])
    np.testing.assert_allclose(found, [0, 80, 160, 240, 160, 80], atol=2)


def test_a_gif_of_frames_that_differ_in_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"frame 1 of shape \(8, 9, 3\) must have the shape of frame 0"):
        plotting.encode_gif([np.zeros((8, 10, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)])


def test_captions_stand_beside_the_grid_and_leave_it_as_it_is():
    images = np.random.default_rng(0).random((2, 3, 30, 40, 1))
    plain_grid = plotting.image_grid(images, scale=2)
    found = plotting.labeled_grid(images, ["a", "b", "c"], ["one", "two"], scale=2)
    height, width, _ = plain_grid.shape
    np.testing.assert_array_equal(found[-height:, -width:], plain_grid)
    assert (found[:-height, -width:] < 128).any()  # headings
    assert (found[-height:, :-width] < 128).any()  # marks
    assert (found[:-height, :-width] == 255).all()
    with pytest.raises(ValueError, match="2 headings must be 3"):
        plotting.labeled_grid(images, ["a", "b"])
