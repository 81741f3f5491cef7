"""Operators that run graphs: If, Loop, Scan, SequenceMap, FlexAttention, and the compiler's own Elementwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from graphopt.check.flex_attention import flex_attention
from graphopt.errors import ModelError
from graphopt.ir.types import Type
from graphopt.ops.table import Call

if TYPE_CHECKING:
    from graphopt.ir.graph import Graph

Run: TypeAlias = Callable[[Call], "tuple[Any, ...]"]


@runtime_checkable
class Counting(Protocol):
    """What runs operators and grants no more than so many of them, and so many turns of loops without any."""

    def __call__(self, call: Call) -> tuple[Any, ...]: ...

    def turn(self) -> None:
        """Count one, or raise to end the run."""
        ...


Control: TypeAlias = Callable[[Call, Mapping[str, Any], Mapping[str, int], Run], "tuple[Any, ...]"]
"""(call, captured values by name, opsets of the outer graph, what runs the operators inside) → outputs."""


@dataclass(frozen=True, slots=True)
class Body:
    """A compiled subgraph, which stands in a call's attributes where a graph would; it has its captures already."""

    run: Callable[[Sequence[Any]], list[Any]]
    inputs: tuple[Type | None, ...]
    output_names: tuple[str, ...]
    output_types: tuple[Type | None, ...]


def control_of(op: str, domain: str = "") -> Control | None:
    """The meaning of an operator that runs the graphs in its attributes; None for all others."""
    return _CONTROLS.get((domain, op))


def _run(
    call: Call, name: str, inputs: Sequence[Any], captured: Mapping[str, Any], opsets: Mapping[str, int], run: Run
) -> list[Any]:
    graph: Graph | Body = call.attributes[name]
    if len(inputs) < len(graph.inputs):
        raise ModelError(f"{call.op}: {name} takes {len(graph.inputs)} inputs and is given {len(inputs)}")
    if isinstance(run, Counting):
        run.turn()
    if isinstance(graph, Body):
        return graph.run(inputs[: len(graph.inputs)])
    from graphopt.check.interpreter import evaluate  # on demand: it stands on this module

    return evaluate(graph, dict(zip(graph.inputs, inputs, strict=False)), captured, opsets, disturb=run)


def _if(call: Call, captured: Mapping[str, Any], opsets: Mapping[str, int], run: Run) -> tuple[Any, ...]:
    branch = "then_branch" if np.asarray(call.inputs[0]).reshape(-1)[0] else "else_branch"
    return tuple(_run(call, branch, (), captured, opsets, run))


def _loop(call: Call, captured: Mapping[str, Any], opsets: Mapping[str, int], run: Run) -> tuple[Any, ...]:
    body: Graph | Body = call.attributes["body"]
    limit = None if call.input(0) is None else int(np.asarray(call.input(0)).reshape(-1)[0])
    going = True if call.input(1) is None else bool(np.asarray(call.input(1)).reshape(-1)[0])
    state = list(call.inputs[2:])
    rows: list[list[Any]] = []
    turn = 0
    while going and (limit is None or turn < limit):
        given = [np.array(turn, np.int64), np.array(going), *state]
        results = _run(call, "body", given, captured, opsets, run)
        going = bool(np.asarray(results[0]).reshape(-1)[0])
        state = results[1 : 1 + len(state)]
        rows.append(results[1 + len(state) :])
        turn += 1
    scans = [_stack([row[i] for row in rows], body, 1 + len(state) + i) for i in range(_scans(call, body, state))]
    return (*state, *scans)


def _scans(call: Call, body: Graph | Body, state: Sequence[Any]) -> int:
    return len(body.output_names) - 1 - len(state)


def _stack(rows: Sequence[Any], body: Graph | Body, slot: int, axis: int = 0) -> np.ndarray:
    if rows:
        return np.stack(rows, axis)
    from graphopt.ir.types import TensorType

    declared = body.output_types[slot]  # no turn was taken: the type alone says what an empty result looks like
    if not isinstance(declared, TensorType) or declared.dtype is None:
        raise ModelError(f"the scan output {body.output_names[slot]!r} of a loop that never runs has no declared type")
    shape = [dim if isinstance(dim, int) else 0 for dim in declared.shape or ()]
    shape.insert(axis, 0)
    return np.zeros(shape, declared.dtype.numpy)


def _scan(call: Call, captured: Mapping[str, Any], opsets: Mapping[str, int], run: Run) -> tuple[Any, ...]:
    if call.version < 9:
        return _scan_8(call, captured, opsets, run)
    return _scan_9(call, call.inputs, captured, opsets, run)


def _scan_9(
    call: Call, inputs: Sequence[Any], captured: Mapping[str, Any], opsets: Mapping[str, int], run: Run
) -> tuple[Any, ...]:
    body: Graph | Body = call.attributes["body"]
    scanned = int(call.attributes["num_scan_inputs"])
    states = len(inputs) - scanned
    state, sequences = list(inputs[:states]), list(inputs[states:])
    made = len(body.output_names) - states
    back_in = call.attributes.get("scan_input_directions", (0,) * scanned)
    back_out = call.attributes.get("scan_output_directions", (0,) * made)
    axes_in = call.attributes.get("scan_input_axes", (0,) * scanned)
    axes_out = call.attributes.get("scan_output_axes", (0,) * made)
    sequences = [np.moveaxis(s, axis, 0) for s, axis in zip(sequences, axes_in, strict=True)]
    sequences = [s[::-1] if back else s for s, back in zip(sequences, back_in, strict=True)]
    if len({len(s) for s in sequences}) != 1:
        raise ModelError(f"Scan: its inputs have unequal lengths {[len(s) for s in sequences]}")
    rows: list[list[Any]] = []
    for turn in range(len(sequences[0])):
        given = [*state, *(np.asarray(s[turn]) for s in sequences)]
        results = _run(call, "body", given, captured, opsets, run)
        state = results[:states]
        rows.append(results[states:])
    scans: list[Any] = []
    for i in range(made):
        column = [row[i] for row in rows]
        axis = int(axes_out[i])
        if axis < 0 and column:
            axis += column[0].ndim + 1
        scans.append(_stack(column[::-1] if back_out[i] else column, body, states + i, axis))
    return (*state, *scans)


def _scan_8(call: Call, captured: Mapping[str, Any], opsets: Mapping[str, int], run: Run) -> tuple[Any, ...]:
    """Opset 8: a batch axis first, the scanned axis second, and (optionally) the length of each batch entry."""
    lengths, inputs = call.inputs[0], call.inputs[1:]
    attributes = {**call.attributes, "scan_input_directions": call.attributes.get("directions")}
    attributes = {k: v for k, v in attributes.items() if v is not None}
    one = Call(call.op, call.domain, 9, attributes, inputs, call.outputs)
    states = len(inputs) - int(call.attributes["num_scan_inputs"])
    batch: list[tuple[Any, ...]] = []
    for b in range(len(inputs[0])):
        end = None if lengths is None else int(lengths[b])
        given = [value[b] if i < states else value[b][:end] for i, value in enumerate(inputs)]
        batch.append(_scan_9(one, given, captured, opsets, run))
    longest = inputs[-1].shape[1]
    columns = [[_padded(row[i], longest) if i >= states else row[i] for row in batch] for i in range(len(batch[0]))]
    return tuple(np.stack(column) for column in columns)


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    return np.pad(array, [(0, length - len(array)), *[(0, 0)] * (array.ndim - 1)])


def _sequence_map(call: Call, captured: Mapping[str, Any], opsets: Mapping[str, int], run: Run) -> tuple[Any, ...]:
    rows: list[list[Any]] = []
    for turn in range(len(call.inputs[0])):
        given = [value[turn] if isinstance(value, list) else value for value in call.inputs]
        rows.append(_run(call, "body", given, captured, opsets, run))
    return tuple([row[i] for row in rows] for i in range(call.outputs))


def _elementwise(call: Call, captured: Mapping[str, Any], opsets: Mapping[str, int], run: Run) -> tuple[Any, ...]:
    return tuple(_run(call, "body", call.inputs, captured, opsets, run))


def _flex_attention(call: Call, captured: Mapping[str, Any], opsets: Mapping[str, int], run: Run) -> tuple[Any, ...]:
    return flex_attention(call, lambda name, x: np.asarray(_run(call, name, [x], captured, opsets, run)[0]))


_CONTROLS: dict[tuple[str, str], Control] = {
    ("", "If"): _if,
    ("", "Loop"): _loop,
    ("", "Scan"): _scan,
    ("", "SequenceMap"): _sequence_map,
    ("ai.onnx.preview", "FlexAttention"): _flex_attention,
    ("ai.graphopt", "Elementwise"): _elementwise,
}
