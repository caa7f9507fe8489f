"""The theory as SymPy objects: one place where each statement and each quantity is written."""

from mdtheory.statements.catalog import STATEMENTS
from mdtheory.statements.part_a import GAP_BOUNDS, PART_A, UPDATE_BOUNDS
from mdtheory.statements.part_b import AGENT_BOUNDS, PAIR_BOUNDS, PART_B, SHRINKAGE
from mdtheory.statements.quantities import (
    AGENT_QUANTITIES,
    EVERY_QUANTITY,
    PAIR_QUANTITIES,
    QUANTITIES,
    SHRINKAGE_QUANTITIES,
    Quantity,
)
from mdtheory.statements.statement import Bound, Statement
from mdtheory.statements.text import as_bound, parse_bound

__all__ = [
    "AGENT_BOUNDS",
    "AGENT_QUANTITIES",
    "EVERY_QUANTITY",
    "GAP_BOUNDS",
    "PAIR_BOUNDS",
    "PAIR_QUANTITIES",
    "PART_A",
    "PART_B",
    "QUANTITIES",
    "SHRINKAGE",
    "SHRINKAGE_QUANTITIES",
    "STATEMENTS",
    "UPDATE_BOUNDS",
    "Bound",
    "Quantity",
    "Statement",
    "as_bound",
    "parse_bound",
]
