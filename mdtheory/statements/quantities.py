"""The named quantities that the statements speak about: symbol, meaning, domain, definition.

A definition is a SymPy expression over the base arrays below (policies, occupancies, returns, ...)
and over other quantities; tests evaluate it literally on rational problems and compare it with
what `mdtheory.measure` computes.  Quantities without one are defined by a maximum, in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Abs, IndexedBase, Sum, Symbol, symbols

n_states, n_actions, n_renderings = symbols("S A F", integer=True, positive=True)
s, a, f, g = symbols("s a f g", integer=True, nonnegative=True)

WEIGHT = IndexedBase("p")
"""p[f]: probability of a rendering."""
TRAIN = IndexedBase("tau")
"""τ[f]: 1 for a training rendering, 0 for a held-out one."""
RETURN = IndexedBase("J")
"""J[f]: expected discounted return under rendering f."""
OCCUPANCY = IndexedBase("d")
"""d[f, s]: unnormalised discounted occupancy."""
POLICY = IndexedBase("pi")
"""π[f, s, a]: latent policy."""
SEPARATION = IndexedBase("h")
"""h[f, g] = ρᵀ(I − γ P_m)⁻¹ t with m = min(π_f, π_g) and t[s] = TV_s(f, g)."""
BASE_OCCUPANCY = IndexedBase("d0")
"""d0[f, s]: occupancy of the baseline, the second policy."""
BASE_RETURN = IndexedBase("J0")
"""J0[f]: expected discounted return of the baseline under rendering f."""
BASE_POLICY = IndexedBase("pi0")
"""π0[f, s, a]: the baseline, a policy before an update or another agent."""
BASE_ADVANTAGE = IndexedBase("A0")
"""A0[f, s, a]: advantage function of the baseline."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number that statements speak about.

    Attributes:
        name: its name in code, in `report.quantities` and in JSON.
        symbol: its SymPy symbol.
        meaning: in words, with units.
        domain: the values it can take.
        definition: SymPy expression over the base arrays, or None where `meaning` defines it.
        measure: for a quantity of your own: its value from a `mdtheory.measure.Measurement`.
        needs_baseline: whether that reads the second policy.
    """

    name: str
    symbol: Symbol
    meaning: str
    domain: str
    definition: sympy.Expr | None = None
    measure: Callable[[Any], Any] | None = None
    needs_baseline: bool = False

    @property
    def latex(self) -> str:
        """Its symbol as a formula shows it."""
        return _LATEX.get(self.name) or sympy.latex(self.symbol)


_LATEX = {
    "gap": r"\left|\zeta - \eta\right|",
    "disagreement": r"D_{\max}",
    "divergence": r"K_{\max}",
    "mixture_robustness": r"R_{\mathrm{mix}}",
    "average_robustness": r"R_{\mathrm{avg}}",
    "logit_oscillation": r"\mathrm{osc}",
    "pull_variance": r"\sigma^{2}",
}


def _all_states(expression: sympy.Expr) -> sympy.Expr:
    return Sum(expression, (s, 0, n_states - 1))


def _all_actions(expression: sympy.Expr) -> sympy.Expr:
    return Sum(expression, (a, 0, n_actions - 1))


def _all_renderings(expression: sympy.Expr) -> sympy.Expr:
    return Sum(expression, (f, 0, n_renderings - 1))


gamma = Symbol("gamma", nonnegative=True)
reward_range = Symbol("Delta", nonnegative=True)
train_mass = Symbol("M", positive=True)
R = Symbol("R", nonnegative=True)
all_pairs_robustness = Symbol("R_F", nonnegative=True)
mean_robustness = Symbol("Rbar", nonnegative=True)
eta = Symbol("eta", real=True)
zeta = Symbol("zeta", real=True)
xi = Symbol("xi", real=True)
eta_before, zeta_before = Symbol("eta0", real=True), Symbol("zeta0", real=True)
R_before = Symbol("R0", nonnegative=True)
gap = Symbol("gap", nonnegative=True)
decoupling = Symbol("C", nonnegative=True)
occupancy_distance = Symbol("W", nonnegative=True)
surrogate = Symbol("L", real=True)
train_shift = Symbol("D", nonnegative=True)
advantage_bound = Symbol("epsilon", nonnegative=True)
reward_min, reward_max = Symbol("r_min", real=True), Symbol("r_max", real=True)
disagreement = Symbol("D_max", nonnegative=True)
divergence = Symbol("K_max", nonnegative=True)
mean_disagreement = Symbol("Dbar", nonnegative=True)
mean_divergence = Symbol("Kbar", nonnegative=True)
mixture_robustness = Symbol("R_mix", nonnegative=True)
average_robustness = Symbol("R_avg", nonnegative=True)
logit_oscillation = Symbol("osc", nonnegative=True)
n_agents = Symbol("N", positive=True)
distillation = Symbol("alpha", nonnegative=True)
task_curvature = Symbol("h", positive=True)
divergence_curvature = Symbol("g", positive=True)
pull_variance = Symbol("sigma2", nonnegative=True)
pull_correlation = Symbol("c", real=True)
spurious_variance = Symbol("v", nonnegative=True)

RETURNS = frozenset((eta, zeta, xi, surrogate, eta_before, zeta_before))
"""Symbols whose zero is arbitrary: a constant added to all rewards moves them all alike."""


def _over_pairs(expression: sympy.Expr) -> sympy.Expr:
    """Mean over training f and held-out g."""
    weight = WEIGHT[f] * TRAIN[f] * WEIGHT[g] * (1 - TRAIN[g])
    total = Sum(weight * expression, (g, 0, n_renderings - 1), (f, 0, n_renderings - 1))
    return total / (train_mass * (1 - train_mass))


_tv = _all_actions(Abs(POLICY[f, s, a] - POLICY[g, s, a])) / 2
_shift = _all_actions(Abs(POLICY[f, s, a] - BASE_POLICY[f, s, a])) / 2
_advantage = _all_actions(POLICY[f, s, a] * BASE_ADVANTAGE[f, s, a])
_information = _all_actions(
    BASE_POLICY[f, s, a] * sympy.log(BASE_POLICY[f, s, a] / POLICY[f, s, a])
)


def _visited_in_training(expression: sympy.Expr) -> sympy.Expr:
    """Mean over training renderings and the states that the policy visits in them."""
    weight = WEIGHT[f] * TRAIN[f]
    total = _all_renderings(weight * _all_states(OCCUPANCY[f, s] * expression))
    return (1 - gamma) * total / train_mass


QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            name="train_return",
            symbol=eta,
            meaning="mean expected discounted return over training renderings",
            domain="[r_min/(1-gamma), r_max/(1-gamma)]",
            definition=_all_renderings(WEIGHT[f] * TRAIN[f] * RETURN[f]) / train_mass,
        ),
        Quantity(
            name="general_return",
            symbol=zeta,
            meaning="mean expected discounted return over all renderings",
            domain="[r_min/(1-gamma), r_max/(1-gamma)]",
            definition=_all_renderings(WEIGHT[f] * RETURN[f]),
        ),
        Quantity(
            name="heldout_return",
            symbol=xi,
            meaning="mean expected discounted return over held-out renderings; undefined if M = 1",
            domain="[r_min/(1-gamma), r_max/(1-gamma)]",
            definition=_all_renderings(WEIGHT[f] * (1 - TRAIN[f]) * RETURN[f]) / (1 - train_mass),
        ),
        Quantity(
            name="gap",
            symbol=gap,
            meaning="generalization gap, the distance of training and general return",
            domain="[0, (1-M) Delta/(1-gamma)]",
            definition=Abs(zeta - eta),
        ),
        Quantity(
            name="robustness",
            symbol=R,
            meaning="largest total variation between a training and a held-out rendering of a"
            " state; 0 is blind to the rendering",
            domain="[0, 1]",
        ),
        Quantity(
            name="full_robustness",
            symbol=all_pairs_robustness,
            meaning="largest total variation between any two renderings of a state",
            domain="[R, 1]",
        ),
        Quantity(
            name="mean_robustness",
            symbol=mean_robustness,
            meaning="total variation between training and held-out renderings, averaged over the"
            " pairs and over the states visited in training",
            domain="[0, R]",
            definition=(1 - gamma) * _over_pairs(_all_states(OCCUPANCY[f, s] * _tv)),
        ),
        Quantity(
            name="decoupling",
            symbol=decoupling,
            meaning="mean over the pairs of the expected discounted total variation met before"
            " two coupled trajectories separate",
            domain="[0, 1]",
            definition=_over_pairs(SEPARATION[f, g]),
        ),
        Quantity(
            name="occupancy_distance",
            symbol=occupancy_distance,
            meaning="mean over the pairs of half the sum of absolute differences between"
            " state-action occupancies",
            domain="[0, 1/(1-gamma)]",
            definition=_over_pairs(
                _all_states(
                    _all_actions(
                        Abs(OCCUPANCY[f, s] * POLICY[f, s, a] - OCCUPANCY[g, s] * POLICY[g, s, a])
                    )
                )
                / 2
            ),
        ),
        Quantity(
            name="train_mass",
            symbol=train_mass,
            meaning="probability of the training renderings",
            domain="(0, 1]",
            definition=_all_renderings(WEIGHT[f] * TRAIN[f]),
        ),
        Quantity(
            name="reward_range",
            symbol=reward_range,
            meaning="largest minus smallest possible reward of a step",
            domain="[0, oo)",
        ),
        Quantity(
            name="reward_min",
            symbol=reward_min,
            meaning="smallest possible reward of a step",
            domain="(-oo, oo)",
        ),
        Quantity(
            name="reward_max",
            symbol=reward_max,
            meaning="largest possible reward of a step",
            domain="[r_min, oo)",
        ),
        Quantity(
            name="discount",
            symbol=gamma,
            meaning="discount factor of a step",
            domain="[0, 1)",
        ),
    )
}
"""Quantities of a problem and a policy, by name."""

PAIR_QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            name="surrogate",
            symbol=surrogate,
            meaning="training return of the policy before the update plus the expected advantage"
            " of the updated policy, on the states visited before",
            domain="(-oo, oo)",
            definition=_all_renderings(
                WEIGHT[f]
                * TRAIN[f]
                * _all_states(
                    BASE_OCCUPANCY[f, s]
                    * _all_actions(BASE_POLICY[f, s, a] * IndexedBase("r")[s, a])
                )
                + WEIGHT[f] * TRAIN[f] * _all_states(BASE_OCCUPANCY[f, s] * _advantage)
            )
            / train_mass,
        ),
        Quantity(
            name="train_shift",
            symbol=train_shift,
            meaning="total variation between the policies before and after the update, averaged"
            " over training renderings and the states visited before",
            domain="[0, 1]",
            definition=(1 - gamma)
            * _all_renderings(WEIGHT[f] * TRAIN[f] * _all_states(BASE_OCCUPANCY[f, s] * _shift))
            / train_mass,
        ),
        Quantity(
            name="advantage_bound",
            symbol=advantage_bound,
            meaning="largest absolute expected advantage of the updated policy in a training"
            " rendering of a state, by the advantage function before the update",
            domain="[0, Delta/(1-gamma)]",
        ),
        Quantity(
            name="baseline_train_return",
            symbol=eta_before,
            meaning="train_return of the baseline",
            domain="[r_min/(1-gamma), r_max/(1-gamma)]",
            definition=_all_renderings(WEIGHT[f] * TRAIN[f] * BASE_RETURN[f]) / train_mass,
        ),
        Quantity(
            name="baseline_general_return",
            symbol=zeta_before,
            meaning="general_return of the baseline",
            domain="[r_min/(1-gamma), r_max/(1-gamma)]",
            definition=_all_renderings(WEIGHT[f] * BASE_RETURN[f]),
        ),
        Quantity(
            name="baseline_robustness",
            symbol=R_before,
            meaning="robustness of the baseline",
            domain="[0, 1]",
        ),
        Quantity(
            name="disagreement",
            symbol=disagreement,
            meaning="largest total variation between the policy and the baseline, over all"
            " renderings and states",
            domain="[0, 1]",
        ),
        Quantity(
            name="divergence",
            symbol=divergence,
            meaning="largest KL(baseline || policy), over all renderings and states, in nats;"
            " infinite where the policy excludes what the baseline does",
            domain="[0, oo]",
        ),
        Quantity(
            name="mean_disagreement",
            symbol=mean_disagreement,
            meaning="total variation between the policy and the baseline, averaged over training"
            " renderings and the states that the policy visits",
            domain="[0, disagreement]",
            definition=_visited_in_training(_shift),
        ),
        Quantity(
            name="mean_divergence",
            symbol=mean_divergence,
            meaning="KL(baseline || policy) in nats, averaged over training renderings and the"
            " states that the policy visits: the distillation loss of the policy's own agent",
            domain="[0, divergence]",
            definition=_visited_in_training(_information),
        ),
    )
}
"""Further quantities when there is a baseline, by name: a second policy of the same problem, the
one before an update or another agent."""

AGENT_QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            name="mixture_robustness",
            symbol=mixture_robustness,
            meaning="robustness of the weighted mixture of the agents' policies",
            domain="[0, 1]",
        ),
        Quantity(
            name="average_robustness",
            symbol=average_robustness,
            meaning="weighted mean of the agents' robustness",
            domain="[0, 1]",
        ),
        Quantity(
            name="logit_oscillation",
            symbol=logit_oscillation,
            meaning="largest minus smallest difference of two agents' logits over the actions, at"
            " the rendering and state where that is largest",
            domain="[0, oo)",
        ),
    )
}
"""Quantities of any number of agents, by name; `mdtheory.check_agents` measures them."""

SHRINKAGE_QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            name="n_agents",
            symbol=n_agents,
            meaning="number of agents that distil from each other",
            domain="{2, 3, ...}",
        ),
        Quantity(
            name="distillation",
            symbol=distillation,
            meaning="coefficient of the distillation loss",
            domain="[0, oo)",
        ),
        Quantity(
            name="task_curvature",
            symbol=task_curvature,
            meaning="second derivative of an agent's own loss in its spurious weight",
            domain="(0, oo)",
        ),
        Quantity(
            name="divergence_curvature",
            symbol=divergence_curvature,
            meaning="second derivative of the divergence in a spurious weight",
            domain="(0, oo)",
        ),
        Quantity(
            name="pull_variance",
            symbol=pull_variance,
            meaning="variance of the spurious weight that an agent's own data pull it to",
            domain="[0, oo)",
        ),
        Quantity(
            name="pull_correlation",
            symbol=pull_correlation,
            meaning="correlation of two agents' pulls",
            domain="[-1/(N-1), 1]",
        ),
        Quantity(
            name="spurious_variance",
            symbol=spurious_variance,
            meaning="variance of an agent's spurious weight where the loss is smallest",
            domain="[0, oo)",
        ),
    )
}
"""Quantities of linearised distillation, by name; `mdtheory.check_shrinkage` measures them."""

EVERY_QUANTITY: dict[str, Quantity] = (
    QUANTITIES | PAIR_QUANTITIES | AGENT_QUANTITIES | SHRINKAGE_QUANTITIES
)
"""Everything that a bound may speak about, by name."""
