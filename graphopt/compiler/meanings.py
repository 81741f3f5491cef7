"""Whether every step of a program can be computed at all: natively, by our meaning, or by onnx's reference."""

from __future__ import annotations

from graphopt.errors import CompileError
from graphopt.ops.table import meaning_of
from graphopt.program import Program, StepKind


def check_meanings(program: Program) -> None:
    """Return when somebody knows every operator; CompileError, naming the first that nobody knows, when not.

    A model with such an operator can be read, optimised and written: there the operator is kept as it is.
    """
    for step in program.walk():
        known = step.kind is not StepKind.MEANING or meaning_of(step.op, step.domain) is not None
        if not known and not _reference_knows(step.op, step.domain, program.version(step.domain)):
            name = f"{step.domain}::{step.op}" if step.domain else step.op
            where = f" (node {step.name!r})" if step.name else ""
            raise CompileError(f"operator {name}{where} has no meaning here, so the model cannot be run")


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
