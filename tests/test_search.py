"""The search refutes what is false, finds what is tight, and calls nothing proved that is not."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy

from mdtheory import (
    STATEMENTS,
    Bound,
    Instance,
    Measurement,
    Quantity,
    check,
    dump_problem,
    parse_bound,
)
from mdtheory.evaluation import discounted_solve
from mdtheory.problem_file import parse_problem
from mdtheory.report.atlas import ATLAS_FILE, atlas_figure
from mdtheory.search import hunt
from mdtheory.search.atlas import Atlas, measure_tightness
from mdtheory.search.hunt import refute, tightest
from mdtheory.search.shrink import shrink
from mdtheory.search.space import (
    Space,
    exact_instance,
    random_parameters,
    rounded,
    structured_parameters,
)
from mdtheory.statements.quantities import R, gamma
from mdtheory.statements.tightness import SUPREMA
from tests.random_problems import exact_cases, step_world, toy_case
from tests.wrong_variants import CHECKED, wrong_variants

PLAUSIBLE_BUT_FALSE = [
    "gap <= (1 - M) * R * Delta / (1 - gamma)",
    "gap <= (1 - M) * R * r_max / ((1 - gamma) * (1 - gamma * (1 - R)))",
    "gap <= (1 - M) * R**2 * Delta / ((1 - gamma) * (1 - gamma * (1 - R)))",
    "gap <= (1 - M) * Rbar * Delta / ((1 - gamma) * (1 - gamma * (1 - Rbar)))",
    "abs(xi - eta) <= A2",
    "eta >= L - gamma * epsilon * D / (1 - gamma)**2",
    "zeta >= L - 2 * gamma * epsilon * D / (1 - gamma)**2 + A2",
    "zeta >= zeta0 if R < R0 and eta == eta0",
    "gap <= A2 * (1 - 1e-9)",
    "gap <= sqrt(R) * (1 - M) * Delta",
    "R_F <= R",
    "W <= R / (1 - gamma)",
    "C <= R",
]


def confirm(answer: Any) -> None:
    """The counterexample, written and read again, violates the bound in exact arithmetic."""
    assert answer.verdict == "refuted"
    again = parse_problem(dump_problem(*answer.instance), in_rationals=True)
    result = check(*again, bounds=answer.bound, require_exact=True).bounds[0]
    assert result.verdict == "violated"
    assert (result.lhs, result.rhs) == (answer.result.lhs, answer.result.rhs)


@pytest.mark.parametrize("text", PLAUSIBLE_BUT_FALSE)
def test_plausible_but_false_bounds_are_refuted_by_a_small_exact_world(text):
    answer = refute(text, budget=10)
    confirm(answer)
    n_renderings, n_states, n_actions = answer.instance.policy.probabilities.shape
    assert max(n_states, n_actions) <= 2
    assert n_renderings <= 3


def decoupling_with_maximum(m: Measurement) -> Any:
    """A4's C with max(π_f, π_f') for the minimum; None where its matrix is singular."""
    # In floats slightly off, so that no singular matrix stops a batch; only rationals decide.
    gamma = m.discount if m.exact else m.discount * (1 - 1e-11)
    model = replace(m.model, discount=gamma)

    def separation(i: int) -> Any:
        together = m.xp.maximum(m.policy[..., m.train[[i]], :, :], m.policy[..., m.heldout, :, :])
        solution = discounted_solve(model, together, m.pair_distance(i))
        return (m.model.initial[..., None, :] * solution).sum(axis=-1)

    try:
        return m.mean_over_pairs(separation)
    except ZeroDivisionError:
        return np.array(None)


def bound_with_maximum() -> Bound:
    symbol = sympy.Symbol("Cmax", real=True)
    own = Quantity(
        name="decoupling_with_maximum",
        symbol=symbol,
        meaning="decoupling with the larger of both probabilities for the smaller",
        domain="(-oo, oo)",
        measure=decoupling_with_maximum,
    )
    rhs = STATEMENTS["A4"].rhs.subs(sympy.Symbol("C", nonnegative=True), symbol)
    return Bound(relation=sympy.Le(STATEMENTS["A4"].lhs, rhs), own_quantities=(own,), id="A4 max")


def test_coupling_with_the_larger_probability_fails_once_its_series_diverges():
    """As a sum over time the variant is true: every term of C is smaller.  As the matrix inverse
    that A4 writes it is false, since max(π_f, π_f') has more mass than 1 and γ P may expand."""
    answer = refute(bound_with_maximum(), budget=10)
    assert answer.verdict == "refuted"
    assert check(*answer.instance, bounds=answer.bound).bounds[0].verdict == "violated"
    policy, discount = answer.instance.policy.probabilities, answer.instance.problem.mdp.discount
    assert discount * np.maximum(policy[0], policy[1]).sum(axis=-1).max() > 1


@pytest.mark.parametrize("robustness", ["1/10", "1/2", "9/10"])
def test_the_equality_case_of_the_sharp_bound_is_found_from_random_starts(robustness):
    instance, result = tightest("A2", discount="9/10", robustness=robustness)
    assert result.ratio >= Fraction(999, 1000)
    report = check(*instance, require_exact=True)
    assert report.quantities["robustness"] == Fraction(robustness)
    assert report.quantities["discount"] == Fraction(9, 10)


@pytest.mark.slow
@pytest.mark.parametrize("variant", wrong_variants(), ids=lambda s: s.name)
def test_every_wrong_variant_of_every_statement_is_refuted(variant):
    answer = refute(variant, budget=60, use_proofs=False)
    confirm(answer)


@pytest.mark.parametrize("statement", CHECKED.values(), ids=CHECKED.keys())
def test_a_true_statement_survives_and_is_not_called_proved(statement):
    answer = refute(statement, budget=2, use_proofs=False)
    assert answer.verdict == "survived"
    assert answer.proof is None
    assert answer.tried > 10_000
    if statement.id == "B3":
        assert 1 - 1e-6 < answer.result.ratio < 1  # approached by ever smaller divergences
    elif statement.id not in ("A6", "A8"):
        assert answer.result.ratio == 1  # every one of them is attained
    assert "no proof" in str(answer)


def test_a_bound_that_applies_to_nothing_survives_without_an_instance():
    answer = refute("gap <= 0 if R > 2", budget=0.5, use_proofs=False)
    assert (answer.verdict, answer.instance) == ("survived", None)
    assert "applied to none" in str(answer)


def test_the_same_seed_finds_the_same_counterexample_and_another_seed_another_path():
    one, same = (refute("gap <= A2 / 2", seed=3) for _ in range(2))
    assert (one.tried, dump_problem(*one.instance)) == (same.tried, dump_problem(*same.instance))
    space = Space(n_states=2, n_actions=2, n_renderings=2, n_train=1)
    draws = [random_parameters(space, np.random.default_rng(seed), 5) for seed in (0, 0, 1)]
    assert (draws[0]["reward"] == draws[1]["reward"]).all()
    assert (draws[0]["reward"] != draws[2]["reward"]).any()


def test_ascent_finds_what_sampling_misses():
    """A6's constant is approached only by small steps: 0.99 of it needs the gradient."""
    text = "eta >= L - 0.99 * 2 * gamma * epsilon * D / (1 - gamma)**2"
    bound = parse_bound(text)
    everything = {"sizes": hunt.SIZES, "accepts": lambda instance: True}
    sampler = hunt._Hunt(bound, 0, 1e9, lambda stage, tried, share: None, **everything)
    for _ in sampler.sampling(3):
        assert sampler.found is None
    confirm(refute(text, budget=30, use_proofs=False))


def test_without_torch_the_answer_says_what_was_not_tried(monkeypatch):
    monkeypatch.setattr(hunt, "find_spec", lambda name: None)
    monkeypatch.setattr(hunt, "z3_available", lambda: False)
    answer = refute("gap <= A2", budget=1, use_proofs=False)
    assert answer.verdict == "survived"
    assert any("gradient" in note for note in answer.notes)
    assert any("Z3" in note for note in answer.notes)


def test_rounding_keeps_rows_and_the_fixed_quantities():
    rng = np.random.default_rng(0)
    third = Fraction(1, 3)
    for draw in (random_parameters, structured_parameters):
        for robustness in (None, third):
            space = Space(
                n_states=3,
                n_actions=2,
                n_renderings=3,
                n_train=2,
                with_baseline=True,
                discount=Fraction(2, 3),
                robustness=robustness,
            )
            batch = draw(space, rng, 20)
            for k in range(20):
                one = {name: array[k] for name, array in batch.items()}
                for denominator in (1, 3, 1000):
                    instance = exact_instance(space, rounded(space, one, denominator))
                    assert instance.exact
                    report = check(*instance, bounds="A2", require_exact=True)
                    assert report.quantities["discount"] == Fraction(2, 3)
                    if robustness is not None:
                        assert report.quantities["robustness"] == third


def test_structured_worlds_hit_the_corners_of_every_domain():
    space = Space(n_states=2, n_actions=2, n_renderings=3, n_train=1, with_baseline=True)
    batch = structured_parameters(space, np.random.default_rng(0), 2000)
    assert {0.0, 0.99} <= set(batch["discount"])
    assert (batch["scale"] == 0).any()
    assert (batch["weights"][:, 1:].sum(axis=-1) == 0).any()  # M = 1
    assert (batch["distance"] == 0).all(axis=-1).any()  # R = 0
    assert (batch["transition"].max(axis=-1) == 1).all(axis=(-2, -1)).any()  # deterministic


def test_shrinking_keeps_the_violation_and_removes_what_is_not_needed():
    bound = parse_bound("gap <= A2 / 2")

    def is_violated(instance: Instance) -> bool:
        return bool(check(*instance, bounds=bound).bounds[0].verdict == "violated")

    n_shrunk = 0
    for case in exact_cases(np.random.default_rng(1), 60):
        instance = Instance(case.problem, case.policy)
        if is_violated(instance):
            small = shrink(instance, is_violated)
            assert is_violated(small)
            assert small.policy.probabilities.shape == (2, 1, 2)
            assert len(dump_problem(*small)) <= len(dump_problem(*instance))
            n_shrunk += 1
    assert n_shrunk >= 5


def test_conditions_are_met_by_the_counterexample():
    answer = refute("gap <= A2 / 2 if R <= 1/3 and gamma >= 3/4 and M == 1/2", budget=20)
    confirm(answer)
    quantities = check(*answer.instance, require_exact=True).quantities
    assert quantities["robustness"] <= Fraction(1, 3)
    assert quantities["discount"] >= Fraction(3, 4)
    assert quantities["train_mass"] == Fraction(1, 2)


def test_bad_arguments_of_the_search():
    with pytest.raises(ValueError, match=r"^budget must be a positive number of seconds, got 0$"):
        refute("gap <= A2", budget=0)
    with pytest.raises(ValueError, match=r"^seed must be a whole number of at least 0, got -1$"):
        refute("gap <= A2", seed=-1)
    with pytest.raises(ValueError, match=r"^discount must lie in \[0, 1\), got 1$"):
        tightest("A2", discount=1, robustness="1/2")
    with pytest.raises(ValueError, match=r"^robustness must lie in \(0, 1\], got 0$"):
        tightest("A2", discount="1/2", robustness=0)


def test_an_answer_exports_everything_as_json():
    content = json.loads(refute("gap <= A2 / 2").to_json())
    assert set(content) == {
        "bound", "verdict", "tried", "seconds", "left", "right", "slack", "ratio", "instance",
        "proof", "notes",
    }  # fmt: skip
    assert content["ratio"] == "2/1"
    assert parse_problem(json.dumps(content["instance"]), in_rationals=True).exact


def proved_supremum(bound: str, discount: str, robustness: str) -> Fraction:
    ratio = SUPREMA[bound].ratio.subs(
        {gamma: sympy.Rational(discount), R: sympy.Rational(robustness)}
    )
    return Fraction(int(ratio.p), int(ratio.q))


def test_every_cell_of_the_published_atlas_is_attained_by_its_instance():
    atlas = Atlas.load(ATLAS_FILE.read_text(encoding="utf-8"))
    assert {cell.bound for cell in atlas.cells} == set(SUPREMA)
    for cell in atlas.cells:
        if cell.ratio is None:
            assert (cell.bound, cell.discount) == ("A6", "0")  # without a future, no penalty
            continue
        report = check(*cell.instance, bounds=cell.bound, require_exact=True)
        assert report[cell.bound].ratio == cell.ratio
        exact = check(*cell.instance, bounds="A2", require_exact=True).quantities
        assert exact["robustness"] == Fraction(cell.robustness)
        assert exact["discount"] == Fraction(cell.discount)
        assert cell.ratio <= proved_supremum(cell.bound, cell.discount, cell.robustness)


def test_the_published_atlas_reaches_the_proved_suprema():
    atlas = Atlas.load(ATLAS_FILE.read_text(encoding="utf-8"))
    for cell in atlas.cells:
        if cell.ratio is not None:
            share = cell.ratio / proved_supremum(cell.bound, cell.discount, cell.robustness)
            assert share >= (Fraction(99, 100) if cell.bound == "A6" else Fraction(999, 1000)), cell


def test_proved_suprema_are_attained_by_the_worlds_they_name():
    for discount in ("0", "1/2", "9/10"):
        for robustness in ("1/10", "1"):
            case = toy_case("two-state", discount=discount, robustness=robustness)
            same = check(case.problem, case.policy, case.policy)
            for bound in ("A0", "A1", "A2", "A4", "A5", "A7"):
                assert same[bound].ratio == proved_supremum(bound, discount, robustness), bound
    ratios = [
        check(*(c.problem, c.policy, c.baseline))["A6"].ratio
        for c in (step_world(Fraction(1, n), Fraction(1, 2)) for n in (10, 1000, 100_000))
    ]
    assert ratios == sorted(ratios)
    assert 1 - ratios[-1] < Fraction(1, 10_000)


def test_an_atlas_that_was_stopped_goes_on_to_the_same_file(tmp_path):
    settings: dict[str, Any] = {"n_restarts": 4, "n_steps": 30, "discounts": ["1/2"]}
    whole = tmp_path / "whole.json"
    measure_tightness(whole, bounds=["A1", "A2"], robustnesses=["1/4", "1/2"], **settings)
    part = tmp_path / "part.json"
    measure_tightness(part, bounds=["A1"], robustnesses=["1/4", "1/2"], **settings)
    shown: list[float] = []
    measure_tightness(
        part,
        bounds=["A1", "A2"],
        robustnesses=["1/4", "1/2"],
        on_progress=lambda text, share: shown.append(share),
        **settings,
    )
    assert part.read_bytes() == whole.read_bytes()
    assert shown == [0, 0.25, 0.5, 0.75]
    with pytest.raises(ValueError, match=r"was made with n_steps 30, not 31: choose another file$"):
        measure_tightness(part, **settings | {"n_steps": 31})
    assert len(atlas_figure(Atlas.load(whole.read_text())).axes) == 3
