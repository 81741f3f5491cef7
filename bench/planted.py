"""Of errors planted in real models, how many the check of `compile` notices; and whether it alarms on right ones.

    python -m bench.planted                           every model of the corpus, three errors of each kind
    python -m bench.planted dtln_1 magika --count 10  some models, ten of each kind
    options: --count N  --kinds KIND,…  --seed S  --json

Each error is made in the ONNX model, before it is compiled; the compiled result is then checked against the model as
it was, as `compile` checks: same inputs, same budget.  `right` is the model itself: it has to pass.  Kinds:

    weight     one element of a weight negated
    bias       one channel's bias dropped
    channels   two channels of a weight exchanged
    epsilon    the epsilon of a normalisation halved
    pad        a window moved by one place: a pad on the wrong side
    relu       an activation dropped
    axis       the axis of a Softmax, a reduction or a Concat exchanged
    scale      all weights of one layer times 1.001
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from bench import corpus
from graphopt.compiler import compile as compile_model
from graphopt.compiler.evidence import gather
from graphopt.errors import CompileError, GraphoptError
from graphopt.frontend import read_onnx
from graphopt.infer import infer_types

PRODUCTS = {"Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU", "ConvInteger", "MatMulInteger", "Gather"}
BIASES = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "BatchNormalization": 2, "LayerNormalization": 2}

Plant = Callable[[], "str | None"]
"""Makes one error in a model; gives where, None where there is nothing to spoil."""


@dataclass(slots=True)
class Tally:
    """What became of the errors of one kind in one model."""

    planted: int = 0
    noticed: int = 0
    refused: int = 0
    """Planted models that do not compile or run at all."""
    missed: list[str] = field(default_factory=list[str])


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and all graphs inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from graphs_of(attribute.g)
            for inner in attribute.graphs:
                yield from graphs_of(inner)


class Spoiler:
    """Plants errors in a copy of a model."""

    def __init__(self, model: onnx.ModelProto, rng: np.random.Generator) -> None:
        self.model = model
        self.rng = rng
        self.nodes = [node for graph in graphs_of(model.graph) for node in graph.node]
        self.tensors: dict[str, onnx.TensorProto] = {}
        for graph in graphs_of(model.graph):
            self.tensors |= {tensor.name: tensor for tensor in graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self.tensors[node.output[0]] = node.attribute[0].t

    def spoil(self, kind: str) -> str | None:
        """Plant one error of a kind; gives where."""
        return getattr(self, f"_{kind}")()

    def _pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))] if items else None

    def _weights(self) -> list[tuple[onnx.NodeProto, str]]:
        found: list[tuple[onnx.NodeProto, str]] = []
        for node in self.nodes:
            names = node.input[:1] if node.op_type == "Gather" else node.input
            found += [
                (node, name)
                for name in (names if node.op_type in PRODUCTS else ())
                if name in self.tensors and len(self.tensors[name].dims) > 1 and _is_float(self.tensors[name])
            ]
        return found

    def _change(self, name: str, change: Callable[[np.ndarray], None]) -> None:
        tensor = self.tensors[name]
        array = numpy_helper.to_array(tensor).copy()
        change(array)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    def _weight(self) -> str | None:
        picked = self._pick(self._weights())
        if picked is None:
            return None
        node, name = picked
        array = numpy_helper.to_array(self.tensors[name])
        places = np.flatnonzero(array)
        if not len(places):
            return None
        place = int(self.rng.choice(places))
        self._change(name, lambda a: a.reshape(-1).__setitem__(place, -a.reshape(-1)[place]))
        return f"{node.op_type} {name}[{place}] = {array.reshape(-1)[place]:.3g}"

    def _bias(self) -> str | None:
        found = [
            (node, node.input[slot])
            for node in self.nodes
            for slot in [BIASES.get(node.op_type, -1)]
            if 0 <= slot < len(node.input) and node.input[slot] in self.tensors
        ]
        found += [
            (node, name)
            for node in self.nodes
            if node.op_type == "Add"
            for name in node.input
            if name in self.tensors and np.prod(self.tensors[name].dims) > 1 and _is_float(self.tensors[name])
        ]
        picked = self._pick(found)
        if picked is None:
            return None
        node, name = picked
        places = np.flatnonzero(numpy_helper.to_array(self.tensors[name]))
        if not len(places):
            return None
        place = int(self.rng.choice(places))
        was = numpy_helper.to_array(self.tensors[name]).reshape(-1)[place]
        self._change(name, lambda a: a.reshape(-1).__setitem__(place, 0))
        return f"{node.op_type} {name}[{place}] = {was:.3g}"

    def _channels(self) -> str | None:
        picked = self._pick([(n, name) for n, name in self._weights() if self.tensors[name].dims[0] > 1])
        if picked is None:
            return None
        node, name = picked
        a, b = self.rng.choice(self.tensors[name].dims[0], 2, replace=False)
        before = numpy_helper.to_array(self.tensors[name])
        if np.array_equal(before[a], before[b]):
            return None
        self._change(name, lambda x: x.__setitem__([a, b], x[[b, a]]))
        return f"{node.op_type} {name} {a} ↔ {b}"

    def _scale(self) -> str | None:
        picked = self._pick(self._weights())
        if picked is None:
            return None
        self._change(picked[1], lambda a: a.__setitem__(..., (a * 1.001).astype(a.dtype)))
        return f"{picked[0].op_type} {picked[1]}"

    def _epsilon(self) -> str | None:
        node = self._pick([n for n in self.nodes if "Normalization" in n.op_type and n.op_type != "LpNormalization"])
        if node is None:
            return None
        held = next((a for a in node.attribute if a.name == "epsilon"), None)
        before = 1e-5 if held is None else held.f
        if held is None:
            node.attribute.append(onnx.helper.make_attribute("epsilon", before / 2))
        else:
            held.f = before / 2
        return f"{node.op_type} {node.name}"

    def _pad(self) -> str | None:
        found = [
            (node, held)
            for node in self.nodes
            if node.op_type in ("Conv", "MaxPool", "AveragePool")
            for held in node.attribute
            if held.name == "pads" and any(held.ints[len(held.ints) // 2 :])
        ]
        picked = self._pick(found)
        if picked is None:
            return None
        node, held = picked
        half = len(held.ints) // 2
        axis = self._pick([i for i in range(half) if held.ints[half + i]])
        held.ints[axis] += 1
        held.ints[half + axis] -= 1
        return f"{node.op_type} {node.name}"

    def _relu(self) -> str | None:
        node = self._pick([n for n in self.nodes if n.op_type in ("Relu", "LeakyRelu", "HardSigmoid", "Sigmoid")])
        if node is None:
            return None
        was = node.op_type
        node.op_type = "Identity"
        del node.attribute[:]
        return f"{was} {node.name}"

    def _axis(self) -> str | None:
        found = [
            (node, held)
            for node in self.nodes
            if node.op_type in ("Softmax", "LogSoftmax", "ReduceMean", "ReduceSum", "ReduceMax", "Concat", "ArgMax")
            for held in node.attribute
            if held.name in ("axis", "axes")
        ]
        picked = self._pick(found)
        if picked is None:
            return None
        node, held = picked
        if held.name == "axis":
            held.i = held.i - 1 if held.i > 0 else held.i + 1 if held.i == 0 else held.i - 1
        else:
            held.ints[0] = held.ints[0] - 1 if held.ints[0] > 0 else held.ints[0] + 1
        return f"{node.op_type} {node.name}"


KINDS = ("weight", "bias", "channels", "epsilon", "pad", "relu", "axis", "scale")


def _is_float(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)


def tally(name: str, kinds: Sequence[str], count: int, seed: int) -> tuple[str, dict[str, Tally]]:
    """What the check says of a model itself (empty: it passes), and what became of the errors of each kind."""
    source = onnx.load(corpus.path(name))
    reference = read_onnx(source)
    infer_types(reference)
    right = _alarm(reference, source)[1]
    found: dict[str, Tally] = {}
    for kind in kinds:
        tallied = found.setdefault(kind, Tally())
        for place in range(count):
            model = onnx.ModelProto()
            model.CopyFrom(source)
            where = Spoiler(model, np.random.default_rng([seed, KINDS.index(kind), place])).spoil(kind)
            if where is None:
                continue
            tallied.planted += 1
            ran, alarm = _alarm(reference, model)
            tallied.refused += not ran
            if alarm:
                tallied.noticed += 1
            else:
                tallied.missed.append(where)
    return right, found


def _alarm(reference: Any, model: onnx.ModelProto) -> tuple[bool, str]:
    """Whether the model compiles and runs, and what the check has against it as a version of the reference."""
    try:
        compiled = compile_model(model, check=False, threads=1, targets=["x86-64-v3"])
    except GraphoptError as error:
        return False, str(error)
    executor = compiled._executor  # pyright: ignore[reportPrivateUsage]  # as `compile` calls the check, with another graph
    try:
        evidence = gather(reference, executor.program, executor.weights, executor.kernels)
    except CompileError as error:
        return True, str(error)
    return evidence.checked, "" if evidence.checked else evidence.reason


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.planted", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    total = Tally()
    for name in options.models or corpus.NAMES:
        start = time.perf_counter()
        right, found = tally(name, options.kinds.split(","), options.count, options.seed)
        for tallied in found.values():
            total.planted += tallied.planted
            total.noticed += tallied.noticed
        if options.json:
            kinds = {
                kind: {"planted": t.planted, "noticed": t.noticed, "missed": t.missed} for kind, t in found.items()
            }
            print(json.dumps({"model": name, "alarm": right, "kinds": kinds}), flush=True)
            continue
        cells = "  ".join(f"{kind} {t.noticed}/{t.planted}" for kind, t in found.items())
        print(f"{name:24} {'ALARM' if right else 'right'}  {cells}  ({time.perf_counter() - start:.0f} s)", flush=True)
        for kind, tallied in found.items():
            for where in tallied.missed:
                print(f"{'':24} missed: {kind}: {where}", flush=True)
        if right:
            print(f"{'':24} {right}", flush=True)
    if not options.json:
        print(
            f"{total.noticed} of {total.planted} planted errors noticed ({total.noticed / max(total.planted, 1):.1%})"
        )


if __name__ == "__main__":
    main()
