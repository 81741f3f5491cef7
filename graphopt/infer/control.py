"""Control flow: what If, Loop and Scan give, from what their bodies give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from graphopt.errors import ModelError
from graphopt.infer.containers import apart
from graphopt.infer.join import join
from graphopt.ir.dim import Dim, Expr, symbol
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import SequenceType, Shape, TensorType, Type
from graphopt.ops.shape.operand import axis_in, same_dim, shape_of
from graphopt.ops.table import Inference

Types = tuple[Type | None, ...]
_ROUNDS = 8  # a dimension once unknown stays unknown, so a state settles after as many rounds as it has dimensions


class Walking(Protocol):
    """A walk over one graph, see `graphopt.infer.graph.Walk`."""

    elements: dict[Value, np.ndarray]

    def run(self, graph: Graph) -> None:
        """Infer all values of a graph."""


class NewWalk(Protocol):
    """Starts a walk whose anonymous dimensions begin with a prefix."""

    def __call__(self, prefix: str) -> Walking: ...


def infer_control(
    graph: Graph, node: Node, call: Inference, elements: Mapping[Value, np.ndarray], walk: NewWalk
) -> Types:
    """The output types of a node that holds graphs; the values inside them get their types too.

    All None for an operator we do not know: nothing is known then of what its bodies are given.
    """
    around = graph.captures_of(node)

    def run(body: Graph, types: Sequence[Type | None], known: Mapping[int, np.ndarray], label: str) -> Walking:
        inner = walk(f"{call.name}/{label}/")
        for capture in body.captures:
            outer = around[capture.name]
            capture.type = outer.type
            if outer in elements:
                inner.elements[capture] = elements[outer]
        for slot, (value, type) in enumerate(zip(body.inputs, types, strict=False)):
            value.type = type
            if slot in known:
                inner.elements[value] = known[slot]
        inner.run(body)
        return inner

    match f"{node.domain}::{node.op}" if node.domain else node.op:
        case "If":
            return _branches(call, run)
        case "Loop":
            return _loop(call, run)
        case "Scan":
            return _scan(call, run)
        case "SequenceMap":
            return _sequence_map(call, run)
        case _:
            return _unknown(call, run)


class _Run(Protocol):
    def __call__(
        self, body: Graph, types: Sequence[Type | None], known: Mapping[int, np.ndarray], label: str
    ) -> Walking: ...


def _branches(call: Inference, run: _Run) -> Types:
    """What both branches give in common.

    A branch that breaks its operators' specifications cannot be the one that runs (exporters leave such branches
    behind when an input's shape becomes fixed): then the other one decides.
    """
    results: list[Types] = []
    broken: list[ModelError] = []
    condition = call.values[0] if call.values else None
    for label, taken in (("then_branch", True), ("else_branch", False)):
        branch: Graph = call.attributes[label]
        if len(branch.outputs) != call.outputs:
            raise ModelError(f"If: its {label} gives {len(branch.outputs)} values for {call.outputs} outputs")
        try:
            run(branch, (), {}, label)
        except ModelError as error:
            broken.append(error)
            continue
        if condition is None or condition.dtype == object or bool(condition.all()) is taken:
            results.append(tuple(value.type for value in branch.outputs))
    if not results:
        raise broken[0]
    if len(results) == 1:
        return results[0]
    joined: list[Type | None] = []
    for slot, (a, b) in enumerate(zip(*results, strict=True)):
        _check_one_dtype(a, b, "the branches of If")
        joined.append(join(a, b, lambda axis, slot=slot: _fresh(call, slot, axis)))
    return tuple(joined)


def _loop(call: Inference, run: _Run) -> Types:
    body: Graph = call.attributes["body"]
    count = len(body.inputs) - 2
    if len(call.types) - 2 != count or len(body.outputs) != 1 + call.outputs:
        raise ModelError(
            f"Loop: the body takes {count} states and gives {len(body.outputs) - 1} values, "
            f"but the node has {len(call.types) - 2} states and {call.outputs} outputs"
        )
    counter = TensorType(DType.INT64, ())
    going = TensorType(DType.BOOL, ())
    states = _settle(call, body, run, (counter, going), call.types[2:], [1 + slot for slot in range(count)], ())
    results = [value.type for value in body.outputs[1:]]
    outputs: list[Type | None] = list(states)
    for slot in range(count, call.outputs):
        outputs.append(_stacked(results[slot], _fresh(call, slot, 0), 0, call, slot))
    return tuple(outputs)


def _scan(call: Inference, run: _Run) -> Types:
    body: Graph = call.attributes["body"]
    scanned = call.attributes["num_scan_inputs"]
    batched = call.version < 9  # then operand 0 is a vector of lengths and everything else has a batch axis in front
    if batched:
        return _unknown(call, run)
    count = len(call.types) - scanned
    if count < 0 or len(body.inputs) != len(call.types) or len(body.outputs) != call.outputs:
        raise ModelError(
            f"Scan: the body takes {len(body.inputs)} and gives {len(body.outputs)} values, "
            f"but the node has {len(call.types)} inputs and {call.outputs} outputs"
        )
    axes = call.attributes.get("scan_input_axes") or (0,) * scanned
    length: Dim | None = None
    slices: list[Type | None] = []
    for i in range(scanned):
        shape = shape_of(call, count + i)
        if shape is None:
            slices.append(call.types[count + i] and _without_shape(call.types[count + i]))
            continue
        axis = axis_in(call, axes[i], len(shape))
        length = shape[axis] if length is None else same_dim(call, length, shape[axis], "the scanned lengths")
        slices.append(_tensor(call.types[count + i], (*shape[:axis], *shape[axis + 1 :])))
    states = _settle(call, body, run, (), call.types[:count], list(range(count)), slices)
    results = [value.type for value in body.outputs]
    outputs: list[Type | None] = list(states)
    places = call.attributes.get("scan_output_axes") or (0,) * (call.outputs - count)
    for slot in range(count, call.outputs):
        along = _fresh(call, slot, 0) if length is None else length
        outputs.append(_stacked(results[slot], along, places[slot - count], call, slot))
    return tuple(outputs)


def _sequence_map(call: Inference, run: _Run) -> Types:
    """Sequences of what the body gives for one element of each sequence; other operands enter as they are."""
    body: Graph = call.attributes["body"]
    if len(body.inputs) != len(call.types) or len(body.outputs) != call.outputs:
        raise ModelError(
            f"SequenceMap: the body takes {len(body.inputs)} and gives {len(body.outputs)} values, "
            f"but the node has {len(call.types)} inputs and {call.outputs} outputs"
        )
    given: list[Type | None] = []
    for slot, type in enumerate(call.types):
        is_sequence = isinstance(type, SequenceType)
        given.append(apart(type.element, f"{call.name}/body/{slot}") if is_sequence else type)
    run(body, given, {}, "body")
    made = [apart(value.type, f"{call.name}.{slot}") for slot, value in enumerate(body.outputs)]
    return tuple(None if type is None else SequenceType(type) for type in made)


def _unknown(call: Inference, run: _Run) -> Types:
    """Nothing is known of what the bodies are given, whatever they declare."""
    for label, body in call.attributes.items():
        if isinstance(body, Graph):
            run(body, (None,) * len(body.inputs), {}, label)
    return (None,) * call.outputs


def _settle(
    call: Inference,
    body: Graph,
    run: _Run,
    before: Sequence[Type | None],
    initial: Sequence[Type | None],
    back: Sequence[int],
    after: Sequence[Type | None],
) -> Types:
    """The types of the states that hold in every round: what enters at first, widened by what the body gives back."""
    states = tuple(initial)
    for _ in range(_ROUNDS):
        run(body, (*before, *states, *after), {}, "body")
        given = [body.outputs[slot].type for slot in back]
        wider: list[Type | None] = []
        for slot, (a, b) in enumerate(zip(states, given, strict=True)):
            _check_one_dtype(a, b, f"a state of {call.op}")
            wider.append(join(a, b, lambda axis, slot=slot: _fresh(call, slot, axis)))
        if tuple(wider) == states:
            return states
        states = tuple(wider)
    states = tuple(None if state is None else _without_shape(state) for state in states)
    run(body, (*before, *states, *after), {}, "body")
    return states


def _stacked(type: Type | None, along: Dim, axis: int, call: Inference, slot: int) -> Type | None:
    if not isinstance(type, TensorType):
        return None
    if type.shape is None:
        return type
    axis = axis_in(call, axis, len(type.shape) + 1)
    inside = tuple(_outside(dim, call, slot, i) for i, dim in enumerate(type.shape))
    return TensorType(type.dtype, (*inside[:axis], along, *inside[axis:]))


def _outside(dim: Dim, call: Inference, slot: int, axis: int) -> Dim:
    """A dimension of a body's value as seen outside: one that the body names anew need not be the same each round."""
    if isinstance(dim, Expr) and any(name.startswith(f"?{call.name}/") for name in dim.symbols):
        return _fresh(call, slot, axis + 1)
    return dim


def _fresh(call: Inference, slot: int, axis: int) -> Expr:
    return symbol(f"?{call.name}.{slot}.{axis}")


def _tensor(type: Type | None, shape: Shape) -> Type | None:
    return TensorType(type.dtype, shape) if isinstance(type, TensorType) else None


def _without_shape(type: Type) -> Type | None:
    return TensorType(type.dtype) if isinstance(type, TensorType) else None


def _check_one_dtype(a: Type | None, b: Type | None, where: str) -> None:
    if isinstance(a, TensorType) and isinstance(b, TensorType) and a.dtype and b.dtype and a.dtype is not b.dtype:
        raise ModelError(f"{where} must have one element type, got {a.dtype} and {b.dtype}")
