"""A model's functions: those that can be inlined, and those that must stay functions.

A function imports operator sets of its own.  Where its version gives one of its operators another schema than the
model's version, inlining would change what it means: such a function is kept, and its calls are nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from onnx import FunctionProto, ModelProto, NodeProto

from graphopt.errors import ModelError
from graphopt.frontend.schema import schema_of

FunctionKey = tuple[str, str, str]
"""(domain, name, overload)."""


@dataclass(frozen=True, slots=True)
class Functions:
    """What becomes of a model's functions."""

    inlined: dict[FunctionKey, FunctionProto]
    kept: list[FunctionProto]
    opsets: dict[str, int]
    """The model's imports, and those that inlined functions add."""


def choose_functions(model: ModelProto, opsets: Mapping[str, int]) -> Functions:
    """Sort a model's functions; ModelError when one is defined twice or calls itself."""
    functions: dict[FunctionKey, FunctionProto] = {}
    for function in model.functions:
        key = (_domain(function.domain), function.name, function.overload)
        if key in functions:
            raise ModelError(f"the model defines the function {function.domain}::{function.name} twice")
        functions[key] = function
    _check_recursion(functions)
    merged = dict(opsets)
    inlined: dict[FunctionKey, FunctionProto] = {}
    kept: dict[FunctionKey, FunctionProto] = {}
    for key, function in functions.items():
        if _means_the_same(function, merged):
            inlined[key] = function
            for entry in function.opset_import:
                merged.setdefault(_domain(entry.domain), entry.version)
        else:
            kept[key] = function
    for key in list(kept):
        kept.update({called: functions[called] for called in _reachable(key, functions)})
    for key in kept:
        merged.setdefault(key[0], 1)
    return Functions(inlined, list(kept.values()), merged)


def _means_the_same(function: FunctionProto, opsets: Mapping[str, int]) -> bool:
    own = {_domain(entry.domain): entry.version for entry in function.opset_import}
    for node in _all_nodes(function.node):
        domain = _domain(node.domain)
        version = own.get(domain)
        outside = opsets.get(domain, version)
        if version is None or outside is None or version == outside:
            continue
        inner, outer = schema_of(node.op_type, domain, version), schema_of(node.op_type, domain, outside)
        if inner != outer:
            return False
    return True


def _check_recursion(functions: Mapping[FunctionKey, FunctionProto]) -> None:
    done: set[FunctionKey] = set()
    for start in functions:
        path: dict[FunctionKey, Iterator[FunctionKey]] = {}
        current: FunctionKey | None = start
        while current is not None or path:
            if current is not None and current not in done:
                if current in path:
                    raise ModelError(f"the function {current[0]}::{current[1]} calls itself")
                path[current] = iter(sorted(_called(functions[current], functions)))
            last = next(reversed(path), None)
            if last is None:
                break
            current = next(path[last], None)
            if current is None:
                done.add(last)
                del path[last]


def _reachable(start: FunctionKey, functions: Mapping[FunctionKey, FunctionProto]) -> set[FunctionKey]:
    seen: set[FunctionKey] = set()
    queue = [start]
    while queue:
        for called in _called(functions[queue.pop()], functions):
            if called not in seen:
                seen.add(called)
                queue.append(called)
    return seen


def _called(function: FunctionProto, functions: Mapping[FunctionKey, FunctionProto]) -> set[FunctionKey]:
    keys = ((_domain(node.domain), node.op_type, node.overload) for node in _all_nodes(function.node))
    return {key for key in keys if key in functions}


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from _all_nodes(attribute.g.node)
            for graph in attribute.graphs:
                yield from _all_nodes(graph.node)


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
