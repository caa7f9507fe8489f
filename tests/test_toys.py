"""Toys: closed forms equal the exact check, over grids of parameters."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from mdtheory import check, make_toy
from mdtheory.report.toys import toy_reports
from mdtheory.toys import TOYS

DISCOUNTS = ["0", "1/3", "9/10", "999/1000"]
UNIT = ["0", "1/7", "1/2", "1"]
MASSES = ["1/100", "2/3"]

GRIDS: dict[str, dict[str, list[Any]]] = {
    "two-state": {"discount": DISCOUNTS, "robustness": UNIT, "train_mass": [*MASSES, 1]},
    "chain": {
        "n_states": [1, 2, 5],
        "n_heldout": [1, 4],
        "spurious": UNIT,
        "discount": DISCOUNTS,
    },
    "grid": {
        "width": [1, 3],
        "height": [1, 2],
        "n_heldout": [1, 3],
        "spurious": UNIT,
        "discount": DISCOUNTS,
    },
    "two-doors": {"discount": DISCOUNTS, "train_mass": MASSES},
    "lucky": {"skill": UNIT, "discount": DISCOUNTS, "train_mass": MASSES},
    "long-horizon": {"discount": DISCOUNTS, "robustness": UNIT, "train_mass": MASSES},
    "rare-fork": {"chance": UNIT, "discount": DISCOUNTS, "train_mass": MASSES},
}


def found_in(instance: Any) -> dict[str, Any]:
    report = check(instance.problem, instance.policy, instance.baseline, require_exact=True)
    assert report.holds
    return report.quantities | {b.bound.id: b.rhs for b in report.bounds}


def test_every_toy_and_every_parameter_has_a_grid():
    assert {name: set(grid) for name, grid in GRIDS.items()} == {
        name: set(toy.parameters) for name, toy in TOYS.items()
    }


@pytest.mark.parametrize("name", TOYS)
def test_closed_forms_equal_computed_values_on_a_grid_of_parameters(name):
    for values in product(*GRIDS[name].values()):
        parameters = dict(zip(GRIDS[name], values, strict=True))
        instance = make_toy(name, **parameters)
        found = found_in(instance)
        for key, expected in instance.expected.items():
            assert found[key] == expected, (parameters, key)


@pytest.mark.parametrize("name", TOYS)
def test_defaults_are_those_listed_and_have_closed_forms(name):
    toy = TOYS[name]
    instance, again = make_toy(name), make_toy(name, **toy.parameters)
    assert instance.expected == again.expected
    assert {"train_return", "general_return", "gap", "robustness"} <= set(instance.expected)
    assert toy.name == name
    assert toy.summary.endswith(".")
    assert toy.build.__doc__


@pytest.mark.parametrize("name", TOYS)
def test_parameters_may_be_texts_fractions_or_decimal_floats(name):
    given = [make_toy(name, discount=x) for x in ("7/10", Fraction(7, 10), 0.7)]
    for instance in given:
        assert instance.problem.mdp.discount[()] == Fraction(7, 10)
        assert instance.expected == given[0].expected


@pytest.mark.parametrize("name", TOYS)
def test_toys_are_exact_with_rewards_within_zero_and_one(name):
    instance = make_toy(name)
    assert instance.problem.exact
    assert instance.problem.mdp.reward_bounds.tolist() == [0, 1]
    train = instance.problem.renderings.train_mask
    assert train[0]
    assert (np.diff(train.astype(int)) <= 0).all()  # training renderings come first


@pytest.mark.parametrize("name", TOYS)
def test_toy_policies_act_differently_under_some_heldout_rendering(name):
    assert check(make_toy(name).problem, make_toy(name).policy).quantities["robustness"] > 0


@pytest.mark.parametrize("discount", DISCOUNTS)
@pytest.mark.parametrize("skill", ["0", "1/2", "99/100"])
def test_lucky_refutes_that_more_robust_means_better(skill, discount):
    instance = make_toy("lucky", skill=skill, discount=discount)
    policy = check(instance.problem, instance.policy).quantities
    rival = check(instance.problem, instance.rival).quantities
    assert rival["robustness"] == 0 < policy["robustness"]
    assert rival["train_return"] == policy["train_return"]
    assert rival["general_return"] < policy["general_return"]


@pytest.mark.parametrize("discount", DISCOUNTS)
def test_two_doors_has_no_gap_although_it_is_as_fragile_as_can_be(discount):
    found = found_in(make_toy("two-doors", discount=discount))
    assert (found["gap"], found["robustness"]) == (0, 1)


def test_long_horizon_makes_classic_vacuous_and_sharp_not():
    found = found_in(make_toy("long-horizon"))
    assert found["A1"] > found["A0"] > found["A2"]


def test_rare_fork_puts_on_policy_far_below_sharp():
    found = found_in(make_toy("rare-fork"))
    assert found["A3"] * 10 < found["A2"]


@pytest.mark.parametrize("name", ["chain", "grid"])
def test_the_dial_turns_the_gap_and_the_robustness(name):
    found = [found_in(make_toy(name, spurious=x)) for x in UNIT]
    for key in ("gap", "robustness", "mean_robustness", "A5"):
        values = [q[key] for q in found]
        assert values[0] == 0
        assert values == sorted(set(values)), key


def test_hand_worked_two_state_world():
    # gamma 1/2, R 1/2: held out (1/2)/(1 - 1/4) = 2/3 against 2 in training; M 1/4: gap 1.
    found = found_in(make_toy("two-state", discount="1/2", robustness="1/2", train_mass="1/4"))
    assert (found["train_return"], found["heldout_return"], found["gap"]) == (2, Fraction(2, 3), 1)


def test_hand_worked_chain_and_grid():
    # chain of 2, one held-out rendering that waits 1/2, gamma 1/2: 1 against (1/4)/(3/4) * 2.
    chain = found_in(make_toy("chain", n_states=2, n_heldout=1, discount="1/2"))
    assert (chain["train_return"], chain["heldout_return"]) == (1, Fraction(2, 3))
    # grid of 2 x 1, one held-out rendering that jumps with 1/2: half of gamma/(1-gamma) is lost.
    grid = found_in(make_toy("grid", width=2, height=1, n_heldout=1, discount="1/2"))
    assert (grid["train_return"], grid["heldout_return"]) == (1, Fraction(1, 2))


def test_reports_of_toys_find_no_disagreement_and_would_show_one():
    reports = toy_reports()
    assert [r.toy.name for r in reports] == list(TOYS)
    assert all(r.disagreements == [] for r in reports)
    assert [r.toy.name for r in reports if r.rival is not None] == ["lucky"]
    instance = reports[0].instance
    broken = dict(instance.expected) | {"gap": Fraction(7)}
    object.__setattr__(instance, "expected", broken)
    assert reports[0].disagreements == ["gap"]


def test_huge_exponents_are_refused_by_name():
    with pytest.raises(ValueError, match=r"^discount must be a number"):
        make_toy("two-state", discount="1e5000")
