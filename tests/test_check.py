"""`check`: true statements hold on everything, false neighbours are refuted, extremes attained."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mdtheory import (
    STATEMENTS,
    FiniteMDP,
    LatentPolicy,
    Measurement,
    Problem,
    RenderingFamily,
    Report,
    TabularPolicy,
    check,
    judge,
    make_toy,
    measure,
)
from tests.random_problems import (
    Case,
    exact_case,
    exact_cases,
    float_case,
    scaled,
    step_world,
    toy_case,
)
from tests.reference import Reference


def report_of(case: Case, **options: Any) -> Report:
    return check(case.problem, case.policy, case.baseline, **options)


def require_ladder(report: Report, tolerance: Any = 0) -> None:
    """g <= A5 <= A4 <= min(A2, A3), A2 <= min(A0, A1), A7's right side <= A6's."""
    rhs = {b.bound.id: np.asarray(b.rhs) for b in report.bounds}
    lower = {"A5": ("A4",), "A4": ("A2", "A3"), "A2": ("A0", "A1"), "A7": ("A6",)}
    for small, larger in lower.items():
        for large in larger:
            assert np.all(rhs[small] <= rhs[large] + tolerance), (small, large)
    assert np.all(report.quantities["gap"] <= rhs["A5"] + tolerance)


def test_twenty_thousand_random_problems_satisfy_every_statement_and_the_ladder():
    case = float_case(np.random.default_rng(1), batch=(20_000,), n_states=3, n_actions=2)
    report = report_of(case)
    assert report.arithmetic == "float64"
    assert report.holds
    assert all((b.verdict == "holds").all() for b in report.bounds)
    scale = abs(case.problem.mdp.reward_bounds).max(axis=-1)
    require_ladder(report, 1e-9 * scale / (1 - case.problem.mdp.discount))


def test_peaked_and_uniform_random_problems_satisfy_the_ladder():
    for concentration in (0.05, 5.0):
        case = float_case(
            np.random.default_rng(2), batch=(3000,), n_states=2, concentration=concentration
        )
        report = report_of(case)
        assert report.holds
        scale = abs(case.problem.mdp.reward_bounds).max(axis=-1)
        require_ladder(report, 1e-9 * scale / (1 - case.problem.mdp.discount))


def test_exact_random_problems_and_extremes_satisfy_every_statement_and_the_ladder():
    applied = 0
    for case in exact_cases(np.random.default_rng(3), 110):
        report = report_of(case, require_exact=True)
        assert report.arithmetic == "exact"
        assert report.holds, case.label
        applied += report["A8"].verdict == "holds"
        require_ladder(report)
    assert applied > 80


@pytest.mark.parametrize("discount", ["0", "1/3", "9/10", "999/1000"])
@pytest.mark.parametrize("robustness", ["0", "1/7", "1"])
@pytest.mark.parametrize("train_mass", ["1/100", "1/2", "1"])
def test_sharp_is_attained_exactly_by_the_two_state_world(discount, robustness, train_mass):
    case = toy_case("two-state", discount=discount, robustness=robustness, train_mass=train_mass)
    for factor in (Fraction(1), Fraction(5, 3)):
        sharp = report_of(scaled(case, factor))["A2"]
        assert sharp.slack == 0
        assert sharp.lhs == sharp.rhs
        assert sharp.verdict == "holds"
        assert sharp.ratio == (1 if sharp.rhs > 0 else None)


@pytest.mark.parametrize("discount", ["1/3", "9/10"])
@pytest.mark.parametrize("chance", ["0", "1/100", "1"])
def test_on_policy_is_attained_exactly_by_the_rare_fork(discount, chance):
    report = report_of(toy_case("rare-fork", discount=discount, chance=chance))
    assert report["A3"].slack == 0
    assert report["A3"].rhs <= report["A2"].rhs


@pytest.mark.parametrize("discount", ["1/10", "1/2", "99/100"])
def test_training_is_attained_in_the_limit_of_small_steps(discount):
    gamma = Fraction(discount)
    for step in (Fraction(1, 10), Fraction(1, 10**6)):
        report = report_of(step_world(step, gamma))
        q = report.quantities
        used = q["surrogate"] - report["A6"].lhs
        allowed = q["surrogate"] - report["A6"].rhs
        assert used / allowed == (1 - gamma) / (1 - gamma * (1 - step))


@pytest.mark.parametrize("seed", range(8))
def test_occupancy_is_the_largest_gap_over_all_rewards(seed):
    case = exact_case(np.random.default_rng(seed), n_renderings=2, n_actions=3)
    reference, mdp = Reference(case), case.problem.mdp
    joint = [
        np.array(reference.occupancy(pi), dtype=object)[:, None] * np.array(pi, dtype=object)
        for pi in reference.pi
    ]
    low, high = mdp.reward_bounds
    best = np.where(joint[1] > joint[0], high, low)
    worst_case = FiniteMDP(
        transition=mdp.transition,
        reward=best,
        initial=mdp.initial,
        discount=mdp.discount,
        reward_bounds=mdp.reward_bounds,
    )
    attained = check(Problem(mdp=worst_case, renderings=case.problem.renderings), case.policy)
    assert attained["A5"].slack == 0
    assert attained["A5"].rhs == report_of(case)["A5"].rhs


def test_verdicts_slacks_and_ratios_of_a_hand_worked_problem():
    # long-horizon: gamma 99/100, R 1/5, M 1/2. A0 50, A1 1000, gap 10,
    # A2 = (1/2)(1/5)/((1/100)(1 - 99/100 * 4/5)) = 10/(26/125) = 625/13.
    report = report_of(toy_case("long-horizon"))
    assert (report["A0"].lhs, report["A0"].rhs, report["A0"].slack) == (10, 50, 40)
    assert report["A0"].ratio == Fraction(1, 5)
    assert report["A1"].rhs == 1000
    assert report["A2"].rhs == Fraction(625, 13)
    assert (report["A6"].lhs, report["A6"].rhs) == (100, 100 - 4950)
    assert report["A6"].slack == 4950
    assert report["A6"].ratio == 0  # the surrogate is not missed: L = 100
    assert [b.verdict for b in report.bounds] == ["holds"] * 12


def test_exact_decides_what_float64_cannot():
    tiny = Fraction(1, 10**30)
    case = exact_case(np.random.default_rng(9))
    quantities = measure(case.problem, case.policy)
    bound = STATEMENTS["A2"]
    rhs = bound.sides(quantities)[1]
    over = quantities | {"gap": rhs + tiny}
    in_float = {k: float(v) for k, v in over.items()}
    assert judge(bound, over).verdict == "violated"
    assert judge(bound, over).slack == -tiny
    assert judge(bound, quantities | {"gap": rhs}).verdict == "holds"
    radii = dict.fromkeys(in_float, 1e-12)
    undecided = judge(bound, in_float, radii=radii, settle=lambda bound, index: None)
    assert (undecided.verdict, undecided.decided_by) == ("undecided", "float64")
    settled = judge(bound, in_float, radii=radii, settle=lambda bound, index: over)
    assert (settled.verdict, settled.decided_by) == ("violated", "rationals")


def test_float_numbers_without_radii_are_taken_as_exact():
    case = float_case(np.random.default_rng(10), batch=(50,))
    quantities = measure(case.problem, case.policy)
    rhs = STATEMENTS["A2"].sides(quantities)[1]
    for factor, verdict in ((1 + 1e-13, "violated"), (1 - 1e-13, "holds")):
        changed = quantities | {"gap": rhs * factor}
        assert set(judge(STATEMENTS["A2"], changed).verdict) == {verdict}


def test_robustness_pays_does_not_apply_without_unseen_mass():
    report = report_of(toy_case("two-state", train_mass=1))
    assert report["A8"].verdict == "not applicable"
    assert report.holds


def test_holds_is_false_as_soon_as_one_problem_of_a_batch_is_violated():
    good = judge(STATEMENTS["A0"], _numbers(gap=np.array([0.0, 1.0])))
    bad = judge(STATEMENTS["A0"], _numbers(gap=np.array([0.0, 9.0])))
    assert Report(arithmetic="float64", quantities={}, bounds=(good,)).holds
    assert not Report(arithmetic="float64", quantities={}, bounds=(good, bad)).holds
    assert bad.verdict.tolist() == ["holds", "violated"]


def _numbers(**values: Any) -> dict[str, Any]:
    return {"discount": 0.5, "train_mass": 0.5, "reward_range": 1.0} | values


def test_ids_select_statements_in_their_order():
    case = toy_case("two-state")
    report = report_of(case, bounds=["A2", "A0"])
    assert [b.bound.id for b in report.bounds] == ["A2", "A0"]
    assert report["A2"].rhs == report_of(case)["A2"].rhs
    assert set(report.quantities) >= {"gap", "robustness", "train_mass", "heldout_return"}


def test_policies_may_be_tabular_latent_or_arrays():
    toy = make_toy("two-state")
    latent = toy.policy.latent(toy.problem.renderings)
    texts = [
        check(toy.problem, policy).to_json()
        for policy in (toy.policy, latent, latent.probabilities, latent.probabilities.tolist())
    ]
    assert len(set(texts)) == 1


def test_one_float_makes_the_whole_report_float64():
    case = exact_case(np.random.default_rng(11))
    rough = LatentPolicy(case.policy.probabilities.astype(np.float64))
    assert check(case.problem, rough).arithmetic == "float64"
    assert check(case.problem, case.policy, rough).arithmetic == "float64"


def test_report_prints_every_statement_and_quantity():
    report = report_of(toy_case("two-state"))
    text = str(report)
    for bound in report.bounds:
        assert any(bound.bound.id in line and bound.verdict in line for line in text.split("\n"))
    assert all(name in text for name in report.quantities)


def test_batched_report_prints_ranges_and_counts_and_exports_lists():
    case = float_case(np.random.default_rng(12), batch=(3,))
    report = report_of(case)
    assert "holds: 3" in str(report)
    assert " .. " in str(report)
    content = json.loads(report.to_json())
    assert content["bounds"][0]["verdict"] == ["holds"] * 3
    assert content["bounds"][2]["rhs"] == pytest.approx(report["A2"].rhs.tolist())


def test_observations_shared_between_renderings_force_equal_actions():
    half = Fraction(1, 2)
    mdp = make_toy("two-state").problem.mdp
    shared = RenderingFamily(observation=[[0, 1], [0, 2]], train_mask=[True, False])
    policy = TabularPolicy([[half, half], [1, 0], [0, 1]])
    report = check(Problem(mdp=mdp, renderings=shared), policy)
    assert report.quantities["robustness"] == 1  # only in state 1, where the looks differ
    assert report.quantities["gap"] == 0


def test_rows_within_the_accepted_tolerance_refute_nothing():
    mdp = FiniteMDP(
        transition=[[[1.0], [1 + 9e-10]]], reward=[[1.0, 1.0]], initial=[1.0], discount=0.99
    )
    problem = Problem(mdp=mdp, renderings=RenderingFamily.distinct(1, train_mask=[True, False]))
    assert check(problem, [[[1.0, 0.0]], [[0.0, 1.0]]]).holds


def test_weights_within_the_accepted_tolerance_refute_nothing():
    mdp = FiniteMDP(transition=[[[1.0], [1.0]]], reward=[[1.0, 0.0]], initial=[1.0], discount=0.999)
    family = RenderingFamily.distinct(
        1, train_mask=[True, True, False], weights=[0.5, 0.5 + 9e-10, 0.0]
    )
    problem = Problem(mdp=mdp, renderings=family)
    assert check(problem, [[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]]).holds


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_overflow_refutes_nothing():
    mdp = FiniteMDP(
        transition=[[[1.0], [1.0]]], reward=[[1e308, -1e308]], initial=[1.0], discount=0.5
    )
    problem = Problem(mdp=mdp, renderings=RenderingFamily.distinct(1, train_mask=[True, True]))
    try:
        report = check(problem, [[[1.0, 0.0]], [[0.0, 1.0]]])
    except (ValueError, ArithmeticError):
        return  # to refuse is fine, to call a theorem violated is not
    assert report.holds


@pytest.mark.parametrize("gamma", [0.9, 0.999, 1 - 1e-6, 1 - 1e-9])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e6])
def test_a_large_common_reward_refutes_nothing(gamma: float, offset: float):
    """Returns of a million horizons differ by less than their rounding; the gap must not see it."""
    rng = np.random.default_rng(0)
    transition, policy = rng.random((100, 3, 2, 3)), rng.random((100, 2, 3, 2))
    mdp = FiniteMDP(
        transition=transition / transition.sum(axis=-1, keepdims=True),
        reward=offset + rng.random((100, 3, 2)),
        initial=[1.0, 0.0, 0.0],
        discount=gamma,
    )
    family = RenderingFamily.distinct(3, train_mask=[True, False], weights=[0.5, 0.5])
    report = check(Problem(mdp=mdp, renderings=family), policy / policy.sum(axis=-1, keepdims=True))
    assert report.holds


def test_the_gap_of_equal_policies_is_zero_whatever_the_offset():
    mdp = FiniteMDP(
        transition=[[[0.5, 0.5]], [[0.1, 0.9]]], reward=[[1e9], [1e9 + 1]], initial=[0.5, 0.5],
        discount=0.999,
    )  # fmt: skip
    family = RenderingFamily.distinct(2, train_mask=[True, False], weights=[0.25, 0.75])
    report = check(Problem(mdp=mdp, renderings=family), np.ones((2, 2, 1)))
    assert report.quantities["gap"] < 1e-9
    assert report.quantities["train_return"] == pytest.approx(1e12, rel=1e-9)


def test_whole_numbers_in_lists_are_exact():
    case = make_toy("two-doors")
    policy = [[[1, 0]] * 3, [[0, 1]] * 3]
    assert check(case.problem, policy, require_exact=True).quantities["robustness"] == 1
    family = RenderingFamily.distinct(3, train_mask=[True, False], weights=[1, 0])
    assert check(Problem(mdp=case.problem.mdp, renderings=family), policy).arithmetic == "exact"


def test_a_small_violation_is_seen_beside_a_large_common_reward():
    """A2 is attained here, so a gap that is a billionth larger must be judged a violation."""
    attained = make_toy("two-state")
    mdp = attained.problem.mdp.to_float()
    shifted = FiniteMDP(
        transition=mdp.transition,
        reward=mdp.reward + 1e6,
        initial=mdp.initial,
        discount=mdp.discount,
    )
    problem = Problem(mdp=shifted, renderings=attained.problem.renderings)
    found = check(problem, attained.policy)["A2"]
    assert (found.verdict, found.decided_by) == ("holds", "rationals")
    policy = attained.policy.latent(problem.renderings)
    measured = Measurement.of(problem, policy)
    values = {q.name: measured.value(q) for q in STATEMENTS["A2"].quantities}
    radii = {q.name: measured.radius(q) for q in STATEMENTS["A2"].quantities}
    larger = judge(STATEMENTS["A2"], values | {"gap": values["gap"] + 1e-9}, radii=radii)
    assert (larger.verdict, larger.decided_by) == ("violated", "float64")
