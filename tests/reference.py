"""A second route to the base arrays of the theory: plain loops over Python fractions.

Nothing here uses mdtheory's evaluation: linear systems are solved by Gaussian elimination.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tests.random_problems import Case

Row = list[Fraction]


def solve(matrix: list[Row], rhs: Row) -> Row:
    """Gauss-Jordan elimination with the first nonzero pivot."""
    n = len(rhs)
    rows = [[*matrix[i], rhs[i]] for i in range(n)]
    for column in range(n):
        pivot = next(i for i in range(column, n) if rows[i][column] != 0)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [x / rows[column][column] for x in rows[column]]
        for i in range(n):
            if i != column:
                factor = rows[i][column]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[column], strict=True)]
    return [row[-1] for row in rows]


class Reference:
    """Base arrays of an exact case, as nested lists indexed like theory.md's symbols."""

    def __init__(self, case: Case) -> None:
        mdp, family = case.problem.mdp, case.problem.renderings
        self.P, self.r = mdp.transition.tolist(), mdp.reward.tolist()
        self.rho, self.gamma = mdp.initial.tolist(), mdp.discount[()]
        self.S, self.A, self.F = mdp.n_states, mdp.n_actions, family.n_renderings
        self.p = family.weights.tolist()
        self.tau = [int(x) for x in family.train_mask]
        self.pi = case.policy.probabilities.tolist()
        self.pi0 = case.baseline.probabilities.tolist()

    def matrix(self, weights: list[Row]) -> list[Row]:
        """I - γ P_w."""
        return [
            [
                (s == t) - self.gamma * sum(weights[s][a] * self.P[s][a][t] for a in range(self.A))
                for t in range(self.S)
            ]
            for s in range(self.S)
        ]

    def values(self, policy: list[Row]) -> Row:
        gain = [sum(policy[s][a] * self.r[s][a] for a in range(self.A)) for s in range(self.S)]
        return solve(self.matrix(policy), gain)

    def action_values(self, policy: list[Row]) -> list[Row]:
        v = self.values(policy)
        return [
            [
                self.r[s][a] + self.gamma * sum(self.P[s][a][t] * v[t] for t in range(self.S))
                for a in range(self.A)
            ]
            for s in range(self.S)
        ]

    def advantages(self, policy: list[Row]) -> list[Row]:
        q, v = self.action_values(policy), self.values(policy)
        return [[q[s][a] - v[s] for a in range(self.A)] for s in range(self.S)]

    def occupancy(self, policy: list[Row]) -> Row:
        matrix = self.matrix(policy)
        transposed = [[matrix[t][s] for t in range(self.S)] for s in range(self.S)]
        return solve(transposed, self.rho)

    def value(self, policy: list[Row]) -> Fraction:
        """J by ρ·V."""
        return sum(x * y for x, y in zip(self.rho, self.values(policy), strict=True))

    def tv(self, f: int, g: int, s: int) -> Fraction:
        """Total variation by the mass that the two distributions do not share."""
        pairs = zip(self.pi[f][s], self.pi[g][s], strict=True)
        return 1 - sum(min(x, y) for x, y in pairs)

    def separation(self, f: int, g: int) -> Fraction:
        """h[f, g] of theory.md's A4."""
        common = [
            [min(x, y) for x, y in zip(self.pi[f][s], self.pi[g][s], strict=True)]
            for s in range(self.S)
        ]
        solution = solve(self.matrix(common), [self.tv(f, g, s) for s in range(self.S)])
        return sum(x * y for x, y in zip(self.rho, solution, strict=True))

    def base_arrays(self) -> dict[str, Any]:
        """By the names of the IndexedBase objects in `mdtheory.statements.quantities`."""
        F = range(self.F)
        return {
            "p": self.p,
            "tau": self.tau,
            "r": self.r,
            "pi": self.pi,
            "pi0": self.pi0,
            "J": [self.value(self.pi[f]) for f in F],
            "J0": [self.value(self.pi0[f]) for f in F],
            "d": [self.occupancy(self.pi[f]) for f in F],
            "d0": [self.occupancy(self.pi0[f]) for f in F],
            "A0": [self.advantages(self.pi0[f]) for f in F],
            "h": [[self.separation(f, g) for g in F] for f in F],
        }
