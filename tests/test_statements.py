"""Symbolic facts about the statements, proved by symbolic means."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
import sympy

from mdtheory import STATEMENTS, judge
from mdtheory.statements import (
    AGENT_BOUNDS,
    EVERY_QUANTITY,
    GAP_BOUNDS,
    PAIR_BOUNDS,
    PART_A,
    PART_B,
    SHRINKAGE,
    UPDATE_BOUNDS,
    Statement,
)
from mdtheory.statements.quantities import R, gamma, reward_range, train_mass

A0, A1, A2 = (STATEMENTS[i].rhs for i in ("A0", "A1", "A2"))
a, b, c, d, e, h, delta = sympy.symbols("a b c d e h delta")
DOMAIN = {R: a / (a + b), gamma: c / (c + d), train_mass: e / (e + h), reward_range: delta}
"""Every R in [0,1], gamma in [0,1), M in (0,1]: a, b, c, h >= 0, a + b > 0, d > 0, e > 0."""


def signed_terms(expression: sympy.Expr) -> list[list[tuple[tuple[int, ...], sympy.Rational]]]:
    """Terms of numerator and denominator over the domain's parameters, denominator positive."""
    substituted = sympy.cancel(sympy.together(expression.subs(DOMAIN, simultaneous=True)))
    parts = [sympy.Poly(x, a, b, c, d, e, h, delta).terms() for x in sympy.fraction(substituted)]
    if parts[1][0][1] < 0:
        parts = [[(powers, -k) for powers, k in part] for part in parts]
    return parts


def is_nonnegative(expression: sympy.Expr) -> bool:
    """A certificate: all coefficients of numerator and denominator are nonnegative."""
    return all(k >= 0 for part in signed_terms(expression) for _, k in part)


def is_positive(expression: sympy.Expr, positive: Sequence[sympy.Symbol]) -> bool:
    """Nonnegative, and whether a or b is positive (a + b > 0), some term of the numerator is."""
    parameters = (a, b, c, d, e, h, delta)

    def vanishes_nowhere(symbols: set[sympy.Symbol]) -> bool:
        return any(
            {x for x, power in zip(parameters, powers, strict=True) if power} <= symbols
            for powers, _ in signed_terms(expression)[0]
        )

    return is_nonnegative(expression) and all(vanishes_nowhere({*positive, one}) for one in (a, b))


def test_sharp_is_at_most_coverage_on_the_whole_domain():
    assert is_nonnegative(A0 - A2)


def test_sharp_is_at_most_classic_on_the_whole_domain():
    assert is_nonnegative(A1 - A2)


@pytest.mark.parametrize(
    "false_claim",
    [A0 - A1, A1 - A0, A2 - A0, A2 - A1, A2 - A0 / 2, A2 - R * A0 * (1 + gamma)],
    ids=["A1<=A0", "A0<=A1", "A0<=A2", "A1<=A2", "A0/2<=A2", "(1+gamma)R A0<=A2"],
)
def test_the_certificate_refuses_false_inequalities(false_claim):
    assert not is_nonnegative(false_claim)


def test_sharp_interpolates_between_a_linear_bound_and_coverage():
    assert is_nonnegative(A2 - R * A0)


def test_sharp_tends_to_coverage_as_robustness_tends_to_one():
    assert sympy.simplify(sympy.limit(A2, R, 1) - A0) == 0


def test_sharp_tends_to_classic_as_robustness_tends_to_zero():
    assert sympy.limit(sympy.cancel(A2 / A1), R, 0) == 1


def test_sharp_is_zero_exactly_for_a_blind_policy():
    assert A2.subs(R, 0) == 0
    quotient = sympy.cancel(A2 / R)
    assert is_positive(quotient, [d, e, h, delta])


def test_sharp_strictly_increases_in_robustness():
    assert is_positive(sympy.diff(A2, R), [d, e, h, delta])
    assert not is_positive(-sympy.diff(A2, R), [d, e, h, delta])


def test_classic_is_vacuous_exactly_when_robustness_exceeds_one_minus_gamma():
    excess = sympy.factor((A1 - A0) / A0)
    assert sympy.simplify(excess - (R - (1 - gamma)) / (1 - gamma)) == 0


def test_robustness_pays_for_unseen_mass_and_reward_range():
    derivative = STATEMENTS["A8"].lhs
    assert sympy.simplify(derivative + sympy.diff(A2, R)) == 0
    assert STATEMENTS["A8"].rhs == 0
    assert is_positive(-derivative, [d, e, h, delta])
    assert not is_positive(-derivative, [d, e, delta])  # M = 1
    assert not is_positive(-derivative, [d, e, h])  # Delta = 0


def test_generalization_is_training_minus_sharp():
    difference = STATEMENTS["A7"].rhs - (STATEMENTS["A6"].rhs - A2)
    assert sympy.simplify(difference) == 0


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_each_statement_says_everything_about_itself(statement):
    assert STATEMENTS[statement.id] is statement
    for text in (statement.id, statement.name, statement.claim, statement.source, statement.latex):
        assert isinstance(text, str)
        assert text.strip()
    assert statement.assumptions
    assert all(text.strip() for text in statement.assumptions)
    signs = {"<=": r"\leq", ">=": r"\geq", "==": "=", "<": "<"}
    assert signs[statement.relation.rel_op] in statement.latex
    for quantity in statement.quantities:
        assert quantity.latex in statement.latex


def test_ids_names_and_claims_are_unique():
    assert list(PART_A) == [f"A{k}" for k in range(9)]
    assert list(PART_B) == [f"B{k}" for k in range(1, 7)]
    assert [s.id for s in (*GAP_BOUNDS, *UPDATE_BOUNDS)] == list(PART_A)
    assert [s.id for s in (*PAIR_BOUNDS, *AGENT_BOUNDS, SHRINKAGE)] == list(PART_B)
    assert list(STATEMENTS) == [*PART_A, *PART_B]
    for field in ("name", "claim", "proof"):
        assert len({getattr(s, field) for s in STATEMENTS.values()}) == 15


def test_quantities_have_distinct_symbols_and_their_own_names():
    every = list(EVERY_QUANTITY.items())
    assert len({q.symbol.name for _, q in every}) == len(every)
    assert all(name == q.name for name, q in every)
    assert all(q.meaning.strip() and q.domain.strip() for _, q in every)


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_numbers_agree_with_symbolic_substitution(statement):
    values = {q.name: Fraction(2 * k + 1, 3 * k + 31) for k, q in enumerate(statement.quantities)}
    exact = {
        q.symbol: sympy.Rational(values[q.name].numerator, values[q.name].denominator)
        for q in statement.quantities
    }
    symbolic = [side.subs(exact) for side in (statement.lhs, statement.rhs)]
    if not statement.needs_balls:
        for side, expression in zip(statement.sides(values), symbolic, strict=True):
            assert isinstance(side, Fraction | int)
            assert side == Fraction(str(expression))
    floats = {name: float(value) for name, value in values.items()}
    assert statement.sides(floats) == pytest.approx([float(x) for x in symbolic], rel=1e-12)


def test_hand_worked_sides():
    # R 1/2, gamma 9/10, M 1/4, Delta 2: A0 15, A1 75, A2 (3/4)(1/2)(2)/((1/10)(11/20)) = 150/11.
    values = {
        "gap": Fraction(1),
        "robustness": Fraction(1, 2),
        "discount": Fraction(9, 10),
        "train_mass": Fraction(1, 4),
        "reward_range": Fraction(2),
        "mean_robustness": Fraction(1, 5),
        "decoupling": Fraction(1, 3),
        "occupancy_distance": Fraction(4),
        "train_return": Fraction(3),
        "general_return": Fraction(2),
        "surrogate": Fraction(20),
        "train_shift": Fraction(1, 9),
        "advantage_bound": Fraction(1, 4),
        "baseline_robustness": Fraction(1, 8),
        "disagreement": Fraction(1, 4),
        "divergence": Fraction(1, 2),
        "mean_disagreement": Fraction(1, 5),
        "mean_divergence": Fraction(2, 9),
        "mixture_robustness": Fraction(1, 3),
        "average_robustness": Fraction(1, 2),
        "logit_oscillation": Fraction(4),
        "n_agents": Fraction(2),
        "distillation": Fraction(1, 2),
        "task_curvature": Fraction(1),
        "divergence_curvature": Fraction(1),
        "pull_variance": Fraction(3),
        "pull_correlation": Fraction(1, 3),
        "spurious_variance": Fraction(1),
    }
    expected = {
        "A0": (1, 15),
        "A1": (1, 75),
        "A2": (1, Fraction(150, 11)),
        "A3": (1, 30),
        "A4": (1, 5),
        "A5": (1, 6),
        "A6": (3, 15),
        "A7": (2, 15 - Fraction(150, 11)),
        "A8": (-Fraction(3, 2) / Fraction(11, 20) ** 2, 0),
        "B1": (Fraction(1, 2), Fraction(5, 8)),
        "B4": (Fraction(1, 3), Fraction(1, 2)),
        # kappa = 1/(1 + 2) and a third of the variance is not shared: 3 (2/3 + 1/27).
        "B6": (1, Fraction(19, 9)),
    }
    assert {i: STATEMENTS[i].sides(values) for i in expected} == expected
    floats = {name: float(value) for name, value in values.items()}
    assert STATEMENTS["B2"].sides(floats) == pytest.approx(
        (0.25, 0.5)
    )  # sqrt(1 - exp(-1/2)) is 0.627
    assert STATEMENTS["B2"].sides(floats | {"divergence": 8.0})[1] == pytest.approx(0.99983, 1e-4)
    assert STATEMENTS["B3"].sides(floats) == pytest.approx((1 / 5, 1 / 3))
    assert STATEMENTS["B5"].sides(floats) == pytest.approx((0.25, 0.761594155955765))  # tanh 1


def test_robustness_pays_applies_only_with_unseen_mass_and_reward_range():
    statement = STATEMENTS["A8"]
    values = dict.fromkeys((q.name for q in statement.quantities), Fraction(1, 2))
    assert judge(statement, values).verdict == "holds"
    for change in ({"train_mass": Fraction(1)}, {"reward_range": Fraction(0)}):
        assert judge(statement, values | change).verdict == "not applicable"
    assert all(s.requires == () for s in GAP_BOUNDS)


def test_direction_and_strictness_follow_the_relation():
    assert all(s.is_upper_bound and not s.is_strict for s in GAP_BOUNDS)
    assert [s.is_upper_bound for s in UPDATE_BOUNDS] == [False, False, True]
    assert [s.is_strict for s in UPDATE_BOUNDS] == [False, False, True]


def test_statements_are_frozen():
    with pytest.raises(AttributeError):
        STATEMENTS["A2"].claim = "anything"
    assert isinstance(STATEMENTS["A2"], Statement)
