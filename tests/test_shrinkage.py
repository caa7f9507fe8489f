"""B6: the theorem by several routes, the training that measures it, and what is said of it."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import sympy

from mdtheory import cli, shrinkage
from mdtheory.intervals import band
from mdtheory.report import shrinkage as report
from mdtheory.report.page import render_page
from mdtheory.robustness import kl_divergence, total_variation
from mdtheory.shrinkage import bandit as bandits
from mdtheory.shrinkage import linear, training
from mdtheory.shrinkage.bandit import Bandit
from mdtheory.shrinkage.training import Setting, Study

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)
NAN = float("nan")
SMALL = training.SMALL_LOGITS


def definite(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Symmetric positive definite matrices of this shape."""
    factor = rng.normal(size=shape)
    return factor @ np.swapaxes(factor, -1, -2) + 0.3 * np.eye(shape[-1])


def quadratic(rng: np.random.Generator, n_agents: int, size: int) -> tuple[np.ndarray, ...]:
    return rng.normal(size=(n_agents, size)), definite(rng, size, size), definite(rng, size, size)


def slope_of(function: Callable[[np.ndarray], Any], at: np.ndarray) -> np.ndarray:
    """Gradient of a scalar function by central differences."""
    out = np.empty_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = 1e-5
        out[index] = (function(at + step) - function(at - step)) / 2e-5
    return out


def solved(pulls: np.ndarray, h: np.ndarray, g: np.ndarray, alpha: float) -> np.ndarray:
    """Route 1: all N·D equations at once, written with Kronecker products."""
    n, size = pulls.shape
    between = 2 * alpha / max(n - 1, 1) * (n * np.eye(n) - np.ones((n, n)))
    matrix = np.kron(np.eye(n), h) + np.kron(between, g)
    return np.linalg.solve(matrix, (pulls @ h).ravel()).reshape(n, size)


@pytest.mark.parametrize("n_agents", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.2, 5.0])
def test_closed_form_and_solved_system_have_the_same_minimum(n_agents, size, alpha):
    pulls, h, g = quadratic(np.random.default_rng(n_agents), n_agents, size)
    expected = solved(pulls, h, g, alpha)
    assert shrinkage.minimum(pulls, h, g, alpha) == pytest.approx(expected, abs=1e-10)
    same = (np.broadcast_to(m, (n_agents, size, size)) for m in (h, g))
    found = shrinkage.minimum_of_unequal(pulls, *same, alpha)
    assert found == pytest.approx(expected, abs=1e-10)


WRONG = {
    "alpha for 2 alpha": lambda p, h, g, a: (h + a * 3 / 2 * g, h),
    "no N/(N-1)": lambda p, h, g, a: (h + 2 * a * g, h),
    "1/(N-1)": lambda p, h, g, a: (h + 2 * a / 2 * g, h),
    "N": lambda p, h, g, a: (h + 2 * a * 3 * g, h),
    "G kept instead of H": lambda p, h, g, a: (h + 2 * a * 3 / 2 * g, g),
}


@pytest.mark.parametrize("variant", WRONG.values(), ids=WRONG)
def test_a_wrong_closed_form_disagrees_with_the_solved_system(variant):
    pulls, h, g = quadratic(np.random.default_rng(3), 3, 2)
    mean = pulls.mean(axis=0)
    right = solved(pulls, h, g, 0.4)
    matrix, kept = variant(pulls, h, g, 0.4)
    wrong = mean + np.linalg.solve(matrix, kept @ (pulls - mean).T).T
    assert abs(wrong - right).max() > 1e-2
    without_mean = np.linalg.solve(h + 2 * 0.4 * 3 / 2 * g, h @ pulls.T).T
    assert abs(without_mean - right).max() > 1e-2


@pytest.mark.parametrize("n_agents", [1, 2, 4])
def test_the_gradient_of_the_loss_vanishes_at_the_minimum_and_nowhere_near(n_agents):
    pulls, h, g = quadratic(np.random.default_rng(0), n_agents, 2)
    loss = functools.partial(
        shrinkage.loss,
        pulls=pulls,
        task_curvature=h,
        divergence_curvature=g,
        distillation=0.7,
    )
    best = shrinkage.minimum(pulls, h, g, 0.7)
    assert abs(slope_of(loss, best)).max() < 1e-8
    assert loss(best + 0.1) > loss(best)
    assert abs(slope_of(loss, best + 0.1)).max() > 1e-3


def test_the_loss_of_two_agents_by_hand():
    # own losses 1/2 · 1 each; the pair differs by 1, so α · 1/2 each; the average of two agents
    found = shrinkage.loss([[1.0], [2.0]], [[0.0], [3.0]], [[1.0]], [[1.0]], 0.5)
    assert float(found) == pytest.approx(0.5 + 0.25)


def test_two_agents_meet_half_way_by_hand():
    found = shrinkage.minimum([[1.0], [0.0]], [[1.0]], [[1.0]], 0.25)  # κ = 1/(1 + 4/4)
    assert found[:, 0] == pytest.approx([0.75, 0.25])


def test_the_mean_and_what_all_agents_share_are_untouched():
    pulls, h, g = quadratic(np.random.default_rng(1), 4, 3)
    for alpha in (0.1, 1.0, 1e3):
        mean = shrinkage.minimum(pulls, h, g, alpha).mean(axis=0)
        assert mean == pytest.approx(pulls.mean(axis=0))
    shared = np.broadcast_to(pulls[0], pulls.shape)
    assert shrinkage.minimum(shared, h, g, 3.0) == pytest.approx(shared)


def test_no_distillation_leaves_the_pulls_and_much_of_it_leaves_their_mean():
    pulls, h, g = quadratic(np.random.default_rng(1), 3, 2)
    assert shrinkage.minimum(pulls, h, g, 0) == pytest.approx(pulls)
    limit = np.broadcast_to(pulls.mean(axis=0), pulls.shape)
    assert shrinkage.minimum(pulls, h, g, 1e9) == pytest.approx(limit, abs=1e-6)
    assert shrinkage.minimum(pulls[:1], h, g, 7.0) == pytest.approx(pulls[:1])


def test_leading_axes_broadcast_like_a_loop():
    rng = np.random.default_rng(2)
    pulls, h, g = rng.normal(size=(4, 3, 2)), definite(rng, 4, 2, 2), definite(rng, 2, 2)
    alphas = np.array([[0.0], [0.5]])
    found = shrinkage.minimum(pulls, h, g, alphas)
    assert found.shape == (2, 4, 3, 2)
    each = np.broadcast_to(h[:, None], (4, 3, 2, 2)), np.broadcast_to(g, (3, 2, 2))
    assert shrinkage.minimum_of_unequal(pulls, *each, alphas) == pytest.approx(found)
    assert shrinkage.loss(found, pulls, h, g, alphas).shape == (2, 4)
    for i, b in np.ndindex(2, 4):
        assert found[i, b] == pytest.approx(solved(pulls[b], h[b], g, alphas[i, 0]))


def test_unequal_agents_meet_at_a_mean_weighted_by_curvature():
    h = np.array([[[3.0]], [[1.0]]])
    found = shrinkage.minimum_of_unequal([[1.0], [0.0]], h, np.ones((2, 1, 1)), 1e9)
    assert found[:, 0] == pytest.approx([0.75, 0.75])


def b6(n: Any, alpha: Any, h: Any, g: Any, variance: Any, c: Any) -> Any:
    """The statement that the solved system has to reproduce."""
    kappa = h / (h + 2 * alpha * g * n / (n - 1)) if n != 1 else 1
    rest = 1 - 1 / sympy.sympify(n) if isinstance(n, sympy.Basic) else 1 - Fraction(1, n)
    return variance * (1 - rest + rest * c + rest * (1 - c) * kappa**2)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("c", [Fraction(0), HALF, Fraction(1)])
def test_the_solved_system_has_the_variance_of_b6_exactly(n, c):
    numbers = (Fraction(3, 7), Fraction(2, 5), Fraction(5, 3), Fraction(9, 4))
    found = shrinkage.spurious_variance(n, *numbers, c)
    assert isinstance(found, Fraction)
    assert found == b6(n, *numbers, c)
    as_float = shrinkage.spurious_variance(n, *map(float, numbers), float(c))
    assert isinstance(as_float, float)
    assert as_float == pytest.approx(float(found))


def test_the_variance_by_hand():
    assert shrinkage.spurious_variance(2, QUARTER, 1, 1, 1) == Fraction(5, 8)  # κ = 1/2
    assert shrinkage.spurious_variance(2, QUARTER, 1, 1, 1, HALF) == Fraction(13, 16)
    assert shrinkage.floor(2, 1, HALF) == Fraction(3, 4)
    assert shrinkage.shrinkage_factor(2, QUARTER, 1, 1) == HALF
    assert shrinkage.shrinkage_factor(1, 5, 1, 1) == 1
    assert shrinkage.shrinkage_factor(3, 1.0, 1, 1) == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda n, a, h, g, v, c: b6(n, a / 2, h, g, v, c),
        lambda n, a, h, g, v, c: b6(n, a * Fraction(n - 1, n), h, g, v, c),
        lambda n, a, h, g, v, c: b6(n, a, h, g, v, c) - shrinkage.floor(n, v, c),
        lambda n, a, h, g, v, c: b6(n, a, h, g, v, Fraction(0)),
        lambda n, a, h, g, v, c: b6(n, a, g, h, v, c),
    ],
    ids=["alpha for 2 alpha", "no N/(N-1)", "without the mean", "without c", "h and g swapped"],
)
def test_a_wrong_variance_is_caught(wrong):
    numbers = (3, Fraction(1, 3), Fraction(2), Fraction(1), Fraction(1), QUARTER)
    assert wrong(*numbers) != shrinkage.spurious_variance(*numbers)


def test_the_variance_is_that_of_random_pulls_at_the_minimum():
    rng = np.random.default_rng(0)
    common, own = rng.normal(size=(40_000, 1, 1)), rng.normal(size=(40_000, 3, 1))
    pulls = np.sqrt(0.3) * common + np.sqrt(0.7) * own
    found = shrinkage.minimum(pulls, [[2.0]], [[1.0]], 0.5).var()
    assert found == pytest.approx(shrinkage.spurious_variance(3, 0.5, 2, 1, 1, 0.3), rel=0.02)


@pytest.mark.parametrize("c", [Fraction(0), HALF])
def test_more_distillation_leaves_less_variance_but_never_less_than_the_floor(c):
    alphas = [Fraction(0), Fraction(1, 10), Fraction(1), Fraction(10**9)]
    found = [shrinkage.spurious_variance(3, a, 1, 1, 1, c) for a in alphas]
    assert found == sorted(found, reverse=True)
    assert found[0] == 1
    floor = shrinkage.floor(3, 1, c)
    assert floor < found[-1] < floor + Fraction(1, 10**9)
    assert shrinkage.spurious_variance(3, 5, 1, 1, 1, 1) == 1


SYMBOLS = (linear.ALPHA, linear.TASK, linear.DIVERGENCE, linear.VARIANCE, linear.CORRELATION)


@pytest.mark.parametrize("n", [1, 2, 3, 5, None])
def test_the_symbolic_variance_is_b6(n):
    found = shrinkage.symbolic_variance(n)
    expected = b6(linear.AGENTS if n is None else sympy.Integer(n), *SYMBOLS)
    assert sympy.simplify(found - expected) == 0


def test_the_general_variance_holds_the_concrete_ones_and_the_numbers():
    general = shrinkage.symbolic_variance()
    for n in (2, 3, 5):
        assert sympy.simplify(general.subs(linear.AGENTS, n) - shrinkage.symbolic_variance(n)) == 0
    numbers = (Fraction(1, 3), Fraction(2), Fraction(1, 5), Fraction(7), QUARTER)
    values = dict(zip(SYMBOLS, map(sympy.Rational, numbers), strict=True))
    found = general.subs(linear.AGENTS, 4).subs(values)
    assert Fraction(int(found.p), int(found.q)) == shrinkage.spurious_variance(4, *numbers)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_the_symbolic_eigenvalues_are_those_of_the_matrix(n):
    values = {linear.ALPHA: 0.3, linear.TASK: 2.0, linear.DIVERGENCE: 0.7, linear.AGENTS: n}
    mean, deviation = (float(e.subs(values)) for e in shrinkage.symbolic_eigenvalues())
    between = 2 * 0.3 * 0.7 / (n - 1) * (n * np.eye(n) - np.ones((n, n)))
    found = np.linalg.eigvalsh(2.0 * np.eye(n) + between)
    assert found == pytest.approx([mean] + [deviation] * (n - 1))


@pytest.mark.parametrize("n_agents", [1, 2, 3])
def test_the_flow_is_what_an_integrator_of_the_gradient_finds(n_agents):
    rng = np.random.default_rng(5)
    pulls, h, g = quadratic(rng, n_agents, 2)
    start, times = rng.normal(size=pulls.shape), np.array([0.0, 0.3, 1.0, 4.0])

    def downhill(t: float, flat: np.ndarray) -> np.ndarray:
        u = flat.reshape(pulls.shape)
        force = (pulls - u) @ h
        for i in range(n_agents):
            for j in set(range(n_agents)) - {i}:
                force[i] += 2 * 0.6 / (n_agents - 1) * g @ (u[j] - u[i])
        return force.ravel() / n_agents

    ode = scipy.integrate.solve_ivp(
        downhill, (0, 4), start.ravel(), t_eval=times, rtol=1e-9, atol=1e-11
    )
    found = shrinkage.flow(pulls, h, g, 0.6, start, times)
    assert found.reshape(4, -1) == pytest.approx(ode.y.T, abs=1e-7)
    late = shrinkage.flow(pulls, h, g, 0.6, start, [1e4])[0]
    assert late == pytest.approx(shrinkage.minimum(pulls, h, g, 0.6))


def test_the_flow_goes_down_the_gradient_of_the_loss():
    rng = np.random.default_rng(6)
    pulls, h, g = quadratic(rng, 3, 2)
    start = rng.normal(size=pulls.shape)
    path = shrinkage.flow(pulls, h, g, 0.6, start, [0.0, 1e-5])
    assert path[0] == pytest.approx(start)
    slope = slope_of(lambda u: shrinkage.loss(u, pulls, h, g, 0.6), start)
    assert (path[1] - path[0]) / 1e-5 == pytest.approx(-slope, rel=1e-3)


def test_distillation_speeds_up_deviations_and_not_the_mean():
    slow = shrinkage.rates(3, [[1.0]], [[1.0]], 0)
    fast = shrinkage.rates(3, [[1.0]], [[1.0]], 1)
    assert slow.mean == slow.deviation == pytest.approx([1 / 3])
    assert fast.mean == pytest.approx([1 / 3])
    assert fast.deviation == pytest.approx([4 / 3])  # (1 + 2 · 3/2)/3
    pulls, start = np.zeros((3, 1)), np.array([[3.0], [1.0], [-1.0]])
    (end,) = shrinkage.flow(pulls, [[1.0]], [[1.0]], 1, start, [2.0])
    mean, deviation = np.exp(-2 / 3), np.exp(-8 / 3)
    assert end[:, 0] == pytest.approx(mean + deviation * np.array([2.0, 0.0, -2.0]))


def test_the_flow_of_a_batch_is_each_flow():
    rng = np.random.default_rng(7)
    pulls, h, g = rng.normal(size=(4, 3, 2)), definite(rng, 4, 2, 2), definite(rng, 2, 2)
    found = shrinkage.flow(pulls, h, g, [0.1, 0.2, 0.3, 0.4], pulls[::-1], [0.5, 1.0])
    assert found.shape == (4, 2, 3, 2)
    one = shrinkage.flow(pulls[2], h[2], g, 0.3, pulls[1], [0.5, 1.0])
    assert found[2] == pytest.approx(one)


EYE, PULLS = np.eye(2), np.zeros((3, 2))
MESSAGES: list[tuple[Callable[[], Any], str]] = [
    (lambda: shrinkage.minimum([1.0], EYE, EYE, 1), "pulls must have axes [i, d], got"),
    (lambda: shrinkage.minimum([[1.0, NAN]], EYE, EYE, 1),
     "pulls[i=0, d=1] must be a finite number, got nan"),
    (lambda: shrinkage.minimum(PULLS, np.eye(3), EYE, 1),
     "task_curvature must have shape [d: 2, d': 2], got [3, 3]"),
    (lambda: shrinkage.minimum(PULLS, EYE, [[1.0, 2.0], [0.0, 1.0]], 1),
     "divergence_curvature[d=0, d'=1] must equal its mirror image 0, got 2"),
    (lambda: shrinkage.minimum(PULLS, [[1.0, 2.0], [2.0, 1.0]], EYE, 1),
     "task_curvature must be positive definite, got smallest eigenvalue -1"),
    (lambda: shrinkage.minimum(PULLS, [EYE, -EYE], EYE, 1),
     "task_curvature[batch=1] must be positive definite, got smallest eigenvalue -1"),
    (lambda: shrinkage.minimum(PULLS, EYE, EYE, [1.0, -2.0]),
     "distillation[batch=1] must be at least 0, got -2"),
    (lambda: shrinkage.minimum(np.zeros((2, 3, 2)), EYE, EYE, [1.0, 1.0, 1.0]),
     "batch axes must agree, got pulls [2], task_curvature [], divergence_curvature [],"
     " distillation [3]"),
    (lambda: shrinkage.minimum_of_unequal(PULLS, EYE, EYE, 1),
     "task_curvatures must have axes [i, d, d'], got an array of shape (2, 2)"),
    (lambda: shrinkage.minimum_of_unequal(PULLS, [EYE] * 3, [EYE, EYE, -EYE], 1),
     "divergence_curvatures[i=2] must be positive definite, got smallest eigenvalue -1"),
    (lambda: shrinkage.loss(np.zeros((2, 2)), PULLS, EYE, EYE, 1),
     "weights must have shape [i: 3, d: 2], got [2, 2]"),
    (lambda: shrinkage.flow(PULLS, EYE, EYE, 1, np.zeros((3, 1)), [0.0]),
     "start must have shape [i: 3, d: 2], got [3, 1]"),
    (lambda: shrinkage.flow(PULLS, EYE, EYE, 1, PULLS, [0.0, -1.0]),
     "times[t=1] must be at least 0, got -1"),
    (lambda: shrinkage.flow(PULLS, EYE, EYE, 1, PULLS, [[0.0]]),
     "times must have axes [t], got an array of shape (1, 1)"),
    (lambda: shrinkage.rates(0, EYE, EYE, 1),
     "n_agents must be a whole number of at least 1, got 0"),
    (lambda: shrinkage.symbolic_variance(True),
     "n_agents must be a whole number of at least 1, got True"),
    (lambda: shrinkage.spurious_variance(2.0, 1, 1, 1, 1),  # type: ignore[arg-type]
     "n_agents must be a whole number of at least 1, got 2.0"),
    (lambda: shrinkage.spurious_variance(2, -HALF, 1, 1, 1),
     "distillation must be at least 0, got -1/2"),
    (lambda: shrinkage.spurious_variance(2, 1, 0, 1, 1), "task_curvature must be above 0, got 0"),
    (lambda: shrinkage.shrinkage_factor(2, 1, 1, -1.5),
     "divergence_curvature must be above 0, got -1.5"),
    (lambda: shrinkage.spurious_variance(2, 1, 1, 1, -1),
     "pull_variance must be at least 0, got -1"),
    (lambda: shrinkage.floor(2, [1, 2]),
     "pull_variance must be a number, got an array of shape (2,)"),
    (lambda: shrinkage.floor(3, 1, -0.75),
     "pull_correlation must lie in [-1/2, 1] for 3 agents, got -0.75"),
    (lambda: Bandit(temperature=Fraction(0)), "temperature must be above 0, got 0"),
    (lambda: Bandit(temperature=HALF, n_states=6), "n_states must be a multiple of 4, got 6"),
    (lambda: Bandit(temperature=HALF, n_train=0), "n_train must be at least 1, got 0"),
    (lambda: Bandit(temperature=HALF, n_features=3),
     "n_features must give each of the 16 states a pattern of its own, got 3"),
    (lambda: Bandit(temperature=HALF, residual=-HALF), "residual must be at least 0, got -1/2"),
    (lambda: Bandit(temperature=HALF, signal=Fraction(1)),
     "signal + residual must be at most 1, got 5/4"),
    (lambda: Setting(bandit=SMALL, n_agents=1), "n_agents must be at least 2, got 1"),
    (lambda: Setting(bandit=SMALL, n_agents=2, n_shared=5), "n_shared must lie in [0, 4], got 5"),
    (lambda: training.study(seed=-1), "seed must be at least 0, got -1"),
    (lambda: training.study(n_seeds=1), "n_seeds must be at least 2, got 1"),
    (lambda: training.study(ratios=[0.1, 1.0]),
     "ratios must begin with 0 and increase, got [0.1, 1.0]"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), MESSAGES, ids=[m for _, m in MESSAGES])
def test_bad_input_is_one_error_that_names_argument_and_value(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def drawn(
    bandit: Bandit = SMALL, n_agents: int = 3, n_shared: int = 0, seed: int = 0
) -> np.ndarray:
    return bandit.draw(np.random.default_rng(seed), n_agents=n_agents, n_shared=n_shared)


def test_a_rendering_shows_different_states_differently():
    features = drawn()
    assert features.shape == (3, 16, 16, 9)
    assert set(np.unique(features)) == {-1.0, 1.0}
    assert (features[..., 0] == SMALL.signal_of_state).all()
    for rendering in features.reshape(-1, 16, 9):
        assert len(np.unique(rendering[:, 1:], axis=0)) == 16


def test_renderings_are_drawn_by_seed_and_shared_as_asked():
    features = drawn(n_shared=1)
    assert (features == drawn(n_shared=1)).all()
    assert (features != drawn(n_shared=1, seed=1)).any()
    assert (features[:2] == drawn(n_agents=2, n_shared=1)).all()
    same = (features[0] == features[1]).all(axis=(-2, -1))
    assert same.tolist() == [True] + [False] * 3 + [True] * 12


def test_the_residual_is_nothing_that_the_signal_expresses():
    residual = SMALL.advantage - 0.25 * SMALL.signal_of_state
    assert residual.sum() == (residual * SMALL.signal_of_state).sum() == 0
    assert (abs(residual) == 0.25).all()
    mdp = SMALL.problem().mdp
    assert mdp.reward[:, 1] - mdp.reward[:, 0] == pytest.approx(SMALL.advantage)
    assert 0 <= mdp.reward.min() <= mdp.reward.max() <= 1


def test_losses_in_logits_are_losses_of_probabilities():
    rng = np.random.default_rng(0)
    z, y, advantage = rng.normal(scale=3, size=(3, 20))
    weights, features = np.array([[1.0]]), np.stack([z, y])[:, None, :, None]
    p, q = bandits.policies(np.broadcast_to(weights, (2, 1)), features)[:, 0]
    assert bandits.divergence(z, y) == pytest.approx(kl_divergence(p, q))
    entropy = -(p * np.log(p)).sum(axis=-1)
    expected = -p[:, 1] * advantage - 0.3 * entropy
    assert bandits.own_loss(z, advantage, 0.3) == pytest.approx(expected)


def test_the_own_loss_is_the_temperature_times_a_divergence():
    z, advantage = np.linspace(-3, 3, 7), 0.4
    excess = bandits.own_loss(z, advantage, 0.5) - bandits.own_loss(0.8, advantage, 0.5)
    assert excess == pytest.approx(0.5 * bandits.divergence(z, np.float64(0.8)))


@pytest.mark.parametrize("n_agents", [1, 2, 3])
@pytest.mark.parametrize("distillation", [0.0, 0.8])
def test_the_training_gradient_is_that_of_the_loss(n_agents, distillation):
    rng = np.random.default_rng(n_agents)
    weights, features = rng.normal(size=(n_agents, 4)), rng.normal(size=(n_agents, 6, 4))
    advantage = rng.normal(size=6)
    arguments = {"temperature": 0.4, "distillation": distillation}

    def loss(u: np.ndarray) -> np.ndarray:
        return bandits.total_loss(u, features, advantage, **arguments)

    found = bandits.gradient(weights, features, advantage, **arguments)
    assert found == pytest.approx(slope_of(loss, weights), abs=1e-8)


def test_the_loss_averages_agents_and_the_divergence_from_the_others():
    rng = np.random.default_rng(4)
    weights, features = rng.normal(size=(3, 2)), rng.normal(size=(3, 5, 2))
    expected = 0.0
    for i in range(3):
        z = features[i] @ weights.T
        expected += bandits.own_loss(z[:, i], np.zeros(5), 0.2).mean() / 3
        for j in {0, 1, 2} - {i}:
            expected += 0.7 / 2 * bandits.divergence(z[:, j], z[:, i]).mean() / 3
    found = bandits.total_loss(weights, features, np.zeros(5), temperature=0.2, distillation=0.7)
    assert float(found) == pytest.approx(expected)


def test_the_divergence_moves_both_policies():
    """Only agent 0 has data, so its own loss term alone reaches agent 1, the one it looks at."""
    features = np.array([[[1.0]], [[0.0]]])
    slope = bandits.gradient(
        np.array([[0.5], [2.0]]), features, np.zeros(1), temperature=0.0, distillation=1.0
    )
    assert slope[0, 0] < 0 < slope[1, 0]  # they move towards each other
    one = bandits.divergence(np.float64(2.0 + 1e-6), np.float64(0.5))
    other = bandits.divergence(np.float64(2.0 - 1e-6), np.float64(0.5))
    assert slope[1, 0] == pytest.approx((one - other) / 2e-6 / 2, rel=1e-5)


def test_where_the_signal_says_everything_curvatures_differ_by_the_temperature():
    bandit = dataclasses.replace(SMALL, residual=Fraction(0))
    data = training.training_data(drawn(bandit), bandit)
    advantage = np.tile(bandit.advantage, bandit.n_train)
    best = np.zeros((3, 9))
    best[:, 0] = 0.5  # β/τ
    task, fisher = bandits.curvatures(best, data, advantage, 0.5)
    assert task == pytest.approx(0.5 * fisher)


def test_curvatures_are_second_derivatives():
    rng = np.random.default_rng(8)
    weights, features, advantage = rng.normal(size=(1, 2)), rng.normal(size=(1, 5, 2)), np.ones(5)
    task, fisher = bandits.curvatures(weights, features, advantage, 0.4)
    for column in range(2):
        step = np.zeros((1, 2))
        step[0, column] = 1e-5
        ends = [
            bandits.gradient(weights + s, features, advantage, temperature=0.4, distillation=0.0)
            for s in (step, -step)
        ]
        assert (ends[0] - ends[1])[0] / 2e-5 == pytest.approx(task[0, :, column], abs=1e-8)
    z = features[0] @ weights[0]
    for direction in np.eye(2):
        far = bandits.divergence(z, z + 1e-4 * features[0] @ direction).mean()
        assert 2 * far / 1e-8 == pytest.approx(direction @ fisher[0] @ direction, rel=1e-3)


def test_training_ends_where_another_optimiser_ends():
    bandit = dataclasses.replace(SMALL, n_features=4, n_train=2)
    data = training.training_data(drawn(bandit)[None], bandit)
    weights, steps = training.train(data, bandit, distillation=0.3)
    assert steps > 10
    advantage = np.tile(bandit.advantage, bandit.n_train)

    def loss(flat: np.ndarray) -> float:
        u = flat.reshape(weights.shape[1:])
        return float(bandits.total_loss(u, data[0], advantage, temperature=0.5, distillation=0.3))

    found = scipy.optimize.minimize(loss, np.zeros(weights.size), method="BFGS", tol=1e-7)
    assert weights[0].ravel() == pytest.approx(found.x, abs=1e-4)


def test_without_distillation_agents_learn_alone():
    data = training.training_data(drawn()[None], SMALL)
    together = training.train(data, SMALL, distillation=0.0)[0]
    for i in range(3):
        alone = training.train(data[:, [i]], SMALL, distillation=0.0)[0]
        assert together[:, i] == pytest.approx(alone[:, 0], abs=1e-6)
    distilled = training.train(data, SMALL, distillation=0.5)[0]
    assert abs(distilled - together).max() > 1e-3


def test_a_training_that_does_not_converge_is_an_error(monkeypatch):
    monkeypatch.setattr(training, "LARGEST_STEPS", 3)
    data = training.training_data(drawn()[None], SMALL)
    message = (
        "training must converge in 3 steps, got 1 of 1 seeds that did not at temperature 0.5 and"
        " distillation 0.1"
    )
    with pytest.raises(ArithmeticError, match=message):
        training.train(data, SMALL, distillation=0.1)


def test_measured_agents_by_hand():
    features = drawn(n_agents=2)[None]
    weights = np.random.default_rng(0).normal(scale=0.5, size=(1, 2, 9))
    found = training.measure_agents(weights, features, SMALL)
    assert found.holds
    policy = bandits.policies(weights, features)[0]
    robustness, gaps = [], []
    for agent in policy:
        pairs = total_variation(agent[:4, None], agent[None, 4:])
        robustness.append(pairs.max())
        returns = (agent * SMALL.problem().mdp.reward).sum(axis=-1).mean(axis=-1)
        gaps.append(abs(returns.mean() - returns[:4].mean()))
    assert found.values["robustness"] == pytest.approx(np.mean(robustness))
    assert found.values["gap"] == pytest.approx(np.mean(gaps))
    assert found.values["A2"] == pytest.approx(0.75 * np.mean(robustness))  # M = 1/4, Δ = 1
    assert found.values["weight"] == pytest.approx((weights[..., 1:] ** 2).mean())
    data = training.training_data(features, SMALL)[0]
    z = np.einsum("ixd,jd->ixj", data, weights[0])
    logged = [
        bandits.divergence(z[0, :, 1], z[0, :, 0]).mean(),
        bandits.divergence(z[1, :, 0], z[1, :, 1]).mean(),
    ]
    assert found.values["divergence"] == pytest.approx(np.mean(logged))


def test_predictions_begin_at_the_pulls_and_b6_multiplies_deviations_by_kappa():
    data = training.training_data(drawn()[None], SMALL)
    pulls = training.train(data, SMALL, distillation=0.0)[0]
    for found in training.predictions(pulls, data, SMALL, np.array([0.0])):
        assert found[0] == pytest.approx(pulls)
    found = training.predictions(pulls, data, SMALL, np.array([0.5]))[0][0]
    mean = pulls.mean(axis=1, keepdims=True)
    assert found == pytest.approx(mean + (pulls - mean) / 4)  # 1/(1 + 2 · 3/2) at α = τ


RATIOS = (0, 0.1, 1, 10)
TINY = (
    Setting(bandit=SMALL, n_agents=2),
    Setting(bandit=SMALL, n_agents=2, n_shared=2),
    Setting(bandit=SMALL, n_agents=2, n_shared=4),
    Setting(bandit=dataclasses.replace(SMALL, n_train=32), n_agents=2),
    Setting(bandit=training.LARGE_LOGITS, n_agents=2),
)


@pytest.fixture(scope="module")
def tiny() -> Study:
    return training.study(n_seeds=8, ratios=RATIOS, settings=TINY)


def test_small_logits_shrink_as_b6_says(tiny):
    curve = tiny.curves[0]
    mean, low, high = band(curve.measured["weight"])
    predicted = curve.predicted["weight"].mean(axis=-1)
    assert (low <= predicted).all()
    assert (predicted <= high).all()
    assert mean[-1] < 0.6 * mean[0]
    assert abs(curve.difference("weight", unequal=True).mean).max() < 0.05
    for name in training.QUANTITIES:
        assert curve.measured[name][0] == pytest.approx(curve.predicted[name][0])


def test_the_linear_theory_is_better_the_more_data_and_the_smaller_the_logits(tiny):
    small, _, _, plenty, saturated = tiny.curves

    def off(curve: training.Curve) -> float:
        differences = curve.measured["weight"] - curve.predicted["weight"]
        return float(abs(differences).mean() / curve.predicted["weight"].mean())

    assert off(plenty) < off(small) / 2
    assert off(saturated) > 2 * off(small)


def test_what_agents_share_stays(tiny):
    independent, half, same = tiny.curves[:3]
    left = [c.measured["weight"][-1].mean() / c.measured["weight"][0].mean() for c in tiny.curves]
    assert left[0] < left[1] < left[2]
    assert left[2] == pytest.approx(1)
    assert same.correlation == pytest.approx(1)
    assert independent.correlation < 0.3 < half.correlation < 0.8
    assert same.departures("weight") == []
    assert abs(same.measured["divergence"]).max() < 1e-12


def test_the_floor_of_a_curve_is_b6s_for_its_pulls(tiny):
    for curve in tiny.curves[1:3]:
        c = min(curve.correlation, 1.0)
        expected = shrinkage.floor(2, float(curve.pull_variance.mean()), c)
        assert curve.floor == pytest.approx(float(expected))


def test_a2_holds_and_r_and_gap_fall_with_the_spurious_weight(tiny):
    assert all(curve.holds for curve in tiny.curves)
    for curve in (tiny.curves[0], tiny.curves[4]):
        for name in ("weight", "robustness", "divergence"):
            assert curve.change(name).high[-1] < 0
        assert (curve.measured["gap"] <= curve.measured["A2"]).all()


def test_the_same_seed_gives_the_same_study_and_another_seed_another():
    run = functools.partial(training.study, n_seeds=2, ratios=(0, 1), settings=TINY[:1])
    once, again, other = run(seed=3), run(seed=3), run(seed=4)
    for name in training.QUANTITIES:
        first = once.curves[0].measured[name]
        assert (first == again.curves[0].measured[name]).all()
        assert (first != other.curves[0].measured[name]).any()


def test_a_seed_draws_the_same_however_many_there_are(tiny):
    fewer = training.study(n_seeds=2, ratios=RATIOS, settings=TINY[:1]).curves[0]
    both = (fewer.measured["weight"], tiny.curves[0].measured["weight"][:, :2])
    assert both[0] == pytest.approx(both[1], rel=1e-5)


def test_progress_grows_from_nothing_to_nearly_all():
    shares: list[float] = []
    training.study(
        n_seeds=2, ratios=(0, 1), settings=TINY[:2], on_progress=lambda _, s: shares.append(s)
    )
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.5 < shares[-1] < 1


def with_measured(curve: training.Curve, factor: float) -> training.Curve:
    """A curve whose agents have `factor` times the weight predicted, a little noise aside."""
    weight = np.array(curve.predicted["weight"])
    off = factor - 1 + 1e-3 * np.linspace(-1, 1, weight.shape[1])
    weight[1:] += off * weight[1:].mean(axis=1, keepdims=True)
    return dataclasses.replace(curve, measured={**curve.measured, "weight": weight})


def test_departures_are_where_the_paired_interval_excludes_zero(tiny):
    curve = tiny.curves[0]
    assert with_measured(curve, 1.0).departures("weight") == []
    found = with_measured(curve, 0.9).departures("weight")
    assert [d.ratio for d in found] == [0.1, 1.0, 10.0]
    assert [d.size.mean for d in found] == pytest.approx([-0.1] * 3, abs=1e-3)
    assert all(d.size.low < d.size.mean < d.size.high < 0 for d in found)


def test_an_interval_is_students_by_hand():
    found = band(np.array([[1.0, 2.0, 3.0]]))
    half = 4.302652729911275 / np.sqrt(3)
    assert [float(x[0]) for x in found] == pytest.approx([2, 2 - half, 2 + half])


def words(study: Study) -> str:
    return " ".join(report.sentences(study))


def test_the_sentences_follow_the_numbers(tiny):
    curve = tiny.curves[0]
    said = {
        factor: words(dataclasses.replace(tiny, curves=(with_measured(curve, factor),)))
        for factor in (1.0, 0.8, 1.1)
    }
    assert "no measured |u|²/K is told apart from B6, at any α up to 10 τ." in said[1.0]
    assert "leaves B6 at α = 0.1 τ, where it is 20.0 % below [-20.1, -19.9]" in said[0.8]
    assert "10.0 % above [+9.9, +10.1]" in said[1.1]
    assert "below the floor" in said[0.8]
    assert "below the floor" not in said[1.1]
    violated = dataclasses.replace(curve, holds=False)
    assert "A2 IS VIOLATED" in words(dataclasses.replace(tiny, curves=(violated,)))


def test_the_sentences_tell_sharing_and_saturation(tiny):
    said = words(tiny)
    assert "the same renderings: |u|²/K stays at" in said
    assert "1/2 of the renderings shared: the pulls' correlation is" in said
    assert "With saturated policies: N = 2, τ = 1/8" in said
    assert "With more data per agent: N = 2, τ = 1/2" in said
    assert "A2 holds for every policy" in said


def test_the_picture_has_a_row_per_quantity_and_a_column_per_setting(tiny):
    figure = report.shrinkage_figure(tiny)
    assert len(figure.axes) == 3 * 2
    assert [a.get_ylabel() for a in figure.axes[::2]] == [
        "spurious weight |u|²/K",
        "R (total variation)",
        "gap (units of reward)",
    ]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"B6, independent renderings", "trained, the same renderings"} <= set(labels)
    assert len(labels) == len(set(labels))


def test_the_section_is_a_page(tiny):
    section = report.shrinkage_section(tiny)
    page = render_page(title="t", lead=[], sections=[section])
    assert page.count("<svg") == 2
    assert "mdtheory demo shrinkage --picture" in page
    assert len(section.tables[0].rows) == len(TINY)


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    status = cli.main([str(x) for x in arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    small = functools.partial(training.study, n_seeds=2, ratios=(0, 1), settings=TINY[:3])
    monkeypatch.setattr(training, "study", small)


@pytest.mark.usefixtures("quick")
def test_the_demo_prints_tables_and_sentences_and_draws(capsys, tmp_path):
    picture = tmp_path / "new" / "shrinkage.svg"
    status, out, err = run(capsys, "demo", "shrinkage", "--picture", picture)
    assert (status, err) == (0, "")
    assert "τ = 1/2, 4 training renderings" in out
    assert "A2 holds for every policy" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    assert "<svg" in picture.read_text(encoding="utf-8")
    status, out, err = run(capsys, "demo", "shrinkage", "--picture", picture)
    message = f"{picture} exists already: choose another path, or pass --force"
    assert (status, out, err) == (2, "", f"mdtheory: error: {message}\n")
    assert run(capsys, "demo", "shrinkage", "--picture", picture, "--force")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shrinkage", "--save", "x.json"), "--save needs the name of one toy, got shrinkage"),
        (("shrinkage", "--picture", "x"), "--picture must end in .svg, .png or .pdf, got x"),
        (("shrinkag",), "unknown toy 'shrinkag': did you mean 'shrinkage'? known are two-state,"),
        (("two-stat",), "unknown toy 'two-stat': did you mean 'two-state'? known are two-state,"),
    ],
)
def test_bad_arguments_of_the_demo_are_one_line_before_any_training(capsys, arguments, message):
    status, out, err = run(capsys, "demo", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"mdtheory: error: {message}")


@pytest.mark.usefixtures("quick")
def test_a_demo_whose_bound_is_violated_exits_one(capsys, monkeypatch):
    small = training.study

    def broken(**arguments: Any) -> Study:
        found = small(**arguments)
        curves = tuple(dataclasses.replace(c, holds=False) for c in found.curves)
        return dataclasses.replace(found, curves=curves)

    monkeypatch.setattr(training, "study", broken)
    assert run(capsys, "demo", "shrinkage")[0] == 1
