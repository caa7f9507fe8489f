"""Every statement of the theory by its id."""

from __future__ import annotations

from mdtheory.statements.part_a import PART_A
from mdtheory.statements.part_b import PART_B
from mdtheory.statements.statement import Statement

STATEMENTS: dict[str, Statement] = PART_A | PART_B
"""A0 to A8 and B1 to B6."""
