"""Part B on any number of agents, and B6 on linearised distillation; wrong variants are caught."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest
import sympy

from mdtheory import (
    STATEMENTS,
    LatentPolicy,
    Problem,
    RenderingFamily,
    TabularPolicy,
    agents,
    check,
    check_agents,
    check_shrinkage,
    exact,
    judge,
    make_toy,
    measure,
    pairs_of,
    parse_bound,
)
from mdtheory.exact import Enclosed
from mdtheory.statements.quantities import (
    average_robustness,
    distillation,
    logit_oscillation,
    n_agents,
    pull_correlation,
    task_curvature,
)
from tests.random_problems import exact_case, exact_rows, float_case, toy_case, two_policies

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
TOY = toy_case("two-state")
ONE_STATE = two_policies([1, 1], [1, 1]).problem


def exact_agents(rng: np.random.Generator, n_agents: int = 3) -> tuple[Problem, np.ndarray]:
    """A random exact problem and agents [K, F, S, A], zeros among their probabilities."""
    case = exact_case(rng, n_states=2, n_actions=3, n_renderings=3)
    return case.problem, exact_rows(rng, n_agents, 3, 2, 3)


def test_pairs_are_listed_agent_by_agent():
    assert pairs_of(3) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


def test_every_statement_holds_of_random_agents_in_rationals_and_balls():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        problem, agents = exact_agents(rng)
        report = check_agents(problem, agents, weights=[HALF, THIRD, 1 - HALF - THIRD])
        assert report.arithmetic == "exact"
        assert [b.bound.id for b in report.bounds] == ["B1", "B2", "B3", "B4"]
        assert all(set(np.ravel(b.verdict)) == {"holds"} for b in report.bounds)
        for bound in report.bounds:
            seen.update(np.ravel(bound.decided_by))
    assert seen == {"rationals", "balls"}


def test_each_pair_is_the_check_of_its_own_policy_against_the_other():
    problem, agents = exact_agents(np.random.default_rng(1))
    report = check_agents(problem, agents)
    for k, (own, other) in enumerate(pairs_of(3)):
        one = check(problem, agents[own], agents[other], bounds=["B1", "B2", "B3"])
        for name in ("disagreement", "mean_disagreement"):
            assert report.quantities[name][k] == one.quantities[name]
        for name in ("divergence", "mean_divergence"):
            assert float(report.quantities[name][k]) == float(one.quantities[name])
        for bound in ("B1", "B2", "B3"):
            assert report[bound].lhs[k] == one[bound].lhs
            assert report[bound].rhs[k] == one[bound].rhs
    robust = [measure(problem, LatentPolicy(agent))["robustness"] for agent in agents]
    assert report.quantities["robustness"].tolist() == robust


def test_agents_may_be_given_in_every_way():
    problem, agents = exact_agents(np.random.default_rng(2))
    whole = check_agents(problem, agents)
    listed = check_agents(problem, list(agents))
    latent = check_agents(problem, LatentPolicy(agents))
    mixed = check_agents(problem, [LatentPolicy(agents[0]), agents[1], agents[2]])
    family = problem.renderings
    rows = np.empty((family.n_observations, 3), dtype=object)
    for f, s in np.ndindex(family.observation.shape):
        rows[family.observation[f, s]] = agents[0][f, s]
    tabular = check_agents(problem, [TabularPolicy(rows), agents[1], agents[2]])
    for other in (listed, latent, mixed, tabular):
        assert other["B1"].rhs.tolist() == whole["B1"].rhs.tolist()
        assert other["B4"].lhs == whole["B4"].lhs


def test_one_float_agent_makes_all_of_them_floats():
    problem, agents = exact_agents(np.random.default_rng(3))
    rough = check_agents(problem, [agents[0], agents[1].astype(float), agents[2]])
    exact = check_agents(problem, agents)
    assert rough.arithmetic == "float64"
    assert rough["B1"].rhs == pytest.approx([float(x) for x in exact["B1"].rhs])
    assert set(rough["B1"].verdict) == {"holds"}


def test_batches_of_problems_and_agents_equal_their_parts():
    case = float_case(np.random.default_rng(4), batch=(5,))
    agents = np.random.default_rng(5).dirichlet(np.ones(3), (5, 2, 4, 4))
    report = check_agents(case.problem, agents)
    assert report["B3"].rhs.shape == (5, 2)
    assert report["B4"].rhs.shape == (5,)
    mdp, family = case.problem.mdp, case.problem.renderings
    fields = ("transition", "reward", "initial", "discount", "reward_bounds")
    for i in range(5):
        one = Problem(
            mdp=type(mdp)(**{name: getattr(mdp, name)[i] for name in fields}),
            renderings=RenderingFamily.distinct(
                4, train_mask=family.train_mask, weights=family.weights[i]
            ),
        )
        single = check_agents(one, agents[i])
        for bound in single.bounds:
            assert report[bound.bound.id].rhs[i] == pytest.approx(bound.rhs)


def test_mixtures_are_at_least_as_robust_as_their_agents_on_average():
    # R 1 and 0: the probabilities of action 0 in training and held out are 1, 0 and 1/2, 1/2.
    fragile, blind, opposite = (
        two_policies([1, 1], first).policy for first in ([1, 0], [HALF, HALF], [0, 1])
    )
    report = check_agents(ONE_STATE, [fragile, blind], weights=[THIRD, 1 - THIRD])
    assert (report["B4"].lhs, report["B4"].rhs, report["B4"].verdict) == (THIRD, THIRD, "holds")
    cancelled = check_agents(ONE_STATE, [fragile, opposite])  # together they are blind
    assert (cancelled["B4"].lhs, cancelled["B4"].rhs) == (0, 1)


def test_float_mixtures_at_equality_are_settled_in_rationals():
    case = float_case(np.random.default_rng(6))
    report = check_agents(case.problem, np.stack([case.policy.probabilities] * 3))
    assert report["B4"].verdict == "holds"
    assert report["B4"].decided_by == "rationals"


def test_an_infinite_divergence_is_said_and_never_beats_the_trivial_bound():
    case = two_policies([HALF, HALF], [1, 0])
    report = check_agents(case.problem, [case.policy, case.baseline])
    assert [float(x) for x in report.quantities["divergence"]] == [math.inf, math.log(2)]
    assert report["B2"].rhs.tolist()[0] == 1
    assert report["B3"].rhs.tolist()[0] == math.inf
    assert set(report["B2"].verdict) | set(report["B3"].verdict) == {"holds"}
    content = json.loads(report.to_json())
    assert content["quantities"]["divergence"][0] == "inf"
    said = "divergence is infinite where a policy excludes an action that the other one takes"
    assert said in " ".join(str(report).split())
    assert "excludes" not in str(check_agents(case.problem, [case.baseline] * 2))


def test_disjoint_supports_attain_the_bretagnolle_huber_bound():
    case = two_policies([1, 1], [0, 0])
    report = check(case.problem, case.policy, case.baseline)
    assert (report["B2"].lhs, report["B2"].rhs) == (1, 1)
    assert report["B2"].verdict == "holds"


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


def test_softmax_bound_holds_and_two_actions_attain_it():
    rng = np.random.default_rng(7)
    case = float_case(rng)
    logits = rng.normal(size=(20, 3, 4, 4, 3)) * rng.choice([1e-6, 1, 30], (20, 1, 1, 1, 1))
    report = check_agents(case.problem, logits=logits)
    assert set(np.ravel(report["B5"].verdict)) == {"holds"}
    by_hand = abs(softmax(logits[:, 0]) - softmax(logits[:, 1])).sum(axis=-1) / 2
    assert report["B5"].lhs[:, 0] == pytest.approx(by_hand.max(axis=(-2, -1)))
    tight = check_agents(ONE_STATE, logits=[[[[1, 0]]] * 2, [[[0, 1]]] * 2])["B5"]
    assert tight.lhs == pytest.approx(math.tanh(0.5))
    assert tight.ratio == pytest.approx(1)
    assert set(tight.verdict) == {"undecided"}  # two equal irrational numbers
    three = [[[[1, 0, 0]]] * 2, [[[0, Fraction(10**30 + 1, 10**30), 0]]] * 2]
    near = check_agents(
        exact_case(rng, n_states=1, n_actions=3, n_renderings=2).problem, logits=three
    )
    assert set(near["B5"].verdict) == {"holds"}


def test_exact_logits_are_shifted_before_they_are_rounded():
    huge = 10**17
    report = check_agents(ONE_STATE, logits=[[[[huge + 1, huge]]] * 2, [[[huge, huge]]] * 2])
    assert report.quantities["disagreement"] == pytest.approx(math.tanh(1 / 2) / 2)
    assert report["B5"].lhs == pytest.approx(report.quantities["disagreement"])
    apart = [[[[2**62, -(2**62)]]] * 2, [[[-(2**62), 2**62]]] * 2]
    assert (
        check_agents(ONE_STATE, logits=apart).quantities["logit_oscillation"].tolist()
        == [2.0**64] * 2
    )


def test_a_batch_of_one_agent_broadcasts_against_another_agent():
    case = float_case(np.random.default_rng(9))
    batch = np.random.default_rng(10).dirichlet(np.ones(3), (5, 4, 4))
    report = check_agents(case.problem, [batch, case.policy])
    assert report["B1"].rhs.shape == (5, 2)
    assert check_shrinkage(np.int64(2), 1)["B6"].verdict == "holds"


def test_the_float_disagreement_of_logits_is_wrong_by_no_more_than_its_radius():
    rng = np.random.default_rng(11)
    largest = 0.0
    for scale in (1e-6, 1.0, 30.0):
        for _ in range(60):
            pair = rng.normal(size=(2, 1, 1, 3)) * scale
            found = agents._softmax_bound(*pair).lhs
            exactly = agents._enclosed_disagreement(*(exact.as_rationals(z) for z in pair))
            error = float(abs(exactly - flint.arb(float(found))))
            largest = max(largest, error)
    assert 0 < largest <= agents._softmax_rounding(3)


def test_logits_that_differ_by_a_constant_are_the_same_policy():
    report = check_agents(ONE_STATE, logits=[[[[1, 5]]] * 2, [[[-2, 2]]] * 2])
    assert report["B5"].lhs.tolist() == [0, 0]
    assert report["B5"].rhs.tolist() == [0, 0]
    assert set(report["B5"].verdict) == {"holds"}
    assert report.quantities["logit_oscillation"].tolist() == [0, 0]


def test_huge_logits_do_not_overflow():
    report = check_agents(ONE_STATE, logits=[[[[2000.0, 0]]] * 2, [[[0, 2000.0]]] * 2])
    assert report["B5"].lhs.tolist() == [1, 1]
    assert set(report["B5"].verdict) <= {"holds", "undecided"}


def shrinkage_values(n: int, alpha: Fraction, c: Fraction) -> dict[str, Any]:
    return check_shrinkage(
        n, alpha, task_curvature=THIRD, divergence_curvature=HALF, pull_correlation=c
    ).quantities


SHRINKAGE_CASES = [
    (n, alpha, c)
    for n in (2, 3, 5)
    for alpha in (Fraction(0), THIRD, Fraction(7))
    for c in (-Fraction(1, n - 1), Fraction(0), Fraction(2, 5), Fraction(1))
]


@pytest.mark.parametrize(("n", "alpha", "c"), SHRINKAGE_CASES, ids=str)
def test_shrinkage_holds_exactly(n, alpha, c):
    result = judge(STATEMENTS["B6"], shrinkage_values(n, alpha, c))
    assert (result.verdict, result.decided_by, result.slack) == ("holds", "rationals", 0)


def test_hand_worked_shrinkage():
    # N = 2, h = g = alpha = 1: kappa = 1/(1 + 4) = 1/5, variance (1 + 1/25)/2 = 13/25.
    report = check_shrinkage(2, 1)
    assert report.quantities["spurious_variance"] == Fraction(13, 25)
    assert report["B6"].verdict == "holds"
    assert check_shrinkage(2, 0.5).quantities["distillation"] == HALF
    assert "==" in str(report)


WRONG_SHRINKAGE: dict[str, Callable[[sympy.Expr], sympy.Expr]] = {
    "alpha for 2 alpha": lambda x: x.subs(distillation, distillation / 2),
    "N for N/(N-1)": lambda x: x.subs(distillation, distillation * (n_agents - 1)),
    "no N/(N-1)": lambda x: x.subs(distillation, distillation * (n_agents - 1) / n_agents),
    "h and g exchanged": lambda x: x.subs(task_curvature, 1 / task_curvature),
    "no correlation": lambda x: x.subs(pull_correlation, 0),
    "flipped correlation": lambda x: x.subs(pull_correlation, -pull_correlation),
    "half of it": lambda x: x / 2,
}


@pytest.mark.parametrize("label", WRONG_SHRINKAGE)
def test_a_wrong_shrinkage_is_caught(label):
    right = STATEMENTS["B6"]
    wrong_side = WRONG_SHRINKAGE[label](right.rhs)
    wrong = replace(right, relation=sympy.Eq(right.lhs, wrong_side, evaluate=False))
    verdicts = {judge(wrong, shrinkage_values(*case)).verdict for case in SHRINKAGE_CASES}
    assert "violated" in verdicts


def wrong_of_agents() -> list[Any]:
    convexity, softmax_bound = STATEMENTS["B4"], STATEMENTS["B5"]
    tanh = softmax_bound.rhs
    sides = [
        (convexity, "half the mean", average_robustness / 2),
        (convexity, "mean squared", average_robustness**2),
        (softmax_bound, "osc/8", tanh.subs(logit_oscillation, logit_oscillation / 2)),
        (softmax_bound, "tanh squared", tanh**2),
        (softmax_bound, "half of it", tanh / 2),
    ]
    return [
        pytest.param(replace(s, relation=sympy.Le(s.lhs, x, evaluate=False)), id=label)
        for s, label, x in sides
    ]


@pytest.mark.parametrize("variant", wrong_of_agents())
def test_a_wrong_statement_about_agents_is_caught(variant):
    rng = np.random.default_rng(8)
    verdicts: set[str] = set()
    for _ in range(10):
        report = check_agents(ONE_STATE, logits=rng.normal(size=(2, 2, 1, 2)))
        values = report.quantities | {"disagreement": report["B5"].lhs}
        verdicts.update(np.ravel(judge(variant, values).verdict))
    assert "violated" in verdicts


def test_divergences_are_known_to_any_precision_and_decide_close_calls():
    case = two_policies([HALF, HALF], [THIRD, THIRD])
    values = measure(case.problem, case.policy, case.baseline)
    assert isinstance(values["divergence"], Enclosed)
    assert float(values["divergence"]) == pytest.approx(math.log(9 / 8) / 2)
    nearby = "0.05889151782819172726939705473526861"  # ln(9/8)/2, as mpmath gives it
    for digit, verdict in (("1", "holds"), ("-1", "violated")):
        result = judge(parse_bound(f"K_max <= {nearby} + {digit} / 10**30"), values)
        assert (result.verdict, result.decided_by) == (verdict, "balls")


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: check_agents(TOY.problem), "give agents or logits, got neither"),
    (lambda: check_agents(TOY.problem, [TOY.policy] * 2, logits=np.zeros((2, 2, 2, 2))),
     "give agents or logits, got both"),
    (lambda: check_agents(TOY.problem, [TOY.policy]), "agents must be two or more, got 1"),
    (lambda: check_agents(TOY.problem, []), "agents must be two or more, got 0"),
    (lambda: check_agents(TOY.problem, TOY.policy),
     "agents must have axes [k, f, s, a], got shape [2, 2, 2]"),
    (lambda: check_agents(TOY.problem, [TOY.policy, np.full((1, 2, 2), 0.5)]),
     "agents[1] must have shape [f: 2, s: 2, a: 2], got [1, 2, 2]"),
    (lambda: check_agents(TOY.problem, [TOY.policy, np.full((2, 2, 2), 0.75)]),
     "agents[1][f=0, s=0] must sum to 1, got 1.5"),
    (lambda: check_agents(TOY.problem, [TOY.policy] * 2, weights=[1]),
     "weights must have shape [k: 2], got [1]"),
    (lambda: check_agents(TOY.problem, [TOY.policy] * 2, weights=[HALF, THIRD]),
     "weights must sum to 1, got 5/6"),
    (lambda: check_agents(TOY.problem, logits=np.full((2, 2, 2, 2), np.nan)),
     "logits[k=0, f=0, s=0, a=0] must be a finite number, got nan"),
    (lambda: check_agents(TOY.problem, logits=np.zeros((2, 1, 2, 2))),
     "agents must have shape [f: 2, s: 2, a: 2], got [1, 2, 2]"),
    (lambda: check(TOY.problem, TOY.policy, bounds=["B1"]),
     "statement B1 needs a baseline, a second policy"),
    (lambda: check(TOY.problem, TOY.policy, bounds=["B4"]),
     "average_robustness is no quantity of a policy and a baseline; mdtheory.check_agents measures"
     " it"),
    (lambda: check(TOY.problem, TOY.policy, bounds=["B6"]),
     "distillation is no quantity of a policy and a baseline; mdtheory.check_shrinkage measures"
     " it"),
    (lambda: check_shrinkage(1, 1), "n_agents must be a whole number from 2 to 1000, got 1"),
    (lambda: check_shrinkage(True, 1), "n_agents must be a whole number from 2 to 1000, got True"),
    (lambda: check_agents(TOY.problem, [TOY.policy] * 2, weights=[[1, 0], [0, 1]]),
     "weights must have shape [k: 2], got [2, 2]"),
    (lambda: check_agents(TOY.problem, [np.full((7, 2, 2, 2), 0.5), np.full((3, 2, 2, 2), 0.5)]),
     "batch axes must agree, got agents[0] [7], agents[1] [3]"),
    (lambda: check_shrinkage(2, -1), "distillation must be at least 0, got -1"),
    (lambda: check_shrinkage(2, "x"), "distillation must be a number, got 'x'"),
    (lambda: check_shrinkage(2, float("inf")), "distillation must be a finite number, got inf"),
    (lambda: check_shrinkage(2, 1, pull_correlation=2),
     "pull_correlation must lie in [-1, 1] for 2 agents, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[m[:60] for _, m in ERRORS])
def test_a_wrong_call_raises_exactly_this_message(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_the_toys_say_that_part_b_holds_of_a_policy_and_itself():
    for name in ("grid", "lucky"):
        toy = make_toy(name)
        latent = toy.policy.latent(toy.problem.renderings)
        report = check(toy.problem, latent, latent)
        assert [report[i].verdict for i in ("B1", "B2", "B3")] == ["holds"] * 3
        assert float(report.quantities["divergence"]) == 0
