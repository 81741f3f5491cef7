"""The lowered form of a model: a flat table of steps over values, with the constants in one block of bytes.

A `Program` knows no graph.  Its values are numbered; a step names the values it reads and writes by number, and says
how to compute them: by a native kernel, by the operator's meaning (numpy), as another view of the same bytes, or by
subprograms (If, Loop, Scan).  Every step carries the ONNX operator it stands for, so that binding can ask its shape
rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from graphopt.ir.dtype import DType
from graphopt.ir.types import Type
from graphopt_kernels.abi import KernelSpec


@dataclass(frozen=True, slots=True)
class Weight:
    """A constant in the weights block: `nbytes` from `offset`, aligned to 64.

    A `fill` stores one element, which stands for all.  Strings are stored as the int64 end of each, then their bytes.
    """

    offset: int
    nbytes: int
    dtype: DType
    shape: tuple[int, ...]
    fill: bool = False


@dataclass(frozen=True, slots=True)
class ValueInfo:
    """What is known of a value when the program is made: its name, its type, its elements if it is a constant.

    A constant of which only the packed form is kept has a type and no weight: its shape still counts for shape rules.
    """

    name: str
    type: Type | None = None
    weight: int | None = None


class StepKind(StrEnum):
    """How a step's outputs come about."""

    KERNEL = "kernel"
    """By native code."""
    ALIAS = "alias"
    """The first output is the first input's bytes under another shape: nothing happens."""
    MEANING = "meaning"
    """By the operator's meaning, on numpy arrays."""
    CONTROL = "control"
    """By running subprograms."""


@dataclass(frozen=True, slots=True)
class KernelCall:
    """Which native code computes a step, and the values it reads (packed weights take the place of the operator's)."""

    family: str
    specs: tuple[KernelSpec, ...]
    attributes: Mapping[str, Any]
    """Plain values for the family's binder."""
    inputs: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Subprogram:
    """A nested program: the attribute that held it, and which of our values each of its captures is."""

    attribute: str
    program: Program
    captures: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One operator."""

    kind: StepKind
    op: str
    domain: str
    attributes: Mapping[str, Any]
    """Plain values as `graphopt.ops.Call` has them, without subgraphs."""
    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    name: str = ""
    """Of the source node or nodes, for people."""
    kernel: KernelCall | None = None
    subprograms: tuple[Subprogram, ...] = ()
    absorbed: tuple[str, ...] = ()
    """Operators that the kernel computes along with this one, in order (a fused Add, Relu)."""

    @property
    def where(self) -> str:
        """The step as sentences name it: its operator, and its name where it has one."""
        return f"{self.op} {self.name!r}" if self.name else self.op

    def reads(self) -> Iterator[int]:
        """The values the step needs when it runs."""
        given = self.kernel.inputs if self.kernel is not None else self.inputs
        yield from (value for value in given if value is not None)
        for sub in self.subprograms:
            yield from sub.captures

    def writes(self) -> Iterator[int]:
        """The values the step defines."""
        return (value for value in self.outputs if value is not None)


@dataclass(frozen=True, slots=True)
class Output:
    """One result: the interface's name, the value that holds it."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Program:
    """A computation from `inputs` to `outputs`; steps stand in an order in which they can run."""

    name: str
    opsets: Mapping[str, int]
    values: tuple[ValueInfo, ...]
    inputs: tuple[int, ...]
    outputs: tuple[Output, ...]
    steps: tuple[Step, ...]
    defaults: Mapping[int, int] = field(default_factory=dict[int, int])
    """Inputs that may be left out: value → the weight that then stands for it."""
    captures: tuple[int, ...] = ()
    """Of a subprogram: the values it takes from the program around it."""

    def version(self, domain: str) -> int:
        """The opset version that the model imports for a domain; 1 where it names none."""
        return self.opsets.get(domain, self.opsets.get("ai.onnx", 1) if not domain else 1)

    def walk(self) -> Iterator[Step]:
        """Every step, those of subprograms after the step that holds them."""
        for step in self.steps:
            yield step
            for sub in step.subprograms:
                yield from sub.program.walk()


@dataclass(frozen=True, slots=True)
class Image:
    """Everything a bundle's `program` file says: programs, which target runs which, where the constants lie."""

    weights: tuple[Weight, ...]
    programs: tuple[Program, ...]
    targets: Mapping[str, int]
    """Target name → index of its program."""
    nbytes: int
    """Length of the weights block."""
