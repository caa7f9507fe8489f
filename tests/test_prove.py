"""What is proved is true and stays checkable; what is false is not proved; hostile bounds end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import sympy

from mdtheory import STATEMENTS, Bound, Quantity, judge, measure, parse_bound
from mdtheory.proving.certificate import ORDER, Cases, Leaf, Replace
from mdtheory.proving.factored import Algebra, GiveUp
from mdtheory.proving.facts import FACTS, SUBJECTS
from mdtheory.proving.prove import Proof, prove, prove_by_coefficients, prove_by_z3, z3_available
from mdtheory.proving.region import Region
from mdtheory.proving.smt import answer, question
from mdtheory.statements import PAIR_QUANTITIES, PART_A, QUANTITIES
from mdtheory.statements.quantities import R, gamma, gap, mean_robustness, train_mass
from mdtheory.toys import TOYS
from tests.random_problems import exact_cases, step_world, toy_case
from tests.wrong_variants import wrong_variants

BY_BOTH = """
gap <= A2
gap <= A1
gap <= A0
gap <= 2*A2
gap <= (A1 + A2)/2
gap <= Delta/(1-gamma)
gap <= (1-M)*Delta/(1-gamma) * min(1, R/(1-gamma))
gap <= max(A2, A3/2)
gap <= (1-M)*W*Delta
gap <= (1-M)*Delta*(C + Rbar/(1-gamma))/(2*(1-gamma))
gap <= (1-M)*R_F*Delta/((1-gamma)*(1-gamma*(1-R_F)))
gap/R <= A1/R
gap*(1-gamma*(1-R)) <= (1-M)*R*Delta/(1-gamma)
gap**2 <= A2**2
gap >= 0
gap >= abs(zeta - eta)
gap < A2 + 1
gap < 2*A2 if R > 0 and M < 1 and Delta > 0
gap <= A0 if R <= 1/2
gap <= R if M == 1
gap <= A2 if exp(R) < 2
abs(xi - eta) <= R*Delta/((1-gamma)*(1-gamma*(1-R)))
xi < r_max/(1-gamma) + 1 - M
M*eta + (1-M)*xi <= zeta
zeta >= eta - A2
zeta >= L - 2*gamma*epsilon*D/(1-gamma)**2 - A0
zeta - zeta0 <= Delta/(1-gamma)
eta - eta0 <= Delta/(1-gamma)
L - eta0 <= epsilon/(1-gamma)
W <= C/(1-gamma)
W <= 1/(1-gamma)
C <= Rbar/(1-gamma)
Rbar <= C
Rbar <= R_F
A2 <= A1
A2 <= A0
A4 <= A3
1/R >= 1
(R**2 - 1/4)/(R - 1/2) <= 3/2
2*R <= 1 + R**2
0 <= 1
""".strip().splitlines()
BY_COEFFICIENTS_ONLY = ["gap**64 <= A2**64", "gamma**64 <= 1", "(gap + 1)**20 <= (A0 + 1)**20"]
BY_Z3_ONLY = """
gap <= abs(zeta - eta)
abs(zeta - eta)**2 <= A2**2
sqrt(gap) <= sqrt(A2)
gap <= sqrt(A0*A2)
gap*zeta <= A2*zeta if zeta >= 0
eta**2 + zeta**2 >= 2*eta*zeta
""".strip().splitlines()
FALSE = """
gap <= A2/2
gap <= 99*A2/100
gap <= R*(1-M)*Delta/(1-gamma)
gap <= (1-M)*Rbar*Delta/((1-gamma)*(1-gamma*(1-Rbar)))
gap <= A2 - A0
gap < A2
gap < A2 if M < 1
gap**2 <= A2
gap <= min(A2, A3/2)
gap <= R*A2 if R >= 1/2
gap*zeta <= A2*zeta
gap/(R - 1/2) <= A2/(R - 1/2)
1/(R - 1/2) >= 0
A1 <= A0
A2 <= A1/2
zeta >= eta
zeta >= eta - A2/2
xi <= zeta
R <= Rbar
R_F <= R
Rbar <= (1-gamma)*W
C <= Rbar
W <= C
W >= C/(1-gamma)
L <= eta
eta >= eta0
sqrt(A2) <= A2
1 <= 0
""".strip().splitlines()
BUILT_IN = QUANTITIES | PAIR_QUANTITIES


@lru_cache
def pool() -> list[dict[str, Any]]:
    """Exact quantities; ξ is read as η where it is undefined, see `mdtheory.proving.facts`."""
    cases = [toy_case(name) for name in TOYS]
    cases += [toy_case("two-state", discount=g, robustness="3/4") for g in ("0", "1/2", "9/10")]
    cases += [step_world(Fraction(1, n), Fraction(1, 2)) for n in (2, 1000)]
    cases += exact_cases(np.random.default_rng(0), 60)
    found = [measure(case.problem, case.policy, case.baseline) for case in cases]
    for values in found:
        if values["heldout_return"] is None:
            values["heldout_return"] = values["train_return"]
    return found


def holds(relation: sympy.Rel, values: dict[str, Any]) -> bool:
    """Of exact numbers; also for equations."""
    numbers = {
        q.symbol: sympy.Rational(values[name].numerator, values[name].denominator)
        for name, q in BUILT_IN.items()
        if q.symbol in SUBJECTS
    }
    return bool(relation.func(*(side.xreplace(numbers) for side in relation.args)))


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_every_premise_holds_on_every_exact_problem(fact):
    assert all(holds(relation, values) for relation in fact.relations for values in pool())


@pytest.mark.parametrize("bound", FALSE)
def test_false_bounds_are_refuted_by_the_same_problems(bound):
    bound = parse_bound(bound)
    if not bound.needs_balls:
        assert any(judge(bound, values).verdict == "violated" for values in pool())


def test_premises_say_what_they_are():
    assert all(fact.id == key and fact.why.endswith(".") for key, fact in FACTS.items())
    assert all(FACTS[key].relations == (STATEMENTS[key].relation,) for key in list(STATEMENTS)[:8])
    domains = [fact for fact in FACTS.values() if fact.is_domain]
    assert {"0 <= gamma < 1", "0 <= Rbar <= R", "gap >= 0"} <= {fact.id for fact in domains}


def test_replacements_lead_to_later_quantities_and_stay_within_domains():
    for fact in FACTS.values():
        for relation in fact.relations:
            if str(relation.lhs) not in ORDER or relation.has(sympy.Abs):
                continue
            place = ORDER.index(str(relation.lhs))
            names = {symbol.name for symbol in relation.rhs.free_symbols}
            assert not names & set(ORDER[: place + 1])
            if relation.lhs.is_nonnegative:
                region = Region.of(names, fixed={})
                assert region.value(relation.rhs).sign(region.free) in (0, 1)


@pytest.mark.parametrize("text", [*BY_BOTH, *BY_COEFFICIENTS_ONLY])
def test_coefficients_prove(text):
    proof = prove_by_coefficients(parse_bound(text), timeout=20)
    assert proof is not None
    assert proof.by == "SymPy"
    assert proof.recheck()
    assert set(proof.uses) <= set(FACTS)


@pytest.mark.parametrize("text", [*BY_BOTH, *BY_Z3_ONLY])
def test_z3_proves(text):
    proof = prove_by_z3(parse_bound(text), timeout=20)
    assert proof is not None
    assert proof.by == "Z3"
    assert proof.recheck()
    assert set(proof.uses) <= set(FACTS)


@pytest.mark.parametrize("text", BY_Z3_ONLY)
def test_what_only_z3_proves_is_proved_by_it_and_needs_it(text, monkeypatch):
    bound = parse_bound(text)
    proof = prove(bound)
    assert proof is not None
    assert proof.by == "Z3"
    monkeypatch.setitem(sys.modules, "z3", None)
    assert not z3_available()
    assert prove(bound) is None
    with pytest.raises(ModuleNotFoundError):
        prove_by_z3(bound)
    with pytest.raises(ModuleNotFoundError):
        proof.recheck()


@pytest.mark.parametrize("statement", [*PART_A.values(), STATEMENTS["B1"]], ids=lambda s: s.id)
def test_every_statement_follows_from_the_premises(statement):
    proof = prove(statement)
    assert proof is not None
    assert set(proof.uses) >= ({statement.id} if statement.id != "A8" else set())


@pytest.mark.parametrize("statement", ["B2", "B3", "B4", "B5", "B6"])
def test_statements_without_premises_are_left_to_their_own_proofs(statement):
    assert prove(STATEMENTS[statement]) is None
    assert prove_by_z3(STATEMENTS[statement]) is None


def test_an_equation_is_not_proved_by_half_of_it():
    coverage = STATEMENTS["A0"]
    assert prove(coverage) is not None
    equation = sympy.Eq(coverage.lhs, coverage.rhs, evaluate=False)
    assert prove(Bound(relation=equation)) is None


def test_nothing_is_proved_of_divergences_which_may_be_infinite():
    assert prove(parse_bound("K_max <= K_max + 1")) is None


def require_unproved(prover: Callable[..., Proof | None], bound: Bound) -> None:
    """There is no proof, and not for want of time, of which every question gets 1/20 or more."""
    begin = time.monotonic()
    assert prover(bound, timeout=500.0) is None
    assert time.monotonic() - begin < 20  # some take 1 s


@pytest.mark.parametrize("text", FALSE)
def test_a_false_bound_is_not_proved(text):
    require_unproved(prove_by_coefficients, parse_bound(text))
    require_unproved(prove_by_z3, parse_bound(text))


@pytest.mark.parametrize("variant", wrong_variants(), ids=lambda s: s.name)
def test_a_wrong_variant_is_not_proved(variant):
    require_unproved(prove, variant)


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("gap <= A2", ("A2",)),
        ("gap <= A0 if R <= 1/2", ("A0",)),
        ("A4 <= A3", ("C <= Rbar/(1-gamma)", "0 <= gamma < 1", "0 < M <= 1", "Delta >= 0")),
        ("R**2 <= R", ("0 <= R <= 1",)),
        ("0 <= 1", ()),
    ],
)
def test_a_proof_names_what_it_uses(text, uses):
    proof = prove(parse_bound(text))
    assert proof is not None
    assert proof.uses == uses


def test_a_proof_by_coefficients_worked_by_hand():
    """R - R(1-γ) = R γ = a/(a+b) · c/(c+d)."""
    proof = prove_by_coefficients(parse_bound("R*(1-gamma) <= R"))
    assert proof is not None
    assert proof.certificate == Leaf(
        factors=("1", "(a)**1", "(a + b)**-1", "(c)**1", "(c + d)**-1"),
        parameters=("R = a/(a + b)", "gamma = c/(c + d)"),
    )
    assert proof.argument == (
        "The larger side minus the smaller one is nonnegative: after R = a/(a + b),"
        " gamma = c/(c + d) no coefficient of it is negative."
    )


def test_a_proof_tells_its_steps():
    proof = prove_by_coefficients(parse_bound("gap <= min(A0, A1)"))
    assert proof is not None
    assert isinstance(proof.certificate, Cases)
    assert proof.argument == (
        "The larger side minus the smaller one, in each case of abs, min and max, becomes no"
        " larger when A0, then A1 is put into it. What is left is 0."
    )


def test_a_proof_by_z3_is_a_text_for_any_solver():
    proof = prove_by_z3(parse_bound("R**2 <= R if gamma > 0"))
    assert proof is not None
    assert proof.argument == (
        "No real numbers satisfy 0 <= R <= 1, the bound's conditions but not the bound: Z3 refutes"
        " these polynomial inequalities."
    )
    assert proof.certificate == "\n".join(
        (
            "(set-logic QF_NRA)",
            "(declare-const R Real)",
            "(declare-const gamma Real)",
            "; 0 <= R <= 1",
            "(assert (>= R 0))",
            "(assert (<= (+ R (- 1)) 0))",
            "; the bound's conditions",
            "(assert (> gamma 0))",
            "; the bound fails",
            "(assert (> (* (+ R (- 1)) R) 0))",
            "; no denominator vanishes",
            "(check-sat)",
            "",
        )
    )


def test_the_premises_do_not_contradict_each_other():
    text = question(parse_bound("xi >= 0 if r_max >= 1 and R < 1 and R > 0"), list(FACTS)).text
    assert answer(text, 20) == "sat"


def test_division_by_an_unknown_sign_proves_nothing_by_itself():
    """1/(1-2R) >= 1 holds for R < 1/2 only, where the denominator is positive."""
    assert prove(parse_bound("1/(1-2*R) >= 1"), timeout=1) is None
    assert prove(parse_bound("1/(1-2*R) >= 1 if R < 1/2")) is not None


def _tampered() -> list[Proof]:
    by_sympy = prove_by_coefficients(parse_bound("gap <= (A1 + A2)/2"))
    by_cases = prove_by_coefficients(parse_bound("gap <= min(A0, A1)"))
    by_z3 = prove_by_z3(parse_bound("gap <= (A1 + A2)/2"))
    assert by_sympy is not None
    assert by_cases is not None
    assert by_z3 is not None
    steps, cases, text = by_sympy.certificate, by_cases.certificate, by_z3.certificate
    assert isinstance(steps, Replace)
    assert isinstance(cases, Cases)
    assert isinstance(text, str)
    false = parse_bound("gap <= A2/2")
    lower = replace(steps, fact="abs(zeta - eta) <= gap")
    return [
        *(replace(proof, bound=false) for proof in (by_sympy, by_cases, by_z3)),
        *(replace(proof, uses=()) for proof in (by_sympy, by_cases, by_z3)),
        *(replace(proof, uses=("A9", *proof.uses)) for proof in (by_sympy, by_z3)),
        replace(by_z3, uses=tuple(fact for fact in by_z3.uses if "gamma" not in fact)),
        *(
            replace(by_sympy, certificate=certificate)
            for certificate in (
                steps.rest,
                replace(steps, fact="A0"),
                replace(steps, fact="0 <= R <= 1"),
                replace(steps, fact="A9"),
                replace(steps, relation=1),
                replace(steps, rest=Leaf(("1",), ())),
                lower,
                Cases("t1", ((0, steps),)),
            )
        ),
        *(
            replace(by_cases, certificate=certificate)
            for certificate in (replace(cases, cases=cases.cases[:1]), replace(cases, cases=()))
        ),
        replace(by_z3, certificate=text.replace("gap", "gap gap", 1)),
        replace(by_z3, certificate="(assert false)(check-sat)"),
    ]


def test_a_certificate_that_was_tampered_with_does_not_recheck():
    assert [proof.recheck() for proof in _tampered()] == [False] * len(_tampered())


def _power_of_a_sum() -> Bound:
    symbols = [q.symbol for q in BUILT_IN.values()]
    return Bound(relation=sympy.Ge(sympy.Add(*symbols) ** 64, gap - 1, evaluate=False))


HOSTILE = {
    "power of a sum": _power_of_a_sum(),
    "powers of powers": parse_bound("((gap+W)**4 + R)**6 >= ((xi+C)**6 + gamma)**4 - M"),
    "product of sums": parse_bound(
        "gap <= (1+gap+eta)*(1+eta+zeta)*(1+zeta+xi)*(1+xi+R)*(1+R+C)*(1+C+W)*(1+W+L)*(1+L+D)"
        "*(1+D+R0)*(1+R0+M)*(1+M+gamma)*(1+gamma+R_F)"
    ),
    "nested absolute values": parse_bound(
        f"{'abs(' * 40}gap{' - 1/3)' * 40} <= {'abs(' * 40}zeta{' - 1/3)' * 40}"
    ),
    "nested roots": parse_bound(f"{'sqrt(gap + ' * 30}gap{')' * 30} <= sqrt(A2)"),
    "degree 20": parse_bound(
        "gap*zeta*xi*R**8*gamma**9 - W**5*C**4*eta**3 <= (M*Delta+L)**4 + 1 - (eta-zeta*R)**6"
    ),
    "many denominators": parse_bound(
        "1/(gap-eta) + 1/(eta-zeta) + 1/(zeta-xi) + 1/(xi-R) + 1/(R-C) + 1/(C-W) + 1/(W-L) >= 0"
    ),
    "large maximum": parse_bound(
        f"max({', '.join(f'(eta-{k})**3 - zeta**2' for k in range(40))}) >= xi*L*eta0"
    ),
}


@pytest.mark.parametrize("bound", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_bound_ends_in_time(bound):
    begin = time.monotonic()
    assert prove(bound, timeout=1.0) is None
    assert time.monotonic() - begin < 30  # not in time would be minutes, or never


def test_no_time_means_no_proof():
    assert prove(parse_bound("gap <= A2"), timeout=0.0) is None


def test_nothing_is_proved_of_quantities_of_your_own():
    """Even one that takes another's symbol and is called nonnegative."""
    own = Quantity(
        name="mine", symbol=gap, meaning="anything", domain="", measure=lambda m: -m.discount
    )
    bound = Bound(relation=sympy.Ge(gap, 0, evaluate=False), own_quantities=(own,))
    assert prove(bound) is None


def test_what_coefficients_prove_has_no_solution_for_z3():
    """Two routes, one answer, on bounds made at random from true and false parts."""
    rng = np.random.default_rng(0)
    proved = 0
    for _ in range(30):
        left = rng.choice(["gap", "A2", "A4", "A5", "zeta - eta", "(1-M)*C*Delta"])
        parts = rng.choice(["A0", "A1", "A2", "A3", "A4", "A5"], 2)
        numbers = rng.choice(["1", "1/2", "1/3", "2/3", "(1-gamma)", "R"], 2)
        bound = parse_bound(f"{left} <= {numbers[0]}*({parts[0]}) + {numbers[1]}*({parts[1]})")
        proof = prove_by_coefficients(bound, timeout=5)
        if proof is not None:
            proved += 1
            assert answer(question(bound, list(FACTS)).text, 1) != "sat"
            assert not any(judge(bound, values).verdict == "violated" for values in pool())
    assert proved >= 5


def test_factored_arithmetic_agrees_with_sympy():
    x, y = sympy.symbols("x y")
    algebra = Algebra(("x", "y"))
    values = {name: algebra.generator(name) for name in ("x", "y")}
    for expression in (
        (x + y) ** 2 / (x - y) - x / (2 * y),
        (x**2 * y - 3 * x * y**2) ** 3 / 7 + 1,
        1 / (1 / x + 1 / y) - x * y / (x + y),
    ):
        value = algebra.value(expression, values)
        product = sympy.Rational(value.coefficient.numerator, value.coefficient.denominator)
        for factor, power in value.powers.items():
            product *= factor.as_expr() ** power
        assert sympy.cancel(product - expression) == 0


@pytest.mark.parametrize(
    ("expression", "sign"),
    [
        (gamma * (1 - gamma), 1),
        (-(1 - train_mass), -1),
        ((R - gamma) ** 2, 1),
        ((R - gamma) ** 3, None),
        (R - mean_robustness, 1),
        (1 / (1 - gamma) - 1, 1),
        (R - R * (1 - gamma) - R * gamma, 0),
    ],
)
def test_signs_by_coefficients(expression, sign):
    region = Region.of([symbol.name for symbol in expression.free_symbols], fixed={})
    assert region.value(expression).sign(region.free) == sign


def test_a_free_quantity_has_no_sign_but_its_square_has():
    x = sympy.Symbol("x")
    region = Region.of(["x"], fixed={})
    signs = [region.value(e).sign(region.free) for e in (x, x**2, x**2 + x, -(x**2))]
    assert signs == [None, 1, None, -1]
    values = (region.value(e) for e in (x**2, x**2 + 1))
    positive = [value.is_positive(region.alternatives, region.free) for value in values]
    assert positive == [False, True]


@pytest.mark.parametrize(
    "expression",
    [(1 + R + gamma + gap) ** 64 + 1, sympy.zoo * gap, sympy.exp(R), R / (R - R * R / R + 0 * gap)],
    ids=["size", "pole", "exponential", "R/0"],
)
def test_what_is_too_large_or_not_rational_is_given_up(expression):
    region = Region.of(["R", "gamma", "gap"], fixed={})
    with pytest.raises(GiveUp):
        region.value(expression)
