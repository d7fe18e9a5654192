"""Paths, traversals and directions against closed forms and values by hand."""

import numpy as np
import pytest

from jaxgen.inference import latent_paths

Z, COUNT = 5, 7


@pytest.fixture
def codes():
    return np.random.default_rng(0).normal(size=(3, Z)).astype(np.float32)


@pytest.mark.parametrize("path", [latent_paths.lerp, latent_paths.slerp])
def test_a_path_begins_and_ends_exactly_at_the_given_codes(path, codes):
    found = path(codes[0], codes[1], COUNT)
    assert found.shape == (COUNT, Z)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[[0, -1]], codes[:2])


def test_a_linear_path_has_equal_steps(codes):
    steps = np.diff(latent_paths.lerp(codes[0], codes[1], COUNT), axis=0)
    np.testing.assert_allclose(steps, np.tile((codes[1] - codes[0]) / 6, (6, 1)), atol=1e-6)


def test_a_spherical_path_between_orthogonal_unit_codes_has_equal_angles():
    found = latent_paths.slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 4)
    by_hand = [[1, 0], [np.sqrt(3) / 2, 0.5], [0.5, np.sqrt(3) / 2], [0, 1]]  # 0°, 30°, 60°, 90°
    np.testing.assert_allclose(found, by_hand, atol=1e-12)


def test_a_spherical_path_has_equal_steps_of_norm_and_angle(codes):
    a, b = 2 * codes[0], 5 * codes[1]
    found = latent_paths.slerp(a, b, COUNT)
    norm = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(norm, np.linspace(np.linalg.norm(a), np.linalg.norm(b), COUNT), rtol=1e-5)
    unit = found / norm[:, None]
    angles = np.arccos((unit[1:] * unit[:-1]).sum(1))
    whole = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    np.testing.assert_allclose(angles, whole / 6, rtol=1e-4)


@pytest.mark.parametrize("factor", [3.0, -1.0, 0.0])
def test_a_spherical_path_between_collinear_codes_is_straight(factor, codes):
    found = latent_paths.slerp(codes[0], factor * codes[0], COUNT)
    np.testing.assert_array_equal(found, latent_paths.lerp(codes[0], factor * codes[0], COUNT))


def test_bits_flip_one_after_another():
    a, b = np.array([0.0, 1, 0, 1, 1]), np.array([1.0, 1, 0, 0, 0])
    np.testing.assert_array_equal(
        latent_paths.bit_interpolation(a, b, 4), [[0, 1, 0, 1, 1], [1, 1, 0, 1, 1], [1, 1, 0, 0, 1], [1, 1, 0, 0, 0]]
    )


def test_bits_of_a_long_path_never_flip_back():
    a, b = np.zeros(4), np.array([1.0, 0, 1, 1])
    flipped = latent_paths.bit_interpolation(a, b, 9).sum(axis=1)
    assert flipped[0] == 0
    assert flipped[-1] == 3
    assert set(np.diff(flipped)) == {0, 1}


@pytest.mark.parametrize("std", [0.7, np.linspace(0.1, 1.3, Z)])
def test_the_middle_column_of_a_traversal_is_exactly_the_code(codes, std):
    found = latent_paths.traversal(codes[0] + 4, range(Z), steps=9, std=std)
    assert found.shape == (Z, 9, Z)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 4], np.tile(codes[0] + 4, (Z, 1)))


def test_each_row_of_a_traversal_changes_one_dimension_in_equal_steps():
    code = np.array([10.0, 20, 30])
    found = latent_paths.traversal(code, [2, 0], steps=5, reach=3.0, std=np.array([2.0, 1.0, 0.5]))
    np.testing.assert_allclose(found[0], [[10, 20, z] for z in (28.5, 29.25, 30, 30.75, 31.5)])
    np.testing.assert_allclose(found[1], [[z, 20, 30] for z in (4, 7, 10, 13, 16)])


def test_each_row_of_bit_flips_flips_one_bit():
    found = latent_paths.bit_flips(np.array([0.0, 1, 1]), [1, 0])
    np.testing.assert_array_equal(found, [[[0, 1, 1], [0, 0, 1]], [[0, 1, 1], [1, 1, 1]]])


def test_a_latent_walk_is_closed_and_passes_its_anchors(codes):
    found = latent_paths.closed_latent_walk(codes, between=4)
    assert found.shape == (15, Z)
    np.testing.assert_array_equal(found[::5], codes)
    np.testing.assert_array_equal(
        found[10:], latent_paths.slerp(codes[2], codes[0], 6)[:-1]
    )  # back to the first anchor


def test_an_attribute_direction_is_the_difference_of_the_means():
    codes = np.array([[1.0, 0], [3, 2], [0, 5], [0, 7], [0, 9]])
    found = latent_paths.attribute_direction(codes, np.array([True, True, False, False, False]))
    np.testing.assert_allclose(found, [2, 1 - 7])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: latent_paths.lerp(z, z, 1), "count=1 of a path must be at least 2"),
        (
            lambda z: latent_paths.traversal(z, [0], steps=8),
            "steps=8 of a traversal must be odd and at least 3; try steps=9",
        ),
        (lambda z: latent_paths.traversal(z, [5]), r"dims=\[5\] must be dimensions of the code, in \[0, 5\)"),
        (lambda z: latent_paths.traversal(z, []), r"dims=\[\] must be"),
        (lambda z: latent_paths.attribute_direction(z[None], np.array([True])), "1 of 1 codes have the attribute"),
    ],
)
def test_invalid_arguments_are_rejected(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.arange(5.0))
