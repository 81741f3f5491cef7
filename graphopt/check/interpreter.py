"""The reference interpreter: a `Graph` run operator by operator, by meaning alone.

It is what every rewrite and every compiled model is compared with, so it is kept plain: nodes in topological
order, each value dropped after its last use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.control import control_of
from graphopt.errors import GraphoptError, InputError, ModelError
from graphopt.ir.types import TensorType
from graphopt.ops.call import call_of, elements
from graphopt.ops.table import Call

if TYPE_CHECKING:
    from graphopt.ir.graph import Graph, Node, Value


def interpret(
    graph: Graph, feeds: Mapping[str, Any], run: Callable[[Call], tuple[Any, ...]] = run_call
) -> dict[str, Any]:
    """The outputs of a graph by name, for inputs by name.

    Inputs that have a default may be left out.  InputError for a missing or unknown name, a wrong dtype or rank or
    a dimension other than the declared number; ModelError where an operator has no meaning or cannot take its inputs.
    `run` applies the operators; it may raise to end the run.
    """
    outputs = evaluate(graph, bind(graph, feeds), {}, graph.opsets, disturb=run)
    return dict(zip(graph.output_names, outputs, strict=True))


def bind(graph: Graph, feeds: Mapping[str, Any]) -> dict[Value, Any]:
    """The inputs of a graph with what each is fed or defaults to, checked; errors as `interpret` says."""
    known = {value.name for value in graph.inputs}
    unknown = [name for name in feeds if name not in known]
    if unknown:
        raise InputError(f"the model has no input {unknown[0]!r}; its inputs are {sorted(known)}")
    bound: dict[Value, Any] = {}
    for value in graph.inputs:
        if value.name in feeds:
            bound[value] = _checked(value, feeds[value.name])
        elif value in graph.defaults:
            bound[value] = elements(graph.defaults[value])
        else:
            raise InputError(f"input {value.name!r} ({value.type or 'of unknown type'}) is missing")
    return bound


def evaluate(
    graph: Graph,
    bound: Mapping[Value, Any],
    captured: Mapping[str, Any],
    opsets: Mapping[str, int],
    watch: Callable[[Node, tuple[Any, ...]], None] | None = None,
    disturb: Callable[[Call], tuple[Any, ...]] | None = None,
) -> list[Any]:
    """The outputs of a graph, in order, for bound inputs and captured values by name.

    `opsets` serve a subgraph that imports none of its own; `watch` sees each node's outputs as they are made;
    `disturb` runs the operators instead of `run_call` (those inside subgraphs too).
    """
    opsets = {**opsets, **graph.opsets}
    state: dict[Value, Any] = dict(bound)
    for value in graph.captures:
        state[value] = captured[value.name]
    left = {value: len(graph.uses(value)) for value in graph.values()}

    def read(value: Value | None) -> Any:
        if value is None:
            return None
        if value.constant is not None:
            return elements(value.constant)
        return state[value]

    for node in graph.sorted_nodes():
        slots = graph.inputs_of(node)
        inside = graph.captures_of(node)
        made = graph.outputs_of(node)
        call = call_of(node, [read(v) for v in slots], len(made), opsets)
        results = _apply(node, call, {k: read(v) for k, v in inside.items()}, opsets, disturb or run_call)
        if watch is not None:
            watch(node, results)
        for value, result in zip(made, results, strict=False):
            if value is not None and left[value]:
                state[value] = result
        for value in [*slots, *inside.values()]:
            if value is not None:
                left[value] -= 1
                if not left[value]:
                    state.pop(value, None)
    return [read(value) for value in graph.outputs]


def _apply(
    node: Node,
    call: Call,
    captured: Mapping[str, Any],
    opsets: Mapping[str, int],
    run: Callable[[Call], tuple[Any, ...]],
) -> tuple[Any, ...]:
    control = control_of(node.op, node.domain)
    try:
        results = run(call) if control is None else control(call, captured, opsets, run)
    except GraphoptError as error:
        where = node.name or (node.source[0] if node.source else "")
        raise ModelError(f"at {node.qualified_op}{f' {where!r}' if where else ''}: {error}") from error
    if len(results) < call.outputs:
        raise ModelError(f"{node.qualified_op} gave {len(results)} of {call.outputs} outputs")
    return results


def _checked(value: Value, fed: Any) -> Any:
    type = value.type
    if not isinstance(type, TensorType):
        return fed
    array = np.asarray(fed)
    if type.dtype is not None and array.dtype != type.dtype.numpy and array.dtype.kind not in "US":
        raise InputError(f"input {value.name!r} is {type}, got {array.dtype}{list(array.shape)}")
    if type.shape == () and array.size == 1:
        array = array.reshape(())  # numpy's own functions turn scalars into arrays of one element
    if type.shape is not None:
        fits = len(type.shape) == array.ndim and all(
            not isinstance(dim, int) or dim == size for dim, size in zip(type.shape, array.shape, strict=True)
        )
        if not fits:
            raise InputError(f"input {value.name!r} is {type}, got {array.dtype}{list(array.shape)}")
    return array.astype(object) if array.dtype.kind in "US" else array
