"""Looking for counterexamples to a bound, for proofs that there are none, and for hard cases.

    parameters (space) -> instances -> score -> sample or climb -> round, confirm, shrink (hunt)
"""

from mdtheory.search.answer import Answer
from mdtheory.search.hunt import refute, tightest
from mdtheory.search.prove import Proof, prove

__all__ = ["Answer", "Proof", "prove", "refute", "tightest"]
