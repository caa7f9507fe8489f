"""Bounds as text: `gap <= (1 - M) * R * Delta / (1 - gamma)**2 if R < 1/2`.

    bound      := comparison ["if" condition ("and" condition)*]
    comparison := sum ("<=" | "<" | ">=" | ">") sum          condition may use "==" as well
    sum        := product (("+" | "-") product)*
    product    := signed (("*" | "/") signed)*
    signed     := ("+" | "-") signed | power
    power      := atom [("**" | "^") exponent]              an integer, at most 64
    atom       := number | name | function "(" sum ("," sum)* ")" | "(" sum ")"

A name is a quantity's (`robustness`), its symbol's (`R`) or a statement's id, which stands for that
statement's right side (`A2`); of part B those that `check` can measure, about two policies.
Nothing is ever executed; length, depth and the size of numbers are bounded, so hostile text costs
no more than a line of honest text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import sympy

from mdtheory import validation
from mdtheory.statements.arithmetic import LARGEST_EXPONENT
from mdtheory.statements.catalog import STATEMENTS
from mdtheory.statements.quantities import PAIR_QUANTITIES, QUANTITIES
from mdtheory.statements.statement import Bound

LONGEST = 2000
"""Characters of a bound, at most."""
DEEPEST = 50
"""Brackets and signs within each other, at most."""
LARGEST_NUMBER_BITS = 4096
"""Size of the numbers that an expression may hold once its powers are worked out."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3}(?![0-9]))?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|<=|>=|==|[-+*/^()<>,]))"
)
_RELATIONS: dict[str, type[sympy.core.relational.Relational]] = {
    "<=": sympy.Le,
    "<": sympy.Lt,
    ">=": sympy.Ge,
    ">": sympy.Gt,
}


def _unevaluated(function: type[sympy.Function]) -> Callable[..., sympy.Expr]:
    return lambda *arguments: function(*arguments, evaluate=False)


_FUNCTIONS: dict[str, tuple[Callable[..., sympy.Expr], int | None]] = {
    "min": (_unevaluated(sympy.Min), None),
    "max": (_unevaluated(sympy.Max), None),
    "abs": (_unevaluated(sympy.Abs), 1),
    "sqrt": (sympy.sqrt, 1),
    "exp": (sympy.exp, 1),
    "log": (sympy.log, 1),
    "tanh": (sympy.tanh, 1),
}
"""Name -> function and number of arguments (None: two or more)."""

_KNOWN = (*QUANTITIES.values(), *PAIR_QUANTITIES.values())
_NAMES: dict[str, sympy.Expr] = {
    **{quantity.name: quantity.symbol for quantity in _KNOWN},
    **{quantity.symbol.name: quantity.symbol for quantity in _KNOWN},
    **{s.id: s.rhs for s in STATEMENTS.values() if set(s.quantities) <= set(_KNOWN)},
}
"""What a problem with a policy and a baseline can decide."""


def parse_bound(text: str) -> Bound:
    """The bound that a text states.

    Raises:
        ValueError: one message with the place and what was expected there.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a bound must have at most {LONGEST} characters, got {len(text)}")
    return _Parser(text).bound()


def as_bound(bound: Bound | str) -> Bound:
    """A bound as it is, from a statement's id, or from text.

    Raises:
        ValueError: for an unknown id, or text that is no bound.
    """
    if isinstance(bound, Bound):
        return bound
    if not isinstance(bound, str):
        raise ValueError(f"a bound must be a Bound, an id or text, got {type(bound).__name__}")
    if bound in STATEMENTS:
        return STATEMENTS[bound]
    if bound.strip().isalnum():
        raise ValueError(validation.unknown("statement", bound, list(STATEMENTS)))
    return parse_bound(bound)


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


class _Part(NamedTuple):
    """An expression, with a bound on the bits of numbers that come up in evaluating it."""

    expression: sympy.Expr
    bits: int


class _Parser:
    """Recursive descent; each method consumes what it is named after."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.position = 0
        self.depth = 0

    def _tokens(self) -> list[_Token]:
        tokens, place = [], 0
        while self.text[place:].strip():
            match = _TOKEN.match(self.text, place)
            if match is None:
                bad = self.text[place:].lstrip()[0]
                place = self.text.index(bad, place)
                raise ValueError(
                    f"a bound is made of names, numbers, + - * / ** ( ) , < <= > >= == if and,"
                    f" got {bad!r} at character {place + 1}"
                )
            kind = str(match.lastgroup)
            word = match.group(kind)
            kind = "sign" if word in ("if", "and") else kind
            tokens.append(_Token(kind, word, match.start(kind)))
            place = match.end()
        return [*tokens, _Token("end", "", len(self.text))]

    @property
    def token(self) -> _Token:
        return self.tokens[self.position]

    def accept(self, *signs: str) -> str | None:
        """The next sign, consumed, if it is one of these."""
        token = self.token
        if token.kind != "sign" or token.text not in signs:
            return None
        self.position += 1
        return token.text

    def expected(self, what: str) -> ValueError:
        token = self.token
        got = "the end" if token.kind == "end" else f"{token.text[:40]!r}"
        return ValueError(f"expected {what} at character {token.place + 1} of the bound, got {got}")

    def bound(self) -> Bound:
        relation = self.comparison(_RELATIONS, "one of <= < >= >")
        requires = []
        if self.accept("if"):
            requires.append(self.condition())
            while self.accept("and"):
                requires.append(self.condition())
        if self.token.kind != "end":
            raise self.expected("an operator, 'if' or the end")
        return Bound(relation=relation, requires=tuple(requires), id=" ".join(self.text.split()))

    def condition(self) -> sympy.core.relational.Relational:
        return self.comparison(_RELATIONS | {"==": sympy.Eq}, "one of <= < >= > ==")

    def comparison(
        self, relations: dict[str, type[sympy.core.relational.Relational]], what: str
    ) -> sympy.core.relational.Relational:
        left = self.sum().expression
        sign = self.accept(*relations)
        if sign is None:
            raise self.expected(what)
        return relations[sign](left, self.sum().expression, evaluate=False)

    def sum(self) -> _Part:
        part = self.product()
        while sign := self.accept("+", "-"):
            other = self.product()
            expression = other.expression if sign == "+" else -other.expression
            part = self.bounded(part.expression + expression, part.bits + other.bits + 1)
        return part

    def product(self) -> _Part:
        part = self.signed()
        while sign := self.accept("*", "/"):
            other = self.signed()
            if sign == "/" and other.expression.is_zero:
                raise ValueError(f"division by zero before character {self.token.place + 1}")
            expression = other.expression if sign == "*" else 1 / other.expression
            part = self.bounded(part.expression * expression, part.bits + other.bits)
        return part

    def signed(self) -> _Part:
        if sign := self.accept("+", "-"):
            self.enter()
            part = self.signed()
            self.depth -= 1
            return part if sign == "+" else _Part(-part.expression, part.bits)
        return self.power()

    def power(self) -> _Part:
        part = self.atom()
        if self.accept("**", "^") is None:
            return part
        negative = self.accept("-") is not None
        token = self.token
        if token.kind != "number" or not token.text.isdigit() or int(token.text) > LARGEST_EXPONENT:
            raise self.expected(f"a whole number up to {LARGEST_EXPONENT} as exponent")
        self.position += 1
        exponent = -int(token.text) if negative else int(token.text)
        if negative and part.expression.is_zero:
            raise ValueError(f"division by zero before character {self.token.place + 1}")
        bits = part.bits * max(1, abs(exponent))
        self.bounded(part.expression, bits)
        return _Part(part.expression**exponent, bits)

    def atom(self) -> _Part:
        token = self.token
        if self.accept("("):
            self.enter()
            part = self.sum()
            self.leave()
            return part
        if token.kind not in ("number", "name"):
            raise self.expected("a number, a name or '('")
        self.position += 1
        if token.kind == "number":
            number = Fraction(token.text)
            bits = number.numerator.bit_length() + number.denominator.bit_length()
            return self.bounded(sympy.Rational(number.numerator, number.denominator), bits)
        if self.accept("("):
            return self.call(token)
        if token.text not in _NAMES:
            raise ValueError(validation.unknown("name", token.text[:40], list(_NAMES)))
        return _Part(_NAMES[token.text], 64)

    def call(self, name: _Token) -> _Part:
        if name.text not in _FUNCTIONS:
            raise ValueError(validation.unknown("function", name.text[:40], list(_FUNCTIONS)))
        function, n_arguments = _FUNCTIONS[name.text]
        self.enter()
        arguments = [self.sum()]
        while self.accept(","):
            arguments.append(self.sum())
        self.leave()
        if n_arguments is None and len(arguments) < 2:
            raise ValueError(f"{name.text} takes two or more arguments, got 1")
        if n_arguments is not None and len(arguments) != n_arguments:
            raise ValueError(f"{name.text} takes one argument, got {len(arguments)}")
        expression = function(*(part.expression for part in arguments))
        return _Part(expression, sum(part.bits for part in arguments))

    def enter(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(f"a bound must nest at most {DEEPEST} brackets and signs, got more")

    def leave(self) -> None:
        if self.accept(")") is None:
            raise self.expected("')' or an operator")
        self.depth -= 1

    def bounded(self, expression: sympy.Expr, bits: int) -> _Part:
        if bits > LARGEST_NUMBER_BITS:
            place = self.token.place
            raise ValueError(
                f"the numbers of a bound must stay below {LARGEST_NUMBER_BITS} bits,"
                f" got more before character {place + 1}"
            )
        return _Part(expression, bits)
