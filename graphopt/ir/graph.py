"""The graph: operators and values on one `networkx.MultiDiGraph`, the single source of truth.

`net` is bipartite.  Its vertices are `Node`s and `Value`s; an edge value → node is a *use*, keyed by the
input slot it fills (so `Mul(x, x)` is two parallel edges); an edge node → value is a *definition*, keyed by
the output slot.  A use by a nested subgraph is an edge to the node that holds the subgraph, keyed by the
name under which the subgraph captures the value.  The graph's outputs are uses too, by one special node,
`sink`, so that replacing a value or looking for its users needs no second rule.

Iteration follows insertion, so the same steps give the same order whatever PYTHONHASHSEED.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, TypeAlias, cast

import networkx as nx

from graphopt.ir.attribute import Attribute
from graphopt.ir.constant import Constant
from graphopt.ir.types import TensorType, Type

Slot: TypeAlias = int | str
_Adjacency: TypeAlias = dict[Any, dict[Any, dict[Slot, Any]]]


@dataclass(slots=True, eq=False)
class Value:
    """What flows: a graph input, a constant, a capture from an outer graph, or a node's output."""

    name: str
    type: Type | None = None
    constant: Constant | None = None
    doc: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclass(slots=True, eq=False)
class Node:
    """One operator.  Its inputs and outputs are edges of the graph: ask `Graph.inputs_of`, `outputs_of`."""

    op: str
    domain: str = ""
    attributes: dict[str, Attribute] = field(default_factory=dict[str, Attribute])
    name: str = ""
    overload: str = ""
    doc: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    source: tuple[str, ...] = ()
    """Names of the nodes of the source model that this one stands for."""
    rules: tuple[str, ...] = ()
    """Names of the rewrites that made or changed it, in order."""
    extra: bytes = b""
    """What else the source's NodeProto says (device configurations), as a serialised NodeProto."""

    def get(self, name: str, default: Any = None) -> Any:
        """The plain value of an attribute (strings decoded), or the default when it is absent."""
        attribute = self.attributes.get(name)
        if attribute is None:
            return default
        return attribute.value.decode() if isinstance(attribute.value, bytes) else attribute.value

    @property
    def qualified_op(self) -> str:
        """`Conv`, or `com.microsoft::Gelu` outside the default domain."""
        return f"{self.domain}::{self.op}" if self.domain else self.op

    def __repr__(self) -> str:
        return f"<{self.qualified_op} {self.name!r}>"


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a value: the node, and the input slot (an int) or captured name (a str) it fills."""

    node: Node
    slot: Slot


class Graph:
    """A computation from `inputs` to outputs, changed only through the methods below.

    `defaults` holds the value of each input that the model also lists as an initializer: the caller may
    override it, so it is an input and never a constant.  `opsets` maps each imported domain to its version.
    """

    def __init__(self, name: str = "", opsets: Mapping[str, int] | None = None) -> None:
        self.net: nx.MultiDiGraph[Any] = nx.MultiDiGraph()
        self.sink = Node("graph.outputs", name="graph.outputs")
        self.net.add_node(self.sink)
        self.name = name
        self.opsets: dict[str, int] = dict(opsets or {})
        self.inputs: list[Value] = []
        self.captures: list[Value] = []
        self.output_names: list[str] = []
        self.output_types: list[Type | None] = []
        self.defaults: dict[Value, Constant] = {}
        self.doc = ""
        self.metadata: dict[str, str] = {}
        self.header: bytes = b""
        """The source ModelProto without its graph and inlined functions (producer, versions, metadata), serialised."""
        self.frame: bytes = b""
        """The source GraphProto's inputs and outputs as written there and its quantisation annotations, serialised."""
        self.notes: tuple[str, ...] = ()
        """What the reader changed so that the model can be read, a sentence each, for whoever compiles it."""
        self._taken: set[str] = set()
        self._counter: dict[str, int] = {}
        # networkx's own dictionaries, read and never written here: its views cost five times as much a look
        self._succ = cast(_Adjacency, vars(self.net)["_succ"])
        self._pred = cast(_Adjacency, vars(self.net)["_pred"])

    # ---- reading ------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return sum(1 for _ in self.nodes())

    def nodes(self) -> Iterator[Node]:
        """All operators, in insertion order."""
        return (v for v in self._pred if type(v) is Node and v is not self.sink)

    def values(self) -> Iterator[Value]:
        """All values, in insertion order."""
        return (v for v in self._pred if type(v) is Value)

    def sorted_nodes(self) -> list[Node]:
        """All operators, producers before users, otherwise in insertion order; ValueError on a cycle."""
        nodes = list(self.nodes())
        rank = {node: place for place, node in enumerate(nodes)}
        before = self._pred
        waiting = {node: len([value for value in before[node] if before[value]]) for node in nodes}
        ready = [place for place, node in enumerate(nodes) if not waiting[node]]
        order: list[Node] = []
        while ready:
            node = nodes[heappop(ready)]
            order.append(node)
            for value in self._succ[node]:
                for user in self._succ[value]:
                    if user is not self.sink:
                        waiting[user] -= 1
                        if not waiting[user]:
                            heappush(ready, rank[user])
        if len(order) != len(nodes):
            raise ValueError(f"graph {self.name!r} has a cycle")
        return order

    def inputs_of(self, node: Node) -> tuple[Value | None, ...]:
        """The values in the node's input slots, None where an optional input is left out."""
        return _in_order(self._pred[node])

    def captures_of(self, node: Node) -> dict[str, Value]:
        """What the node's subgraphs capture: the name inside → the value of this graph."""
        pairs = [(k, v) for v, edges in self._pred[node].items() for k in edges if isinstance(k, str)]
        return dict(sorted(pairs, key=lambda pair: pair[0]))

    def outputs_of(self, node: Node) -> tuple[Value | None, ...]:
        """The values the node defines, None where an optional output is left out."""
        return _in_order(self._succ[node])

    def producer(self, value: Value) -> Node | None:
        """The node that defines the value; None for inputs, constants and captures."""
        return next(iter(self._pred[value]), None)

    def uses(self, value: Value) -> list[Use]:
        """Every use, the graph's outputs among them (as uses by `sink`)."""
        return [Use(node, slot) for node, edges in self._succ[value].items() for slot in edges]

    def users_of(self, value: Value) -> KeysView[Node]:
        """The nodes that use the value, each once, `sink` among them when the graph returns it."""
        return self._succ[value].keys()

    def operands_of(self, node: Node) -> KeysView[Value]:
        """The values that the node uses, captured ones included, each once."""
        return self._pred[node].keys()

    def is_output(self, value: Value) -> bool:
        """Whether the graph returns the value."""
        return self.sink in self._succ[value]

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The returned values, in order; their interface names are `output_names`."""
        values = self.inputs_of(self.sink)
        return tuple(v for v in values if v is not None)

    def subgraphs_of(self, node: Node) -> Iterator[Graph]:
        """The graphs in the node's attributes (the branches of If, the bodies of Loop and Scan)."""
        for attribute in node.attributes.values():
            items = attribute.value if isinstance(attribute.value, tuple) else (attribute.value,)
            yield from (item for item in items if isinstance(item, Graph))

    # ---- changing -----------------------------------------------------------------------------------

    def fresh_name(self, hint: str = "t") -> str:
        """A value name nobody has in this graph: the hint itself when it is free."""
        hint = hint or "t"
        name = hint
        while name in self._taken:
            self._counter[hint] = self._counter.get(hint, 0) + 1
            name = f"{hint}_{self._counter[hint]}"
        self._taken.add(name)
        return name

    def is_free(self, name: str) -> bool:
        """Whether no value of this graph has the name."""
        return name not in self._taken

    def add_input(self, name: str, type: Type | None = None, default: Constant | None = None) -> Value:
        """A new graph input; its name is interface, so ValueError when it is taken."""
        if name in self._taken:
            raise ValueError(f"graph {self.name!r} already has a value named {name!r}")
        value = self._add(Value(self.fresh_name(name), type))
        self.inputs.append(value)
        if default is not None:
            self.defaults[value] = default
        return value

    def add_capture(self, name: str, type: Type | None = None) -> Value:
        """A value of the outer graph, under the name by which the outer node's edge is keyed."""
        value = self._add(Value(self.fresh_name(name), type))
        self.captures.append(value)
        return value

    def add_constant(self, constant: Constant, name: str = "c") -> Value:
        """A constant value."""
        type = TensorType(constant.dtype, tuple(constant.shape))
        return self._add(Value(self.fresh_name(name), type, constant))

    def add_node(
        self,
        op: str,
        inputs: Sequence[Value | None],
        outputs: int | Sequence[str | None] = 1,
        attributes: Mapping[str, object] | None = None,
        *,
        domain: str = "",
        name: str = "",
        types: Sequence[Type | None] = (),
        captures: Mapping[str, Value] | None = None,
        source: Iterable[str] = (),
        rules: Iterable[str] = (),
    ) -> tuple[Value, ...]:
        """A new operator; gives its output values (those asked for: None in `outputs` leaves one out)."""
        plain = {key: Attribute.of(value) for key, value in (attributes or {}).items()}
        node = Node(op, domain, plain, name, source=tuple(source), rules=tuple(rules))
        return self.insert_node(node, inputs, outputs, types=types, captures=captures)

    def insert_node(
        self,
        node: Node,
        inputs: Sequence[Value | None],
        outputs: int | Sequence[str | None] = 1,
        *,
        types: Sequence[Type | None] = (),
        captures: Mapping[str, Value] | None = None,
    ) -> tuple[Value, ...]:
        """Connect a node that is in no graph yet; otherwise as `add_node`."""
        hints = [node.name or node.op.lower()] * outputs if isinstance(outputs, int) else list(outputs)
        self.net.add_node(node)
        for slot, value in enumerate(inputs):
            if value is not None:
                self._use(value, node, slot)
        for key, value in (captures or {}).items():
            self._use(value, node, key)
        made: list[Value] = []
        for slot, hint in enumerate(hints):
            if hint is None:
                continue
            value = self._add(Value(self.fresh_name(hint), types[slot] if slot < len(types) else None))
            self.net.add_edge(node, value, key=slot)
            made.append(value)
        return tuple(made)

    def add_output(self, value: Value, name: str | None = None, type: Type | None = None) -> None:
        """Return the value, as the last output, under the interface name given (default: its own name)."""
        self._use(value, self.sink, len(self.output_names))
        self.output_names.append(value.name if name is None else name)
        self.output_types.append(type if type is not None else value.type)

    def set_input(self, node: Node, slot: Slot, value: Value | None) -> None:
        """Fill, replace or (with None) empty one input slot of a node, `sink` included."""
        for old, edges in list(self.net.pred[node].items()):
            if slot in edges:
                self.net.remove_edge(old, node, key=slot)
        if value is not None:
            self._use(value, node, slot)

    def replace_uses(self, old: Value, new: Value) -> list[Use]:
        """Let every use of `old` use `new`, graph outputs included; gives the uses that moved."""
        moved = self.uses(old)
        for use in moved:
            self.net.remove_edge(old, use.node, key=use.slot)
            self._use(new, use.node, use.slot)
        return moved

    def remove_node(self, node: Node) -> None:
        """Remove a node and the values it defines; ValueError when one of these is still used."""
        outputs = [value for value in self.outputs_of(node) if value is not None]
        for value in outputs:
            if self.net.succ[value]:
                raise ValueError(f"cannot remove {node}: its output {value} is still used")
        self.net.remove_nodes_from([node, *outputs])
        self._taken.difference_update(value.name for value in outputs)

    def remove_value(self, value: Value) -> None:
        """Remove an unused constant or capture; ValueError when it is used, produced or an input."""
        if self.net.succ[value] or self.net.pred[value] or value in self.inputs:
            raise ValueError(f"cannot remove {value}: it is used, produced by a node, or an input")
        self.captures = [v for v in self.captures if v is not value]
        self.net.remove_node(value)
        self._taken.discard(value.name)

    def rename_value(self, value: Value, name: str) -> None:
        """Give a value that is not a graph input a free name; ValueError when it is taken."""
        if name in self._taken or value in self.inputs:
            raise ValueError(f"cannot rename {value} to {name!r}")
        self._taken.discard(value.name)
        self._taken.add(name)
        value.name = name

    def copy(self) -> Graph:
        """An independent graph of the same meaning: nodes, values and subgraphs are new, constants shared."""
        twin = Graph(self.name, self.opsets)
        twin.doc, twin.metadata, twin.header, twin.frame = self.doc, dict(self.metadata), self.header, self.frame
        twin.notes = self.notes
        twin.net.remove_node(twin.sink)
        new: dict[object, Value | Node] = {}
        for vertex in self.net:
            new[vertex] = _twin(cast("Value | Node", vertex))
            twin.net.add_node(new[vertex])
        twin.sink = cast(Node, new[self.sink])
        twin.net.add_edges_from((new[u], new[v], key) for u, v, key in self.net.edges(keys=True))
        twin.inputs = [cast(Value, new[v]) for v in self.inputs]
        twin.captures = [cast(Value, new[v]) for v in self.captures]
        twin.defaults = {cast(Value, new[v]): c for v, c in self.defaults.items()}
        twin.output_names, twin.output_types = list(self.output_names), list(self.output_types)
        twin._taken, twin._counter = set(self._taken), dict(self._counter)
        return twin

    def _add(self, value: Value) -> Value:
        self.net.add_node(value)
        return value

    def _use(self, value: Value, node: Node, slot: Slot) -> None:
        if value not in self.net:
            raise ValueError(f"{value} does not belong to graph {self.name!r}")
        self.net.add_edge(value, node, key=slot)


def _in_order(edges: Mapping[Value, Mapping[Slot, object]]) -> tuple[Value | None, ...]:
    filled = {slot: value for value, slots in edges.items() for slot in slots if type(slot) is int}
    length = len(filled)
    if length and max(filled) >= length:
        length = max(filled) + 1
    return tuple([filled.get(slot) for slot in range(length)])


def _twin(vertex: Value | Node) -> Value | Node:
    if isinstance(vertex, Value):
        return Value(vertex.name, vertex.type, vertex.constant, vertex.doc, dict(vertex.metadata))
    twin = Node(vertex.op, vertex.domain, {}, vertex.name, vertex.overload, vertex.doc, dict(vertex.metadata))
    twin.source, twin.rules, twin.extra = vertex.source, vertex.rules, vertex.extra
    for name, attribute in vertex.attributes.items():
        value = attribute.value
        if isinstance(value, Graph):
            value = value.copy()
        elif isinstance(value, tuple) and any(isinstance(item, Graph) for item in value):
            value = tuple(item.copy() for item in value)
        twin.attributes[name] = Attribute(attribute.kind, value, attribute.doc)
    return twin
