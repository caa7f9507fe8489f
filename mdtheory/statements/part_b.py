"""Part B: from mutual distillation to robustness.  Each statement is written here and nowhere else.

B1 to B3 speak about two policies of a problem, the policy and the baseline: another agent here.
Distillation on the policy's own data means KL(baseline || policy), as in the paper's official code.
"""

from __future__ import annotations

import sympy

from mdtheory.statements.quantities import (
    R,
    R_before,
    average_robustness,
    disagreement,
    distillation,
    divergence,
    divergence_curvature,
    logit_oscillation,
    mean_disagreement,
    mean_divergence,
    mixture_robustness,
    n_agents,
    pull_correlation,
    pull_variance,
    spurious_variance,
    task_curvature,
)
from mdtheory.statements.statement import CLAIM, Statement

_two_policies = ("both policies act on the same problem",)

AGREEMENT = Statement(
    id="B1",
    name="agreement",
    claim="A policy is at most as fragile as another one and twice their largest disagreement. It"
    " transfers robustness, it does not create it.",
    relation=sympy.Le(R, R_before + 2 * disagreement),
    assumptions=_two_policies,
    source=f"{CLAIM}; technique: triangle inequality",
)

DIVERGENCE = Statement(
    id="B2",
    name="divergence",
    claim="Disagreement is at most the better of two functions of the divergence; the second one is"
    " never vacuous.",
    relation=sympy.Le(
        disagreement, sympy.Min(sympy.sqrt(divergence / 2), sympy.sqrt(1 - sympy.exp(-divergence)))
    ),
    assumptions=_two_policies,
    source="Pinsker 1964 (the constant: Csiszar 1967, Kullback 1967); Bretagnolle & Huber 1979",
)

AVERAGES = Statement(
    id="B3",
    name="averages",
    claim="The distillation loss bounds the disagreement on the states visited in training, on"
    " average; it says nothing about other states or renderings.",
    relation=sympy.Le(mean_disagreement, sympy.sqrt(mean_divergence / 2)),
    assumptions=_two_policies,
    source="Pinsker 1964 and Jensen's inequality",
)

CONVEXITY = Statement(
    id="B4",
    name="convexity",
    claim="The mixture of the agents is at least as robust as they are on average.",
    relation=sympy.Le(mixture_robustness, average_robustness),
    assumptions=("the mixture weights are a distribution over the agents",),
    source=f"{CLAIM}; technique: convexity of total variation",
)

SOFTMAX = Statement(
    id="B5",
    name="softmax",
    claim="Softmax policies disagree at most by the hyperbolic tangent of a quarter of their"
    " logits' oscillation; two actions attain it.",
    relation=sympy.Le(disagreement, sympy.tanh(logit_oscillation / 4)),
    assumptions=("both policies are softmax policies with these logits",),
    source="Birkhoff 1957 (contraction); for total variation Cohen & Fausti, arXiv 2309.02413",
)

_shrinkage = task_curvature / (
    task_curvature + 2 * distillation * divergence_curvature * n_agents / (n_agents - 1)
)
_own_share = (1 - 1 / n_agents) * (1 - pull_correlation)

SHRINKAGE = Statement(
    id="B6",
    name="shrinkage",
    claim="Distillation shrinks the part of each spurious weight that the agents do not share; what"
    " they share, and the mean, it leaves as they are.",
    relation=sympy.Eq(
        spurious_variance,
        pull_variance * (1 - _own_share + _own_share * _shrinkage**2),
        evaluate=False,
    ),
    assumptions=(
        "quadratic losses, the second-order expansion of the KL divergence",
        "gradients flow into both policies",
        "pulls of mean 0 and equal variance",
    ),
    source=f"{CLAIM}, of the distillation loss",
)

PAIR_BOUNDS: tuple[Statement, ...] = (AGREEMENT, DIVERGENCE, AVERAGES)
"""Statements about two policies, B1 to B3."""

AGENT_BOUNDS: tuple[Statement, ...] = (CONVEXITY, SOFTMAX)
"""Statements about any number of agents, B4 and B5; B5 needs their logits."""

PART_B: dict[str, Statement] = {
    statement.id: statement for statement in (*PAIR_BOUNDS, *AGENT_BOUNDS, SHRINKAGE)
}
"""Every statement of part B by its id."""
