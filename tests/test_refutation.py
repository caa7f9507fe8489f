"""True statements hold on every problem of a pool; each false neighbour is refuted by one."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from mdtheory import judge, measure
from mdtheory.toys import TOYS
from tests.random_problems import exact_cases, scaled, step_world, toy_case, two_policies
from tests.wrong_variants import CHECKED, wrong_variants


@lru_cache
def pool() -> list[tuple[str, dict[str, Any]]]:
    """Labels and exact quantities of toys, scaled toys, sharp worlds and random problems."""
    cases = [toy_case(name) for name in TOYS]
    for discount in ("0", "1/2", "9/10"):
        cases += [
            toy_case("two-state", discount=discount, robustness=robustness)
            for robustness in ("1/1000", "3/4", "1")
        ]
        cases.append(toy_case("lucky", discount=discount, skill="1/4"))
        cases.append(toy_case("rare-fork", discount=discount, chance=1))
    cases.append(toy_case("two-state", train_mass="3/4"))
    cases.append(toy_case("rare-fork", train_mass="3/4"))
    cases += [scaled(case, factor) for case in cases for factor in (Fraction(3), Fraction(1, 3))]
    cases += [step_world(Fraction(1, n), Fraction(1, 2)) for n in (2, 1000)]
    cases += [step_world(Fraction(1, 10_000), Fraction(1, 10))]
    half, third = Fraction(1, 2), Fraction(1, 3)
    cases += [two_policies([half, half], [half + step, half + step]) for step in (0, half / 50)]
    cases += [
        two_policies([half, half], [1, 0]),
        two_policies([half, half], [half, 1]),
        two_policies([1, 0], [third, 1 - third]),
    ]
    cases += exact_cases(np.random.default_rng(0), 60)
    return [(c.label, measure(c.problem, c.policy, c.baseline)) for c in cases]


def verdicts(statement: Any) -> dict[str, str]:
    """By the problem's label."""
    return {label: judge(statement, quantities).verdict for label, quantities in pool()}


@pytest.mark.parametrize("statement", CHECKED.values(), ids=CHECKED.keys())
def test_true_statement_holds_on_every_problem_of_the_pool(statement):
    found = set(verdicts(statement).values())
    assert found <= {"holds", "not applicable"}
    assert "holds" in found


@pytest.mark.parametrize("variant", wrong_variants(), ids=lambda s: s.name)
def test_wrong_variant_is_refuted_by_an_exact_problem(variant):
    assert "violated" in verdicts(variant).values()


def test_every_statement_has_wrong_variants():
    ids = [variant.id for variant in wrong_variants()]
    assert all(ids.count(i) >= 5 for i in CHECKED)
