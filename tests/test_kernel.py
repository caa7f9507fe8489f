"""The float64 kernel: proven radii, NumPy and PyTorch alike, no false verdict anywhere."""

from __future__ import annotations

from fractions import Fraction

import flint
import numpy as np
import pytest

from mdtheory import (
    STATEMENTS,
    FiniteMDP,
    Instance,
    LatentPolicy,
    Measurement,
    Problem,
    RenderingFamily,
    check,
    judge,
    measure,
)
from mdtheory.exact import Enclosed
from mdtheory.statements import PAIR_QUANTITIES, QUANTITIES
from mdtheory.survey.draw import adversarial
from tests.random_problems import exact_cases, float_case, step_world, toy_case, two_policies

EVERY = QUANTITIES | PAIR_QUANTITIES


def test_the_true_value_lies_within_the_radius():
    rng = np.random.default_rng(0)
    some = [*exact_cases(rng, 40), step_world(Fraction(1, 1000), Fraction(9, 10))]
    some.append(toy_case("rare-fork"))
    for k in range(40):
        size = {"n_states": 1 + k % 5, "n_actions": 1 + k % 3}
        some.append(float_case(np.random.default_rng(k), **size))
    widest: dict[str, float] = {}
    for case in some:
        rough = Instance(case.problem, case.policy, case.baseline).in_floats()
        truth = Measurement.of(*rough.in_rationals())
        floats = Measurement.of(*rough)
        for quantity in EVERY.values():
            value, radius = floats.value(quantity), float(floats.radius(quantity))
            exact = truth.value(quantity)
            if exact is None:
                assert np.isnan(value)
                continue
            if isinstance(exact, Enclosed):
                assert _within(float(value), exact, radius), quantity.name
                if np.isinf(float(exact)):
                    continue
                exact = Fraction(float(exact))
            assert abs(Fraction(float(value)) - exact) <= radius, quantity.name
            scale = float(max(abs(exact), 1e-3)) / (1 - float(rough.problem.mdp.discount)) ** 2
            widest[quantity.name] = max(widest.get(quantity.name, 0), radius / scale)
    assert all(width < 1e-8 for width in widest.values()), widest


def _within(value: float, truth: Enclosed, radius: float) -> bool:
    """Surely; an infinite number is only right exactly, or when the radius says nothing."""
    if np.isinf(float(truth)) or np.isinf(value):
        return value == float(truth) or np.isinf(radius)
    with flint.ctx.workprec(200):
        return bool(abs(truth.ball() - flint.arb(value)) <= flint.arb(radius))


def test_an_infinite_divergence_is_sure_where_the_state_is_surely_visited():
    case = two_policies([Fraction(1, 2)] * 2, [1, 0])
    rough = Instance(case.problem, case.policy, case.baseline).in_floats()
    measured = Measurement.of(*rough)
    for name in ("divergence", "mean_divergence"):
        quantity = PAIR_QUANTITIES[name]
        assert (measured.value(quantity), measured.radius(quantity)) == (np.inf, 0)
    report = check(*rough)
    assert [report[i].verdict for i in ("B2", "B3")] == ["holds", "holds"]
    assert {report[i].decided_by for i in ("B1", "B2", "B3")} <= {"float64", "rationals"}


def test_an_excluded_action_in_a_state_that_is_never_visited_is_left_to_rationals():
    """Whether an infinite divergence counts depends on a zero that floats may not show."""
    mdp = FiniteMDP(
        transition=[[[1.0, 0.0]] * 2, [[0.0, 1.0]] * 2],
        reward=[[1.0, 0.0], [0.0, 0.0]],
        initial=[1.0, 0.0],
        discount=0.9,
    )
    problem = Problem(mdp=mdp, renderings=RenderingFamily.distinct(2, train_mask=[True, False]))
    policy = LatentPolicy([[[0.5, 0.5], [1.0, 0.0]]] * 2)
    baseline = LatentPolicy([[[0.25, 0.75], [0.5, 0.5]]] * 2)
    measured = Measurement.of(problem, policy, baseline)
    assert measured.radius(PAIR_QUANTITIES["mean_divergence"]) == np.inf
    report = check(problem, policy, baseline)
    assert np.isfinite(report.quantities["mean_divergence"])
    assert (report["B3"].verdict, report["B3"].decided_by) == ("holds", "balls")


def test_equal_and_deterministic_policies_are_decided_at_any_number_of_states():
    n_states = 100
    rng = np.random.default_rng(0)
    mdp = FiniteMDP(
        transition=rng.dirichlet(np.ones(n_states), (n_states, 2)),
        reward=rng.normal(size=(n_states, 2)),
        initial=np.full(n_states, 1 / n_states),
        discount=0.9,
    )
    problem = Problem(
        mdp=mdp, renderings=RenderingFamily.distinct(n_states, train_mask=[True, False])
    )
    soft = rng.dirichlet(np.ones(2), (2, n_states))
    one, other = (np.eye(2)[rng.integers(2, size=(2, n_states))] for _ in range(2))
    for policy, baseline in ((soft, soft), (one, soft), (soft, one), (one, other)):
        report = check(problem, policy, baseline)
        assert [report[i].verdict for i in ("B1", "B2", "B3")] == ["holds"] * 3


@pytest.mark.parametrize("seed", range(3))
def test_no_attained_bound_is_called_violated_and_rationals_settle_it(seed):
    instance = adversarial(np.random.default_rng(seed), 300)
    report = check(*instance)
    assert report.holds
    for result in report.bounds:
        assert set(result.verdict) == {"holds"}, result.bound.id
    assert "rationals" in set(report["A2"].decided_by)
    assert (report["A2"].slack >= 0).all()


def test_a_bound_that_is_exceeded_by_a_trillionth_is_violated():
    """The world attains A2; one part in 10^12 less is refuted, one more holds, in float64 input."""
    instance = adversarial(np.random.default_rng(7), 100)
    report = check(*instance, bounds=["gap <= A2*(1 - 1e-12)", "gap <= A2*(1 + 1e-12)"])
    below, above = report.bounds
    blind = report.quantities["robustness"] == 0
    assert set(below.verdict[~blind]) == {"violated"}
    assert set(below.verdict[blind]) == {"holds"}
    assert set(above.verdict) == {"holds"}


def test_ordinary_problems_need_no_rationals():
    case = float_case(np.random.default_rng(1), batch=(500,))
    report = check(case.problem, case.policy, case.baseline)
    for result in report.bounds:
        assert set(result.decided_by) == {"float64"}


def test_blind_policies_and_full_coverage_are_decided_without_rationals():
    case = float_case(np.random.default_rng(2), batch=(50,))
    blind = np.broadcast_to(case.policy.probabilities[:, :1], case.policy.probabilities.shape)
    for bound in check(case.problem, blind.copy()).bounds[1:]:
        assert set(bound.decided_by) == {"float64"}
        assert (bound.slack == 0).all()
    family = RenderingFamily.distinct(
        4, train_mask=[True, True, False, False], weights=[0.25, 0.75, 0.0, 0.0]
    )
    covered = Problem(mdp=case.problem.mdp, renderings=family)
    for bound in check(covered, case.policy).bounds:
        assert set(bound.decided_by) == {"float64"}
        assert (bound.slack == 0).all()


def test_a_world_too_large_for_rationals_stays_undecided_where_rounding_hides_the_answer():
    n_states = 65
    transition = np.zeros((n_states, 2, n_states))
    transition[:, 0] = np.eye(n_states)
    transition[:, 1, 1] = 1
    transition[1:, :, :] = np.eye(n_states)[1:, None, :]
    reward = np.zeros((n_states, 2))
    reward[0, 0] = 1
    mdp = FiniteMDP(transition=transition, reward=reward, initial=np.eye(n_states)[0], discount=0.9)
    policy = np.zeros((2, n_states, 2))
    policy[0, :, 0] = 1
    policy[1] = [0.7, 0.3]
    problem = Problem(
        mdp=mdp, renderings=RenderingFamily.distinct(n_states, train_mask=[True, False])
    )
    report = check(problem, policy)
    assert report["A2"].verdict == "undecided"
    assert report["A2"].decided_by == "float64"
    assert report["A0"].verdict == "holds"
    assert report.holds  # nothing is violated


torch = pytest.importorskip("torch")


@pytest.mark.parametrize("batch", [(), (7,), (2, 3)])
def test_numpy_and_torch_agree_to_ten_digits(batch):
    for seed in range(4):
        case = float_case(np.random.default_rng(seed), batch=batch)
        by_numpy = measure(case.problem, case.policy, case.baseline)
        by_torch = measure(case.problem, case.policy, case.baseline, device="cpu")
        assert set(by_numpy) == set(by_torch)
        for name, value in by_numpy.items():
            assert isinstance(by_torch[name], type(value))
            assert by_torch[name] == pytest.approx(value, rel=1e-10, abs=1e-12), name


def test_torch_verdicts_equal_numpy_verdicts():
    instance = adversarial(np.random.default_rng(3), 100)
    by_numpy, by_torch = check(*instance), check(*instance, device="cpu")
    for one, other in zip(by_numpy.bounds, by_torch.bounds, strict=True):
        assert (one.verdict == other.verdict).all()


def test_exact_problems_go_to_a_device_as_floats():
    case = next(iter(exact_cases(np.random.default_rng(5), 11)))
    report = check(case.problem, case.policy, case.baseline, device="cpu")
    assert report.arithmetic == "float64"
    assert report.holds


def test_radii_are_needed():
    """Without them a float64 comparison at equality would be decided by rounding."""
    instance = adversarial(np.random.default_rng(4), 2000)
    measured = Measurement.of(*instance)
    values = {q.name: measured.value(q) for q in STATEMENTS["A2"].quantities}
    naive = judge(STATEMENTS["A2"], values)
    assert (naive.verdict == "violated").any()
