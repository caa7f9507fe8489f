"""Generalization bounds for policies under irrelevant features, checked exactly on finite MDPs.

The path of an idea: `FiniteMDP` -> `RenderingFamily` -> `TabularPolicy` -> `check` -> `Report`.
"""

from mdtheory.check import BoundResult, Report, check
from mdtheory.evaluation import Evaluation, evaluate
from mdtheory.mdp import FiniteMDP, SparseMDP
from mdtheory.measure import measure
from mdtheory.policy import LatentPolicy, TabularPolicy
from mdtheory.problem import Problem
from mdtheory.rendering import RenderingFamily
from mdtheory.statements import STATEMENTS, Statement
from mdtheory.toys import make_toy, register_environments

__version__ = "0.1.0"

__all__ = [
    "STATEMENTS",
    "BoundResult",
    "Evaluation",
    "FiniteMDP",
    "LatentPolicy",
    "Problem",
    "RenderingFamily",
    "Report",
    "SparseMDP",
    "Statement",
    "TabularPolicy",
    "check",
    "evaluate",
    "make_toy",
    "measure",
]

register_environments()
