"""Models of opset 1 to 6, brought to opset 7: what changed are attributes, and how the second operand broadcasts.

onnx's own converter does not do it for open dimensions, comparisons or recurrent operators, nor for the simplest case
of an operand that is aligned at an axis.  What cannot be said in opset 7, or rests on a rank that is not known, is
refused by the name of its node.  What is not of the standard's own domain stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import EncodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from graphopt.errors import ModelError

RAISED_TO = 7

_BROADCASTING = frozenset(["Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Less", "Greater", "Equal", "PRelu"])
_SELU = {"alpha": 1.6732, "gamma": 1.0507}
"""The defaults before opset 6."""


def raise_opset(model: ModelProto) -> tuple[ModelProto, str]:
    """A model of opset 7 that computes the same, and the sentence that says so; ModelError where there is none.

    The model given is not changed.
    """
    raised = _copy(model)
    if not raised.opset_import:
        raised.opset_import.add(version=1)  # before IR version 3, nothing said so
    standard = [entry for entry in raised.opset_import if entry.domain in ("", "ai.onnx")]
    version = standard[0].version
    ranks = _inferred(model) if any(_needs_ranks(node) for node in _all_nodes(model.graph)) else model.graph
    _Raiser(version).graph(raised.graph, _Ranks(ranks))
    for entry in standard:
        entry.version = RAISED_TO
    return raised, f"the model was of opset {version} and is read as one of opset {RAISED_TO}"


def is_older(model: ModelProto) -> bool:
    """Whether a model must be raised before it is read."""
    versions = {entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")}
    if not versions:
        return model.ir_version < 3 and not model.opset_import
    return len(versions) == 1 and 0 < min(versions) < RAISED_TO  # two versions are refused by the reader


def _needs_ranks(node: NodeProto) -> bool:
    aligned = node.op_type in _BROADCASTING or node.op_type == "Gemm"
    return node.op_type == "Tile" or (aligned and any(attribute.name == "axis" for attribute in node.attribute))


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _all_nodes(attribute.g)


def _inferred(model: ModelProto) -> GraphProto:
    """The graph with the ranks that onnx infers, or as it is where onnx infers nothing."""
    try:
        return onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError, RuntimeError, EncodeError):
        return model.graph


@dataclass(slots=True)
class _Ranks:
    """How many dimensions the values of a graph have, as far as that is known, and which are constants."""

    graph: GraphProto
    outer: _Ranks | None = None
    shapes: dict[str, int] = field(default_factory=dict[str, int])
    constants: dict[str, TensorProto] = field(default_factory=dict[str, TensorProto])

    def __post_init__(self) -> None:
        for info in (*self.graph.input, *self.graph.value_info, *self.graph.output):
            if info.type.tensor_type.HasField("shape"):
                self.shapes[info.name] = len(info.type.tensor_type.shape.dim)
        for tensor in self.graph.initializer:
            self.constants[tensor.name] = tensor
        for node in self.graph.node:
            if node.op_type == "Constant" and node.output:
                self.constants.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
        self.shapes.update({name: len(tensor.dims) for name, tensor in self.constants.items()})

    def rank(self, name: str) -> int | None:
        """The rank of a value; None when it is not known."""
        found = self.shapes.get(name)
        return self.outer.rank(name) if found is None and self.outer is not None else found

    def constant(self, name: str) -> np.ndarray | None:
        """The elements of a constant that stands in the model; None for anything else."""
        tensor = self.constants.get(name)
        if tensor is None:
            return None if self.outer is None else self.outer.constant(name)
        outside = tensor.data_location == TensorProto.EXTERNAL
        return None if outside else numpy_helper.to_array(tensor)


class _Raiser:
    """Rewrites nodes in place; `version` is the opset that they are of."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.made = 0

    def graph(self, graph: GraphProto, ranks: _Ranks) -> None:
        """Raise every node of a graph and of the graphs inside it."""
        nodes: list[NodeProto] = []
        for node, twin in zip(graph.node, ranks.graph.node, strict=True):
            for attribute, other in zip(node.attribute, twin.attribute, strict=False):
                if attribute.type == AttributeProto.GRAPH:
                    self.graph(attribute.g, _Ranks(other.g, ranks))
            if node.domain in ("", "ai.onnx"):
                nodes += self._raised(node, ranks)
            nodes.append(node)
        kept = [_copy(node) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)

    def _raised(self, node: NodeProto, ranks: _Ranks) -> Iterator[NodeProto]:
        """Change the node; gives the nodes that must stand before it."""
        attributes = {attribute.name: attribute for attribute in node.attribute}
        _drop(node, "consumed_inputs")
        if node.op_type in _BROADCASTING or node.op_type == "Gemm":
            yield from self._broadcast(node, attributes, ranks)
        change = _CHANGES.get(node.op_type)
        if change is not None:
            yield from change(self, node, attributes, ranks)

    def _broadcast(
        self, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
    ) -> Iterator[NodeProto]:
        """The second operand was aligned at `axis`; now axes of 1 after it do that."""
        _drop(node, "broadcast", "axis")
        axis = attributes.get("axis")
        if axis is None or axis.i == -1 or len(node.input) < 2:
            return  # aligned at the end, as now
        whole, part = ranks.rank(node.input[0]), ranks.rank(node.input[1])
        if whole is None or part is None:
            raise _refused(node, f"where its second operand is aligned (axis {axis.i}) needs ranks that are not known")
        place = axis.i + whole if axis.i < 0 else axis.i
        after = whole - place - part
        if place < 0 or after < 0:
            raise _refused(node, f"an operand of rank {part} does not fit one of rank {whole} at axis {axis.i}")
        if after:
            name = self._name(node, "aligned")
            axes = list(range(part, part + after))
            yield helper.make_node("Unsqueeze", [node.input[1]], [name], axes=axes)
            node.input[1] = name

    def constant(self, node: NodeProto, array: np.ndarray, what: str) -> tuple[NodeProto, str]:
        """A node that gives a constant, and the name of its output."""
        name = self._name(node, what)
        return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array)), name

    def _name(self, node: NodeProto, what: str) -> str:
        self.made += 1
        return f"{node.output[0] if node.output else node.op_type}/opset7/{what}{self.made}"


_Change = Callable[[_Raiser, NodeProto, Mapping[str, AttributeProto], _Ranks], Iterator[NodeProto]]
_CHANGES: MutableMapping[str, _Change] = {}


def _change(*ops: str) -> Callable[[_Change], _Change]:
    def add(change: _Change) -> _Change:
        _CHANGES.update(dict.fromkeys(ops, change))
        return change

    return add


@_change("BatchNormalization", "Dropout")
def _inference(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    """Where `is_test` is left out, the model is read as at inference, as onnx's converter does."""
    if "is_test" in attributes and not attributes["is_test"].i:
        raise _refused(node, "it is training (is_test is 0), which opset 7 has not")
    _drop(node, "is_test")
    yield from ()


@_change("Reshape")
def _reshape(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    if "shape" in attributes:
        constant, name = raiser.constant(node, np.array(attributes["shape"].ints, np.int64), "shape")
        _drop(node, "shape")
        node.input.append(name)
        yield constant


@_change("Cast")
def _cast(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    to = attributes.get("to")
    if to is not None and to.type == AttributeProto.STRING:
        name = to.s.decode("utf-8", "replace").upper()
        number = dict(TensorProto.DataType.items()).get(name)
        if number is None:
            raise _refused(node, f"there is no element type {name!r}")
        _set(node, "to", int(number))
    yield from ()


@_change("Concat")
def _concat(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    if "axis" not in attributes:
        _set(node, "axis", 1)
    yield from ()


@_change("Pad")
def _pad(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    if "paddings" in attributes:
        _drop(node, "paddings")
        _set(node, "pads", list(attributes["paddings"].ints))
    yield from ()


@_change("Upsample")
def _upsample(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    if "height_scale" in attributes and "width_scale" in attributes:
        _drop(node, "height_scale", "width_scale")
        _set(node, "scales", [1.0, 1.0, attributes["height_scale"].f, attributes["width_scale"].f])
    yield from ()


@_change("Split")
def _split(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    if len(node.input) > 1:
        sizes = ranks.constant(node.input[1])
        if sizes is None:
            raise _refused(node, "the sizes of its parts are no constant")
        del node.input[1:]
        _drop(node, "split")
        _set(node, "split", [int(size) for size in sizes.reshape(-1)])
    yield from ()


@_change("Tile")
def _tile(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    if raiser.version < 6 and len(node.input) == 3:
        tiles, axis = (ranks.constant(name) for name in node.input[1:])
        rank = ranks.rank(node.input[0])
        if tiles is None or axis is None or rank is None:
            raise _refused(node, "its tiles and axis are no constants, or the rank of its operand is not known")
        repeats, place = np.ones(rank, np.int64), int(axis.reshape(-1)[0])
        if not -rank <= place < rank:
            raise _refused(node, f"axis {place} is outside the {rank} dimensions of its operand")
        repeats[place] = int(tiles.reshape(-1)[0])
        constant, name = raiser.constant(node, repeats, "repeats")
        del node.input[1:]
        node.input.append(name)
        yield constant


@_change("LpPool", "GlobalLpPool")
def _lp_pool(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    power = attributes.get("p")
    if power is not None and power.type == AttributeProto.FLOAT:
        if power.f != int(power.f):
            raise _refused(node, f"its power is {power.f:g}, and opset 7 has whole ones")
        _set(node, "p", int(power.f))
    yield from ()


@_change("Selu")
def _selu(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    for name, value in _SELU.items():
        if raiser.version < 6 and name not in attributes:
            _set(node, name, value)
    yield from ()


@_change("RNN", "GRU", "LSTM")
def _recurrent(
    raiser: _Raiser, node: NodeProto, attributes: Mapping[str, AttributeProto], ranks: _Ranks
) -> Iterator[NodeProto]:
    _drop(node, "output_sequence")  # whether Y is there is for its name to say
    yield from ()


def _refused(node: NodeProto, why: str) -> ModelError:
    label = node.name or (node.output[0] if node.output else "")
    return ModelError(f"{node.op_type} {label!r} cannot be brought to opset {RAISED_TO}: {why}")


def _drop(node: NodeProto, *names: str) -> None:
    kept = [_copy(attribute) for attribute in node.attribute if attribute.name not in names]
    if len(kept) < len(node.attribute):
        del node.attribute[:]
        node.attribute.extend(kept)


def _set(node: NodeProto, name: str, value: Any) -> None:
    _drop(node, name)
    node.attribute.append(helper.make_attribute(name, value))


def _copy(proto: Any) -> Any:
    twin = type(proto)()
    twin.CopyFrom(proto)
    return twin
