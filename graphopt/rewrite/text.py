"""Graphs as text: a stable, canonical picture, in which two graphs that differ only in names and order look alike.

To write a graph down, use ONNX's own textual syntax and the reader (`graphopt.testing.rewrites` does); this is the
other direction, for comparing and for people.  Values are numbered in the order in which the outputs need them,
constants stand where they are used, attributes are sorted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

import numpy as np

from graphopt.ir import Attribute, Constant, Graph, Node, Value

_SHOWN_ELEMENTS = 16
_ELEMENTS = re.compile(r"(\b\w+\[[\d, ]*\])(?:\([^()]*\)|#[0-9a-f]+)")
_ANONYMOUS = re.compile(r"\?[^\],*+/() ]+")


def show(graph: Graph, *, elements: bool = True) -> str:
    """The graph as text, one operator a line, dead ones last; equal for graphs that differ in names and order alone.

    With `elements=False` a constant shows its type only.
    """
    text = "\n".join(_lines(graph, {})) + "\n"
    return text if elements else _ELEMENTS.sub(r"\1", text)


def _lines(graph: Graph, outer: dict[str, str]) -> Iterator[str]:
    label: dict[Value, str] = {value: f"%{value.name}" for value in graph.inputs}
    label |= {value: outer.get(value.name, f"^{value.name}") for value in graph.captures}
    numbers = iter(range(len(graph.net)))
    inputs = ", ".join(
        f"{label[v]}: {v.type}" + (f" = {_constant(graph.defaults[v])}" if v in graph.defaults else "")
        for v in graph.inputs
    )
    yield f"({inputs}) {{"
    for node in _in_need_order(graph):
        left: list[str] = []
        for value in graph.outputs_of(node):
            if value is not None:
                label[value] = f"%{next(numbers)}"
            left.append("_" if value is None else f"{label[value]}{_type(value)}")
        right = [_operand(value, label) for value in graph.inputs_of(node)]
        yield f"  {', '.join(left)} = {node.qualified_op}({', '.join(right)}){_attributes(graph, node, label)}"
    returned = zip(graph.output_names, graph.outputs, strict=True)
    yield f"  return {', '.join(f'{name}={_operand(value, label)}' for name, value in returned)}"
    yield "}"


def _in_need_order(graph: Graph) -> Iterable[Node]:
    order: dict[Node, None] = {}
    roots = [graph.producer(value) for value in graph.outputs] + graph.sorted_nodes()
    for root in roots:
        stack = [] if root is None else [root]
        while stack:
            node = stack[-1]
            operands = [*graph.inputs_of(node), *graph.captures_of(node).values()]
            before = [p for v in operands if v is not None and (p := graph.producer(v)) is not None and p not in order]
            if before and node not in order:
                stack.append(before[0])
                continue
            stack.pop()
            order[node] = None
    return order


def _type(value: Value) -> str:
    """The type, where it says something; an anonymous dimension is a `?`, its name tells of the node it came from."""
    return "" if value.type is None else f": {_ANONYMOUS.sub('?', str(value.type))}"


def _operand(value: Value | None, label: dict[Value, str]) -> str:
    if value is None:
        return "_"
    return label[value] if value.constant is None else _constant(value.constant)


def _attributes(graph: Graph, node: Node, label: dict[Value, str]) -> str:
    captured = {key: _operand(value, label) for key, value in graph.captures_of(node).items()}
    shown = [f"{key}={_attribute(node.attributes[key], captured)}" for key in sorted(node.attributes)]
    return f" {{{', '.join(shown)}}}" if shown else ""


def _attribute(attribute: Attribute, captured: dict[str, str]) -> str:
    items = attribute.value if isinstance(attribute.value, tuple) else (attribute.value,)
    shown = [_plain(item, captured) for item in items]
    return f"[{', '.join(shown)}]" if isinstance(attribute.value, tuple) else shown[0]


def _plain(item: object, captured: dict[str, str]) -> str:
    if isinstance(item, Graph):
        return "\n    ".join(_lines(item, captured))
    if isinstance(item, Constant):
        return _constant(item)
    return repr(item.decode(errors="backslashreplace") if isinstance(item, bytes) else item)


def _constant(constant: Constant) -> str:
    head = f"{constant.dtype}[{', '.join(map(str, constant.shape))}]"
    elements = constant.array()
    if elements.size > _SHOWN_ELEMENTS:
        content = repr(elements.tolist()).encode() if elements.dtype.hasobject else elements.tobytes()
        return f"{head}#{hashlib.sha256(content).hexdigest()[:12]}"
    return f"{head}({', '.join(repr(item) for item in np.ravel(elements).tolist())})"
