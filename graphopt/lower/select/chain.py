"""`ai.graphopt::Elementwise`: a body of elementwise operators becomes the text of one kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import TensorType
from graphopt.lower.select.site import Choice, Operand, Site, dtype_of
from graphopt.ops.call import plain_attributes
from graphopt_kernels.bind.table import family
from graphopt_kernels.chain import chain_of

CHAIN = "ai.graphopt::Elementwise"


def chain(site: Site) -> Choice | None:
    """One generated loop for the whole body; None when it holds what the kernels' language does not."""
    body = site.node.get("body")
    if not isinstance(body, Graph):
        return None
    text = _text(body, site)
    if text is None:
        return None
    dtypes = site.dtypes()
    attributes = {"body": text, "op": CHAIN, "version": site.version}
    specs = None if dtypes is None else family("elementwise").select(CHAIN, site.version, dtypes, attributes)
    if specs is None:
        return None
    operands = tuple(None if value is None else Operand(value) for value in site.inputs)
    made = [value.type for value in body.outputs]
    dtypes_made = tuple(int(type.dtype) for type in made if isinstance(type, TensorType) and type.dtype is not None)
    if len(dtypes_made) != len(made):
        return None
    return Choice("elementwise", specs, attributes, operands, facts={"dtypes": dtypes_made})


def _text(body: Graph, site: Site) -> str | None:
    names: list[str] = []
    place: dict[Value, int | np.generic] = {}
    for i, (inner, outer) in enumerate(zip(body.inputs, site.inputs, strict=True)):
        dtype = dtype_of(outer) if outer is not None else None
        if dtype is None:
            return None
        names.append(dtype.name)
        place[inner] = i
    steps: list[tuple[str, Mapping[str, Any], list[int | np.generic | None]]] = []
    for node in body.sorted_nodes():
        arguments: list[int | np.generic | None] = []
        for value in body.inputs_of(node):
            found = None if value is None else _place(value, place)
            if value is not None and found is None:
                return None
            arguments.append(found)
        attributes = _attributes(node)
        if node.op == "Clip" and len(arguments) == 1:  # before opset 11 the bounds are attributes
            operand = body.inputs_of(node)[0]
            dtype = None if operand is None else dtype_of(operand)
            if dtype is None:
                return None
            bounds = (attributes.pop(name, None) for name in ("min", "max"))
            arguments += [None if bound is None else dtype.type(bound) for bound in bounds]
        made = body.outputs_of(node)
        if len(made) != 1 or made[0] is None or node.domain not in ("", "ai.onnx"):
            return None
        place[made[0]] = len(names) + len(steps)
        steps.append((node.op, attributes, arguments))
    outputs = [place.get(value) for value in body.outputs]
    if not all(isinstance(position, int) for position in outputs):
        return None
    found = chain_of(names, steps, [position for position in outputs if isinstance(position, int)])
    return None if found is None else found.text


def _place(value: Value, place: dict[Value, int | np.generic]) -> int | np.generic | None:
    if value.constant is not None:
        array = value.constant.array()
        return array.reshape(-1)[0] if array.size == 1 else None
    return place.get(value)


def _attributes(node: Node) -> dict[str, Any]:
    attributes = plain_attributes(node.attributes)
    if node.op == "Cast":
        attributes = {"to": DType(attributes["to"]).numpy.name}
    return attributes
