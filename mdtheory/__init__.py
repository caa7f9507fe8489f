"""Generalization bounds for policies under irrelevant features, checked exactly on finite MDPs.

The path of an idea: `FiniteMDP` -> `RenderingFamily` -> `TabularPolicy` -> `check` -> `Report`.
"""

import mdtheory_hooks
from mdtheory.agents import check_agents, check_shrinkage, pairs_of
from mdtheory.check import Report, check
from mdtheory.evaluation import Evaluation, evaluate, performance_difference
from mdtheory.judge import BoundResult, judge
from mdtheory.mdp import FiniteMDP, SparseMDP
from mdtheory.measure import Measurement, measure
from mdtheory.policy import LatentPolicy, TabularPolicy
from mdtheory.problem import Instance, Problem
from mdtheory.problem_file import dump_problem, load_problem
from mdtheory.rendering import RenderingFamily
from mdtheory.statements import STATEMENTS, Bound, Quantity, Statement, parse_bound
from mdtheory.toys import make_toy, register_environments

__version__ = "0.1.0"

__all__ = [
    "STATEMENTS",
    "Bound",
    "BoundResult",
    "Evaluation",
    "FiniteMDP",
    "Instance",
    "LatentPolicy",
    "Measurement",
    "Problem",
    "Quantity",
    "RenderingFamily",
    "Report",
    "SparseMDP",
    "Statement",
    "TabularPolicy",
    "check",
    "check_agents",
    "check_shrinkage",
    "dump_problem",
    "evaluate",
    "judge",
    "load_problem",
    "make_toy",
    "measure",
    "pairs_of",
    "parse_bound",
    "performance_difference",
]

register_environments()
mdtheory_hooks.register_strategies()
