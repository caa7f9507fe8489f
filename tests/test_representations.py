"""Numbers about features: worked by hand, by slow second routes, and intervals by coverage."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from experiments.representations import (
    Convergence,
    Estimate,
    cka,
    convergence,
    effective_rank,
    jackknife,
    principal_components,
)
from mdtheory.intervals import Band

T2 = 4.302652729911275  # Student's 97.5 % point for 2 degrees of freedom
SHUFFLED = np.array([7, 3, 3, 5, 7, 9, 5, 3, 9, 2, 7, 2])  # five episodes of two or three states
ALONE = np.arange(len(SHUFFLED))


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def clustered(
    rng: np.random.Generator, episodes: int, each: int, d: int, shared: float
) -> np.ndarray:
    """Features [state, d] of variance 1, of which episodes share a part."""
    common = np.repeat(rng.standard_normal((episodes, d)), each, axis=0)
    return np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.standard_normal((len(common), d))


def rotation(d: int) -> np.ndarray:
    return np.linalg.qr(noise(99, d, d))[0]


def ends(band: Band) -> np.ndarray:
    return np.array([band.low, band.high])


# Convergence

# One state an episode at 0, 2 and 4; the second picture of each lies 1 to its right. Within: 1.
# Between: (±2 ± 1)² twice each way and (±4 ± 1)²: 9 + 25 + 1 + 9 + 9 + 1 = 54 over 6 pairs.
LINE = np.array([[[0.0], [2.0], [4.0]], [[1.0], [3.0], [5.0]]])


def test_convergence_of_three_states_on_a_line():
    found = convergence(LINE, np.arange(3))
    assert (found.within.mean, found.between.mean) == ([1], [9])
    assert found.each.mean == pytest.approx([8 / 9])
    assert found.average.mean == pytest.approx(8 / 9)
    # Without the first or the last state two remain, at distances 3 and 1; without the middle one
    # at 5 and 3: between is 5, 17 and 5, convergence 4/5, 16/17, 4/5.
    without = np.array([4 / 5, 16 / 17, 4 / 5])
    half = T2 * np.sqrt(2 / 3 * ((without - without.mean()) ** 2).sum())
    np.testing.assert_allclose(ends(found.average), [8 / 9 - half, 8 / 9 + half])
    np.testing.assert_allclose(ends(found.within).ravel(), [1, 1])


def test_convergence_excludes_pairs_of_one_episode():
    # States at 0 and 10 in one episode, at 0 in another: the pairs are 0-0 and 10-0, both ways.
    found = convergence(np.array([[[0.0], [10], [0]]] * 2), np.array([4, 4, 1]))
    assert found.between.mean == pytest.approx([50])


def test_episodes_weigh_the_same_whatever_their_length():
    # Second pictures are 2 away in an episode of three states and 4 away in one of one state:
    # within is (4 + 16) / 2. Between, all from 0: (16 + 4) / 2.
    features = np.array([[[0.0], [0], [0], [0]], [[2.0], [2], [2], [-4]]])
    found = convergence(features, np.array([0, 0, 0, 1]))
    assert (found.within.mean, found.between.mean) == ([10], pytest.approx([10]))


def test_convergence_is_one_when_renderings_look_the_same():
    features = np.stack([noise(0, 12, 4)] * 3)
    found = convergence(features, SHUFFLED)
    assert (found.within.mean == 0).all()
    assert found.average == (1, 1, 1)


def test_convergence_is_about_zero_for_unrelated_pictures():
    found = convergence(noise(1, 5, 2000, 16), np.repeat(np.arange(200), 10))
    assert abs(found.average.mean) < 0.01
    assert found.average.low < 0 < found.average.high


def test_convergence_is_minus_one_for_opposite_pictures():
    x_sd = noise(2, 5000, 3)
    found = convergence(np.stack([x_sd, -x_sd]), np.arange(5000))
    assert found.average.mean == pytest.approx(-1, abs=1e-3)


def test_convergence_ignores_a_common_shift_scale_and_rotation():
    features = noise(3, 3, 12, 4)
    plain = convergence(features, SHUFFLED)
    moved = convergence(1e3 + 7 * features @ rotation(4), SHUFFLED)
    for name in ("each", "average"):
        np.testing.assert_allclose(getattr(moved, name), getattr(plain, name), rtol=1e-9)
    np.testing.assert_allclose(moved.between, 49 * np.array(plain.between), rtol=1e-9)


def test_convergence_notices_a_shift_of_one_rendering_alone():
    x_sd = noise(4, 12, 4)
    found = convergence(np.stack([x_sd, x_sd, x_sd + 1]), SHUFFLED)
    assert found.each.mean[0] == 1
    assert found.each.mean[1] < 0.9
    assert found.average.mean == pytest.approx(found.each.mean.mean())


def test_convergence_equals_loops_over_pairs():
    features, episode = noise(5, 3, 12, 4) + 3, SHUFFLED
    found, weights = convergence(features, episode), 1 / (episode[:, None] == episode).sum(axis=0)
    for f in (1, 2):
        within = [np.square(a - b).sum() for a, b in zip(features[0], features[f], strict=True)]
        assert found.within.mean[f - 1] == pytest.approx(np.average(within, weights=weights))
        pairs = [(i, j) for i in range(12) for j in range(12) if episode[i] != episode[j]]
        between = [np.square(features[0, i] - features[f, j]).sum() for i, j in pairs]
        expected = np.average(between, weights=[weights[i] * weights[j] for i, j in pairs])
        assert found.between.mean[f - 1] == pytest.approx(expected)


def test_convergence_estimates_the_concordance_correlation():
    """Its population value by Lin's formula, in closed form and from means and variances."""
    rng = np.random.default_rng(6)
    x_sd = rng.standard_normal((20000, 3))
    y_sd = 0.5 * x_sd + 0.2 + 0.3 * rng.standard_normal((20000, 3))
    found = convergence(np.stack([x_sd, y_sd]), np.arange(20000))
    true = 2 * 0.5 / (1 + 0.25 + 0.09 + 0.2**2)
    assert found.average.low < true < found.average.high
    moments = 2 * np.trace((x_sd - x_sd.mean(0)).T @ y_sd / 20000)
    moments /= x_sd.var(0).sum() + y_sd.var(0).sum() + np.square(x_sd.mean(0) - y_sd.mean(0)).sum()
    assert found.average.mean == pytest.approx(moments, rel=1e-3)


def test_intervals_of_convergence_cover_the_truth_as_often_as_they_say():
    """Episodes of alike states; the second picture is shrunk, noisy, and noisy by episode."""
    rng, repetitions, n, each, d = np.random.default_rng(7), 500, 40, 8, 3
    true = 2 * 0.8 / (1 + 0.64 + 0.5)
    hits = []
    for _ in range(repetitions):
        x_sd = clustered(rng, n, each, d, 0.5)
        y_sd = 0.8 * x_sd + np.sqrt(0.5) * clustered(rng, n, each, d, 0.5)
        low, high = ends(convergence(np.stack([x_sd, y_sd]), np.repeat(np.arange(n), each)).average)
        hits.append(low <= true <= high)
    assert 0.92 <= np.mean(hits) <= 0.98


# Alignment of two networks


def test_cka_of_a_network_with_itself_is_one():
    x_fsd = noise(8, 2, 12, 3)
    for band in (cka(x_fsd, x_fsd, SHUFFLED).average, cka(x_fsd, x_fsd, ALONE).average):
        np.testing.assert_allclose(band, 1)


def test_cka_ignores_rotation_scale_and_shift_but_not_stretching():
    x_fsd, y_fsd = noise(9, 2, 12, 3), noise(10, 2, 12, 4) + noise(9, 2, 12, 3) @ np.eye(3, 4)
    plain = cka(x_fsd, y_fsd, SHUFFLED)
    moved = 5 - 0.01 * x_fsd @ rotation(3)
    np.testing.assert_allclose(cka(moved, y_fsd, SHUFFLED).each, plain.each, rtol=1e-9)
    stretched = cka(x_fsd * [1, 1, 20], y_fsd, SHUFFLED)
    assert (abs(stretched.each.mean - plain.each.mean) > 0.01).all()


def test_cka_is_symmetric_and_averages_over_renderings():
    x_fsd, y_fsd = noise(11, 2, 12, 3), noise(12, 2, 12, 5)
    there, back = cka(x_fsd, y_fsd, SHUFFLED), cka(y_fsd, x_fsd, SHUFFLED)
    np.testing.assert_allclose(there.each, back.each)
    assert there.average.mean == pytest.approx(there.each.mean.mean())
    alone = cka(x_fsd[1:], y_fsd[1:], SHUFFLED)
    np.testing.assert_allclose(np.array(alone.each)[:, 0], np.array(there.each)[:, 1])


def test_cka_of_four_points():
    # Kernels off the diagonal: k[0, 1] = -1, else 0; l[0, 1] = l[2, 3] = -1, else 0. Sums over
    # ordered tuples: pairs 2, 2, 4 for kl, kk, ll; of k[i, j] l[i, q] with j ≠ q none; of
    # k[i, j] l[p, q] with all different 4, 0, 8. Over 12 pairs and 24 quadruples, HSIC is
    # 2/12 + 4/24 = 1/3, 2/12 = 1/6 and 4/12 + 8/24 = 2/3: CKA is (1/3) / √(1/9) = 1.
    left = np.array([[[1.0], [-1], [0], [0]]])
    right = np.array([[[1.0, 0], [-1, 0], [0, 1], [0, -1]]])
    assert cka(left, right, np.arange(4)).average.mean == pytest.approx(1)


def kernels(x_sd: np.ndarray, y_sd: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    k, l_ = x_sd @ x_sd.T, y_sd @ y_sd.T
    return [(k, l_), (k, k), (l_, l_)]


def test_debiased_cka_equals_the_average_over_tuples_of_episodes():
    x_sd, y_sd, episode = noise(13, 12, 3) + 1, noise(14, 12, 4), SHUFFLED
    weights = 1 / (episode[:, None] == episode).sum(axis=0)

    def tuples(size: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices [position, tuple] of states from different episodes, and the tuples' weights."""
        every = itertools.product(range(12), repeat=size)
        found = np.array([t for t in every if len({int(episode[i]) for i in t}) == size]).T
        return found, weights[found].prod(axis=0)

    (two, w2), (three, w3), (four, w4) = tuples(2), tuples(3), tuples(4)

    def hsic(k: np.ndarray, l_: np.ndarray) -> float:
        return float(
            np.average(k[two[0], two[1]] * l_[two[0], two[1]], weights=w2)
            - 2 * np.average(k[three[0], three[1]] * l_[three[0], three[2]], weights=w3)
            + np.average(k[four[0], four[1]] * l_[four[2], four[3]], weights=w4)
        )

    xy, xx, yy = (hsic(*pair) for pair in kernels(x_sd, y_sd))
    found = cka(x_sd[None], y_sd[None], episode).average.mean
    assert found == pytest.approx(xy / np.sqrt(xx * yy), rel=1e-9)


@pytest.mark.parametrize("d", [5, 40])
def test_debiased_cka_of_single_states_is_that_of_song(d: int):
    """Their unbiased estimator with whole matrices, for fewer and more dimensions than states."""
    n = 30
    x_sd, y_sd = noise(15, n, d), noise(16, n, 7) + noise(15, n, d)[:, :1]

    def hsic(k: np.ndarray, l_: np.ndarray) -> float:
        k, l_ = k - np.diag(np.diag(k)), l_ - np.diag(np.diag(l_))
        middle = k.sum() * l_.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ l_).sum()
        return float(((k * l_).sum() + middle) / (n * (n - 3)))

    xy, xx, yy = (hsic(*pair) for pair in kernels(x_sd, y_sd))
    found = cka(x_sd[None], y_sd[None], np.arange(n)).average.mean
    assert found == pytest.approx(xy / np.sqrt(xx * yy), rel=1e-9)


def test_debiased_cka_of_unrelated_networks_is_near_zero():
    left, right = noise(17, 1, 300, 100), noise(18, 1, 300, 100)
    x, y = left[0] - left[0].mean(axis=0), right[0] - right[0].mean(axis=0)
    xy, xx, yy = (np.linalg.norm(a.T @ b) for a, b in ((x, y), (x, x), (y, y)))
    assert xy**2 / (xx * yy) > 0.2  # as Kornblith et al. (2019) have it
    found = cka(left, right, np.arange(300)).average
    assert abs(found.mean) < 0.02
    assert found.low < 0 < found.high


def test_only_whole_episodes_debias_cka_of_states_that_are_alike():
    rng, episode = np.random.default_rng(19), np.repeat(np.arange(40), 15)
    found = np.array(
        [
            [cka(left, right, labels).average.mean for labels in (episode, np.arange(600))]
            for left, right in [
                [clustered(rng, 40, 15, 20, 0.9)[None] for _ in range(2)] for _ in range(8)
            ]
        ]
    )
    by_episode, by_state = found.mean(axis=0)
    assert abs(by_episode) < 0.03
    assert by_state > 0.15


# Effective rank and principal components


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_effective_rank_of_equal_singular_values_is_their_number(rank: int):
    pairs = np.repeat(np.eye(6)[:rank], 2, axis=0) * np.tile([1, -1], rank)[:, None]
    band = effective_rank(pairs + 5, np.arange(2 * rank))
    assert band.mean == pytest.approx(rank)


def test_effective_rank_of_singular_values_three_and_one():
    # Shares 3/4 and 1/4 have entropy ln 4 - (3/4) ln 3, whose exponential is 4 / 3^(3/4).
    features = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    assert effective_rank(features, np.arange(4)).mean == pytest.approx(4 / 3**0.75)


@pytest.mark.parametrize(("n", "d"), [(60, 8), (20, 50)])
def test_effective_rank_equals_that_of_singular_values(n: int, d: int):
    x_sd = noise(20, n, d) * np.geomspace(1, 1e-3, d) + 4
    singular = scipy.linalg.svdvals(x_sd - x_sd.mean(axis=0))
    shares = singular[singular > 1e-9] / singular.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert effective_rank(x_sd, np.arange(n)).mean == pytest.approx(expected, rel=1e-6)


def test_principal_components_of_a_cross():
    reference, shift = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]]), np.array([2, -5])
    points, shares = principal_components(np.stack([reference, reference + shift]) - 7)
    np.testing.assert_allclose(shares, [0.9, 0.1])
    np.testing.assert_allclose(points[0], reference, atol=1e-12)
    np.testing.assert_allclose(points[1], reference + shift, atol=1e-12)


def test_principal_components_are_those_of_the_covariance_with_the_largest_loading_positive():
    features = noise(21, 2, 50, 6) * np.arange(1, 7)
    points, shares = principal_components(features, 3)
    values, vectors = np.linalg.eigh(np.cov(features[0].T))
    axes = vectors[:, ::-1][:, :3]
    axes = axes * np.sign(axes[abs(axes).argmax(axis=0), range(3)])
    np.testing.assert_allclose(points, (features - features[0].mean(axis=0)) @ axes, atol=1e-9)
    np.testing.assert_allclose(shares, values[::-1][:3] / values.sum())
    # Mirrored features have mirrored axes, and the same picture up to that mirror.
    np.testing.assert_allclose(principal_components(-features, 3).points, -points, atol=1e-9)


# Intervals


def without(name: int, episode: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """Arrays [..., state, d] and the labels, less one episode's states."""
    kept = episode != name
    return [*(array[..., kept, :] for array in arrays), episode[kept]]


def rank_of_reference(features: np.ndarray, episode: np.ndarray) -> Band:
    return effective_rank(features[0], episode)


@pytest.mark.parametrize(
    ("statistic", "n_arrays"),
    [
        (lambda x, e: convergence(x, e).average, 1),
        (lambda x, e: convergence(x, e).each, 1),
        (lambda x, e: convergence(x, e).within, 1),
        (lambda x, e: convergence(x, e).between, 1),
        (rank_of_reference, 1),
        (lambda x, y, e: cka(x, y, e).average, 2),
        (lambda x, y, e: cka(x, y, e).each, 2),
    ],
)
@pytest.mark.parametrize("episode", [SHUFFLED, ALONE], ids=["episodes", "single states"])
def test_intervals_equal_those_of_data_without_each_episode(
    statistic: Callable[..., Band], n_arrays: int, episode: np.ndarray
):
    arrays = [noise(22, 3, 12, 4) + 2, noise(23, 3, 12, 5)][:n_arrays]
    arrays[-1][..., :3] += noise(24, 1, 12, 3)
    found = statistic(*arrays, episode)
    left_out = [statistic(*without(e, episode, *arrays)).mean for e in np.unique(episode)]
    expected = jackknife(np.asarray(found.mean), np.stack(left_out, axis=-1))
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_jackknife_of_a_mean_is_its_student_interval():
    x = np.array([1.0, 2.0, 6.0])
    found = jackknife(np.array(3.0), (x.sum() - x) / 2)
    half = T2 * x.std(ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(found, [3, 3 - half, 3 + half])


def test_labels_and_order_of_episodes_do_not_matter():
    x_fsd, y_fsd = noise(25, 2, 12, 4), noise(26, 2, 12, 3)
    order = np.random.default_rng(27).permutation(12)
    renamed = -10 * SHUFFLED[order].astype(np.int32)
    x, y = x_fsd[:, order], y_fsd[:, order]
    for found, plain in [
        (convergence(x, renamed).average, convergence(x_fsd, SHUFFLED).average),
        (cka(x, y, renamed).average, cka(x_fsd, y_fsd, SHUFFLED).average),
        (effective_rank(x[0], renamed), effective_rank(x_fsd[0], SHUFFLED)),
    ]:
        np.testing.assert_allclose(found, plain)


def test_single_precision_features_are_computed_in_double():
    features = (noise(28, 2, 12, 4) + 1e3).astype(np.float32)
    single = convergence(features, SHUFFLED).average
    np.testing.assert_array_equal(single, convergence(features.astype(float), SHUFFLED).average)


# What cannot be said


def values(found: Convergence | Estimate | Band) -> np.ndarray:
    average = found if isinstance(found, Band) else found.average
    return np.array(average, dtype=float)


CONSTANT, VARIED = np.full((2, 12, 4), 0.1), noise(29, 2, 12, 4)
ONE, TWO = np.zeros(12, dtype=int), np.repeat([0, 1], 6)
THREE, FOUR = np.repeat([0, 1, 2], 4), np.repeat([0, 1, 2, 3], 3)


@pytest.mark.parametrize(
    "found",
    [
        convergence(CONSTANT, SHUFFLED),
        convergence(VARIED, ONE),
        cka(CONSTANT, VARIED, SHUFFLED),
        cka(VARIED, CONSTANT, SHUFFLED),
        cka(VARIED, VARIED, THREE),
        effective_rank(CONSTANT[0], SHUFFLED),
    ],
)
def test_constant_features_and_too_few_episodes_have_no_value(found: Any):
    assert np.isnan(values(found)).all()


@pytest.mark.parametrize(
    "found",
    [
        convergence(VARIED, TWO),
        cka(VARIED, VARIED, FOUR),
        effective_rank(VARIED[0], ONE),
        # All the variation is in one episode, or for CKA in two: without one nothing is left.
        convergence(CONSTANT + 1e3 * VARIED * (SHUFFLED == 9)[:, None], SHUFFLED),
        cka(CONSTANT + 1e3 * VARIED * (SHUFFLED > 5)[:, None], VARIED, SHUFFLED),
        effective_rank(CONSTANT[0] + VARIED[0] * (SHUFFLED == 9)[:, None], SHUFFLED),
    ],
)
def test_there_is_no_interval_where_leaving_an_episode_out_leaves_nothing(found: Any):
    value, low, high = values(found)
    assert np.isfinite(value)
    assert np.isnan([low, high]).all()


def test_rounding_is_not_taken_for_variation():
    """Of what one episode varied by, leaving it out leaves residues, of either sign."""
    for seed in range(20):
        noisy = noise(seed, 2, 12, 4)
        one, two = (
            CONSTANT + 1e3 * noisy * mask[:, None] for mask in (SHUFFLED == 9, SHUFFLED > 5)
        )
        for found in (convergence(one, SHUFFLED), cka(two[:1], VARIED[:1], SHUFFLED)):
            value, low, high = values(found)
            assert np.isnan([low, high]).all()
            assert abs(value) < 100


def test_constant_features_have_no_components():
    points, shares = principal_components(CONSTANT)
    assert points.shape == (2, 12, 2)
    assert np.isnan(points).all()
    assert np.isnan(shares).all()


def test_constant_renderings_that_differ_tell_the_rendering_alone():
    found = convergence(np.stack([CONSTANT[0], CONSTANT[0] + 0.2]), SHUFFLED)
    np.testing.assert_allclose(found.average, 0, atol=1e-12)


FEATURES = np.zeros((2, 3, 4))


def with_entry(value: float, *index: int) -> np.ndarray:
    features = FEATURES.copy()
    features[index] = value
    return features


ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: convergence(FEATURES[0], ALONE[:3]),
     "features must have axes [rendering, state, d], got an array of shape (3, 4)"),
    (lambda: convergence(FEATURES[None], ALONE[:3]),
     "features must have axes [rendering, state, d], got shape (1, 2, 3, 4)"),
    (lambda: convergence(FEATURES[:1], ALONE[:3]),
     "features must have at least 2 renderings, the reference and another, got shape [1, 3, 4]"),
    (lambda: convergence(FEATURES[:, :1], ALONE[:1]),
     "features must have at least 2 states, got shape [2, 1, 4]"),
    (lambda: convergence(FEATURES[..., :0], ALONE[:3]),
     "features must not be empty, got shape (2, 3, 0)"),
    (lambda: convergence(with_entry(np.nan, 1, 2, 0), ALONE[:3]),
     "features[rendering=1, state=2, d=0] must be a finite number, got nan"),
    (lambda: convergence(with_entry(-1e80, 0, 1, 3), ALONE[:3]),
     "features[rendering=0, state=1, d=3] must be at most 1e+60 in magnitude, got -1e+80"),
    (lambda: convergence(FEATURES.astype(complex), ALONE[:3]),
     "features[rendering=0, state=0, d=0] must be a number, got np.complex128(0j)"),
    (lambda: convergence(FEATURES, ALONE[:4]),
     "episode must hold one label for each of 3 states, got shape [4]"),
    (lambda: convergence(FEATURES, ALONE[None, :3]),
     "episode must hold one label for each of 3 states, got shape [1, 3]"),
    (lambda: convergence(FEATURES, np.zeros(3)),
     "episode must hold whole numbers, got dtype float64"),
    (lambda: effective_rank(FEATURES, ALONE[:3]),
     "features must have axes [state, d], got shape (2, 3, 4)"),
    (lambda: effective_rank(with_entry(np.inf, 0, 1, 3)[0], ALONE[:3]),
     "features[state=1, d=3] must be a finite number, got inf"),
    (lambda: cka(with_entry(np.inf, 0, 1, 3), FEATURES, ALONE[:3]),
     "left[rendering=0, state=1, d=3] must be a finite number, got inf"),
    (lambda: cka(FEATURES, with_entry(np.inf, 0, 1, 3), ALONE[:3]),
     "right[rendering=0, state=1, d=3] must be a finite number, got inf"),
    (lambda: cka(FEATURES, FEATURES[:1], ALONE[:3]),
     "right must have left's renderings and states, [2, 3], got [1, 3]"),
    (lambda: cka(FEATURES, FEATURES, ALONE[:2]),
     "episode must hold one label for each of 3 states, got shape [2]"),
    (lambda: cka(FEATURES, FEATURES[:, :2], ALONE[:3]),
     "right must have left's renderings and states, [2, 3], got [2, 2]"),
    (lambda: principal_components(FEATURES, 0),
     "count must be from 1 to 3, the smaller of states and dimensions, got 0"),
    (lambda: principal_components(FEATURES[..., :1]),
     "count must be from 1 to 1, the smaller of states and dimensions, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), ERRORS, ids=[text for _, text in ERRORS])
def test_messages(call: Callable[[], Any], text: str):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        call()
