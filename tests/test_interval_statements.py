"""Verdicts on samples: numbers worked by hand, degenerate samples, true and false bounds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy

from experiments.interval_statements import (
    FAMILY,
    METHODS,
    PLAYED,
    ClusterSample,
    IntervalReport,
    interval_statements,
    rendering_term,
)
from mdtheory import FiniteMDP, LatentPolicy, Problem, RenderingFamily, check, parse_bound
from mdtheory.intervals import band, bernstein_half_width, student_half_width
from mdtheory.statements import STATEMENTS, Bound
from mdtheory.statements.quantities import R, gap, mean_robustness
from tests.wrong_variants import wrong_variants

A0, A2, A3 = (STATEMENTS[name] for name in ("A0", "A2", "A3"))
IN_A2S_FORMULA = Bound(
    relation=sympy.Le(gap, A2.rhs.subs(R, mean_robustness)), id="mean R in A2's formula"
)


def sample(clusters: int = 40, seed: int = 0, **changes: Any) -> ClusterSample:
    """Returns around 3 and 2.5, TV sums around 2; gamma = 0.9 and Delta = 1."""
    rng = np.random.default_rng(seed)
    numbers: dict[str, Any] = {
        "train_return": rng.uniform(2, 4, clusters),
        "heldout_return": rng.uniform(1.5, 3.5, clusters),
        "tv_sum": rng.uniform(1.5, 2.5, clusters),
        "discount": 0.9,
        "reward_range": 1.0,
        "train_mass": 0.25,
    }
    return ClusterSample(**numbers | changes)


def played(of: ClusterSample, method: str = "student", **arguments: Any) -> IntervalReport:
    return interval_statements(of, method=method, **arguments)[0]


def constant(eta: float, xi: float, tv: float, **changes: Any) -> ClusterSample:
    """Every cluster shows the same numbers."""
    n = changes.pop("clusters", 60)
    arrays = {
        name: np.full(n, value)
        for name, value in (("train_return", eta), ("heldout_return", xi), ("tv_sum", tv))
    }
    return sample(**arrays | changes)


# The world that attains A3: the start state is left at once, action 0 for a state that pays 1
# forever, action 1 for one that pays nothing.  In training action 0 is taken, held out action 1
# with probability 1/2.
FORK, PAYS = Fraction(1, 2), Fraction(2)
TIGHT = Problem(
    mdp=FiniteMDP(
        transition=[[[0, 1, 0], [0, 0, 1]], [[0, 1, 0]] * 2, [[0, 0, 1]] * 2],
        reward=[[PAYS, 0], [PAYS, PAYS], [0, 0]],
        initial=[1, 0, 0],
        discount=Fraction(9, 10),
    ),
    renderings=RenderingFamily.distinct(
        3, train_mask=[True, False], weights=[Fraction(1, 4), Fraction(3, 4)]
    ),
)
TIGHT_POLICY = LatentPolicy([[[1, 0]] * 3, [[1 - FORK, FORK], [1, 0], [1, 0]]])


def tight_sample(audits: int, clusters: int, seed: int = 0) -> ClusterSample:
    """Played in the world that attains A3, where only the first held-out action is random."""
    slips = np.random.default_rng(seed).random((audits, clusters)) < float(FORK)
    everything = float(PAYS) * 10
    return ClusterSample(
        train_return=np.full(slips.shape, everything),
        heldout_return=np.where(slips, 0.0, everything),
        tv_sum=np.full(slips.shape, float(FORK)),
        discount=0.9,
        reward_range=float(PAYS),
        train_mass=0.25,
    )


def test_estimates_and_right_sides_by_hand() -> None:
    of = sample(
        train_return=np.array([3.0, 5.0]),
        heldout_return=np.array([1.0, 2.0]),
        tv_sum=np.array([1.0, 2.0]),
    )
    report = played(of)
    means = {name: float(found.mean) for name, found in report.estimates.items()}
    assert means == pytest.approx(
        {
            "train_return": 4.0,
            "heldout_return": 1.5,
            "general_return": 4 / 4 + 3 * 1.5 / 4,
            "heldout_minus_train": -2.5,
            "gap": 0.75 * 2.5,
            "mean_robustness": 0.15,
        }
    )
    assert report["A0"].rhs == pytest.approx((7.5, 7.5, 7.5))  # 0.75 * 1 / 0.1, which is known
    assert report["A3"].rhs.mean == pytest.approx(0.75 * 1.5 * 10)
    assert [found.mean for found in report["A3"].slack] == pytest.approx(
        [0.75 * (15 + 2.5), 0.75 * (15 - 2.5)]
    )
    assert (report.n_clusters, report.confidence, report.about) == (2, 0.95, PLAYED)


def test_right_sides_are_those_of_the_statements() -> None:
    of = sample()
    values = {"gap": 0.0, "train_mass": 0.25, "reward_range": 1.0, "discount": 0.9}
    values["mean_robustness"] = 0.1 * of.tv_sum.mean()
    for statement in (A0, A3):
        found = played(of)[statement.id]
        assert found.bound is statement
        assert found.rhs.mean == pytest.approx(statement.sides(values)[1])


def test_slack_is_students_interval_of_paired_numbers_at_half_the_probability() -> None:
    of = sample()
    paired = 0.75 * (
        10 * of.tv_sum + np.stack([-1, 1])[:, None] * (of.heldout_return - of.train_return)
    )
    half = student_half_width(paired, delta=0.025)
    for found, mean, its_half in zip(
        played(of)["A3"].slack, paired.mean(axis=-1), half, strict=True
    ):
        assert found == pytest.approx((mean, mean - its_half, mean + its_half))
    # Ranges: A3 runs from 0 to 75, the difference of returns from -7.5 to 7.5.
    half = bernstein_half_width(paired, width=90.0, delta=0.025)
    slack = played(of, "bernstein")["A3"].slack
    np.testing.assert_allclose([found.high - found.mean for found in slack], half)


def test_difference_has_students_interval() -> None:
    of = sample()
    expected = band(of.heldout_return - of.train_return)
    assert played(of).estimates["heldout_minus_train"] == pytest.approx(expected)


def test_gap_is_never_below_zero_and_holds_the_ends_of_its_difference() -> None:
    same = played(sample(heldout_return=sample().train_return[::-1])).estimates
    assert same["gap"].low == 0
    assert same["gap"].high == pytest.approx(
        0.75 * max(abs(x) for x in same["heldout_minus_train"])
    )
    far = played(sample(heldout_return=np.linspace(0, 0.5, 40))).estimates
    low, high = far["heldout_minus_train"].low, far["heldout_minus_train"].high
    assert far["gap"] == pytest.approx((-0.75 * (low + high) / 2, -0.75 * high, -0.75 * low))


@pytest.mark.parametrize("method", METHODS)
def test_bounds_far_from_the_gap_hold_and_finite_samples_need_wider_intervals(method: str) -> None:
    report = played(sample(clusters=400), method)
    assert [s.verdict for s in report.statements] == ["holds", "holds"]
    assert [s.id for s in report.statements] == ["A0", "A3"]
    narrow = played(sample(clusters=400)).estimates
    for name, found in report.estimates.items():
        assert found.low <= narrow[name].low
        assert found.high >= narrow[name].high


@pytest.mark.parametrize("method", METHODS)
def test_one_cluster_decides_nothing(method: str) -> None:
    report = played(sample(clusters=1), method)
    assert [s.verdict for s in report.statements] == ["undecided", "undecided"]
    assert math.isnan(report.estimates["train_return"].low)
    assert math.isnan(report.estimates["gap"].low)


@pytest.mark.parametrize("method", METHODS)
def test_a_blind_policy_is_undecided_since_equal_numbers_do_not_show_their_spread(
    method: str,
) -> None:
    report = played(constant(2.0, 2.0, 0.0), method)
    a3 = report["A3"]
    assert (a3.lhs.mean, a3.rhs.mean, a3.slack[0].mean) == (0, 0, 0)
    assert a3.verdict == "undecided"
    assert a3.rhs.high > 0
    assert report["A0"].verdict == "holds"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("clusters", [2, 10])
def test_a0_holds_whatever_the_data_are(method: str, clusters: int) -> None:
    """No interval of the difference leaves [-W, W], so nothing could make it fail."""
    for returns in (0.0, 10.0):
        a0 = played(constant(returns, 10 - returns, 0.0, clusters=clusters), method)["A0"]
        assert a0.verdict == "holds"
        assert a0.lhs.high <= a0.rhs.mean
        assert all(slack.low <= slack.mean <= slack.high for slack in a0.slack)


def test_equal_returns_decide_nothing_even_where_tv_varies() -> None:
    """With a small chance of success no episode of 16 may be paid; that proves no small gap."""
    tv = np.linspace(0.01, 0.03, 16)
    unpaid = sample(train_return=np.zeros(16), heldout_return=np.zeros(16), tv_sum=tv)
    a3 = played(unpaid, "student")["A3"]
    assert a3.rhs.low > a3.lhs.mean == 0
    assert a3.verdict == "undecided"
    paid = dataclasses.replace(unpaid, heldout_return=np.tile([-0.1, 0.1], 8))
    assert played(paid, "student")["A3"].verdict == "holds"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "known", [{"train_mass": 1.0}, {"reward_range": 0.0}, {"return_range": 0.0}]
)
@pytest.mark.parametrize("clusters", [1, 5])
def test_what_is_zero_by_definition_holds(
    method: str, known: dict[str, Any], clusters: int
) -> None:
    report = played(constant(2.0, 2.0, 1.5, clusters=clusters, **known), method)
    assert report.statements[-1].verdict == "holds"
    assert report["A3"].slack[0].mean >= 0


def test_everything_trained_has_no_gap_whatever_was_played() -> None:
    report = played(sample(train_mass=1.0))
    assert report.estimates["gap"] == (0, 0, 0)
    assert [s.verdict for s in report.statements] == ["holds", "holds"]


def test_a_batch_is_its_members() -> None:
    members = [sample(seed=0), constant(2.0, 2.0, 0.0, clusters=40), sample(seed=2)]
    arrays = {
        name: np.stack([getattr(member, name) for member in members])
        for name in ("train_return", "heldout_return", "tv_sum")
    }
    for method in METHODS:
        together = played(sample(**arrays), method)
        for k, member in enumerate(members):
            single = played(member, method)
            for name, found in single.estimates.items():
                np.testing.assert_allclose([x[k] for x in together.estimates[name]], found)
            for statement, alone in zip(together.statements, single.statements, strict=True):
                assert statement.verdict[k] == alone.verdict
                np.testing.assert_allclose([x[k] for x in statement.rhs], alone.rhs)


def test_more_confidence_gives_wider_intervals_and_only_the_seed_moves_the_bootstrap() -> None:
    sure, plain, again, other = (
        played(of, seed=seed)
        for of, seed in (
            (sample(confidence=0.999), 0), (sample(), 0), (sample(), 0), (sample(), 1)
        )
    )  # fmt: skip
    for name, found in plain.estimates.items():
        assert sure.estimates[name].low < found.low
        assert sure.estimates[name].high > found.high
        assert again.estimates[name] == found
    assert other.estimates["train_return"] != plain.estimates["train_return"]
    assert other["A3"].slack == plain["A3"].slack


def test_world_of_the_tight_sample_attains_a3_and_has_its_means() -> None:
    """The simulated numbers belong to the exact world."""
    report = check(TIGHT, TIGHT_POLICY, require_exact=True)
    assert report["A3"].slack == 0
    of = tight_sample(1, 200_000)
    exact = {name: float(value) for name, value in report.quantities.items()}
    assert of.train_return.mean() == pytest.approx(exact["train_return"])
    assert of.heldout_return.mean() == pytest.approx(exact["heldout_return"], abs=0.1)
    assert 0.1 * of.tv_sum.mean() == pytest.approx(exact["mean_robustness"])


def violated(bound: Bound, of: ClusterSample, method: str = "student") -> float:
    """How often a bound comes out as violated."""
    found = played(of, method, bounds=[bound]).statements[0]
    return float(np.mean(found.verdict == "violated"))


@pytest.mark.parametrize("method", METHODS)
def test_true_bounds_are_violated_no_more_often_than_they_may_be(method: str) -> None:
    of = tight_sample(1000, 400)
    for bound in (A0, A3):
        assert violated(bound, of, method) <= 0.05


def false_variants() -> list[Bound]:
    """Variants of A3 that the tight world refutes by a fifth of its gap or more."""
    found = []
    values = check(TIGHT, TIGHT_POLICY).quantities
    for bound in (*wrong_variants(), IN_A2S_FORMULA):
        is_a3 = bound is IN_A2S_FORMULA or bound.name.startswith("A3: ")  # type: ignore[attr-defined]
        if is_a3 and bound.relation.rel_op == "<=":
            left, right = bound.sides(values)
            if right < 0.8 * left:
                found.append(bound)
    return found


def name_of(bound: Bound) -> str:
    return getattr(bound, "name", bound.id)


def test_the_tight_world_refutes_the_variants_that_matter() -> None:
    names = {name_of(bound).removeprefix("A3: ") for bound in false_variants()}
    assert names >= {
        "a factor 1/(1-gamma) dropped",
        "two factors 1/(1-gamma) dropped",
        "gamma for 1-gamma",
        "half the constant",
        "flipped sign",
        "(1-M) squared",
        "M for 1-M",
        "Delta dropped",
        "mean R squared",
        "mean R in A2's formula",
    }


@pytest.mark.parametrize("bound", false_variants(), ids=name_of)
def test_false_variants_come_out_as_violated(bound: Bound) -> None:
    assert violated(bound, tight_sample(100, 500)) > 0.99


def test_false_variants_are_violated_for_any_number_of_clusters_too() -> None:
    dropped = Bound(relation=sympy.Le(gap, A3.rhs * (1 - sympy.Symbol("gamma"))))
    assert violated(dropped, tight_sample(200, 1000), "bernstein") == 1
    assert violated(dropped, tight_sample(200, 3), "bernstein") == 0


def one_payment(audits: int, clusters: int, **changes: Any) -> ClusterSample:
    """An episode of one step, which pays 1 unless the agent slips, held out half the time.

    Every return-to-go lies in [0, 1], and the gap is 0.75 / 2: A3 with that range is attained.
    """
    slips = np.random.default_rng(0).random((audits, clusters)) < 0.5
    return sample(
        train_return=np.ones(slips.shape),
        heldout_return=1.0 - slips,
        tv_sum=np.full(slips.shape, 0.5),
        **changes,
    )


def test_return_range_sharpens_both_statements() -> None:
    report = played(one_payment(1, 60, return_range=1.0))
    assert [s.id for s in report.statements] == [
        "A0", "A3", "A0 with return range", "A3 with return range"
    ]  # fmt: skip
    rights = [float(s.rhs.mean[0]) for s in report.statements]
    assert rights == pytest.approx([7.5, 3.75, 0.75, 0.375])
    without = played(one_payment(1, 60))
    assert without["A3"].rhs.mean == report["A3"].rhs.mean
    with pytest.raises(KeyError, match="unknown statement 'A4'"):
        report["A4"]


def test_return_range_is_used_only_where_it_is_smaller() -> None:
    for wide in (10.0, 1e6):
        of = one_payment(1, 60, return_range=wide)
        assert [s.id for s in played(of).statements] == ["A0", "A3"]
        assert of.return_width == pytest.approx(10)


def test_statements_with_a_return_range_are_judged_rightly_where_they_are_attained() -> None:
    of = one_payment(1000, 400, return_range=1.0)
    for method in METHODS:
        report = played(of, method)
        for name in ("A0 with return range", "A3 with return range"):
            assert np.mean(report[name].verdict == "violated") <= 0.05
        assert (report["A0 with return range"].verdict == "holds").mean() > 0.95
    # Half of the proven range is a wrong range, which the samples would not even fit into.
    halved = Bound(relation=sympy.Le(gap, A3.rhs / 20))
    assert violated(halved, of) > 0.99


def test_known_ranges_narrow_the_finite_sample_intervals() -> None:
    wide, narrow = (
        played(one_payment(1, 60, return_range=w), "bernstein").estimates["heldout_return"]
        for w in (None, 1.0)
    )
    assert narrow.high - narrow.low < (wide.high - wide.low) / 4


def test_rendering_term_by_hand() -> None:
    delta = 2 * math.exp(-4)  # log(2/delta) = 4
    assert rendering_term(8, width=3.0, delta=delta) == pytest.approx(1.5)
    assert rendering_term(None, width=3.0, delta=delta) == 0


def test_statements_about_the_family_are_the_same_with_that_term_added() -> None:
    of = sample(train_renderings=50, heldout_renderings=20, rendering_delta=0.02)
    narrow, wide = interval_statements(of)
    assert (narrow.about, wide.about) == (PLAYED, FAMILY)
    assert wide.confidence == wide["A3"].confidence == pytest.approx(0.93)
    assert narrow.confidence == 0.95
    terms = {
        "train_return": rendering_term(50, width=10.0, delta=0.02),
        "heldout_return": rendering_term(20, width=10.0, delta=0.02),
        "general_return": rendering_term(20, width=10.0, delta=0.02),
        "heldout_minus_train": rendering_term(20, width=20.0, delta=0.02),
    }
    for name, term in terms.items():
        inner, outer = narrow.estimates[name], wide.estimates[name]
        assert outer == pytest.approx((inner.mean, inner.low - term, inner.high + term))
    term = rendering_term(20, width=90.0, delta=0.01)
    least = -0.75 * 10  # (1 - M) W: no slack can be smaller
    for inner, outer in zip(narrow["A3"].slack, wide["A3"].slack, strict=True):
        low = max(inner.low - term, least)
        assert outer == pytest.approx((inner.mean, low, inner.high + term))


def test_all_renderings_on_one_side_leave_the_other_sides_number() -> None:
    known = {"rendering_delta": 0.02}
    first = interval_statements(sample(heldout_renderings=20, **known))[1].estimates
    second = interval_statements(sample(train_renderings=500, heldout_renderings=20, **known))[1]
    assert first["heldout_minus_train"] == second.estimates["heldout_minus_train"]
    alone = played(sample()).estimates["train_return"]
    assert first["train_return"] == alone != second.estimates["train_return"]


def test_mean_robustness_stays_between_0_and_1() -> None:
    of = sample(tv_sum=np.linspace(0, 10, 40), heldout_renderings=1)
    for report in interval_statements(of, method="bernstein"):
        found = report.estimates["mean_robustness"]
        assert 0 <= found.low < 0.2
        assert 0.8 < found.high <= 1


def test_nothing_is_called_verified() -> None:
    texts = [repr(interval_statements(sample(heldout_renderings=3))), *METHODS, PLAYED, FAMILY]
    assert not any("verified" in text.lower() for text in texts)


def test_samples_are_frozen_copies() -> None:
    numbers = np.linspace(2, 4, 40)
    of = sample(train_return=numbers)
    numbers[:] = 0
    assert of.train_return[0] == 2
    with pytest.raises(ValueError, match="read-only"):
        of.train_return[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        of.discount = 0.5  # type: ignore[misc]


WITH_A_MAXIMUM = dataclasses.replace(parse_bound("gap <= max(Rbar, M)"), id="with a maximum")
KNOWN = "gap, mean_robustness, train_mass, reward_range, discount"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample(tv_sum=np.zeros(3)), "tv_sum must have train_return's shape [40], got [3]"),
        (lambda: sample(heldout_return=[np.nan] * 40),
         "heldout_return[cluster=0] must be a finite number, got nan"),
        (lambda: sample(train_return=np.zeros(0)),
         "train_return must not be empty, got shape (0,)"),
        (lambda: sample(discount=1.0), "discount must lie in [0, 1), got 1.0"),
        (lambda: sample(train_mass=0.0), "train_mass must lie in (0, 1], got 0.0"),
        (lambda: sample(reward_range=-1.0), "reward_range must be finite and at least 0, got -1.0"),
        (lambda: sample(return_range=math.inf),
         "return_range must be finite and at least 0, got inf"),
        (lambda: sample(confidence=1.0), "confidence must lie in (0, 1), got 1.0"),
        (lambda: sample(rendering_delta=0.0), "rendering_delta must lie in (0, 1), got 0.0"),
        (lambda: sample(train_renderings=0),
         "train_renderings must be a whole number of at least 1, got 0"),
        (lambda: sample(heldout_renderings=2.5),
         "heldout_renderings must be a whole number of at least 1, got 2.5"),
        (lambda: sample(heldout_renderings=2, rendering_delta=0.95),
         "rendering_delta must be below confidence = 0.95, got 0.95"),
        (lambda: sample(tv_sum=np.full(40, -0.5)),
         "tv_sum must lie in [0, 1/(1-discount)] = [0, 10], got -0.5"),
        (lambda: sample(tv_sum=np.full(40, 10.5)),
         "tv_sum must lie in [0, 1/(1-discount)] = [0, 10], got 10.5"),
        (lambda: sample(train_return=np.linspace(0, 12, 40)),
         "reward_range / (1 - discount) must be at least the spread of the returns, 12, got 10"),
        (lambda: constant(2.0, 0.5, 0.0, return_range=1.0),
         "return_range must be at least the spread of the returns, 1.5, got 1"),
        (lambda: interval_statements(sample(), method="students"),
         "unknown method 'students': did you mean 'student'? known are student, bernstein"),
        (lambda: interval_statements(sample(), bounds=[A2]),
         f"bounds must speak of what a sample estimates ({KNOWN}), got robustness in A2"),
        (lambda: interval_statements(sample(), bounds=[STATEMENTS["A6"]]),
         "bounds must be of the form gap <= ..., got A6"),
        (lambda: interval_statements(sample(), bounds=[parse_bound("gap < Rbar")]),
         "bounds must be of the form gap <= ..., got gap < Rbar"),
        (lambda: interval_statements(sample(), bounds=[parse_bound("gap <= Rbar if M > 0")]),
         "bounds must be of the form gap <= ..., got gap <= Rbar if M > 0"),
        (lambda: interval_statements(sample(), bounds=[WITH_A_MAXIMUM]),
         "bounds must be differentiable in mean_robustness, got with a maximum"),
        (lambda: interval_statements(sample(), method="bernstein", bounds=[IN_A2S_FORMULA]),
         "bounds must be linear in mean_robustness for the method 'bernstein' and for drawn"
         " renderings, got mean R in A2's formula"),
        (lambda: interval_statements(sample(train_renderings=9), bounds=[IN_A2S_FORMULA]),
         "bounds must be linear in mean_robustness for the method 'bernstein' and for drawn"
         " renderings, got mean R in A2's formula"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named_with_their_value(
    call: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call()
    assert str(caught.value) == message
