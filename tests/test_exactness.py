"""`--exact` is exact: rationals in, rationals out, and every number in the JSON is "p/q"."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mdtheory import FiniteMDP, LatentPolicy, Problem, RenderingFamily, check
from mdtheory.exact import Enclosed
from mdtheory.problem_file import dump_problem, parse_problem
from mdtheory.toys import TOYS
from tests.random_problems import Case, exact_case, exact_cases, exact_rows, toy_case

RATIO = re.compile(r"-?\d+/[1-9]\d*")
TINY = Fraction(1, 10**30)


def content_of(case: Case) -> dict[str, Any]:
    report = check(case.problem, case.policy, case.baseline, require_exact=True)
    return json.loads(report.to_json())


def numbers_of(content: dict[str, Any]) -> dict[str, Any]:
    found = dict(content["quantities"])
    for bound in content["bounds"]:
        found |= {f"{bound['id']}.{k}": bound[k] for k in ("lhs", "rhs", "slack", "ratio")}
    return found


def may_be_null(name: str) -> bool:
    return name == "heldout_return" or name.endswith(".ratio")


def test_json_has_the_keys_of_the_issue():
    content = content_of(toy_case("long-horizon"))
    assert set(content) == {"arithmetic", "quantities", "bounds"}
    assert content["arithmetic"] == "exact"
    assert set(content["quantities"]) >= {
        "train_return",
        "general_return",
        "heldout_return",
        "gap",
        "robustness",
        "mean_robustness",
        "train_mass",
        "reward_range",
    }
    keys = {"id", "name", "lhs", "rhs", "slack", "ratio", "verdict", "decided_by"}
    assert all(set(bound) == keys for bound in content["bounds"])
    ids = [*(f"A{k}" for k in range(9)), "B1", "B2", "B3"]
    assert [bound["id"] for bound in content["bounds"]] == ids


def test_every_number_of_the_first_eight_statements_is_p_over_q():
    cases = [toy_case(name) for name in TOYS] + list(exact_cases(np.random.default_rng(0), 30))
    for case in cases:
        for name, value in numbers_of(content_of_bounds(case)).items():
            if value is None:
                assert may_be_null(name), name
            else:
                assert RATIO.fullmatch(value), (name, value)


def content_of_bounds(case: Case) -> dict[str, Any]:
    """Without A8, whose right side has a test of its own."""
    ids = [f"A{k}" for k in range(8)]
    return json.loads(check(case.problem, case.policy, case.baseline, bounds=ids).to_json())


def test_every_number_of_robustness_pays_is_p_over_q():
    content = content_of(toy_case("long-horizon"))
    assert content["bounds"][8]["rhs"] == "0/1"


def test_reports_hold_fractions_only():
    for case in exact_cases(np.random.default_rng(1), 30):
        report = check(case.problem, case.policy, case.baseline, require_exact=True)
        values = report.quantities | {
            f"{b.bound.id}.{k}": getattr(b, k)
            for b in report.bounds
            for k in ("lhs", "rhs", "slack", "ratio")
        }
        for name, value in values.items():
            if name == "A8.rhs":
                assert value == 0
            elif value is None:
                assert may_be_null(name)
            elif name in ("divergence", "mean_divergence"):
                assert type(value) is Enclosed
            elif name.startswith(("B2.", "B3.")):
                assert type(value) is float
            else:
                assert type(value) is Fraction, name


def test_no_float_is_created_by_the_exact_path(monkeypatch):
    def refuse(self: Fraction) -> float:
        raise AssertionError(f"float({self}) in exact arithmetic")

    case = exact_case(np.random.default_rng(2))
    text = dump_problem(case.problem, case.policy, case.baseline)
    monkeypatch.setattr(Fraction, "__float__", refuse, raising=False)
    monkeypatch.setattr(np.linalg, "solve", lambda *_: pytest.fail("float solve"))
    file = parse_problem(text, in_rationals=True)
    report = check(file.problem, file.policy, file.baseline, require_exact=True)
    report.to_json()
    assert report.holds
    with pytest.raises(AssertionError, match="in exact arithmetic"):
        float(Fraction(1, 3))


def one_state(difference: Fraction) -> Case:
    """Two renderings whose returns differ by `difference` x 3/2, gamma 1/3; Delta = 1/3."""
    third, half = Fraction(1, 3), Fraction(1, 2)
    mdp = FiniteMDP(transition=[[[1], [1]]], reward=[[third, 0]], initial=[1], discount=third)
    family = RenderingFamily.distinct(1, train_mask=[True, False])
    policy = LatentPolicy([[[half, half]], [[half + difference, half - difference]]])
    problem = Problem(mdp=mdp, renderings=family)
    return Case(label="one state", problem=problem, policy=policy, baseline=policy)


def test_differences_below_float64_survive():
    content = content_of(one_state(TINY))
    quantities = content["quantities"]
    assert Fraction(quantities["robustness"]) == TINY
    assert Fraction(quantities["gap"]) == TINY / 4  # 1/2 (unseen) * 3/2 (horizon) * 1/3 (Delta)
    assert quantities["train_return"] == "1/4"
    bounds = {bound["id"]: bound for bound in content["bounds"]}
    assert bounds["A5"]["ratio"] == "1/1"
    assert Fraction(bounds["A2"]["slack"]) > 0
    rough = check(one_state(TINY).problem, one_state(TINY).policy.probabilities.astype(np.float64))
    assert rough.quantities["gap"] == 0


def test_thirds_in_a_file_stay_thirds():
    case = one_state(Fraction(0))
    text = dump_problem(case.problem, case.policy)
    same, rounded = (
        parse_problem(x, in_rationals=True).problem.mdp.discount[()]
        for x in (text, text.replace('"1/3"', "0.333"))
    )
    assert (same, rounded) == (Fraction(1, 3), Fraction(333, 1000))


def test_full_training_mass_gives_null_heldout_return_and_gap_zero():
    for case in (
        exact_case(np.random.default_rng(3), all_train=True),
        toy_case("two-state", train_mass=1),
    ):
        content = content_of_bounds(case)
        assert content["quantities"]["heldout_return"] is None
        assert content["quantities"]["gap"] == "0/1"
        assert content["quantities"]["train_mass"] == "1/1"
        assert all(b["verdict"] in ("holds", "not applicable") for b in content["bounds"])
        a2 = content["bounds"][2]
        assert (a2["lhs"], a2["rhs"], a2["slack"], a2["ratio"]) == ("0/1", "0/1", "0/1", None)


def test_float_json_has_numbers_and_null():
    case = exact_case(np.random.default_rng(4), all_train=True)
    report = check(case.problem, case.policy.probabilities.astype(np.float64), bounds=["A0", "A2"])
    content = json.loads(report.to_json())
    assert content["arithmetic"] == "float64"
    assert content["quantities"]["heldout_return"] is None
    assert isinstance(content["bounds"][0]["rhs"], float)
    assert content["bounds"][0]["ratio"] is None


def test_forty_states_and_eight_renderings_are_decided_exactly():
    rng = np.random.default_rng(5)
    case = exact_case(rng, n_states=40, n_actions=2, n_renderings=8, discount=Fraction(9, 10))
    near = exact_rows(rng, 8, 40, 2)
    policy = LatentPolicy((near + 99 * case.policy.probabilities) / 100)
    report = check(case.problem, policy, case.policy, require_exact=True)
    assert report.holds
    rational = [b for b in report.bounds if not b.bound.needs_balls]
    assert len(rational) == 10
    assert all(type(b.slack) is Fraction for b in rational)
    floats = check(case.problem, policy.probabilities.astype(np.float64), case.policy)
    for bound in report.bounds:
        assert floats[bound.bound.id].rhs == pytest.approx(float(bound.rhs), rel=1e-8)
    json.loads(report.to_json())


def test_the_table_shows_numbers_beyond_float64():
    huge = Fraction(10**400)
    mdp = FiniteMDP(transition=[[[1]]], reward=[[huge]], initial=[1], discount=Fraction(1, 2))
    problem = Problem(mdp=mdp, renderings=RenderingFamily.distinct(1, train_mask=[True]))
    assert "train_return" in str(check(problem, [[[Fraction(1)]]]))
