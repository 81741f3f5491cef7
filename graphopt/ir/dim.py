"""Dimensions: an int, or an integer expression of named symbols in a canonical form.

`Dim = int | Expr`.  An expression is a polynomial with integer coefficients whose atoms are symbols, floor
divisions and functions such as `max`; arithmetic on it folds to `int` when nothing symbolic is left, so `N + 1 - N`
*is* `1`.  Two expressions that are equal as polynomials compare equal; others may still be equal (`(2*N)//2` is
simplified, `min(N, 5)` is not), so inequality proves nothing.

A symbol whose name starts with `?` is anonymous: the model said only that the dimension exists.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True, order=True)
class Symbol:
    """A named dimension such as `batch`; anonymous when the name starts with `?`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Quotient:
    """`floor(numerator / denominator)` with a denominator other than zero."""

    numerator: Expr
    denominator: Expr

    def __str__(self) -> str:
        return f"floor(({self.numerator})/({self.denominator}))"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of dims that has no closed form: `max`, `min`, `broadcast`, … (see `FUNCTIONS`)."""

    name: str
    arguments: tuple[Dim, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.arguments))})"


Atom: TypeAlias = Symbol | Quotient | Function
Monomial: TypeAlias = tuple[Atom, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """A polynomial over symbols and quotients: the sum of `coefficient * product of atoms`."""

    terms: tuple[tuple[Monomial, int], ...]
    _text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_text", _show(self.terms))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Expr({self._text})"

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Expr) and other._text == self._text and other.terms == self.terms)

    def __add__(self, other: Dim) -> Dim:
        return _normal([*self.terms, *_terms(other)])

    def __mul__(self, other: Dim) -> Dim:
        return _normal([(a + b, m * n) for a, m in self.terms for b, n in _terms(other)])

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + -other

    def __rsub__(self, other: Dim) -> Dim:
        return -self + other

    def __floordiv__(self, other: Dim) -> Dim:
        return floor_divide(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return floor_divide(other, self)

    __radd__ = __add__
    __rmul__ = __mul__

    @property
    def symbols(self) -> frozenset[str]:
        """The names of all symbols in the expression."""
        return frozenset().union(*(_atom_symbols(atom) for monomial, _ in self.terms for atom in monomial))

    @property
    def is_anonymous(self) -> bool:
        """Whether some symbol in it has no name of its own."""
        return any(name.startswith("?") for name in self.symbols)

    def evaluate(self, values: Mapping[str, int]) -> int:
        """The integer it stands for; KeyError names a symbol that has no value."""
        return sum(n * math.prod(_atom_value(atom, values) for atom in monomial) for monomial, n in self.terms)


Dim: TypeAlias = int | Expr


def symbol(name: str) -> Expr:
    """The dimension called `name`."""
    return Expr((((Symbol(name),), 1),))


def unmistakable(name: str) -> str:
    """A value's name as anonymous symbols are made of it: without `.` and `/`, which part it from what follows.

    `?a.1.0` is dimension 0 of output 1 of the operator that makes `a`, and never that of a value called `a.1`.
    """
    return name.replace("~", "~~").replace(".", "~d").replace("/", "~s")


def floor_divide(a: Dim, b: Dim) -> Dim:
    """`a // b`, simplified when `b` divides every term of `a`; ZeroDivisionError when `b` is 0."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if a == b:
        return 1
    if isinstance(b, int):
        if b == 1:
            return a
        terms = _terms(a)
        if b == 0:
            raise ZeroDivisionError("dimension divided by zero")
        if all(n % b == 0 for _, n in terms):
            return _normal([(monomial, n // b) for monomial, n in terms])
    elif len(b.terms) == 1:
        (divisor, n), *_ = b.terms
        reduced = [_cancel(monomial, m, divisor, n) for monomial, m in _terms(a)]
        if all(term is not None for term in reduced):
            return _normal([term for term in reduced if term is not None])
    return Expr((((Quotient(_expr(a), _expr(b)),), 1),))


def function(name: str, *arguments: Dim) -> Dim:
    """The function of `FUNCTIONS` applied to dims; a number when all of them are."""
    if all(isinstance(argument, int) for argument in arguments):
        return FUNCTIONS[name](*(argument for argument in arguments if isinstance(argument, int)))
    return Expr((((Function(name, arguments),), 1),))


def product(dims: Iterable[Dim]) -> Dim:
    """The product of all dims; 1 for none."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def _broadcast(*sizes: int) -> int:
    return next((size for size in sizes if size != 1), 1)


def _sliced(size: int, start: int, end: int, step: int) -> int:
    open_end = None if step < 0 and end <= -(2**31 - 1) else end  # ONNX's way to say "past the very beginning"
    return len(range(*slice(start, open_end, step).indices(size)))


def _places(places: int, stride: int, room: int) -> int:
    return places - 1 if (places - 1) * stride >= room else places


FUNCTIONS: dict[str, Callable[..., int]] = {
    "max": max,
    "min": min,
    "broadcast": _broadcast,
    "slice": _sliced,
    "places": _places,
    "scale": lambda size, numerator, denominator: math.floor(size * (numerator / denominator)),
}
"""Functions of dims: `broadcast` is the one that is not 1; `slice(size, start, end, step)` counts elements;
`places(n, stride, room)` drops a last window that starts past the room; `scale(size, a, b)` is floor(size * (a/b)),
computed as Resize does."""


def _cancel(monomial: Monomial, m: int, divisor: Monomial, n: int) -> tuple[Monomial, int] | None:
    rest = list(monomial)
    for atom in divisor:
        if atom not in rest:
            return None
        rest.remove(atom)
    return (tuple(rest), m // n) if m % n == 0 else None


def _expr(dim: Dim) -> Expr:
    return dim if isinstance(dim, Expr) else Expr((((), dim),))


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    return dim.terms if isinstance(dim, Expr) else (((), int(dim)),)


def _normal(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    sums: dict[Monomial, int] = {}
    for monomial, n in terms:
        key = tuple(sorted(monomial, key=str))
        sums[key] = sums.get(key, 0) + n
    kept = sorted(((m, n) for m, n in sums.items() if n), key=lambda t: (-len(t[0]), [str(a) for a in t[0]]))
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    return Expr(tuple(kept))


def _show(terms: tuple[tuple[Monomial, int], ...]) -> str:
    text = ""
    for monomial, n in terms:
        factors = [str(atom) for atom in monomial]
        if abs(n) != 1 or not factors:
            factors.insert(0, str(abs(n)))
        sign = "-" if n < 0 else "+"
        text += f" {sign} " if text else ("-" if n < 0 else "")
        text += "*".join(factors)
    return text or "0"


def _atom_symbols(atom: Atom) -> frozenset[str]:
    if isinstance(atom, Symbol):
        return frozenset({atom.name})
    if isinstance(atom, Function):
        return frozenset().union(*(dim.symbols for dim in atom.arguments if isinstance(dim, Expr)))
    return atom.numerator.symbols | atom.denominator.symbols


def _atom_value(atom: Atom, values: Mapping[str, int]) -> int:
    if isinstance(atom, Symbol):
        return values[atom.name]
    if isinstance(atom, Function):
        numbers = (dim if isinstance(dim, int) else dim.evaluate(values) for dim in atom.arguments)
        return FUNCTIONS[atom.name](*numbers)
    return atom.numerator.evaluate(values) // atom.denominator.evaluate(values)
