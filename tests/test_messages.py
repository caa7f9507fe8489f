"""Every error that mdtheory raises, by its text: one table of calls and messages."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sympy

from mdtheory import (
    STATEMENTS,
    Bound,
    FiniteMDP,
    LatentPolicy,
    Problem,
    RenderingFamily,
    SparseMDP,
    TabularPolicy,
    check,
    files,
    make_toy,
    measure,
    parse_bound,
)
from mdtheory.problem_file import AXES, dump_problem, parse_problem
from mdtheory.sparse import discounted_solve
from mdtheory.statements import PAIR_QUANTITIES, QUANTITIES
from mdtheory.toys import TOYS, RenderedMDPEnv
from mdtheory.validation import unknown

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
NAN, INF = float("nan"), float("inf")
MDP: dict[str, Any] = {
    "transition": [[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
    "reward": [[1, 0], [0, 0]],
    "initial": [1, 0],
    "discount": HALF,
}
TOY = make_toy("two-state")
FAMILY = TOY.problem.renderings
LATENT = TOY.policy.latent(FAMILY)
FILE = json.loads(dump_problem(TOY.problem, LATENT))
KEYS, TOY_NAMES = ", ".join(AXES), ", ".join(TOYS)
EVERY_QUANTITY = (*QUANTITIES.values(), *PAIR_QUANTITIES.values())
IDS = ", ".join(STATEMENTS)
GAP_IDS = "A0, A1, A2, A3, A4, A5"


def mdp(**changes: Any) -> FiniteMDP:
    return FiniteMDP(**MDP | changes)


def sparse(transition: Any = None, **changes: Any) -> SparseMDP:
    if transition is None:
        transition = np.array(MDP["transition"], dtype=np.float64).reshape(4, 2)
    if isinstance(transition, np.ndarray):
        transition = scipy.sparse.csr_array(transition)
    return SparseMDP(**MDP | {"transition": transition} | changes)


def sparse_entry(row: int, column: int, value: float) -> SparseMDP:
    transition = np.array(MDP["transition"], dtype=np.float64).reshape(4, 2)
    transition[row, column] = value
    return sparse(transition)


def family(**changes: Any) -> RenderingFamily:
    return RenderingFamily(
        **{"observation": [[0, 1], [2, 3]], "train_mask": [True, False]} | changes
    )


def file(**changes: Any) -> Any:
    return parse_problem(json.dumps(FILE | changes), in_rationals=True)


def float_file(**changes: Any) -> Any:
    return parse_problem(json.dumps(FILE | changes))


def raw(text: str) -> Any:
    return parse_problem(json.dumps(FILE | {"discount": "X"}).replace('"X"', text))


def without(key: str) -> Any:
    return parse_problem(json.dumps({k: v for k, v in FILE.items() if k != key}))


def environment(**options: Any) -> RenderedMDPEnv:
    return RenderedMDPEnv(TOY.problem, **options)


def batched_problem() -> Problem:
    return Problem(mdp=mdp(discount=[HALF, THIRD]), renderings=FAMILY)


Call = Callable[[], Any]
MDP_ERRORS: list[tuple[Call, str]] = [
    (lambda: mdp(transition=[[[1, 0], [0, 1]], [[0, 1], [HALF, THIRD]]]),
     "transition[s=1, a=1] must sum to 1, got 5/6"),
    (lambda: mdp(transition=[[[1, 0], [0, 1]], [[0, 1], [0.5, 0.25]]]),
     "transition[s=1, a=1] must sum to 1, got 0.75"),
    (lambda: mdp(transition=[[[1, 0], [0, 1]], [[0, 1], [-1, 2]]]),
     "transition[s=1, a=1, s'=0] must be at least 0, got -1"),
    (lambda: mdp(transition=[[[1, 0], [NAN, 1]], [[0, 1], [0, 1]]]),
     "transition[s=0, a=1, s'=0] must be a finite number, got nan"),
    (lambda: mdp(transition=np.array([[[1, 0], [INF, 1]], [[0, 1], [0, 1]]])),
     "transition[s=0, a=1, s'=0] must be a finite number, got inf"),
    (lambda: mdp(transition=[[[1, 0], [0, 1]], [[0, 1]]]),
     "transition[s=1] must have length 2 like its neighbours, got length 1"),
    (lambda: mdp(transition=[[[1, 0], [0, 1]], [[0, 1], 7]]),
     "transition[s=1, a=1] must be a list of 2, got 7"),
    (lambda: mdp(transition=[[[1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 1, 0]]]),
     "transition must have shape [s: 2, a: 2, s': 2], got [2, 2, 3]"),
    (lambda: mdp(transition=[[1, 0], [0, 1]]),
     "transition must have axes [s, a, s'], got an array of shape (2, 2)"),
    (lambda: mdp(transition=np.zeros((0, 2, 0))),
     "transition must not be empty, got shape (0, 2, 0)"),
    (lambda: mdp(reward=[[1, 0]]), "reward must have shape [s: 2, a: 2], got [1, 2]"),
    (lambda: mdp(reward=[[1, "0"], [0, 0]]), "reward[s=0, a=1] must be a number, got '0'"),
    (lambda: mdp(reward=[[1, None], [0, 0]]), "reward[s=0, a=1] must be a number, got None"),
    (lambda: mdp(reward=[[1, True], [0, HALF]]), "reward[s=0, a=1] must be a number, got True"),
    (lambda: mdp(reward=np.array([[True, False]] * 2)),
     "reward[s=0, a=0] must be a number, got np.True_"),
    (lambda: mdp(reward=[[1, [0]], [0, 0]]),
     "reward[s=0, a=1] must be a number, got a list of 1"),
    (lambda: mdp(reward=[[HALF, -INF], [0, 0]]),
     "reward[s=0, a=1] must be a finite number, got -inf"),
    (lambda: mdp(reward=[[[1, 0], [0, 0]], [[1, 0], [0, NAN]]]),
     "reward[batch=1, s=1, a=1] must be a finite number, got nan"),
    (lambda: mdp(initial=[HALF, HALF, 0]), "initial must have shape [s: 2], got [3]"),
    (lambda: mdp(initial=[HALF, THIRD]), "initial must sum to 1, got 5/6"),
    (lambda: mdp(initial=[Fraction(3, 2), -HALF]), "initial[s=1] must be at least 0, got -1/2"),
    (lambda: mdp(initial=[[1, 0], [0, THIRD]]), "initial[batch=1] must sum to 1, got 1/3"),
    (lambda: mdp(discount=1), "discount must lie in [0, 1), got 1"),
    (lambda: mdp(discount=1.5), "discount must lie in [0, 1), got 1.5"),
    (lambda: mdp(discount=Fraction(-1, 10)), "discount must lie in [0, 1), got -1/10"),
    (lambda: mdp(discount=[HALF, 1]), "discount[batch=1] must lie in [0, 1), got 1"),
    (lambda: mdp(discount=NAN), "discount must be a finite number, got nan"),
    (lambda: mdp(discount="1/2"), "discount must be a number, got '1/2'"),
    (lambda: mdp(reward_bounds=[0, HALF]),
     "reward[s=0, a=0] must lie within reward_bounds [0, 1/2], got 1"),
    (lambda: mdp(reward_bounds=[1, 2]),
     "reward[s=0, a=1] must lie within reward_bounds [1, 2], got 0"),
    (lambda: mdp(reward_bounds=[0, 1, 2]), "reward_bounds must have shape [i: 2], got [3]"),
    (lambda: mdp(discount=[HALF] * 3, initial=[[1, 0]] * 2),
     "batch axes must agree, got transition [], reward [], initial [2], discount [3],"
     " reward_bounds []"),
]  # fmt: skip
SPARSE_ERRORS: list[tuple[Call, str]] = [
    (lambda: SparseMDP(**MDP), "transition must be a SciPy sparse matrix of shape [S*A, S],"
     " got list; use FiniteMDP for dense arrays"),
    (lambda: sparse(np.eye(2)),
     "transition must have shape [S*A, S] = [4, 2] for a reward of shape [2, 2], got [2, 2]"),
    (lambda: sparse(discount=[0.5, 0.6]),
     "discount must have 0 axes, since SparseMDP holds a single problem, got shape [2]"),
    (lambda: sparse(initial=[[1, 0]]),
     "initial must have 1 axes, since SparseMDP holds a single problem, got shape [1, 2]"),
    (lambda: sparse_entry(3, 0, -0.5), "transition[s=1, a=1, s'=0] must be at least 0, got -0.5"),
    (lambda: sparse_entry(1, 1, NAN),
     "transition[s=0, a=1, s'=1] must be a finite number, got nan"),
    (lambda: sparse_entry(2, 1, 0.25), "transition[s=1, a=0] must sum to 1, got 0.25"),
    (lambda: sparse_entry(2, 1, 0.0), "transition[s=1, a=0] must sum to 1, got 0"),
    (lambda: sparse(discount=1), "discount must lie in [0, 1), got 1"),
]  # fmt: skip
FAMILY_ERRORS: list[tuple[Call, str]] = [
    (lambda: family(observation=[[0, 1], [3, 3]]),
     "observation[f=1] must be injective, got 3 for both s=0 and s=1"),
    (lambda: family(observation=[[0, 1.5], [2, 3]]),
     "observation must be nonnegative integers of shape [F, S], got float64 of shape [2, 2]"),
    (lambda: family(observation=[[0, -1], [2, 3]]),
     "observation[f=0, s=1] must be at least 0, got -1"),
    (lambda: family(observation=[[[0, 1], [2, 3]]]),
     "observation must be nonnegative integers of shape [F, S], got int64 of shape [1, 2, 2]"),
    (lambda: family(observation=[0, 1]),
     "observation must have axes [f, s], got an array of shape (2,)"),
    (lambda: family(train_mask=[True]), "train must have shape [f: 2], got [1]"),
    (lambda: family(train_mask=[1, 0]), "train[f=0] must be true or false, got 1"),
    (lambda: family(train_mask=[]), "train must be a list of booleans, got []"),
    (lambda: family(train_mask="yes"), "train must be a list of booleans, got 'yes'"),
    (lambda: family(train_mask=None), "train must be a list of booleans, got None"),
    (lambda: family(train_mask=[False, False]),
     "train must mark renderings of positive total weight, got train_mass M = 0"),
    (lambda: family(weights=[0, 1]),
     "train must mark renderings of positive total weight, got train_mass M = 0"),
    (lambda: family(weights=[HALF, THIRD]), "weights must sum to 1, got 5/6"),
    (lambda: family(weights=[2.0, -1.0]), "weights[f=1] must be at least 0, got -1"),
    (lambda: family(weights=[1]), "weights must have shape [f: 2], got [1]"),
    (lambda: family(names=["day"]), "names must have length 2, got 1"),
    (lambda: RenderingFamily.distinct(2, train_mask=[None]),
     "train[f=0] must be true or false, got None"),
]  # fmt: skip
POLICY_ERRORS: list[tuple[Call, str]] = [
    (lambda: TabularPolicy([[1, 0], [HALF, THIRD]]), "policy[o=1] must sum to 1, got 5/6"),
    (lambda: TabularPolicy([1, 0]), "policy must have axes [o, a], got an array of shape (2,)"),
    (lambda: LatentPolicy([[[1, 0]], [[0, -1]]]),
     "policies[f=1, s=0, a=1] must be at least 0, got -1"),
    (lambda: LatentPolicy([[[0.5, 0.25]]], name="mine"), "mine[f=0, s=0] must sum to 1, got 0.75"),
    (lambda: TabularPolicy([[1, 0]] * 3).latent(FAMILY),
     "observation[f=1, s=1] must be below 3, the policy's number of observations, got 3"),
    (lambda: Problem(mdp=mdp(), renderings=RenderingFamily.distinct(3, train_mask=[True])),
     "renderings must show the MDP's 2 states, got observations of 3"),
    (lambda: Problem(
        mdp=mdp(discount=[HALF] * 3), renderings=family(weights=[[HALF, HALF]] * 2)),
     "batch axes must agree, got mdp [3], weights [2]"),
    (lambda: check(TOY.problem, [[[1, 0], [1, 0]]]),
     "policies must have shape [f: 2, s: 2, a: 2], got [1, 2, 2]"),
    (lambda: check(TOY.problem, LATENT, [[[1], [1]]] * 2),
     "baseline_policies must have shape [f: 2, s: 2, a: 2], got [2, 2, 1]"),
    (lambda: check(batched_problem(), np.full((3, 2, 2, 2), 0.5)),
     "batch axes must agree, got mdp [2], weights [], policies [3]"),
]  # fmt: skip
CHECK_ERRORS: list[tuple[Call, str]] = [
    (lambda: check(TOY.problem, LATENT.probabilities.astype(float), require_exact=True),
     "exact arithmetic needs rational numbers (fractions.Fraction), got float64 in policies"),
    (lambda: check(
        Problem(mdp=mdp(discount=0.5), renderings=family(weights=[0.5, 0.5])),
        LATENT, np.full((2, 2, 2), 0.5), require_exact=True),
     "exact arithmetic needs rational numbers (fractions.Fraction),"
     " got float64 in mdp, weights, baseline_policies"),
    (lambda: check(TOY.problem, LATENT, bounds=["A22"]),
     f"unknown statement 'A22': did you mean 'A2'? known are {IDS}"),
    (lambda: check(TOY.problem, LATENT, bounds=["zzz"]),
     f"unknown statement 'zzz': known are {IDS}"),
    (lambda: check(TOY.problem, LATENT, bounds=["A2", "A7"]),
     "statement A7 needs a baseline, a second policy"),
    (lambda: check(TOY.problem, None), "policies must be a number, got None"),
    (lambda: measure(TOY.problem, LATENT, names=["gab"]),
     "unknown quantity 'gab': did you mean 'gap'? known are train_return, general_return,"
     " heldout_return, gap, robustness, full_robustness, mean_robustness, decoupling,"
     " occupancy_distance, train_mass, reward_range, reward_min, reward_max, discount"),
]  # fmt: skip
PARTS = (
    "a bound is made of numbers, quantities, + - * /, powers with integer or half exponents up to"
    " 64, abs, min, max, sqrt, exp, log and tanh, got "
)
CHARACTERS = "a bound is made of names, numbers, + - * / ** ( ) , < <= > >= == if and, got "
GAP = QUANTITIES["gap"].symbol
NAMES = ", ".join(
    [q.name for q in EVERY_QUANTITY]
    + [q.symbol.name for q in EVERY_QUANTITY if q.symbol.name != q.name]
    + [i for i in STATEMENTS if i not in ("B4", "B5", "B6")]
)
BOUND_ERRORS: list[tuple[Call, str]] = [
    (lambda: check(TOY.problem, LATENT, bounds=[7]),
     "a bound must be a Bound, an id or text, got int"),
    (lambda: Bound(relation=sympy.true),
     "relation must be a SymPy inequality (<=, >=, < or >) or equation, got True; evaluate=False"
     " keeps one that SymPy decides by itself"),
    (lambda: Bound(relation=GAP),
     "relation must be a SymPy inequality (<=, >=, < or >) or equation, got gap; evaluate=False"
     " keeps one that SymPy decides by itself"),
    (lambda: Bound(relation=sympy.Le(GAP, 1), requires=(sympy.true,)),
     "requires must hold inequalities or equations, got True"),
    (lambda: Bound(relation=sympy.Le(GAP, sympy.Float(2))), f"{PARTS}2.00000000000000"),
    (lambda: Bound(relation=sympy.Le(GAP, sympy.pi)), f"{PARTS}pi"),
    (lambda: Bound(relation=sympy.Le(GAP, sympy.sin(GAP))), f"{PARTS}sin(gap)"),
    (lambda: Bound(relation=sympy.Le(GAP, GAP**65)), f"{PARTS}gap**65"),
    (lambda: Bound(relation=sympy.Le(GAP, sympy.cbrt(GAP))), f"{PARTS}gap**(1/3)"),
    (lambda: parse_bound("gap"),
     "expected one of <= < >= > at character 4 of the bound, got the end"),
    (lambda: parse_bound(""),
     "expected a number, a name or '(' at character 1 of the bound, got the end"),
    (lambda: parse_bound("gap == A2"),
     "expected one of <= < >= > at character 5 of the bound, got '=='"),
    (lambda: parse_bound("gap <= A2 if"),
     "expected a number, a name or '(' at character 13 of the bound, got the end"),
    (lambda: parse_bound("gap <= A2 if R"),
     "expected one of <= < >= > == at character 15 of the bound, got the end"),
    (lambda: parse_bound("gap <= 1 <= 2"),
     "expected an operator, 'if' or the end at character 10 of the bound, got '<='"),
    (lambda: parse_bound("gap <= 2 R"),
     "expected an operator, 'if' or the end at character 10 of the bound, got 'R'"),
    (lambda: parse_bound("gap <= (R"),
     "expected ')' or an operator at character 10 of the bound, got the end"),
    (lambda: parse_bound("gap <= R**M"),
     "expected a whole number up to 64 as exponent at character 11 of the bound, got 'M'"),
    (lambda: parse_bound("gap <= R**65"),
     "expected a whole number up to 64 as exponent at character 11 of the bound, got '65'"),
    (lambda: parse_bound("gap <= 2**64**64"),
     "expected an operator, 'if' or the end at character 13 of the bound, got '**'"),
    (lambda: parse_bound("gap <= Detla"), f"unknown name 'Detla': did you mean 'Delta'? known are"
     f" {NAMES}"),
    (lambda: parse_bound("gap <= open(R)"),
     "unknown function 'open': known are min, max, abs, sqrt, exp, log, tanh"),
    (lambda: parse_bound("gap <= abs(R, R)"), "abs takes one argument, got 2"),
    (lambda: parse_bound("gap <= max(R)"), "max takes two or more arguments, got 1"),
    (lambda: parse_bound("gap <= 1/0"), "division by zero before character 11"),
    (lambda: parse_bound("gap <= (R-R)**-1"), "division by zero before character 17"),
    (lambda: parse_bound("gap <= sqrt(-1)"), f"{PARTS}I"),
    (lambda: parse_bound("gap.real <= 1"), f"{CHARACTERS}'.' at character 4"),
    (lambda: parse_bound("__import__('os').system('true')"), f"{CHARACTERS}\"'\" at character 12"),
    (lambda: parse_bound("gap <= \u0663"), f"{CHARACTERS}'\u0663' at character 8"),
    (lambda: parse_bound("(" * 60 + "R" + ")" * 60 + " <= 1"),
     "a bound must nest at most 50 brackets and signs, got more"),
    (lambda: parse_bound("gap <= " + "-" * 60 + "R"),
     "a bound must nest at most 50 brackets and signs, got more"),
    (lambda: parse_bound("(" * 10**6), "a bound must have at most 2000 characters, got 1000000"),
    (lambda: parse_bound("gap <= ((10**64)**64)**64"),
     "the numbers of a bound must stay below 4096 bits, got more before character 21"),
    (lambda: parse_bound("gap <= 1e999*1e999"),
     "the numbers of a bound must stay below 4096 bits, got more before character 19"),
]  # fmt: skip
FILE_ERRORS: list[tuple[Call, str]] = [
    (lambda: without("weights"), "key 'weights' is missing; needed are discount,"
     " initial, transition, reward, weights, train, policies"),
    (lambda: file(wieghts=[1]),
     f"unknown key 'wieghts': did you mean 'weights'? known are {KEYS}"),
    (lambda: parse_problem('{"train": [], "train": []}'),
     "key 'train' must appear once, got it twice"),
    (lambda: parse_problem("[1]"), "the file must hold a JSON object, got list"),
    (lambda: parse_problem("{"), "the file must be JSON: Expecting property name enclosed in"
     " double quotes: line 1 column 2 (char 1)"),
    (lambda: parse_problem("[" * 10**5), "the file must be JSON, got brackets nested too deeply"),
    (lambda: file(discount="abc"),
     "discount must be a number such as 0.9 or \"9/10\", got 'abc'"),
    (lambda: file(initial=["1/0", 0]),
     "initial[s=0] must be a number such as 0.9 or \"9/10\", got '1/0'"),
    (lambda: file(reward=[[1, None], [0, 0]]), "reward[s=0, a=1] must be a number, got null"),
    (lambda: file(reward=[[1, False], [0, 0]]), "reward[s=0, a=1] must be a number, got false"),
    (lambda: file(weights={"a": 1}), 'weights must be a number, got {"a": "1"}'),
    (lambda: file(discount="9" * 4001),
     "discount must be a number of at most 4000 characters, got 4001"),
    (lambda: raw("9" * 4001), "every number must be a number of at most 4000 characters, got 4001"),
    (lambda: raw("1e999"), "discount must be a finite number, got inf"),
    (lambda: raw("-Infinity"), "discount must be a finite number, got -inf"),
    (lambda: float_file(discount="1e999"),
     "discount must fit a float64, got about 1.0000000000000000e+999"),
    (lambda: file(discount="1e9999"),
     "discount must be a number such as 0.9 or \"9/10\", got '1e9999'"),
    (lambda: file(discount=["1/2"]), "discount must be a number, got a list of 1"),
    (lambda: file(weights=[["1/4", "3/4"]]), "weights[f=0] must be a number, got a list of 2"),
    (lambda: file(initial=["1/2", "1/3"]), "initial must sum to 1, got 5/6"),
    (lambda: file(initial=[0.5, "0.4"]), "initial must sum to 1, got 9/10"),
    (lambda: file(discount=1), "discount must lie in [0, 1), got 1"),
    (lambda: file(reward_bounds=[0, 0.5]),
     "reward[s=0, a=0] must lie within reward_bounds [0, 1/2], got 1"),
    (lambda: file(train=[False, False]),
     "train must mark renderings of positive total weight, got train_mass M = 0"),
    (lambda: file(train=[True]), "weights must have shape [f: 1], got [2]"),
    (lambda: file(policies=FILE["policies"][:1]),
     "policies must have shape [f: 2, s: 2, a: 2], got [1, 2, 2]"),
    (lambda: file(baseline_policies=[[[1, 0], [1, 1]]] * 2),
     "baseline_policies[f=0, s=1] must sum to 1, got 2"),
    (lambda: dump_problem(batched_problem(), LATENT),
     "a problem file holds a single dense problem, got a batch or a SparseMDP"),
    (lambda: dump_problem(Problem(mdp=sparse(), renderings=FAMILY), LATENT),
     "a problem file holds a single dense problem, got a batch or a SparseMDP"),
]  # fmt: skip
TOY_ERRORS: list[tuple[Call, str]] = [
    (lambda: make_toy("gird"), f"unknown toy 'gird': did you mean 'grid'? known are {TOY_NAMES}"),
    (lambda: make_toy("lucky", skil=1), "unknown parameter of lucky 'skil': did you mean 'skill'?"
     " known are skill, discount, train_mass"),
    (lambda: make_toy("lucky", skill="a lot"),
     "skill must be a number such as \"9/10\", got 'a lot'"),
    (lambda: make_toy("lucky", skill=NAN), 'skill must be a number such as "9/10", got nan'),
    (lambda: make_toy("lucky", skill=None), 'skill must be a number such as "9/10", got None'),
    (lambda: make_toy("lucky", skill="1/0"), "skill must be a number such as \"9/10\", got '1/0'"),
    (lambda: make_toy("lucky", skill=2), "skill must lie in [0, 1], got 2"),
    (lambda: make_toy("grid", spurious="-1/2"), "spurious must lie in [0, 1], got -1/2"),
    (lambda: make_toy("rare-fork", chance=2), "chance must lie in [0, 1], got 2"),
    (lambda: make_toy("chain", spurious=3), "spurious must lie in [0, 1], got 3"),
    (lambda: make_toy("long-horizon", robustness=2), "robustness must lie in [0, 1], got 2"),
    (lambda: make_toy("lucky", discount=1), "discount must lie in [0, 1), got 1"),
    (lambda: make_toy("chain", n_states="5/2"),
     "n_states must be a whole number from 1 to 1000, got 5/2"),
    (lambda: make_toy("chain", n_heldout=0),
     "n_heldout must be a whole number from 1 to 1000, got 0"),
    (lambda: make_toy("lucky", train_mass=1), "train_mass must lie in (0, 1), got 1"),
    (lambda: make_toy("two-state", train_mass=0), "train_mass must lie in (0, 1], got 0"),
    (lambda: make_toy("two-state", train_mass=2), "train_mass must lie in [0, 1], got 2"),
    (lambda: RenderedMDPEnv(batched_problem()),
     "problem must be a single problem with a FiniteMDP"),
    (lambda: RenderedMDPEnv(Problem(mdp=sparse(), renderings=FAMILY)),
     "problem must be a single problem with a FiniteMDP"),
    (lambda: environment(split="training"),
     "unknown split 'training': did you mean 'train'? known are all, train, heldout"),
    (lambda: environment(render_mode="human"),
     "unknown render_mode 'human': known are ansi"),
    (lambda: RenderedMDPEnv(make_toy("two-state", train_mass=1).problem, split="heldout"),
     "split 'heldout' must hold renderings of positive weight, got none"),
    (lambda: environment().reset(options={"rendering": 2}),
     "options['rendering'] must be from 0 to 1, got 2"),
    (lambda: environment().reset(options={"rendering": -1}),
     "options['rendering'] must be from 0 to 1, got -1"),
    (lambda: environment().reset(options={"randering": 1}),
     "unknown option 'randering': did you mean 'rendering'? known are rendering"),
    (lambda: environment().step(2), "action must be from 0 to 1, got 2"),
]  # fmt: skip
TABLE = [
    *MDP_ERRORS, *SPARSE_ERRORS, *FAMILY_ERRORS, *POLICY_ERRORS, *CHECK_ERRORS, *BOUND_ERRORS,
    *FILE_ERRORS, *TOY_ERRORS,
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), TABLE, ids=[message[:70] for _, message in TABLE])
def test_a_wrong_call_raises_exactly_this_message(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_an_unknown_statement_of_a_report_is_a_key_error():
    with pytest.raises(KeyError, match=f"unknown bound 'A9': .*known are {GAP_IDS}"):
        check(TOY.problem, LATENT)["A9"]


def test_a_discount_too_close_to_one_stops_the_sparse_solve():
    # A cycle so long, and so little discounted, that rounding alone exceeds the proven error.
    n, discount = 50, 1 - 1e-15
    cycle = scipy.sparse.csr_array((np.ones(n), np.roll(np.arange(n), -1), np.arange(n + 1)))
    rhs = np.random.default_rng(0).normal(size=(1, n))
    expected = (
        r"^the sparse solve stopped at a relative error of \S+ above 1e-10:"
        rf" discount {re.escape(str(discount))} is too close to 1 for float64$"
    )
    with pytest.raises(ArithmeticError, match=expected):
        discounted_solve(cycle, np.ones((1, n, 1)), rhs, discount, False)


NEW_FOLDER = functools.partial(files.new_folder, marker="config.json")


@pytest.mark.parametrize("create", [files.new_file, NEW_FOLDER])
def test_nothing_is_overwritten_without_force(tmp_path: Path, create):
    (tmp_path / "something").write_text("old")
    with pytest.raises(FileExistsError) as caught:
        create(tmp_path, force=False)
    expected = f"{tmp_path} exists already: choose another path, or pass --force"
    assert str(caught.value) == expected


def test_a_file_needs_a_place_that_is_no_folder_in_one_that_is(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match=r"is a folder: choose another path$"):
        files.new_file(tmp_path, force=True)
    with pytest.raises(NotADirectoryError) as caught:
        files.new_file(tmp_path / "file" / "new" / "a.svg", force=False)
    assert caught.value.filename == str(tmp_path / "file")


def test_a_forced_folder_is_emptied_and_a_new_one_made(tmp_path: Path):
    folder = tmp_path / "a" / "b"
    assert NEW_FOLDER(folder, force=False) == folder
    assert NEW_FOLDER(folder, force=False) == folder
    assert NEW_FOLDER(folder, force=True) == folder
    (folder / "old").write_text("old")
    (folder / "config.json").write_text("{}")
    assert list(NEW_FOLDER(folder, force=True).iterdir()) == []


def test_a_folder_of_somebody_elses_is_never_replaced(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="is not replaced even with --force"):
        NEW_FOLDER(tmp_path, force=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_suggestion_is_made_only_when_a_name_is_near():
    assert unknown("fruit", "aple", ["apple", "pear"]) == (
        "unknown fruit 'aple': did you mean 'apple'? known are apple, pear"
    )
    assert unknown("fruit", "xyz", ["apple"]) == "unknown fruit 'xyz': known are apple"
