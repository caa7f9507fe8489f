"""B6, shrinkage: why agents that are pulled together lean less on what only one of them learned.

linear: the theorem, exactly, symbolically and as a gradient flow
bandit -> training: policies trained with the true divergence, beside what the theorem predicts
"""

from mdtheory.shrinkage.linear import (
    Rates,
    floor,
    flow,
    loss,
    minimum,
    minimum_of_unequal,
    rates,
    shrinkage_factor,
    spurious_variance,
    symbolic_eigenvalues,
    symbolic_variance,
)

__all__ = [
    "Rates",
    "floor",
    "flow",
    "loss",
    "minimum",
    "minimum_of_unequal",
    "rates",
    "shrinkage_factor",
    "spurious_variance",
    "symbolic_eigenvalues",
    "symbolic_variance",
]
