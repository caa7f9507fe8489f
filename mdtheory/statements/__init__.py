"""The theory as SymPy objects: one place where each statement and each quantity is written."""

from mdtheory.statements.part_a import GAP_BOUNDS, STATEMENTS, UPDATE_BOUNDS
from mdtheory.statements.quantities import QUANTITIES, UPDATE_QUANTITIES, Quantity
from mdtheory.statements.statement import Bound, Statement
from mdtheory.statements.text import as_bound, parse_bound

__all__ = [
    "GAP_BOUNDS",
    "QUANTITIES",
    "STATEMENTS",
    "UPDATE_BOUNDS",
    "UPDATE_QUANTITIES",
    "Bound",
    "Quantity",
    "Statement",
    "as_bound",
    "parse_bound",
]
