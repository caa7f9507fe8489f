"""Looking for counterexamples to a bound, and for its hard cases.

parameters (space) -> instances -> score -> sample or climb -> round, confirm, shrink (hunt)
"""

from mdtheory.search.answer import Answer
from mdtheory.search.hunt import refute, tightest

__all__ = ["Answer", "refute", "tightest"]
