"""The language of elementwise kernels: a chain of scalar operators as canonical text.

    i0:float32,i1:float32;t0=Add(i0,i1);t1=LeakyRelu(t0,alpha=0.01);t1

Inputs with their dtypes; one step a statement, with operands (`i0` an input, `t0` a step, `0.5:float32` a literal, `_`
one left out) and attributes; at last the outputs.  The text is the parameter of the kernel's spec, so equal chains
share machine code.  Operators have ONNX's names and meaning; imports numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

FLOATS = frozenset({"float16", "float32", "float64"})
SIGNED = frozenset({"int8", "int16", "int32", "int64"})
UNSIGNED = frozenset({"uint8", "uint16", "uint32", "uint64"})
NUMBERS = FLOATS | SIGNED | UNSIGNED
DTYPES = NUMBERS | {"bool"}

Scalar: TypeAlias = int | float | str


@dataclass(frozen=True, slots=True)
class Literal:
    """A number that is part of the code."""

    value: int | float
    dtype: str

    def __str__(self) -> str:
        return f"{self.value!r}:{self.dtype}"


Argument: TypeAlias = int | Literal | None
"""A position (the inputs first, then the steps), a literal, or None for an operand left out."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of a chain."""

    op: str
    arguments: tuple[Argument, ...]
    attributes: tuple[tuple[str, Scalar], ...]
    dtype: str
    """Of its result."""

    def attribute(self, name: str) -> Any:
        """The value of an attribute."""
        return dict(self.attributes)[name]


@dataclass(frozen=True, slots=True)
class Chain:
    """A straight-line scalar program, applied to every element."""

    inputs: tuple[str, ...]
    """Their dtypes."""
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def dtype(self, position: int) -> str:
        """The dtype of an input or a step."""
        count = len(self.inputs)
        return self.inputs[position] if position < count else self.steps[position - count].dtype

    @property
    def text(self) -> str:
        """The canonical text."""
        count = len(self.inputs)

        def name(argument: Argument) -> str:
            if isinstance(argument, int):
                return f"i{argument}" if argument < count else f"t{argument - count}"
            return "_" if argument is None else str(argument)

        parts = [",".join(f"i{i}:{dtype}" for i, dtype in enumerate(self.inputs))]
        for i, step in enumerate(self.steps):
            words = [name(a) for a in step.arguments] + [f"{k}={v!r}" for k, v in step.attributes]
            parts.append(f"t{i}={step.op}({','.join(words)})")
        return ";".join([*parts, ",".join(name(o) for o in self.outputs)])


@dataclass(frozen=True, slots=True)
class Rule:
    """What a chain knows of an operator: how many operands, of which dtypes, and its attributes' defaults."""

    least: int
    most: int
    dtypes: frozenset[str]
    result: str = "same"
    """`same` as the operands, `bool`, or `to` for the attribute of that name."""
    defaults: tuple[tuple[str, Scalar], ...] = ()


def _rules() -> dict[str, Rule]:
    many, integers = 2**31, SIGNED | UNSIGNED
    table: dict[str, Rule] = {}

    def add(names: str, rule: Rule) -> None:
        table.update(dict.fromkeys(names.split(), rule))

    add("Add Sub Mul Div", Rule(2, 2, NUMBERS))
    add("Pow", Rule(2, 2, NUMBERS))
    add("Max Min Sum Mean", Rule(1, many, NUMBERS))
    add("Neg", Rule(1, 1, FLOATS | SIGNED))
    add("Abs Sign", Rule(1, 1, NUMBERS))
    add("Sqrt Reciprocal Exp Log Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh Asinh Acosh Atanh", Rule(1, 1, FLOATS))
    add("Sigmoid Erf HardSwish Softplus Softsign Mish Floor Ceil Round", Rule(1, 1, FLOATS))
    add("Relu", Rule(1, 1, FLOATS | SIGNED))
    add("Identity", Rule(1, 1, DTYPES))
    add("PRelu", Rule(2, 2, NUMBERS))
    add("Clip", Rule(1, 3, NUMBERS))
    add("IsNaN", Rule(1, 1, FLOATS, "bool"))
    add("Not", Rule(1, 1, frozenset({"bool"})))
    add("And Or Xor", Rule(2, 2, frozenset({"bool"})))
    add("Equal", Rule(2, 2, DTYPES, "bool"))
    add("Less Greater LessOrEqual GreaterOrEqual", Rule(2, 2, NUMBERS, "bool"))
    add("Where", Rule(3, 3, DTYPES))
    add("BitwiseNot", Rule(1, 1, integers))
    add("BitwiseAnd BitwiseOr BitwiseXor", Rule(2, 2, integers))
    one: tuple[tuple[str, Scalar], ...] = (("alpha", 1.0),)
    table |= {
        "Mod": Rule(2, 2, NUMBERS, defaults=(("fmod", 0),)),
        "LeakyRelu": Rule(1, 1, FLOATS, defaults=(("alpha", 0.01),)),
        "Elu": Rule(1, 1, FLOATS, defaults=one),
        "Celu": Rule(1, 1, FLOATS, defaults=one),
        "ThresholdedRelu": Rule(1, 1, FLOATS, defaults=one),
        "Swish": Rule(1, 1, FLOATS, defaults=one),
        "Selu": Rule(
            1, 1, FLOATS, defaults=(("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875))
        ),
        "HardSigmoid": Rule(1, 1, FLOATS, defaults=(("alpha", 0.2), ("beta", 0.5))),
        "Shrink": Rule(1, 1, NUMBERS, defaults=(("bias", 0.0), ("lambd", 0.5))),
        "Gelu": Rule(1, 1, FLOATS, defaults=(("approximate", "none"),)),
        "IsInf": Rule(1, 1, FLOATS, "bool", (("detect_negative", 1), ("detect_positive", 1))),
        "BitShift": Rule(2, 2, UNSIGNED, defaults=(("direction", "LEFT"),)),
        "Cast": Rule(1, 1, DTYPES, "to", (("to", "float32"),)),
    }
    return table


RULES = _rules()
"""By operator."""


def step_of(
    op: str, arguments: Sequence[Argument], dtypes: Sequence[str], attributes: Mapping[str, Any]
) -> Step | None:
    """The step, with every attribute spelt out; None where the operator is not known for these dtypes.

    `dtypes` are those of the arguments, "" where one is left out.  Attributes unknown to the operator are dropped.
    """
    rule = RULES.get(op)
    if rule is None or not rule.least <= len(arguments) <= rule.most:
        return None
    given = [dtype for dtype in (dtypes[1:] if op == "Where" else dtypes) if dtype]
    same = len(set(given)) == 1 or op == "Pow"
    if not same or not rule.dtypes.issuperset(given) or (op == "Where" and dtypes[0] != "bool"):
        return None
    spelt = tuple((name, _spelt(attributes.get(name, default), default)) for name, default in rule.defaults)
    if op == "Mod" and given[0] in FLOATS and not dict(spelt)["fmod"]:
        return None
    result = {"same": given[0], "bool": "bool", "to": str(dict(spelt).get("to", ""))}[rule.result]
    return Step(op, tuple(arguments), spelt, result) if result in DTYPES else None


def _spelt(value: Any, default: Scalar) -> Scalar:
    """An attribute in its canonical form: floats are float32 in ONNX."""
    if isinstance(default, str):
        return value.decode() if isinstance(value, bytes) else str(value)
    return float(np.float32(value)) if isinstance(default, float) else int(value)


def chain_of(
    inputs: Sequence[str | np.dtype],
    steps: Sequence[tuple[str, Mapping[str, Any], Sequence[int | np.generic | None]]],
    outputs: Sequence[int],
) -> Chain | None:
    """A chain from plain tuples (operator, attributes, operands); None where a step is not known for its dtypes.

    An operand is a position (the inputs first, then the steps), a numpy scalar that becomes part of the code, or None.
    """
    dtypes = [np.dtype(dtype).name if not isinstance(dtype, str) else dtype for dtype in inputs]
    if not DTYPES.issuperset(dtypes):
        return None
    built: list[Step] = []
    for op, attributes, operands in steps:
        arguments = tuple(_argument(operand) for operand in operands)
        if any(isinstance(a, Literal) and a.dtype not in DTYPES for a in arguments):
            return None
        step = step_of(op, arguments, [_dtype(a, dtypes) for a in arguments], attributes)
        if step is None:
            return None
        built.append(step)
        dtypes.append(step.dtype)
    return Chain(tuple(dtypes[: len(inputs)]), tuple(built), tuple(outputs))


def _argument(operand: int | np.generic | None) -> Argument:
    if isinstance(operand, np.generic):
        return Literal(operand.item(), operand.dtype.name)
    return operand


def _dtype(argument: Argument, dtypes: Sequence[str]) -> str:
    if isinstance(argument, int):
        return dtypes[argument]
    return "" if argument is None else argument.dtype


@lru_cache(maxsize=4096)
def parse(text: str) -> Chain:
    """The chain of a canonical text; ValueError where it is not one."""
    head, *statements, tail = text.split(";")
    inputs = tuple(part.partition(":")[2] for part in head.split(",")) if head else ()
    dtypes = list(inputs)
    steps: list[Step] = []
    for i, statement in enumerate(statements):
        name, _, call = statement.partition("=")
        op, _, words = call.removesuffix(")").partition("(")
        plain = [word for word in words.split(",") if "=" not in word]
        named = dict(word.split("=", 1) for word in words.split(",") if "=" in word)
        arguments = tuple(_parsed(word, len(inputs)) for word in plain)
        values = {key: value.strip("'") if value.startswith("'") else float(value) for key, value in named.items()}
        step = step_of(op, arguments, [_dtype(a, dtypes) for a in arguments], values)
        if step is None or name != f"t{i}":
            raise ValueError(f"{statement!r} is not a step of an elementwise chain")
        steps.append(step)
        dtypes.append(step.dtype)
    outputs = [_parsed(word, len(inputs)) for word in tail.split(",")]
    chain = Chain(inputs, tuple(steps), tuple(o for o in outputs if isinstance(o, int)))
    if chain.text != text:
        raise ValueError(f"{text!r} is not the canonical text of an elementwise chain")
    return chain


def _parsed(word: str, inputs: int) -> Argument:
    if word == "_":
        return None
    number, colon, dtype = word.partition(":")
    if not colon:
        return int(word[1:]) + (0 if word.startswith("i") else inputs)
    if dtype == "bool":
        return Literal(number == "True", dtype)
    return Literal(float(number) if dtype in FLOATS else int(number), dtype)
