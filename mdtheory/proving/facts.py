"""What is true of every problem, policy and update: the premises from which bounds are proved.

Each fact is an inequality between quantities with its proof in one line.  Those over pairs of
renderings are proved for one pair (f, f') and averaged; where M = 1 the averages are 0, and ξ,
undefined there, may be read as η: every fact still holds.  Notation as in proofs/A4.md: t is
the total variation TV(f, f') by state, u = (I − γP_m)⁻¹ t, so that C averages ρᵀu.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy
from sympy import Abs, Eq, Ge, Gt, Le, Lt
from sympy.core.relational import Relational

from mdtheory.statements.catalog import STATEMENTS
from mdtheory.statements.part_a import SHARP, TRAINING
from mdtheory.statements.quantities import (
    R,
    R_before,
    advantage_bound,
    all_pairs_robustness,
    decoupling,
    disagreement,
    eta,
    eta_before,
    gamma,
    gap,
    mean_disagreement,
    mean_robustness,
    occupancy_distance,
    reward_max,
    reward_min,
    reward_range,
    surrogate,
    train_mass,
    train_shift,
    xi,
    zeta,
    zeta_before,
)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Inequalities and equations that hold together, for every problem.

    Attributes:
        id: short name, unique: the statement's, or the fact itself.
        relations: over the quantities' symbols.
        why: its proof.
        is_domain: whether it only says which values the left sides' symbols can take.
    """

    id: str
    relations: tuple[Relational, ...]
    why: str
    is_domain: bool = False

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        return frozenset().union(*(relation.free_symbols for relation in self.relations))

    @property
    def subjects(self) -> frozenset[sympy.Symbol]:
        """The symbols on the left sides."""
        return frozenset().union(*(relation.lhs.free_symbols for relation in self.relations))


_horizon = 1 / (1 - gamma)
_shift_bound = train_shift * reward_range * _horizon**2
_penalty = surrogate - TRAINING.rhs


def _return(symbol: sympy.Symbol) -> Fact:
    return Fact(
        id=f"r_min <= (1-gamma)*{symbol} <= r_max",
        relations=(Ge(symbol, reward_min * _horizon), Le(symbol, reward_max * _horizon)),
        why="A mean of discounted sums of rewards in [r_min, r_max].",
    )


def _distance(
    left: sympy.Symbol, right: sympy.Symbol, most: sympy.Expr, text: str, why: str
) -> Fact:
    relations = (Le(left, right + most), Ge(left, right - most))
    return Fact(id=f"abs({left} - {right}) <= {text}", relations=relations, why=why)


_DOMAINS = (
    Fact(
        id="0 <= gamma < 1",
        relations=(Ge(gamma, 0, evaluate=False), Lt(gamma, 1)),
        why="Validated.",
        is_domain=True,
    ),
    Fact(
        id="0 < M <= 1",
        relations=(Gt(train_mass, 0, evaluate=False), Le(train_mass, 1)),
        why="Validated.",
        is_domain=True,
    ),
    Fact(
        id="0 <= R <= 1",
        relations=(Ge(R, 0, evaluate=False), Le(R, 1)),
        why="A maximum of total variations, or 0 where nothing is held out.",
        is_domain=True,
    ),
    Fact(
        id="R <= R_F <= 1",
        relations=(Ge(all_pairs_robustness, R), Le(all_pairs_robustness, 1)),
        why="The maximum over more pairs.",
        is_domain=True,
    ),
    Fact(
        id="0 <= Rbar <= R",
        relations=(Ge(mean_robustness, 0, evaluate=False), Le(mean_robustness, R)),
        why="A mean of total variations, each at most R; 0 if M = 1.",
        is_domain=True,
    ),
    Fact(
        id="0 <= R0 <= 1",
        relations=(Ge(R_before, 0, evaluate=False), Le(R_before, 1)),
        why="As for R.",
        is_domain=True,
    ),
    Fact(
        id="Delta >= 0",
        relations=(Ge(reward_range, 0, evaluate=False),),
        why="The bounds of rewards are validated.",
        is_domain=True,
    ),
    Fact(
        id="r_max = r_min + Delta",
        relations=(Eq(reward_max, reward_min + reward_range),),
        why="The definition of Delta.",
        is_domain=True,
    ),
    Fact(
        id="0 <= C <= 1",
        relations=(Ge(decoupling, 0, evaluate=False), Le(decoupling, 1)),
        why="(I - gamma P_m) 1 = 1 - gamma (1 - t) >= t, so u <= 1.",
        is_domain=True,
    ),
    Fact(
        id="W >= 0",
        relations=(Ge(occupancy_distance, 0, evaluate=False),),
        why="A mean of sums of absolute values.",
        is_domain=True,
    ),
    Fact(
        id="0 <= D <= 1",
        relations=(Ge(train_shift, 0, evaluate=False), Le(train_shift, 1)),
        why="A mean of total variations.",
        is_domain=True,
    ),
    Fact(
        id="0 <= D_max <= 1",
        relations=(Ge(disagreement, 0, evaluate=False), Le(disagreement, 1)),
        why="A maximum of total variations.",
        is_domain=True,
    ),
    Fact(
        id="0 <= Dbar <= D_max",
        relations=(Ge(mean_disagreement, 0, evaluate=False), Le(mean_disagreement, disagreement)),
        why="A mean of total variations, each at most D_max.",
        is_domain=True,
    ),
    Fact(
        id="0 <= epsilon <= Delta/(1-gamma)",
        relations=(
            Ge(advantage_bound, 0, evaluate=False),
            Le(advantage_bound, reward_range * _horizon),
        ),
        why="sum_a (new - old) Q is at most TV <= 1 times the range of Q.",
        is_domain=True,
    ),
    Fact(
        id="gap >= 0",
        relations=(Ge(gap, 0, evaluate=False),),
        why="An absolute value.",
        is_domain=True,
    ),
)

_GAPS = (
    *(
        Fact(id=k, relations=(STATEMENTS[k].relation,), why=f"Proved in {STATEMENTS[k].proof}.")
        for k in ("A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7", "B1")
    ),
    *(_return(symbol) for symbol in (eta, zeta, xi, eta_before, zeta_before)),
    _distance(R, R_before, 2 * disagreement, "2*D_max", "B1, in both directions."),
    _distance(zeta, eta, gap, "gap", "The definition of the gap."),
    Fact(
        id="gap = abs(zeta - eta)",
        relations=(Eq(gap, Abs(zeta - eta)),),
        why="Its definition.",
    ),
    Fact(
        id="zeta = M*eta + (1-M)*xi",
        relations=(Eq(zeta, train_mass * eta + (1 - train_mass) * xi),),
        why="Training and held-out renderings are all renderings.",
    ),
    _distance(xi, eta, reward_range * occupancy_distance, "Delta*W", "A5 before its factor 1 - M."),
    _distance(
        zeta_before,
        eta_before,
        SHARP.rhs.xreplace({R: R_before}),
        "A2 with R0",
        "A2 of the policy before the update.",
    ),
)

_LADDER = (
    Fact(
        id="W <= C/(1-gamma)",
        relations=(Le(occupancy_distance, decoupling * _horizon),),
        why="A5 <= A4: A4 bounds the difference of returns for every reward, A5 is the largest.",
    ),
    Fact(
        id="C <= Rbar/(1-gamma)",
        relations=(Le(decoupling, mean_robustness * _horizon),),
        why="A4 <= A3: P_m <= P_f entrywise, so rho' (I - gamma P_m)^-1 <= d_f.",
    ),
    Fact(
        id="C <= R/(1-gamma*(1-R))",
        relations=(Le(decoupling, R / (1 - gamma * (1 - R))),),
        why="A4 <= A2: at its largest X, u <= gamma (1-t) X + t, which grows with t <= R.",
    ),
    Fact(
        id="Rbar <= C",
        relations=(Ge(decoupling, mean_robustness),),
        why="(I - gamma P_f) u = t - gamma (P_f - P_m) u >= (1 - gamma) t, as u <= 1 and the rows"
        " of P_f - P_m sum to t; times rho' (I - gamma P_f)^-1 >= 0.",
    ),
    Fact(
        id="Rbar <= 2*(1-gamma)*W",
        relations=(Ge(occupancy_distance, mean_robustness / (2 * (1 - gamma))),),
        why="d_f (p - q) = (d_f p - d_g q) + (d_g - d_f) q for policies p, q: both parts have half"
        " the absolute sum at most W's.",
    ),
)

_UPDATES = (
    Fact(
        id="eta <= L + 2*gamma*epsilon*D/(1-gamma)**2",
        relations=(Le(eta, surrogate + _penalty),),
        why="A6's proof bounds the absolute difference.",
    ),
    _distance(
        surrogate,
        eta_before,
        advantage_bound * _horizon,
        "epsilon/(1-gamma)",
        "L - eta0 is a mean of sum_s d_f(s) a(s), where abs(a) <= epsilon.",
    ),
    _distance(
        surrogate,
        eta_before,
        _shift_bound,
        "D*Delta/(1-gamma)**2",
        "As above, where abs(a(s)) is at most TV(s) times the range of Q.",
    ),
    _distance(
        eta,
        eta_before,
        advantage_bound * _horizon,
        "epsilon/(1-gamma)",
        "Performance difference lemma, on the states that the updated policy visits.",
    ),
    _distance(
        eta,
        eta_before,
        _shift_bound,
        "D*Delta/(1-gamma)**2",
        "A3's proof, for the policies before and after.",
    ),
)

FACTS: dict[str, Fact] = {f.id: f for f in (*_DOMAINS, *_GAPS, *_LADDER, *_UPDATES)}
"""Every premise by its id, domains first."""

SUBJECTS: frozenset[sympy.Symbol] = frozenset().union(*(fact.symbols for fact in FACTS.values()))
"""What they speak about; not KL divergences, which may be infinite."""
