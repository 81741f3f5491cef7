"""What a kernel may compute along with a product or convolution: a bias, a residual, Relu or Clip.

The epilogue is read off the operators that follow, as long as each is the only one that looks at the value before it.
A fused elementwise node counts as the operators in its body, when the epilogue can take all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import TensorType
from graphopt.lower.select.site import dtype_of
from graphopt.ops.call import plain_attributes


@dataclass(slots=True)
class Epilogue:
    """What was taken so far."""

    bias: Value | None = None
    residual: Value | None = None
    activation: Mapping[str, Any] = field(default_factory=dict[str, Any])
    absorbed: list[Node] = field(default_factory=list[Node])


def epilogue_of(graph: Graph, value: Value, taken: AbstractSet[Node], *, bias_fits: bool) -> Epilogue:
    """The longest epilogue after the value, of operators not `taken`.

    `bias_fits` says that a constant that broadcasts may become a bias.
    """
    found = Epilogue()
    current = value
    while not found.activation:
        uses = graph.uses(current)
        if len(uses) != 1 or uses[0].node is graph.sink or not isinstance(uses[0].slot, int):
            break
        node = uses[0].node
        if node in taken:
            break
        made = graph.outputs_of(node)
        if len(made) != 1 or made[0] is None or not _same_type(current, made[0]):
            break
        steps = _operators(graph, node, current)
        if steps is None or not _take(found, steps, current, bias_fits=bias_fits):
            break
        found.absorbed.append(node)
        current = made[0]
    return found


@dataclass(frozen=True, slots=True)
class _Operator:
    """One operator of a straight line, with its other operands as values of the outer graph."""

    op: str
    others: tuple[Value | None, ...]
    attributes: Mapping[str, Any]


def _operators(graph: Graph, node: Node, current: Value) -> list[_Operator] | None:
    """The node, or the body of a fused node, as a straight line from `current`; None when it is no straight line."""
    inputs = graph.inputs_of(node)
    if node.domain in ("", "ai.onnx"):
        if sum(value is current for value in inputs) != 1:
            return None
        line = _operator(node, inputs, current)
        return None if line is None else [line]
    body = node.get("body")
    if node.qualified_op != "ai.graphopt::Elementwise" or not isinstance(body, Graph):
        return None
    outer = dict(zip(body.inputs, inputs, strict=True))
    start = [inner for inner, value in outer.items() if value is current]
    if len(start) != 1:
        return None
    lines: list[_Operator] = []
    at = start[0]
    for inner in body.sorted_nodes():
        given = body.inputs_of(inner)
        made = body.outputs_of(inner)
        if len(made) != 1 or made[0] is None or len(body.uses(at)) != 1 or sum(v is at for v in given) != 1:
            return None
        line = _operator(inner, given, at)
        if line is None:
            return None
        others = tuple(None if v is None else v if v.constant is not None else outer.get(v) for v in line.others)
        if any(v is not None and o is None for v, o in zip(line.others, others, strict=True)):
            return None
        lines.append(_Operator(line.op, others, line.attributes))
        at = made[0]
    return lines if body.outputs == (at,) else None


def _operator(node: Node, inputs: tuple[Value | None, ...], at: Value) -> _Operator | None:
    if node.op == "Add" or (node.op == "Sum" and len(inputs) == 2):
        return _Operator("Add", tuple(value for value in inputs if value is not at), {})
    if node.op in ("Relu", "Clip") and inputs[0] is at:
        return _Operator(node.op, inputs[1:], plain_attributes(node.attributes))
    return None


def _take(found: Epilogue, steps: list[_Operator], current: Value, *, bias_fits: bool) -> bool:
    """Add the operators to the epilogue, all of them or none."""
    bias, residual, activation = found.bias, found.residual, dict(found.activation)
    for step in steps:
        if activation:
            return False
        match step.op:
            case "Add":
                (other,) = step.others
                if other is None or dtype_of(other) != dtype_of(current):
                    return False
                if bias_fits and bias is None and residual is None and _is_bias(other, current):
                    bias = other
                elif residual is None and _same_type(other, current):
                    residual = other
                else:
                    return False
            case "Relu":
                activation = {"activation": "Relu"}
            case _:
                bounds = _bounds(step, current)
                if bounds is None:
                    return False
                activation = {"activation": "Clip"} | bounds
    found.bias, found.residual, found.activation = bias, residual, activation
    return True


def _bounds(step: _Operator, current: Value) -> dict[str, float] | None:
    dtype = dtype_of(current)
    if dtype is None or dtype.name not in ("float32", "float64"):
        return None
    limits = np.finfo(dtype)  # ONNX: a bound that is left out is the type's lowest or largest finite number
    bounds = {"clip_low": float(limits.min), "clip_high": float(limits.max)}
    for name, key, value in zip(("min", "max"), ("clip_low", "clip_high"), (*step.others, None, None), strict=False):
        if value is not None:
            if value.constant is None or value.constant.shape not in ((), (1,)):
                return None
            bounds[key] = float(value.constant.array().reshape(-1)[0])
        elif name in step.attributes:
            bounds[key] = float(step.attributes[name])
    if any(np.isnan(bound) for bound in bounds.values()):
        return None
    return bounds if bounds["clip_low"] <= bounds["clip_high"] else None


def _is_bias(value: Value, current: Value) -> bool:
    """A constant that broadcasts to the value without making it larger: a row, or one number."""
    if value.constant is None or not isinstance(current.type, TensorType) or current.type.shape is None:
        return False
    shape = value.constant.shape
    wanted = current.type.shape
    if len(shape) > len(wanted) or not wanted:
        return False
    return all(dim == 1 for dim in shape[:-1]) and (not shape or shape[-1] in (1, wanted[-1]))


def _same_type(a: Value, b: Value) -> bool:
    """Whether two values surely have one dtype and one shape."""
    if not isinstance(a.type, TensorType) or not isinstance(b.type, TensorType):
        return False
    return a.type.dtype == b.type.dtype and a.type.shape is not None and a.type.shape == b.type.shape
