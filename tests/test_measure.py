"""Measured quantities equal their definitions, literally evaluated on exact problems."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import product

import flint
import numpy as np
import pytest
import sympy

from mdtheory import LatentPolicy, Problem, RenderingFamily, measure
from mdtheory.exact import Enclosed
from mdtheory.statements import PAIR_QUANTITIES, QUANTITIES
from mdtheory.statements.quantities import n_actions, n_renderings, n_states
from tests.random_problems import (
    Case,
    blind,
    exact_case,
    exact_cases,
    float_case,
    opposite,
    toy_case,
)
from tests.reference import Reference

ALL = QUANTITIES | PAIR_QUANTITIES
DEFINED = [name for name, quantity in ALL.items() if quantity.definition is not None]
DEFINED.remove("mean_divergence")  # 0 ln 0 = 0 is beyond SymPy
SIZES = ((2, 2, 3), (3, 2, 2), (1, 3, 4), (2, 3, 2))


def cases(size: tuple[int, int, int]) -> list[Case]:
    rng = np.random.default_rng(sum(size))
    sizes = dict(zip(("n_states", "n_actions", "n_renderings"), size, strict=True))
    plain = [exact_case(rng, **sizes) for _ in range(2)]
    return [*plain, blind(plain[0]), opposite(plain[1])]


@lru_cache
def measured(size: tuple[int, int, int]) -> list[tuple[Case, dict, dict]]:
    return [
        (case, measure(case.problem, case.policy, case.baseline), Reference(case).base_arrays())
        for case in cases(size)
    ]


def entry(arrays: dict, indexed: sympy.Indexed) -> sympy.Rational:
    value = arrays[indexed.base.name]
    for index in indexed.indices:
        value = value[int(index)]
    return rational(value)


def rational(value: Fraction | int | Enclosed) -> sympy.Expr:
    if isinstance(value, Enclosed):
        return sympy.oo if np.isinf(float(value)) else sympy.Float(float(value))
    value = Fraction(value)
    return sympy.Rational(value.numerator, value.denominator)


def literal(name: str, size: tuple[int, int, int], arrays: dict, values: dict) -> sympy.Expr:
    """The definition with sums written out and every symbol replaced by its number."""
    sizes = dict(zip((n_states, n_actions, n_renderings), size, strict=True))
    written_out = ALL[name].definition.subs(sizes).doit()
    numbers = {x: entry(arrays, x) for x in written_out.atoms(sympy.Indexed)}
    numbers |= {q.symbol: rational(values[q.name]) for q in ALL.values() if q.name in values}
    return written_out.xreplace(numbers)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", DEFINED)
def test_measured_quantity_equals_its_definition(name, size):
    for case, values, arrays in measured(size):
        others = {k: v for k, v in values.items() if k != name and v is not None}
        found = sympy.simplify(literal(name, size, arrays, others))
        assert found == rational(values[name]), case.label


@pytest.mark.parametrize("size", SIZES[:2], ids=str)
def test_the_mean_divergence_equals_its_definition_where_no_probability_is_zero(size):
    for case, values, arrays in measured(size):
        positive = case.policy.probabilities + Fraction(1)
        policy = LatentPolicy(positive / positive.sum(axis=-1)[..., None])
        moved = replace(case, policy=policy)
        arrays = Reference(moved).base_arrays()
        values = measure(case.problem, policy, case.baseline)
        known = {n: v for n, v in values.items() if n != "mean_divergence" and v is not None}
        tiny = Fraction(1, 10**60)  # stands for 0 in 0 ln 0
        arrays["pi0"] = [[[p or tiny for p in row] for row in rows] for rows in arrays["pi0"]]
        expected = literal("mean_divergence", size, arrays, known)
        with flint.ctx.workprec(160):
            ball = values["mean_divergence"].ball()
        assert abs(sympy.N(expected, 40) - sympy.Float(ball.str(40, radius=False), 40)) < 1e-30


def test_divergences_equal_a_loop_and_are_infinite_where_an_action_is_excluded():
    infinite = 0
    for case in exact_cases(np.random.default_rng(11), 40):
        got = measure(case.problem, case.policy, case.baseline)
        reference = Reference(case)
        worst, mean = 0.0, 0.0
        for f, s in product(range(reference.F), range(reference.S)):
            pairs = list(zip(reference.pi0[f][s], reference.pi[f][s], strict=True))
            terms = [math.inf if q == 0 else p * math.log(p / q) for p, q in pairs if p > 0]
            divergence = sum(terms)
            worst = max(worst, divergence)
            visits = reference.occupancy(reference.pi[f])[s] * reference.p[f] * reference.tau[f]
            mean += float(visits) * divergence if visits > 0 else 0.0
        mean *= float((1 - reference.gamma) / got["train_mass"])
        assert float(got["divergence"]) == pytest.approx(worst, rel=1e-12, abs=1e-15)
        assert float(got["mean_divergence"]) == pytest.approx(mean, rel=1e-12, abs=1e-15)
        infinite += math.isinf(worst) and not math.isinf(mean)
    assert infinite  # an excluded action in a state that is never visited in training


def test_only_maxima_and_inputs_lack_a_symbolic_definition():
    undefined = set(ALL) - set(DEFINED) - {"mean_divergence"}
    maxima = {"robustness", "full_robustness", "advantage_bound", "baseline_robustness"}
    maxima |= {"disagreement", "divergence"}
    assert undefined == maxima | {"reward_range", "reward_min", "reward_max", "discount"}


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_maxima_equal_a_search_over_all_indices(size):
    for case, values, arrays in measured(size):
        reference = Reference(case)
        states, actions = range(reference.S), range(reference.A)
        train = [f for f in range(reference.F) if reference.tau[f]]
        heldout = [f for f in range(reference.F) if not reference.tau[f]]
        everything = range(reference.F)
        assert values["robustness"] == max(
            reference.tv(f, g, s) for f, g, s in product(train, heldout, states)
        )
        assert values["full_robustness"] == max(
            reference.tv(f, g, s) for f, g, s in product(everything, everything, states)
        )
        assert values["disagreement"] == max(
            sum(abs(reference.pi[f][s][a] - reference.pi0[f][s][a]) for a in actions) / 2
            for f, s in product(everything, states)
        )
        assert values["advantage_bound"] == max(
            abs(sum(reference.pi[f][s][a] * arrays["A0"][f][s][a] for a in actions))
            for f, s in product(train, states)
        )


def test_inputs_are_reported_as_they_are():
    case = exact_case(np.random.default_rng(0), discount=Fraction(2, 3))
    got = measure(case.problem, case.policy)
    rewards = [x for row in case.problem.mdp.reward.tolist() for x in row]
    assert got["discount"] == Fraction(2, 3)
    assert got["reward_range"] == max(rewards) - min(rewards)


def test_measured_numbers_lie_in_the_stated_domains():
    for case in exact_cases(np.random.default_rng(1), 40):
        values = measure(case.problem, case.policy, case.baseline)
        mdp = case.problem.mdp
        low, high = (rational(x) for x in mdp.reward_bounds)
        names = {"r_min": low, "r_max": high}
        given = {q: values[q.name] for q in ALL.values() if values[q.name]}
        names |= {q.symbol.name: rational(value) for q, value in given.items()}
        names |= {q.name: rational(value) for q, value in given.items()}
        zeros = [n for q in ALL.values() for n in (q.name, q.symbol.name)]
        names = dict.fromkeys(zeros, sympy.Integer(0)) | names
        for name, value in values.items():
            limits = [
                sympy.sympify(text.strip().replace(") Delta", ")*Delta"), locals=names)
                for text in ALL[name].domain[1:-1].split(",")
            ]
            if value is not None:
                assert limits[0] <= rational(value) <= limits[1], (case.label, name)


def test_hand_worked_quantities():
    # One state, action 0 pays 1. Training renderings take it with 1 and 1/2, the held-out one
    # never. gamma 1/2, weights 1/2, 1/4, 1/4: returns 2, 1, 0.
    half = Fraction(1, 2)
    case = toy_case("lucky", discount=half)
    family = RenderingFamily.distinct(
        1, train_mask=[True, True, False], weights=[half, half / 2, half / 2]
    )
    policy = LatentPolicy([[[1, 0]], [[half, half]], [[0, 1]]])
    got = measure(Problem(mdp=case.problem.mdp, renderings=family), policy)
    assert got == {
        "train_return": Fraction(5, 3),
        "general_return": Fraction(5, 4),
        "heldout_return": 0,
        "gap": Fraction(5, 12),
        "robustness": 1,
        "full_robustness": 1,
        "mean_robustness": Fraction(5, 6),  # weights 2/3, 1/3 on distances 1, 1/2
        "decoupling": Fraction(8, 9),  # 1 and (1/2)/(1 - 1/4) = 2/3
        "occupancy_distance": Fraction(5, 3),
        "train_mass": Fraction(3, 4),
        "reward_range": 1,
        "reward_min": 0,
        "reward_max": 1,
        "discount": half,
    }


def test_gap_identity_between_train_general_and_heldout_return():
    for case in exact_cases(np.random.default_rng(2), 30):
        q = measure(case.problem, case.policy)
        if q["heldout_return"] is not None:
            difference = q["heldout_return"] - q["train_return"]
            assert q["general_return"] - q["train_return"] == (1 - q["train_mass"]) * difference


def test_without_heldout_renderings_there_is_no_heldout_return_and_no_gap():
    case = exact_case(np.random.default_rng(3), all_train=True)
    got = measure(case.problem, case.policy)
    assert got["heldout_return"] is None
    zero = ("gap", "robustness", "mean_robustness", "decoupling", "occupancy_distance")
    assert {got[name] for name in zero} == {0}
    floats = float_case(np.random.default_rng(3), n_train=4)
    got = measure(floats.problem, floats.policy)
    assert np.isnan(got["heldout_return"])
    assert got["gap"] == pytest.approx(0, abs=1e-12)


def test_a_heldout_rendering_of_weight_zero_leaves_no_heldout_return():
    case = toy_case("two-state", train_mass=1)
    got = measure(case.problem, case.policy)
    assert got["heldout_return"] is None
    assert (got["gap"], got["mean_robustness"]) == (0, 0)


def test_float_quantities_equal_exact_ones():
    for case in exact_cases(np.random.default_rng(5), 30):
        exact = measure(case.problem, case.policy, case.baseline)
        family = case.problem.renderings
        rough = RenderingFamily.distinct(
            family.n_states,
            train_mask=family.train_mask,
            weights=family.weights.astype(np.float64),
        )
        problem = Problem(mdp=case.problem.mdp.to_float(), renderings=rough)
        policies = [
            LatentPolicy(p.probabilities.astype(float)) for p in (case.policy, case.baseline)
        ]
        for name, value in measure(problem, *policies).items():
            sharp = np.nan if exact[name] is None else float(exact[name])
            assert value == pytest.approx(sharp, rel=1e-9, abs=1e-9, nan_ok=True), name


def test_a_batch_equals_its_problems_one_by_one():
    case = float_case(np.random.default_rng(6), batch=(2, 3))
    got = measure(case.problem, case.policy, case.baseline)
    mdp, family = case.problem.mdp, case.problem.renderings
    for i, j in np.ndindex(2, 3):
        fields = ("transition", "reward", "initial", "discount", "reward_bounds")
        one = Problem(
            mdp=type(mdp)(**{k: getattr(mdp, k)[i, j] for k in fields}),
            renderings=RenderingFamily.distinct(
                4, train_mask=family.train_mask, weights=family.weights[i, j]
            ),
        )
        policies = [LatentPolicy(p.probabilities[i, j]) for p in (case.policy, case.baseline)]
        for name, value in measure(one, *policies).items():
            assert got[name].shape == (2, 3)
            assert got[name][i, j] == pytest.approx(value, abs=1e-9), name


def test_exact_batches_hold_fractions():
    case = exact_case(np.random.default_rng(7))
    policies = np.stack([case.policy.probabilities, case.baseline.probabilities])
    got = measure(case.problem, LatentPolicy(policies))
    one = measure(case.problem, case.baseline)
    for name, value in got.items():
        assert value.shape == (2,)
        assert value[1] == one[name]
        assert isinstance(value[1], Fraction)


def test_quantities_may_be_asked_for_by_name():
    case = exact_case(np.random.default_rng(8))
    got = measure(case.problem, case.policy, names=["gap", "robustness"])
    everything = measure(case.problem, case.policy)
    assert got == {name: everything[name] for name in ("gap", "robustness")}


def test_quantities_ignore_the_order_of_renderings():
    case = exact_case(np.random.default_rng(9), n_renderings=4)
    order = [2, 0, 3, 1]
    family = case.problem.renderings
    moved = Problem(
        mdp=case.problem.mdp,
        renderings=RenderingFamily.distinct(
            3, train_mask=family.train_mask[order], weights=family.weights[order]
        ),
    )
    policies = [LatentPolicy(p.probabilities[order]) for p in (case.policy, case.baseline)]
    one, other = measure(moved, *policies), measure(case.problem, case.policy, case.baseline)
    for name in ("divergence", "mean_divergence"):
        assert float(one.pop(name)) == pytest.approx(float(other.pop(name)), rel=1e-12)
    assert one == other
