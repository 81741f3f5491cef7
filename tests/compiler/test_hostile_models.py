"""A kilobyte that asks for everything: reading and compiling it ends in seconds, with one sentence or a bundle."""

from __future__ import annotations

import resource
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from graphopt.check import Budget, BudgetSpentError, interpret
from graphopt.check import budget as budgets
from graphopt.check.interpreter import bind
from graphopt.check.lockstep import Lockstep
from graphopt.compiler import optimize_graph
from graphopt.compiler.evidence import GRANTED
from graphopt.compiler.trials import Trial, draw, find_trial
from graphopt.errors import GraphoptError, ModelError
from graphopt.frontend import read_onnx
from graphopt.infer import infer_types
from graphopt.ops.table import Call

OPSET = [helper.make_opsetid("", 20)]
MEMORY = 4 << 30
"""Bytes that may be added to what the process has."""
HUGE = (2**36, 2**62, 2**63 - 1)


@pytest.fixture(autouse=True)
def little_memory() -> Generator[None]:
    """Whoever takes more than is stated gets MemoryError, and the machine goes on."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def constant(name: str, value: Any, dtype: Any = np.int64) -> TensorProto:
    return numpy_helper.from_array(np.array(value, dtype), name)


def model(
    nodes: Sequence[NodeProto],
    constants: Sequence[TensorProto] = (),
    shape: Sequence[Any] = ("N",),
    functions: Sequence[FunctionProto] = (),
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info("x", kind, shape), helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph(list(nodes), "g", infos[:1], infos[1:], list(constants))
    imports = [*OPSET, helper.make_opsetid("f", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, functions=list(functions))


def added(op: str, inputs: Sequence[str], **attributes: Any) -> list[NodeProto]:
    """What `op` gives, summed up and added to the input: it is needed, and in no output."""
    return [
        helper.make_node(op, inputs, ["k"], **attributes),
        helper.make_node("Cast", ["k"], ["kf"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["kf"], ["r"], keepdims=0),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]


def body(nodes: Sequence[NodeProto], state: Sequence[str], made: Sequence[str]) -> onnx.GraphProto:
    ins = [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("c", 9, [])]
    ins += [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in state]
    outs = [helper.make_tensor_value_info("c", 9, [])]
    outs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in made]
    return helper.make_graph(list(nodes), "body", ins, outs)


ONE, TRUE = constant("one", 1.0, np.float32), constant("t", True, np.bool_)
MODELS: dict[str, Callable[[int], onnx.ModelProto]] = {
    "ConstantOfShape": lambda n: model(added("ConstantOfShape", ["n"]), [constant("n", [n])]),
    "Expand": lambda n: model(added("Expand", ["one", "n"]), [constant("n", [n]), ONE]),
    "Expand of the input": lambda n: model(added("Expand", ["x", "n"]), [constant("n", [n])], [1]),
    "Tile": lambda n: model(added("Tile", ["x", "n"]), [constant("n", [n])]),
    "Range": lambda n: model(added("Range", ["a", "n", "b"]), [constant("n", n), constant("a", 0), constant("b", 1)]),
    "Pad": lambda n: model(added("Pad", ["x", "n"]), [constant("n", [0, n])]),
    "OneHot": lambda n: model(
        added("OneHot", ["i", "n", "v"]),
        [constant("n", n), constant("i", [0]), constant("v", [0, 1], np.float32)],
    ),
    "RandomNormal": lambda n: model(added("RandomNormal", [], shape=[n])),
    "HannWindow": lambda n: model(added("HannWindow", ["n"]), [constant("n", n)]),
    "Resize": lambda n: model(added("Resize", ["x", "", "", "n"]), [constant("n", [n])], [2]),
    "ConvTranspose": lambda n: model(
        added("ConvTranspose", ["x", "w"], strides=[n // 4]), [constant("w", [[[1.0, 1.0]]], np.float32)], [1, 1, 8]
    ),
    "AveragePool": lambda n: model(
        added("AveragePool", ["x"], kernel_shape=[n // 2], pads=[n // 4, n // 4], count_include_pad=1), [], [1, 1, 8]
    ),
    "an input": lambda n: model([helper.make_node("Neg", ["x"], ["y"])], [], [n]),
    "an input of texts": lambda n: model([helper.make_node("Identity", ["x"], ["y"])], [], [n], (), TensorProto.STRING),
    "a loop": lambda n: model(
        [
            helper.make_node(
                "Loop", ["n", "t", "x"], ["y"], body=body([helper.make_node("Add", ["a", "one"], ["b"])], ["a"], ["b"])
            )
        ],
        [constant("n", n), TRUE, ONE],
    ),
    "a loop of nothing": lambda n: model(
        [helper.make_node("Loop", ["n", "t", "x"], ["y"], body=body([], ["a"], ["a"]))], [constant("n", n), TRUE]
    ),
    "a loop that collects": lambda n: model(
        [helper.make_node("Loop", ["n", "t"], ["y"], body=body([helper.make_node("Neg", ["x"], ["b"])], [], ["b"]))],
        [constant("n", n), TRUE],
    ),
    "a loop that doubles": lambda n: model(
        [
            helper.make_node(
                "Loop",
                ["n", "t", "x"],
                ["y"],
                body=body([helper.make_node("Concat", ["a", "a"], ["b"], axis=0)], ["a"], ["b"]),
            )
        ],
        [constant("n", n), TRUE],
    ),
}


def checked(proto: onnx.ModelProto) -> None:
    """What `compile` does with a model but for its kernels: read, infer, optimise, and run the reference."""
    graph = read_onnx(proto)
    reference = graph.copy()
    try:
        infer_types(graph)
        optimize_graph(graph)
    except ModelError:
        # more elements than any tensor can have
        return
    evidence = _evidence(reference)
    assert "\n" not in evidence
    assert evidence
    # the limit of memory that these tests set is none that a machine has
    assert "not enough memory" not in evidence


def _evidence(graph: Any) -> str:
    """The reason that running the reference as a check does ends with; nothing else runs."""
    symbols = {s: 2 for v in graph.inputs for d in v.type.shape if not isinstance(d, int) for s in d.symbols}
    trial = Trial(symbols)
    found = find_trial(graph, lambda _: None, {})
    if isinstance(found, str):
        return found
    bound = bind(graph, draw(graph, trial, 0))
    try:
        Lockstep(Budget(GRANTED)).evaluate(graph, bound)
    except (BudgetSpentError, GraphoptError) as error:
        return str(error)
    return "it ended"


@pytest.mark.parametrize("size", HUGE)
@pytest.mark.parametrize("what", MODELS)
def test_what_asks_for_everything_is_not_begun(what: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "MOST_CALLS", 500)
    checked(MODELS[what](size))


def doubling(levels: int, inner: Sequence[NodeProto], *, branches: bool = False) -> onnx.ModelProto:
    """Functions, each of which calls the one before twice."""
    imports = [*OPSET, helper.make_opsetid("f", 1)]
    functions = [helper.make_function("f", "f0", ["a", "c"], ["b"], list(inner), OPSET)]
    for level in range(1, levels):
        call = f"f{level - 1}"
        if branches:
            info = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
            graphs = [
                helper.make_graph([helper.make_node(call, ["a", "c"], ["o"], domain="f")], "g", [], info) for _ in "ab"
            ]
            nodes = [helper.make_node("If", ["c"], ["b"], then_branch=graphs[0], else_branch=graphs[1])]
        else:
            nodes = [helper.make_node(call, [name, "c"], [to], domain="f") for name, to in (("a", "m"), ("m", "b"))]
        functions.append(helper.make_function("f", f"f{level}", ["a", "c"], ["b"], nodes, imports))
    return model([helper.make_node(f"f{levels - 1}", ["x", "t"], ["y"], domain="f")], [TRUE], ("N",), functions)


NEG = [helper.make_node("Neg", ["a"], ["b"])]
BIG = [
    helper.make_node("Constant", [], ["k"], value=constant("k", np.arange(100_000), np.float32)),
    helper.make_node("Add", ["a", "k"], ["b"]),
]


def chain(levels: int) -> onnx.ModelProto:
    """Functions, each of which calls the one before."""
    proto = doubling(levels, NEG)
    for function in proto.functions[1:]:
        del function.node[1]
        function.node[0].output[0] = "b"
    return proto


def by_argument(times: int) -> onnx.ModelProto:
    """One large tensor, given once, and named by many nodes of a function."""
    nodes = [helper.make_node("Constant", [], [f"k{i}"]) for i in range(times)]
    for node in nodes:
        node.attribute.append(onnx.AttributeProto(name="value", ref_attr_name="big", type=onnx.AttributeProto.TENSOR))
    function = helper.make_function("f", "f", ["a"], ["b"], [*nodes, *NEG], OPSET, attributes=["big"])
    call = helper.make_node("f", ["x"], ["y"], domain="f", big=constant("k", np.zeros(100_000), np.float32))
    return model([call], [], ("N",), [function])


@pytest.mark.parametrize(
    ("proto", "sentence"),
    [
        (lambda: doubling(29, NEG), "inlining the model's functions gives more than 40"),
        (lambda: doubling(60, NEG), "inlining the model's functions gives more than 40"),
        (lambda: doubling(16, BIG), r"inlining the model's functions gives more than \d+ bytes"),
        (lambda: by_argument(1000), r"inlining the model's functions gives more than \d+ bytes"),
        (lambda: doubling(20, NEG, branches=True), "more than 2048 graphs inside nodes"),
        (lambda: chain(2000), "functions call each other more than 64 deep"),
    ],
)
def test_functions_that_multiply_are_refused_in_one_sentence(
    proto: Callable[[], onnx.ModelProto], sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        read_onnx(proto())


def test_functions_that_are_called_often_are_still_read() -> None:
    graph = read_onnx(doubling(13, NEG))
    assert len(list(graph.nodes())) == 4096
    assert len(list(read_onnx(chain(50)).nodes())) == 1


def nested(depth: int, *, both: bool) -> onnx.ModelProto:
    info = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
    leaf = helper.make_graph([helper.make_node("Neg", ["x"], ["o"])], "leaf", [], info)
    made = leaf
    for _ in range(depth):
        node = helper.make_node("If", ["t"], ["o"], then_branch=made, else_branch=made if both else leaf)
        made = helper.make_graph([node], "g", [], info)
    return model([helper.make_node("If", ["t"], ["y"], then_branch=made, else_branch=leaf)], [TRUE])


def test_graphs_in_graphs_are_counted_before_any_is_read() -> None:
    assert read_onnx(nested(25, both=False))
    with pytest.raises(ModelError, match="more than 2048 graphs inside nodes"):
        read_onnx(nested(14, both=True))


def test_a_sparse_tensor_is_not_expanded_beyond_measure() -> None:
    for size in HUGE:
        sparse = helper.make_sparse_tensor(constant("w", [1.0], np.float32), constant("i", [0]), [size])
        proto = model([helper.make_node("Add", ["x", "w"], ["y"])])
        proto.graph.sparse_initializer.append(sparse)
        with pytest.raises(ModelError, match="which takes more than 4294967296 bytes"):
            read_onnx(proto)


def test_texts_that_double_are_not_computed_beforehand() -> None:
    nodes = [helper.make_node("StringConcat", [f"s{i}"] * 2, [f"s{i + 1}"]) for i in range(50)]
    text = constant("s0", ["ab"], object)
    proto = model([*nodes, helper.make_node("Identity", ["s50"], ["y"])], [text], ("N",), (), TensorProto.STRING)
    checked(proto)


def test_a_pattern_that_may_take_for_ever_is_not_tried() -> None:
    text = constant("s", ["a" * 60 + "!"], object)
    for pattern in ("(a+)+$", "(a|aa)+$", "a*a*a*a*a*a*a*a*b"):
        node = helper.make_node("RegexFullMatch", ["s"], ["y"], pattern=pattern)
        proto = model([node], [text])
        proto.graph.output[0].type.tensor_type.elem_type = TensorProto.BOOL
        checked(proto)
    call = Call("RegexFullMatch", "", 20, {"pattern": "[a-z]+@x"}, (np.array(["me@x"], object),), 1)
    assert Budget(10**6)(call)[0].tolist() == [True]


def test_a_budget_counts_what_is_held_and_lets_go_of_what_is_not() -> None:
    nodes = [helper.make_node("Neg", ["x"], ["a0"])]
    nodes += [helper.make_node("Abs", [f"a{i}"], [f"a{i + 1}"]) for i in range(8)]
    nodes += [helper.make_node("Identity", ["a8"], ["y"])]
    feeds = {"x": np.ones(1 << 20, np.float32)}
    one_by_one, spent = Budget(10**12), Budget(10**12)
    interpret(read_onnx(model(nodes)), feeds, one_by_one)
    assert one_by_one.held <= 2 * 4 << 20
    together = [*nodes[:-1], helper.make_node("Sum", [f"a{i}" for i in range(9)], ["y"])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budgets, "MOST_BYTES", 6 * 4 << 20)
        interpret(read_onnx(model(nodes)), feeds, Budget(10**12))
        with pytest.raises(BudgetSpentError, match="before Abs, with which it would take more than"):
            interpret(read_onnx(model(together)), feeds, spent)
