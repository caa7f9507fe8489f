"""What a network's features make of the same latent states drawn in several renderings.

Arrays are `features[rendering, state, d]`, with rendering 0 the reference, and `episode[state]`,
whole-number labels in any order. States of one episode depend on each other, episodes do not. So
two states count as independent only if their episodes differ, and every interval leaves out whole
episodes (delete-one-group jackknife; Busing, Meijer & van der Leeden 1999).

Averages over states are averages over episodes of each episode's average: a state is drawn by
drawing an episode and then one of its states. Then E over one state and E over two independent ones
are about the same distribution, both have unbiased estimates, and no long episode outweighs the
rest. With equally many states in every episode, or a label for each state, all states weigh the
same.

Write x for the reference's features of a state and y for another rendering's of the same state,
y' for its features of a state from another episode.

- *Representation convergence* across renderings is 1 - E|x - y|² / E|x - y'|², averaged over the
  renderings other than the reference. In the population it is Lin's (1989) concordance correlation
  for vectors, 2 tr Cov(x, y) / (tr Var x + tr Var y + |E x - E y|²): 1 if features are blind to
  the rendering, 0 if a state is as far from its own second picture as from another state's.
- Across agents it is linear centred kernel alignment, CKA, of their features of the same
  observations (Kornblith et al. 2019, arXiv 1905.00414).

Intervals tell how much the numbers owe to which episodes were seen. They say nothing about other
training seeds. They are symmetric, so that an end may lie beyond 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.stats

from mdtheory.intervals import LEVEL, Band
from mdtheory.validation import as_float, first, located, parse_array

LARGEST = 1e60
"""Magnitude of features up to which fourth powers summed over states fit a float64."""

_ROUNDING = 1e-12
"""Distances and alignments below this share of the features' own scale count as zero."""


class Estimate(NamedTuple):
    """A statistic of each rendering, arrays [rendering], and its average over them, floats."""

    each: Band
    average: Band


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """The reference against every other rendering f: entry f - 1 of arrays [rendering - 1].

    Distances are squared and in the features' own units.
    """

    within: Band
    """E|x - y|², the same state in two pictures."""
    between: Band
    """E|x - y'|², states of different episodes in two pictures."""
    each: Band
    """1 - within / between."""
    average: Band
    """Its mean over renderings, floats: representation convergence."""


class Projection(NamedTuple):
    """Features in the plane of the reference's first principal components."""

    points: np.ndarray
    """[rendering, state, component], relative to the reference's mean."""
    shares: np.ndarray
    """[component], the shares of the reference's variance along them."""


def jackknife(value: np.ndarray, without: np.ndarray) -> Band:
    """`value` [...] with its 95 % Student interval from `without` [..., episode].

    `without[..., e]` is the same statistic of all episodes but e; degrees of freedom are episodes
    less 1. The interval is about the value itself, no bias is taken off. Ends are nan if there is
    one episode or if a value is nan.
    """
    n = without.shape[-1]
    if n < 2:
        nothing = np.full_like(value, np.nan)[()]
        return Band(value[()], nothing, nothing)
    deviations = without - without.mean(axis=-1, keepdims=True)
    error = np.sqrt((n - 1) / n * (deviations**2).sum(axis=-1))
    half = scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1) * error
    return Band(value[()], (value - half)[()], (value + half)[()])


def convergence(features: np.ndarray, episode: np.ndarray) -> Convergence:
    """How close a state's pictures are, measured by how far apart states are.

    In closed form from norms and means of episodes, in O(rendering · state · d). Values are nan
    where `between` is zero (all features the same) or a single episode leaves no pair, ends too
    where leaving out one episode makes it so.
    """
    x_fsd = _features("features", features)
    if len(x_fsd) < 2:
        raise ValueError(
            "features must have at least 2 renderings, the reference and another,"
            f" got shape {list(x_fsd.shape)}"
        )
    groups = _episodes(episode, x_fsd.shape[1])
    x_fsd = _centred(x_fsd[:, groups.order])
    apart_fe = groups.means(np.square(x_fsd[1:] - x_fsd[0]).sum(axis=-1), axis=1)
    norm_fe = groups.means(np.einsum("fsd,fsd->fs", x_fsd, x_fsd), axis=1)
    mean_fed = groups.means(x_fsd, axis=1)

    n = _counts(groups)
    within = _ratio(_leaving_out(apart_fe), n)
    between = _ratio(
        _leaving_out_pairs(
            _to_others(norm_fe[:1], norm_fe[1:], mean_fed[:1], mean_fed[1:]),
            _to_others(norm_fe[1:], norm_fe[:1], mean_fed[1:], mean_fed[:1]),
        ),
        n * (n - 1),
    )
    scale_f = (norm_fe[:1] + norm_fe[1:]).mean(axis=-1, keepdims=True)
    between[between <= _ROUNDING * scale_f] = 0.0

    values = 1 - _ratio(within, between)
    return Convergence(
        within=_band(within),
        between=_band(between),
        each=_band(values),
        average=_band(values.mean(axis=0)),
    )


def cka(left: np.ndarray, right: np.ndarray, episode: np.ndarray) -> Estimate:
    """Debiased linear CKA of two networks' features of the same observations.

    `left` is [rendering, state, d], `right` too with a d of its own; each rendering is a
    comparison for itself. The three HSIC are unbiased U-statistics over states from *different
    episodes*. With a label for each state they are those of Song et al. (2012) that Nguyen et al.
    (2021) put into CKA; where states of an episode are alike, those would be biased. The ratio of
    unbiased numbers is biased by less than the plain one, not by nothing, and may leave [0, 1].

    Takes O(state · d · (min(d, state) + episodes)) operations. Values are nan if either side's
    features are constant or with less than 4 episodes, ends with less than 5.
    """
    x_fsd, y_fsd = _two_sides(left, right)
    groups = _episodes(episode, x_fsd.shape[1])
    pairs = zip(x_fsd[:, groups.order], y_fsd[:, groups.order], strict=True)
    values = np.array([_debiased_cka(x_sd, y_sd, groups) for x_sd, y_sd in pairs])
    return Estimate(_band(values), _band(values.mean(axis=0)))


def effective_rank(features: np.ndarray, episode: np.ndarray) -> Band:
    """Over how many directions features [state, d] spread: exp of an entropy, from 1 to d.

    The entropy is that of the singular values of the centred features divided by their sum (Roy &
    Vetterli 2007); singular values below some 1e-6 of the largest are rounding and count as zero.
    It is a number about these very states and grows with how many there are, so compare networks on
    the same ones. Takes an eigenvalue decomposition for each episode. nan for constant features.
    """
    x_sd = _features("features", features, ("state", "d"))
    groups = _episodes(episode, len(x_sd))
    x_sd = _coordinates(x_sd[groups.order])
    scatter = x_sd.T @ x_sd
    floor = np.linalg.eigvalsh(scatter)[-1] * max(x_sd.shape) * np.finfo(np.float64).eps
    without = []
    for x in groups.split(x_sd) if len(groups.starts) > 1 else []:
        total = x.sum(axis=0)  # all others sum to minus that
        rest = scatter - x.T @ x - np.outer(total, total) / (len(x_sd) - len(x))
        without.append(_spread(rest, floor))
    return jackknife(np.array(_spread(scatter, floor)), np.array(without))


def principal_components(features: np.ndarray, count: int = 2) -> Projection:
    """All renderings' features on the first principal components of the reference's.

    The reference's mean is the origin in every rendering, so that shifts between renderings show.
    Of each component's loadings the largest in magnitude is positive. All nan if the reference's
    features are constant.
    """
    x_fsd = _features("features", features)
    most = min(x_fsd.shape[1:])
    if not 1 <= count <= most:
        raise ValueError(
            f"count must be from 1 to {most}, the smaller of states and dimensions, got {count}"
        )
    x_fsd = _centred(x_fsd)
    _, singular, loadings = np.linalg.svd(x_fsd[0], full_matrices=False)
    shares = _ratio(singular**2, np.square(singular).sum(keepdims=True))[:count]
    axes = loadings[:count]
    largest = np.take_along_axis(axes, abs(axes).argmax(axis=1, keepdims=True), axis=1)
    points = x_fsd @ (axes * np.sign(largest)).T
    return Projection(points if np.isfinite(shares).all() else np.full_like(points, np.nan), shares)


@dataclass(frozen=True)
class _Episodes:
    """Which states belong together, once they are put into `order` [state]."""

    order: np.ndarray
    starts: np.ndarray
    """[episode], where each begins."""
    sizes: np.ndarray
    """[episode], numbers of states."""

    def means(self, values: np.ndarray, axis: int = 0) -> np.ndarray:
        """Over the states of each episode: the axis of ordered states becomes one of episodes."""
        sizes = np.expand_dims(self.sizes, tuple(range(1, values.ndim - axis)))
        return np.add.reduceat(values, self.starts, axis=axis) / sizes

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """The ordered states [state, ...] of each episode."""
        return np.split(values, self.starts[1:])

    @property
    def owner(self) -> np.ndarray:
        """The episode of each ordered state, [state]."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def weights(self) -> np.ndarray:
        """Of each ordered state in its episode's mean, [state]."""
        return 1 / self.sizes[self.owner]


def _features(
    name: str, value: np.ndarray, axes: tuple[str, ...] = ("rendering", "state", "d")
) -> np.ndarray:
    """Finite float64 features with exactly these axes, or one error."""
    array = as_float(name, parse_array(name, value, axes), axes)
    if array.ndim != len(axes):
        raise ValueError(f"{name} must have axes [{', '.join(axes)}], got shape {array.shape}")
    if array.shape[-2] < 2:
        raise ValueError(f"{name} must have at least 2 states, got shape {list(array.shape)}")
    if (abs(array) > LARGEST).any():
        index = first(abs(array) > LARGEST)
        raise ValueError(
            f"{located(name, axes, index)} must be at most {LARGEST:g} in magnitude,"
            f" got {array[index]:g}"
        )
    return array


def _two_sides(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x_fsd, y_fsd = _features("left", left), _features("right", right)
    if x_fsd.shape[:2] != y_fsd.shape[:2]:
        raise ValueError(
            "right must have left's renderings and states,"
            f" {list(x_fsd.shape[:2])}, got {list(y_fsd.shape[:2])}"
        )
    return x_fsd, y_fsd


def _episodes(episode: np.ndarray, n_states: int) -> _Episodes:
    labels = np.asarray(episode)
    if labels.shape != (n_states,):
        raise ValueError(
            f"episode must hold one label for each of {n_states} states,"
            f" got shape {list(labels.shape)}"
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(f"episode must hold whole numbers, got dtype {labels.dtype}")
    _, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    return _Episodes(np.argsort(inverse, kind="stable"), starts, sizes)


def _centred(x_fsd: np.ndarray) -> np.ndarray:
    """Features less the reference's mean; exactly zero where all were the same."""
    shifted = x_fsd - x_fsd[:1, :1]
    return shifted - shifted[0].mean(axis=0)


def _coordinates(x_sd: np.ndarray) -> np.ndarray:
    """Centred features [state, min(state, d)]: in a basis of their span if states are fewer."""
    centred = _centred(x_sd[None])[0]
    n, d = centred.shape
    if d <= n:
        return centred
    triangle: np.ndarray = np.linalg.qr(centred.T)[1]
    return triangle.T


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, nan where the denominator is not above 0."""
    top, bottom = np.broadcast_arrays(numerator, denominator)
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def _counts(groups: _Episodes) -> np.ndarray:
    """Numbers of episodes [1 + episode]: of all, and of all but each."""
    n = len(groups.sizes)
    return n - (np.arange(1 + n) > 0).astype(np.float64)


def _leaving_out(sum_e: np.ndarray) -> np.ndarray:
    """Totals of sums [..., episode]: entry 0 of all episodes, entry 1 + e of all but e."""
    total = sum_e.sum(axis=-1, keepdims=True)
    return np.concatenate([total, total - sum_e], axis=-1)


def _leaving_out_pairs(from_e: np.ndarray, to_e: np.ndarray) -> np.ndarray:
    """The same of sums over ordered pairs of different episodes, by the first and the second."""
    total = from_e.sum(axis=-1, keepdims=True)
    return np.concatenate([total, total - from_e - to_e], axis=-1)


def _band(values: np.ndarray) -> Band:
    """From values [..., 1 + episode] of all episodes and of all but each."""
    return jackknife(values[..., 0], values[..., 1:])


def _to_others(
    x_norm_fe: np.ndarray, y_norm_fe: np.ndarray, x_mean_fed: np.ndarray, y_mean_fed: np.ndarray
) -> np.ndarray:
    """Mean |x - y|² between an episode's x and another's y, summed over the others, [f, episode].

    From means over episodes of squared norms and of features.
    """
    y_norm_rest = y_norm_fe.sum(axis=-1, keepdims=True) - y_norm_fe
    y_mean_rest = y_mean_fed.sum(axis=-2, keepdims=True) - y_mean_fed
    others = x_norm_fe.shape[-1] - 1
    return others * x_norm_fe + y_norm_rest - 2 * (x_mean_fed * y_mean_rest).sum(axis=-1)


def _debiased_cka(x_sd: np.ndarray, y_sd: np.ndarray, groups: _Episodes) -> np.ndarray:
    """For all episodes and without each, [1 + episode]; states are in the groups' order."""
    x, y = _coordinates(x_sd), _coordinates(y_sd)

    def own(z_sd: np.ndarray) -> np.ndarray:
        found, floor = _hsic(z_sd, z_sd, groups), np.square(z_sd).sum(axis=1).mean() ** 2
        return np.where(found > _ROUNDING * floor, found, np.nan)

    return _hsic(x, y, groups) / np.sqrt(own(x) * own(y))


def _hsic(x_sd: np.ndarray, y_sd: np.ndarray, groups: _Episodes) -> np.ndarray:
    """Unbiased estimates of HSIC with k = x·x and l = y·y, [1 + episode]: all, and without each.

    E k[i, j] l[i, j] - 2 E k[i, j] l[i, q] + E k[i, j] l[p, q] (Gretton et al. 2005), averages over
    states i, j, p, q of as many different episodes.
    """
    k_se, l_se = _with_others(x_sd, groups), _with_others(y_sd, groups)
    k_ee, l_ee = groups.means(k_se), groups.means(l_se)
    k_s, l_s, k_e, l_e = (z.sum(axis=1) for z in (k_se, l_se, k_ee, l_ee))

    pairs_e = groups.means(_products_with_others(x_sd, y_sd, groups))
    pairs = _leaving_out_pairs(pairs_e, pairs_e)

    both_se = k_se * l_se
    threes = _leaving_out(groups.means(k_s * l_s - both_se.sum(axis=1)))
    w_s = groups.weights
    threes[1:] += 2 * w_s @ both_se - (w_s * k_s) @ l_se - (w_s * l_s) @ k_se

    # Of all pairs of pairs, take away those that share an episode: once in four ways, twice in two.
    twice_e = (k_ee * l_ee).sum(axis=0)
    once = _leaving_out(k_e * l_e)
    once[1:] += twice_e - k_e @ l_ee - l_e @ k_ee
    every = _leaving_out_pairs(k_e, k_e) * _leaving_out_pairs(l_e, l_e)
    fours = every - 4 * once + 2 * _leaving_out_pairs(twice_e, twice_e)

    n = np.maximum(_counts(groups), 3.0)  # with 3 the last quotient is nan
    n2, n3 = n * (n - 1), n * (n - 1) * (n - 2)
    return pairs / n2 - 2 * threes / n3 + _ratio(fours, n3 * (n - 3))


def _with_others(x_sd: np.ndarray, groups: _Episodes) -> np.ndarray:
    """Mean inner products with each other episode's states, [state, episode]; 0 with its own."""
    k_se = x_sd @ groups.means(x_sd).T
    k_se[np.arange(len(x_sd)), groups.owner] = 0.0
    return k_se


def _products_with_others(x_sd: np.ndarray, y_sd: np.ndarray, groups: _Episodes) -> np.ndarray:
    """Means over the states j of an episode of (x_i·x_j)(y_i·y_j), summed over others, [state]."""
    own = [
        ((x @ x.T) * (y @ y.T)).mean(axis=1)
        for x, y in zip(groups.split(x_sd), groups.split(y_sd), strict=True)
    ]
    return ((x_sd @ ((x_sd.T * groups.weights) @ y_sd)) * y_sd).sum(axis=1) - np.concatenate(own)


def _spread(scatter: np.ndarray, floor: float) -> float:
    """Exp of the entropy of singular values, from their squares' matrix; nan if all are zero."""
    squares = np.linalg.eigvalsh(scatter)
    singular = np.sqrt(squares[squares > floor])
    shares = singular / singular.sum()
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else float("nan")
