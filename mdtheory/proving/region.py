"""The quantities' domains as quotients of nonnegative parameters, e.g. γ = c/(c+d).

Every value in a domain comes from parameters, and what is a polynomial without minus signs in the
parameters is nonnegative on the whole domain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import sympy

from mdtheory.proving.factored import Algebra, Factored

_CHAIN = {
    "Rbar": ("0 <= Rbar <= R", "0 <= R <= 1"),
    "R": ("0 <= R <= 1",),
    "R_F": ("0 <= R <= 1", "R <= R_F <= 1"),
}
"""0 <= Rbar <= R <= R_F <= 1, with the facts that say so."""
_CHAIN_PARAMETERS = ("a", "b", "f", "g")
_SHARES = {
    "gamma": ("c", "d", "0 <= gamma < 1"),
    "M": ("e", "h", "0 < M <= 1"),
    "R0": ("p", "q", "0 <= R0 <= 1"),
}
"""symbol = first / (first + second)"""
_POSITIVE = frozenset(("d", "e"))
"""Since gamma < 1 and M > 0."""
_NONNEGATIVE = {
    "Delta": "Delta >= 0",
    "gap": "gap >= 0",
    "C": "0 <= C <= 1",
    "W": "W >= 0",
    "D": "0 <= D <= 1",
    "D_max": "0 <= D_max <= 1",
    "Dbar": "0 <= Dbar <= D_max",
    "epsilon": "0 <= epsilon <= Delta/(1-gamma)",
}


class _Share(NamedTuple):
    """part / whole, each a sum of parameters, of which at least one is positive."""

    part: tuple[str, ...]
    whole: tuple[str, ...]
    facts: tuple[str, ...]

    @property
    def text(self) -> str:
        numerator = " + ".join(self.part)
        numerator = numerator if len(self.part) == 1 else f"({numerator})"
        return f"{numerator}/({' + '.join(self.whole)})"


def _shares(names: list[str]) -> dict[str, _Share]:
    """Those among the names that are shares of a whole."""
    chain = [name for name in _CHAIN if name in names]
    whole = _CHAIN_PARAMETERS[: len(chain) + 1]
    found = {x: _Share(whole[: k + 1], whole, _CHAIN[x]) for k, x in enumerate(chain)}
    for name, (one, other, fact) in _SHARES.items():
        if name in names:
            found[name] = _Share((one,), (one, other), (fact,))
    return found


@dataclass(frozen=True, kw_only=True)
class Region:
    """Parameters for some symbols.

    Attributes:
        algebra: rational functions of the parameters.
        values: each symbol's name -> its value in terms of parameters.
        formulas: parameter -> the symbols that are made of it, as text.
        domains: parameter -> ids of the facts that allow it.
        alternatives: sets of parameters; the members of at least one are all positive.
        free: parameters that may be negative; all others are not.
    """

    algebra: Algebra
    values: Mapping[str, Factored]
    formulas: Mapping[str, tuple[str, ...]]
    domains: Mapping[str, tuple[str, ...]]
    alternatives: tuple[frozenset[str], ...]
    free: frozenset[str]

    @classmethod
    def of(
        cls,
        names: Iterable[str],
        *,
        fixed: Mapping[str, Fraction],
        nonnegative: Iterable[str] = (),
        deadline: float = math.inf,
    ) -> Region:
        """For symbols of these names; some have a fixed value, further ones are nonnegative."""
        open_names = sorted(set(names) - set(fixed))
        shares = _shares(open_names)
        parameters = dict.fromkeys(name for share in shares.values() for name in share.whole)
        others = [name for name in open_names if name not in shares]
        algebra = Algebra((*parameters, *others), deadline)
        values = {name: algebra.number(value) for name, value in fixed.items()}
        values |= {name: algebra.generator(name) for name in others}
        domains = {name: (_NONNEGATIVE[name],) for name in others if name in _NONNEGATIVE}
        formulas: dict[str, tuple[str, ...]] = {}
        for name, share in shares.items():
            values[name] = algebra.sum(share.part) * algebra.sum(share.whole) ** -1
            text = f"{name} = {share.text}"
            for parameter in share.whole:
                formulas[parameter] = (*formulas.get(parameter, ()), text)
                domains[parameter] = (*domains.get(parameter, ()), *share.facts)
        alternatives = [_POSITIVE & set(parameters)]
        for whole in dict.fromkeys(share.whole for share in shares.values()):
            if _POSITIVE & set(whole):
                continue
            alternatives = [some | {name} for some in alternatives for name in whole]
        return cls(
            algebra=algebra,
            values=values,
            formulas=formulas,
            domains=domains,
            alternatives=tuple(alternatives),
            free=frozenset(others) - set(_NONNEGATIVE) - set(nonnegative),
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
