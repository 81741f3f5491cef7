"""What compiling a model did: counts, times, evidence.  `build` is the part that goes into the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from graphopt.ops.facts import facts_of
from graphopt.ops.table import meaning_of
from graphopt.program import Program, StepKind


@dataclass(frozen=True, slots=True)
class Evidence:
    """The compiled model against what its source means, on seeded inputs."""

    checked: bool
    worst_difference: float | None = None
    """Largest difference of any output element, relative to the largest element of that output; None: not measured."""
    comparisons: int = 0
    """Values of the model that were compared, each with what the operators before it should make of theirs."""
    share: float = 0.0
    """The largest error among them, as a share of what rounding allows there."""
    seeds: tuple[int, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    """What the symbolic dimensions were, by name."""
    reason: str = ""
    """Why it was not checked, or with fewer seeds than usual."""


@dataclass(frozen=True, slots=True)
class StepCounts:
    """How the steps of a program are computed."""

    steps: int
    native: int
    alias: int
    settled: int
    """Steps that shapes alone decide: computed once while binding, never when a request runs."""
    meanings: Mapping[str, int]
    """Operators that run their meaning in Python, with how often."""
    reference: tuple[str, ...]
    """Operators that only onnx's reference knows: running them imports onnx."""

    @classmethod
    def of(cls, program: Program) -> StepCounts:
        """The counts of a program, subprograms included."""
        settled = _settled(program)
        steps = [step for step in program.walk() if id(step) not in settled]
        named = [(f"{step.domain}::{step.op}" if step.domain else step.op, step) for step in steps]
        meanings = Counter(name for name, step in named if step.kind is StepKind.MEANING)
        unknown = {n for n, s in named if s.kind is StepKind.MEANING and meaning_of(s.op, s.domain) is None}
        return cls(
            steps=len(steps) + len(settled),
            native=sum(step.kind is StepKind.KERNEL for step in steps),
            alias=sum(step.kind is StepKind.ALIAS for step in steps),
            settled=len(settled),
            meanings=dict(sorted(meanings.items())),
            reference=tuple(sorted(unknown)),
        )


def _settled(program: Program) -> set[int]:
    """The identities of the steps whose outputs follow from shapes and constants, subprograms included."""
    known = {i for i, value in enumerate(program.values) if value.weight is not None}
    found: set[int] = set()
    for step in program.steps:
        for sub in step.subprograms:
            found |= _settled(sub.program)
        facts = facts_of(step.op, step.domain)
        if facts is None or not facts.deterministic or step.subprograms or meaning_of(step.op, step.domain) is None:
            continue
        if facts.shape_only or (step.inputs and all(value is None or value in known for value in step.inputs)):
            found.add(id(step))
            known.update(step.writes())
    return found


@dataclass(slots=True)
class CompileReport:
    """`Compiled.report` of a model that was compiled in this process."""

    nodes_before: int
    nodes_after: int
    rewrites: tuple[tuple[str, int], ...]
    """Rewrites in the order in which they first applied, with how often."""
    counts: Mapping[str, StepCounts]
    """By target."""
    target: str
    """The target that runs here."""
    evidence: Evidence
    seconds: dict[str, float]
    """By phase."""
    nbytes: dict[str, int]
    """By file of the bundle."""
    build: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    """What the reader changed so that the model can be read, a sentence each."""

    @property
    def steps(self) -> int:
        """Steps of the program that runs here."""
        return self.counts[self.target].steps

    @property
    def native(self) -> int:
        """Steps that native code computes."""
        return self.counts[self.target].native

    @property
    def not_native(self) -> Mapping[str, int]:
        """Operators that run in Python, with how often."""
        return self.counts[self.target].meanings

    @property
    def worst_difference(self) -> float | None:
        """Against the reference; None where it was not checked."""
        return self.evidence.worst_difference

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "nodes": {"before": self.nodes_before, "after": self.nodes_after},
            "rewrites": [{"name": name, "count": count} for name, count in self.rewrites],
            "counts": {target: asdict(counts) for target, counts in self.counts.items()},
            "target": self.target,
            "evidence": asdict(self.evidence),
            "seconds": dict(self.seconds),
            "bytes": dict(self.nbytes),
            "notes": list(self.notes),
        }
