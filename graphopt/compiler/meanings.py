"""Whether every step of a program can be computed at all: natively, by our meaning, or by onnx's reference."""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.errors import CompileError
from graphopt.ops.table import ENTRY_POINTS, meaning_of
from graphopt.program import Program, StepKind

_LAID_OUT = "com.microsoft.nchwc"
"""Convolutions on blocks of channels, as wide as the vectors of the processor that ONNX Runtime ran on."""
_MOST = 8
"""Operators that a message names."""


def check_meanings(program: Program) -> None:
    """Return when somebody knows every operator; CompileError, naming all that nobody knows, when not.

    A model with such an operator can be read, optimised and written: there the operator is kept as it is.
    """
    unknown: dict[tuple[str, str], str] = {}
    for step in program.walk():
        key = (step.domain, step.op)
        if step.kind is not StepKind.MEANING or key in unknown or meaning_of(step.op, step.domain) is not None:
            continue
        if not _reference_knows(step.op, step.domain, program.version(step.domain)):
            unknown[key] = step.name
    if not unknown:
        return
    named = [f"{_qualified(*key)}{f' (node {name!r})' if name else ''}" for key, name in unknown.items()]
    if all(domain == _LAID_OUT for domain, _ in unknown):
        raise CompileError(
            f"graphopt cannot compute {_listed(named)}: their weights are laid out for the processor on which ONNX "
            "Runtime wrote the model, and the model does not say for which; let it write the model at the level "
            "ORT_ENABLE_EXTENDED"
        )
    raise CompileError(
        f"graphopt cannot compute {_listed(named)}: register a meaning for each in a module that is an entry point of "
        f"{ENTRY_POINTS!r} (docs/custom-operators.md), or leave these operators to another runtime, with the model "
        "that `graphopt optimize` writes"
    )


def _qualified(domain: str, op: str) -> str:
    return f"{domain}::{op}" if domain else op


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:_MOST])
    if len(names) > _MOST:
        shown.append(f"{len(names) - _MOST} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _reference_knows(op: str, domain: str, version: int) -> bool:
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    node = helper.make_node(op, [], [], domain=domain)
    model = helper.make_model(
        helper.make_graph([node], "call", [], []), opset_imports=[helper.make_opsetid(domain, version)]
    )
    try:
        ReferenceEvaluator(model)
    except (NotImplementedError, ImportError):
        return False
    except (RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError):
        return True  # it knows the operator, and misses its attributes
    return True
