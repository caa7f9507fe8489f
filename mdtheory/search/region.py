"""The quantities' domains as quotients of nonnegative parameters, e.g. γ = c/(c+d).

Every value in a domain comes from parameters, and what is a polynomial without minus signs in the
parameters is nonnegative on the whole domain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy
from sympy import Symbol

from mdtheory.search.factored import Algebra, Factored
from mdtheory.statements.quantities import (
    R,
    R_before,
    advantage_bound,
    all_pairs_robustness,
    decoupling,
    gamma,
    gap,
    mean_robustness,
    occupancy_distance,
    reward_range,
    train_mass,
    train_shift,
)

_CHAIN = {
    mean_robustness: ("0 <= Rbar <= R", "0 <= R <= 1"),
    R: ("0 <= R <= 1",),
    all_pairs_robustness: ("0 <= R <= 1", "R <= R_F <= 1"),
}
"""0 <= Rbar <= R <= R_F <= 1, with the facts that say so."""
_CHAIN_PARAMETERS = ("a", "b", "f", "g")
_SHARES = {
    gamma: ("c", "d", "0 <= gamma < 1"),
    train_mass: ("e", "h", "0 < M <= 1"),
    R_before: ("p", "q", "0 <= R0 <= 1"),
}
"""symbol = first / (first + second)"""
_POSITIVE = ("d", "e")
"""Since gamma < 1 and M > 0."""
_NONNEGATIVE = {
    reward_range: "Delta >= 0",
    gap: "gap >= 0",
    decoupling: "0 <= C <= 1",
    occupancy_distance: "W >= 0",
    train_shift: "0 <= D <= 1",
    advantage_bound: "0 <= epsilon <= Delta/(1-gamma)",
}


@dataclass(frozen=True, kw_only=True)
class Region:
    """Parameters for some symbols.

    Attributes:
        algebra: rational functions of the parameters.
        values: each symbol in terms of parameters.
        formulas: parameter -> the symbols that are made of it, as text.
        domains: parameter -> ids of the facts that allow it.
        alternatives: sets of parameters; the members of at least one are all positive.
        free: parameters that may be negative; all others are not.
    """

    algebra: Algebra
    values: Mapping[Symbol, Factored]
    formulas: Mapping[str, tuple[str, ...]]
    domains: Mapping[str, tuple[str, ...]]
    alternatives: tuple[frozenset[str], ...]
    free: frozenset[str]

    @classmethod
    def of(
        cls,
        symbols: Iterable[Symbol],
        *,
        fixed: Mapping[Symbol, Fraction],
        nonnegative: Iterable[Symbol] = (),
        deadline: float = math.inf,
    ) -> Region:
        """For these symbols; some have a fixed value, and further ones are known nonnegative."""
        names = sorted(set(symbols) - set(fixed), key=lambda symbol: symbol.name)
        shares: dict[Symbol, tuple[Sequence[str], Sequence[str], tuple[str, ...]]] = {}
        chain = [symbol for symbol in _CHAIN if symbol in names]
        links = _CHAIN_PARAMETERS[: len(chain) + 1] if chain else ()
        for k, symbol in enumerate(chain):
            shares[symbol] = (links[: k + 1], links, _CHAIN[symbol])
        for symbol, (first, second, fact) in _SHARES.items():
            if symbol in names:
                shares[symbol] = ((first,), (first, second), (fact,))
        plain = [symbol for symbol in names if symbol not in shares]
        parameters = dict.fromkeys(name for _, whole, _ in shares.values() for name in whole)
        algebra = Algebra((*parameters, *(symbol.name for symbol in plain)), deadline)

        values = {symbol: algebra.number(value) for symbol, value in fixed.items()}
        values |= {symbol: algebra.generator(symbol.name) for symbol in plain}
        for symbol, (part, whole, _) in shares.items():
            values[symbol] = algebra.sum(part) * algebra.sum(whole) ** -1
        domains = {name: facts for _, whole, facts in shares.values() for name in whole}
        links_facts = tuple(dict.fromkeys(fact for symbol in chain for fact in _CHAIN[symbol]))
        domains |= dict.fromkeys(links, links_facts)
        domains |= {s.name: (_NONNEGATIVE[s],) for s in plain if s in _NONNEGATIVE}

        formulas: dict[str, tuple[str, ...]] = {}
        for symbol, (part, whole, _) in shares.items():
            text = f"{symbol} = {_quotient(part, whole)}"
            formulas |= {name: (*formulas.get(name, ()), text) for name in whole}

        alternatives = [frozenset(name for name in _POSITIVE if name in parameters)]
        for group in (links, _SHARES[R_before][:2] if R_before in names else ()):
            if group:
                alternatives = [some | {name} for some in alternatives for name in group]
        surely = {*_NONNEGATIVE, *nonnegative}
        return cls(
            algebra=algebra,
            values=values,
            formulas=formulas,
            domains=domains,
            alternatives=tuple(alternatives),
            free=frozenset(symbol.name for symbol in plain if symbol not in surely),
        )

    def value(self, expression: sympy.Expr) -> Factored:
        """An expression over the symbols, in terms of parameters."""
        return self.algebra.value(expression, self.values)

    def domains_of(self, value: Factored) -> tuple[str, ...]:
        """Ids of the facts that its sign rests on."""
        names = sorted(value.variables)
        return tuple(dict.fromkeys(fact for name in names for fact in self.domains.get(name, ())))

    def parameters_of(self, value: Factored) -> tuple[str, ...]:
        """What its parameters mean: `R = a/(a + b)`; other quantities are parameters themselves."""
        names = sorted(value.variables)
        return tuple(dict.fromkeys(text for name in names for text in self.formulas.get(name, ())))


def _quotient(part: Sequence[str], whole: Sequence[str]) -> str:
    numerator = " + ".join(part)
    return f"{numerator if len(part) == 1 else f'({numerator})'}/({' + '.join(whole)})"
