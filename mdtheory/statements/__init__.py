"""The theory as SymPy objects: one place where each statement and each quantity is written."""

from mdtheory.statements.part_a import GAP_BOUNDS, STATEMENTS, UPDATE_BOUNDS
from mdtheory.statements.quantities import QUANTITIES, UPDATE_QUANTITIES, Quantity
from mdtheory.statements.statement import Statement

__all__ = [
    "GAP_BOUNDS",
    "QUANTITIES",
    "STATEMENTS",
    "UPDATE_BOUNDS",
    "UPDATE_QUANTITIES",
    "Quantity",
    "Statement",
]
