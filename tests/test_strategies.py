"""Strategies: every limit is kept by every example, and examples shrink to what one can read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from mdtheory import (
    FiniteMDP,
    Instance,
    LatentPolicy,
    Problem,
    RenderingFamily,
    TabularPolicy,
    check,
    make_toy,
    measure,
)
from mdtheory.robustness import total_variation
from mdtheory.strategies import (
    STRUCTURES,
    instances,
    mdps,
    policies,
    policy_pairs,
    problems,
    rendering_families,
    simplices,
    tabular_policies,
)
from tests.wrong_variants import CHECKED

HALF, NEAR_ONE = Fraction(1, 2), Fraction(999, 1000)
ROUNDING = 1e-12


def quick(max_examples: int = 40, **changes: Any) -> settings:
    return settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
        **changes,
    )


def for_all(strategy: st.SearchStrategy[Any], law: Callable[[Any], Any], n: int = 40) -> None:
    """Assert a law of examples."""

    @quick(n)
    @given(strategy)
    def holds(drawn: Any) -> None:
        assert law(drawn)

    holds()


def smallest(strategy: st.SearchStrategy[Any], law: Callable[[Any], Any]) -> Any:
    """The smallest example that obeys a law."""
    return find(strategy, law, settings=quick(3000, derandomize=True))


def is_within(low: Any, value: Any, high: Any) -> bool:
    """Whether all numbers lie in [low, high]; floats up to rounding."""
    slack = 0 if np.asarray(value).dtype == object else ROUNDING
    return bool(np.all(np.asarray(value) >= low - slack) and np.all(value <= high + slack))


def robustness_of(problem: Problem, policy: LatentPolicy) -> Any:
    return measure(problem, policy, names=["robustness"])["robustness"]


def positive_entries(mdp: FiniteMDP) -> np.ndarray:
    """Successors of every state and action: [S, A]."""
    return np.asarray((mdp.transition > 0).sum(axis=-1))


def shares_observations(family: RenderingFamily) -> bool:
    return len(np.unique(family.observation)) < family.observation.size


# Simplices


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("max_count", [1, 6, 1000])
def test_a_simplex_is_counts_over_their_sum(size, max_count):
    def law(row: list[Fraction]) -> bool:
        total = max(p.denominator for p in row) * size * max_count
        return (
            len(row) == size
            and all(type(p) is Fraction and p >= 0 for p in row)
            and sum(row) == 1
            and all(p.denominator <= total for p in row)
        )

    for_all(simplices(size, max_count=max_count), law)


def test_a_float_simplex_has_no_subnormal_entry_and_sums_to_one_up_to_rounding():
    def law(row: list[float]) -> bool:
        positive = [p for p in row if p != 0]
        return (
            all(type(p) is float for p in row)
            and min(positive) > 1e-3
            and sum(row) == pytest.approx(1, abs=1e-15)
        )

    for_all(simplices(4, exact=False), law)


def test_about_half_of_a_simplex_is_zeros():
    entries: list[Fraction] = []
    for_all(simplices(6), lambda row: entries.extend(row) or True, 200)
    assert 0.4 < sum(p == 0 for p in entries) / len(entries) < 0.8


def test_simplices_shrink_to_small_denominators():
    assert smallest(simplices(3), lambda row: True) == [1, 0, 0]
    assert smallest(simplices(3), lambda row: row[2] > 0) == [0, 0, 1]
    assert smallest(simplices(3), lambda row: max(row) < 1).count(HALF) == 2
    assert smallest(simplices(3, exact=False), lambda row: True) == [1.0, 0.0, 0.0]


# MDPs


def limits_text(x: Any) -> str:
    return str(x)[:50] if isinstance(x, dict) else "law"


MDP_LAWS: list[tuple[dict[str, Any], Callable[[FiniteMDP], Any]]] = [
    ({"max_states": 1}, lambda m: m.n_states == 1),
    ({"min_states": 3, "max_states": 5}, lambda m: 3 <= m.n_states <= 5),
    ({"min_actions": 2, "max_actions": 2}, lambda m: m.n_actions == 2),
    ({"max_discount": 0}, lambda m: m.discount == 0),
    ({"min_discount": "99/100"}, lambda m: is_within(Fraction(99, 100), m.discount, NEAR_ONE)),
    ({"min_discount": 0.5, "max_discount": HALF}, lambda m: m.discount == HALF),
    ({"min_reward": 1, "max_reward": 2}, lambda m: is_within(1, m.reward_bounds, 2)),
    ({"min_reward": -100, "max_reward": 100}, lambda m: is_within(-100, m.reward, 100)),
    ({"min_reward": HALF, "max_reward": HALF}, lambda m: (m.reward == HALF).all()),
]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("limits", "law"), MDP_LAWS, ids=limits_text)
def test_mdps_keep_their_limits(limits, law, exact):
    for_all(mdps(exact=exact, **limits), lambda m: m.exact == exact and law(m))


def has_absorbing_state(mdp: FiniteMDP) -> bool:
    return any(
        (mdp.transition[s, :, s] == 1).all() and len(set(mdp.reward[s])) == 1
        for s in range(mdp.n_states)
    )


def has_ties(mdp: FiniteMDP) -> bool:
    copies = (mdp.transition[:, 0] == mdp.transition[:, -1]).all() and (
        mdp.reward[:, 0] == mdp.reward[:, -1]
    ).all()
    return len(set(mdp.reward.flat)) <= 2 and (mdp.n_actions < 3 or copies)


STRUCTURE_LAWS: dict[str, Callable[[FiniteMDP], Any]] = {
    "any": lambda m: True,
    "dense": lambda m: True,
    "sparse": lambda m: (positive_entries(m) <= 2).all(),
    "deterministic": lambda m: (positive_entries(m) == 1).all(),
    "absorbing": has_absorbing_state,
    "ties": has_ties,
    "ergodic": lambda m: (m.transition > 0).all(),
}


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_structure_is_what_it_promises(structure, exact):
    for_all(mdps(structure=structure, exact=exact), STRUCTURE_LAWS[structure])


# Renderings

FAMILY_LAWS: list[tuple[dict[str, Any], Callable[[RenderingFamily], Any]]] = [
    ({"min_states": 2, "max_states": 3}, lambda f: 2 <= f.n_states <= 3),
    ({"min_renderings": 2, "max_renderings": 3}, lambda f: 2 <= f.n_renderings <= 3),
    ({"max_renderings": 1}, lambda f: f.n_renderings == 1 and f.train_mass == 1),
    ({"min_held_out": 2}, lambda f: (~f.train_mask).sum() >= 2),
    ({"max_train_mass": HALF}, lambda f: is_within(0, f.train_mass, HALF) and f.train_mass > 0),
    ({"max_train_mass": 1e-9}, lambda f: 0 < f.train_mass <= 1.1e-9),
    ({"min_train_mass": 1}, lambda f: f.train_mass == 1),
    ({"min_train_mass": "1/3", "max_train_mass": "2/3"},
     lambda f: is_within(Fraction(1, 3), f.train_mass, Fraction(2, 3))),
    ({"shared_observations": True}, shares_observations),
    ({"shared_observations": False}, lambda f: not shares_observations(f)),
    ({"shared_observations": True, "min_held_out": 1}, shares_observations),
]  # fmt: skip


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("limits", "law"), FAMILY_LAWS, ids=limits_text)
def test_rendering_families_keep_their_limits(limits, law, exact):
    for_all(rendering_families(exact=exact, **limits), lambda f: f.exact == exact and law(f))


def test_some_observations_are_shared_between_different_states():
    def law(family: RenderingFamily) -> bool:
        return any(
            family.observation[f, s] == family.observation[g, t]
            for f, s in np.ndindex(family.observation.shape)
            for g, t in np.ndindex(family.observation.shape)
            if s != t
        )

    assert law(smallest(rendering_families(), law))


# Policies

ROBUSTNESS: list[tuple[Any, Any]] = [(0, 0), (1, 1), (HALF, HALF), ("1/3", 0.75), (0, "1/1000")]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("low", "high"), ROBUSTNESS, ids=str)
def test_robustness_of_policies_stays_within_its_limits(low, high, exact):
    limits = {"min_robustness": low, "max_robustness": high, "exact": exact}

    @st.composite
    def with_policy(draw: st.DrawFn) -> Any:
        problem = draw(problems(min_held_out=1, min_actions=2, exact=exact))
        return problem, draw(policies(problem, **limits))

    for_all(with_policy(), lambda drawn: within_robustness(*drawn, low, high))


def within_robustness(problem: Problem, policy: LatentPolicy, low: Any, high: Any) -> bool:
    exact = problem.exact and policy.exact
    value = np.asarray(robustness_of(problem, policy), dtype=object if exact else None)
    return is_within(Fraction(low), value, Fraction(high))


@pytest.mark.parametrize("exact", [True, False])
def test_policies_for_sizes_train_on_the_first_rendering(exact):
    def law(policy: LatentPolicy) -> bool:
        first, *others = policy.probabilities
        distances = [total_variation(first, other).max() for other in others]
        return (
            policy.exact == exact
            and policy.probabilities.shape == (3, 2, 2)
            and is_within(HALF, np.array(max(distances)), HALF)
        )

    same = {"min_robustness": HALF, "max_robustness": HALF}
    for_all(policies((3, 2, 2), exact=exact, **same), law)


def test_a_policy_does_the_same_where_observations_are_shared():
    def law(instance: Instance) -> bool:
        observation = instance.problem.renderings.observation
        by_observation: dict[int, list[Fraction]] = {}
        for index in np.ndindex(observation.shape):
            row = instance.policy.probabilities[index].tolist()
            if by_observation.setdefault(int(observation[index]), row) != row:
                return False
        return True

    shared = {"shared_observations": True, "min_robustness": "1/10"}
    for_all(instances(**shared), law)


def test_a_policy_may_number_observations_as_it_likes():
    family = RenderingFamily(observation=[[7, 10**9]], train_mask=[True])
    problem = Problem(mdp=make_toy("two-state").problem.mdp, renderings=family)
    for_all(policies(problem), lambda policy: policy.probabilities.shape == (1, 2, 2), 5)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("distance", [0, "1/1000", HALF, 1], ids=str)
def test_a_pair_is_no_further_apart_than_its_limit(distance, exact):
    def law(pair: tuple[LatentPolicy, LatentPolicy]) -> bool:
        policy, baseline = pair
        apart = total_variation(policy.probabilities, baseline.probabilities)
        return policy.exact == baseline.exact == exact and is_within(0, apart, Fraction(distance))

    for_all(policy_pairs((2, 3, 3), max_distance=distance, exact=exact), law)


def test_tabular_policies_keep_their_limits():
    limits = {"min_observations": 2, "max_observations": 3, "min_actions": 2, "max_actions": 2}

    def law(policy: TabularPolicy) -> bool:
        n_observations, n_actions = policy.probabilities.shape
        return 2 <= n_observations <= 3 and n_actions == 2

    for_all(tabular_policies(**limits), law)


# Instances

INSTANCE_LAWS: list[tuple[dict[str, Any], Callable[[Instance], Any]]] = [
    ({"baseline": True}, lambda i: i.baseline is not None),
    ({"baseline": False}, lambda i: i.baseline is None),
    ({"max_states": 1, "structure": "ergodic"}, lambda i: i.problem.mdp.n_states == 1),
    ({"max_actions": 1}, lambda i: i.problem.mdp.n_actions == 1),
    ({"max_renderings": 1}, lambda i: i.problem.renderings.n_renderings == 1),
    ({"max_renderings": 2, "shared_observations": True},
     lambda i: shares_observations(i.problem.renderings)),
    ({"max_discount": 0, "min_train_mass": 1},
     lambda i: i.problem.mdp.discount == 0 and i.problem.renderings.train_mass == 1),
    ({"max_robustness": 0}, lambda i: within_robustness(*i[:2], 0, 0)),
    ({"min_robustness": 1, "shared_observations": True}, lambda i: within_robustness(*i[:2], 1, 1)),
    ({"min_robustness": HALF, "min_actions": 3}, lambda i: i.problem.mdp.n_actions == 3),
    ({"max_distance": 0, "baseline": True},
     lambda i: (i.policy.probabilities == i.baseline.probabilities).all()),
]  # fmt: skip


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("limits", "law"), INSTANCE_LAWS, ids=limits_text)
def test_instances_pass_every_limit_on(limits, law, exact):
    for_all(instances(exact=exact, **limits), lambda i: i.exact == exact and law(i))


@pytest.mark.parametrize("exact", [True, False])
def test_large_sizes_overrun_nothing(exact):
    sizes = {"min_states": 40, "max_states": 60, "max_actions": 9, "min_renderings": 12}

    @settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(instances(max_renderings=15, exact=exact, baseline=True, **sizes))
    def law(instance: Instance) -> None:
        assert 40 <= instance.problem.mdp.n_states <= 60

    law()


EXTREMES: dict[str, Callable[[Instance], Any]] = {
    "one state": lambda i: i.problem.mdp.n_states == 1,
    "one action": lambda i: i.problem.mdp.n_actions == 1,
    "one rendering": lambda i: i.problem.renderings.n_renderings == 1,
    "gamma = 0": lambda i: i.problem.mdp.discount == 0,
    "gamma near 1": lambda i: i.problem.mdp.discount >= Fraction(99, 100),
    "M near 0": lambda i: i.problem.renderings.train_mass <= Fraction(1, 1000),
    "M = 1 beside held-out renderings": lambda i: (
        i.problem.renderings.train_mass == 1 and not i.problem.renderings.train_mask.all()
    ),
    "R = 0": lambda i: robustness_of(*i[:2]) == 0,
    "R between": lambda i: 0 < robustness_of(*i[:2]) < 1,
    "R = 1": lambda i: robustness_of(*i[:2]) == 1,
    "wide reward bounds": lambda i: i.problem.mdp.reward_range > np.ptp(i.problem.mdp.reward),
    "equal rewards": lambda i: np.ptp(i.problem.mdp.reward) == 0,
    "shared observations": lambda i: shares_observations(i.problem.renderings),
    "distinct observations": lambda i: not shares_observations(i.problem.renderings),
    "held out before trained": lambda i: not i.problem.renderings.train_mask[0],
    "a baseline": lambda i: i.baseline is not None,
    "no baseline": lambda i: i.baseline is None,
    **{
        structure: lambda i, law=law: i.problem.mdp.n_states > 1 and law(i.problem.mdp)
        for structure, law in STRUCTURE_LAWS.items()
    },
}


def test_three_hundred_instances_meet_every_extreme():
    met: dict[str, int] = dict.fromkeys(EXTREMES, 0)

    @quick(300, derandomize=True)
    @given(instances())
    def count(instance: Instance) -> None:
        for name, is_met in EXTREMES.items():
            met[name] += bool(is_met(instance))

    count()
    assert [name for name, n in met.items() if n < 3] == []


@pytest.mark.parametrize("exact", [True, False])
def test_every_statement_holds_of_every_instance(exact):
    found: set[str] = set()

    @quick(150)
    @given(instances(exact=exact, baseline=True))
    def law(instance: Instance) -> None:
        report = check(*instance)
        assert [b.bound.id for b in report.bounds] == list(CHECKED)
        verdicts = {b.verdict for b in report.bounds}
        assert verdicts <= {"holds", "not applicable"}
        found.update(verdicts)

    law()
    assert "holds" in found


@pytest.mark.parametrize("text", ["gap <= A2/2", "gap <= (1-M)*R*Delta", "eta <= 0"])
def test_a_false_bound_shrinks_to_two_states_and_two_actions_at_most(text):
    def is_violated(instance: Instance) -> bool:
        return check(*instance, bounds=text).bounds[0].verdict == "violated"

    found = smallest(instances(baseline=False), is_violated)
    sizes = found.policy.probabilities.shape
    assert max(sizes) <= 2
    assert found.problem.mdp.reward_range == 1
    denominators = {p.denominator for p in found.policy.probabilities.flat}
    assert denominators == {1}


# Errors

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: simplices(0), "size must be a whole number of at least 1, got 0"),
    (lambda: simplices(True), "size must be a whole number of at least 1, got True"),
    (lambda: simplices(2, max_count=0), "max_count must be a whole number of at least 1, got 0"),
    (lambda: simplices(2, max_count=10**7), "max_count must be at most 1000000, got 10000000"),
    (lambda: simplices(2, exact="yes"), "exact must be one of True, False, got 'yes'"),
    (lambda: mdps(min_states=0), "min_states must be a whole number of at least 1, got 0"),
    (lambda: mdps(max_states=2.5), "max_states must be a whole number of at least 1, got 2.5"),
    (lambda: mdps(min_states=3, max_states=2), "max_states must be at least min_states = 3, got 2"),
    (lambda: mdps(min_actions=4), "max_actions must be at least min_actions = 4, got 3"),
    (lambda: mdps(max_actions="2"), "max_actions must be a whole number of at least 1, got '2'"),
    (lambda: mdps(min_discount=-HALF), "min_discount must be at least 0, got -1/2"),
    (lambda: mdps(max_discount=1), "max_discount must be below 1, got 1"),
    (lambda: mdps(max_discount=1 - Fraction(1, 10**30), exact=False),
     f"max_discount must be below 1, got {1 - Fraction(1, 10**30)}"),
    (lambda: mdps(min_discount=float("nan")), "min_discount must be a finite number, got nan"),
    (lambda: mdps(min_discount="half"), "min_discount must be a finite number, got 'half'"),
    (lambda: mdps(min_discount=HALF, max_discount=0.25),
     "max_discount must be at least min_discount = 1/2, got 0.25"),
    (lambda: mdps(max_reward=float("inf")), "max_reward must be a finite number, got inf"),
    (lambda: mdps(max_reward=True), "max_reward must be a finite number, got True"),
    (lambda: mdps(min_reward=None), "min_reward must be a finite number, got None"),
    (lambda: mdps(min_reward=4), "max_reward must be at least min_reward = 4, got 3"),
    (lambda: mdps(structure="dens"),
     "unknown structure 'dens': did you mean 'dense'? known are any, dense, sparse, deterministic,"
     " absorbing, ties, ergodic"),
    (lambda: mdps(exact=1), "exact must be one of True, False, got 1"),
    (lambda: rendering_families(min_renderings=5),
     "max_renderings must be at least min_renderings = 5, got 4"),
    (lambda: rendering_families(max_train_mass=0), "max_train_mass must be above 0, got 0"),
    (lambda: rendering_families(max_train_mass=2), "max_train_mass must be at most 1, got 2"),
    (lambda: rendering_families(min_train_mass=-1), "min_train_mass must be at least 0, got -1"),
    (lambda: rendering_families(min_held_out=-1),
     "min_held_out must be a whole number of at least 0, got -1"),
    (lambda: rendering_families(min_held_out=4),
     "max_renderings must be at least 5 for the other limits, got 4"),
    (lambda: rendering_families(max_renderings=1, max_train_mass=HALF),
     "max_renderings must be at least 2 for the other limits, got 1"),
    (lambda: rendering_families(max_renderings=1, shared_observations=True),
     "max_renderings must be at least 2 for the other limits, got 1"),
    (lambda: rendering_families(shared_observations="no"),
     "shared_observations must be one of True, False, None, got 'no'"),
    (lambda: problems(max_state=3),
     "unknown limit 'max_state': did you mean 'max_states'? known are min_states, max_states,"
     " min_actions, max_actions, min_discount, max_discount, min_reward, max_reward, structure,"
     " min_renderings, max_renderings, min_held_out, min_train_mass, max_train_mass,"
     " shared_observations"),
    (lambda: problems(max_train_mass=2), "max_train_mass must be at most 1, got 2"),
    (lambda: tabular_policies(max_observations=0),
     "max_observations must be a whole number of at least 1, got 0"),
    (lambda: policies((2, 1)),
     "problem must be a Problem or (n_renderings, n_states, n_actions), got (2, 1)"),
    (lambda: policies((2, 0, 1)), "n_states must be a whole number of at least 1, got 0"),
    (lambda: policies((2, 1, 2), min_robustness=2), "min_robustness must be at most 1, got 2"),
    (lambda: policies((2, 1, 2), min_robustness=1, max_robustness=0),
     "max_robustness must be at least min_robustness = 1, got 0"),
    (lambda: policies((2, 1, 1), min_robustness=HALF),
     "min_robustness above 0 needs two actions and a held-out rendering that looks different from"
     " a training one, got 1/2"),
    (lambda: policies((1, 1, 2), min_robustness="1/2"),
     "min_robustness above 0 needs two actions and a held-out rendering that looks different from"
     " a training one, got 1/2"),
    (lambda: policy_pairs((2, 1, 2), max_distance=-1), "max_distance must be at least 0, got -1"),
    (lambda: instances(baseline=0), "baseline must be one of True, False, None, got 0"),
    (lambda: instances(max_distance=2), "max_distance must be at most 1, got 2"),
    (lambda: instances(max_robustness=-1), "max_robustness must be at least 0, got -1"),
    (lambda: instances(min_robustness=1, max_actions=1),
     "max_actions must be at least 2 where R is above 0, got 1"),
    (lambda: instances(min_robustness=1, max_renderings=1),
     "max_renderings must be at least 2 for the other limits, got 1"),
    (lambda: instances(min_robustness=1, max_renderings=2, shared_observations=True),
     "max_renderings must be at least 3 for the other limits, got 2"),
    (lambda: instances(min_rewards=1),
     "unknown limit 'min_rewards': did you mean 'min_reward'? known are min_states, max_states,"
     " min_actions, max_actions, min_discount, max_discount, min_reward, max_reward, structure,"
     " min_renderings, max_renderings, min_held_out, min_train_mass, max_train_mass,"
     " shared_observations"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message[:60] for _, message in BAD])
def test_a_wrong_limit_is_refused_when_the_strategy_is_made(call, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        call()
    assert str(error.value) == message


# Registration

LOADED = "print(*sorted({name.split('.')[0] for name in sys.modules}))"
TYPES = (FiniteMDP, RenderingFamily, TabularPolicy, LatentPolicy, Problem, Instance)
DRAW = f"""
from hypothesis import strategies as st
drawn = []
for name in {[kind.__name__ for kind in TYPES]}:
    kind = getattr(mdtheory, name)
    @hypothesis.settings(max_examples=2, database=None, deadline=None)
    @hypothesis.given(st.from_type(kind))
    def test(value):
        assert type(value) is kind
        drawn.append(name)
    test()
print(*sorted(set(drawn)))
"""
IN_THE_MIDDLE = """
import sys
class Early:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            import {other}
sys.meta_path.insert(0, Early())
import {first}, {other}
"""
HALF_IMPORTED = [
    {"first": "mdtheory", "module": "mdtheory.policy", "other": "hypothesis"},
    {"first": "hypothesis", "module": "hypothesis.strategies._internal", "other": "mdtheory"},
]


def run_python(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "imports",
    [
        "import hypothesis, mdtheory",
        "import mdtheory, hypothesis",
        "import mdtheory.testing, hypothesis",
        *(IN_THE_MIDDLE.format(**names) for names in HALF_IMPORTED),
    ],
    ids=["hypothesis", "mdtheory", "mdtheory.testing", "half mdtheory", "half hypothesis"],
)
def test_from_type_knows_the_classes_whatever_is_imported_first(imports):
    assert set(run_python(imports + DRAW)) == {kind.__name__ for kind in TYPES}


def test_hypothesis_alone_loads_nothing_heavy():
    loaded = set(run_python(f"import sys, hypothesis, hypothesis.strategies\n{LOADED}"))
    assert "mdtheory_hooks" in loaded
    assert not {"mdtheory", "numpy", "sympy", "pytest"} & loaded


def test_the_package_alone_does_not_load_hypothesis():
    loaded = set(run_python(f"import sys, mdtheory, mdtheory.testing\n{LOADED}"))
    assert not {"hypothesis", "pytest"} & loaded
