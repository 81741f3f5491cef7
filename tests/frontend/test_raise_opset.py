"""Models of opset 1 to 6: read as they were meant, whatever is known of their shapes, or refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from graphopt.check import interpret
from graphopt.errors import ModelError
from graphopt.frontend import read_onnx, write_onnx
from graphopt.infer import infer_types

RNG = np.random.default_rng(3)


def f(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def aligned(b: np.ndarray, after: int) -> np.ndarray:
    return b.reshape(*b.shape, *[1] * after)


Case = tuple[str, int, Sequence[Any], dict[str, Any], Callable[..., Any]]
IMAGE, MATRIX = f(2, 3, 4, 5), f(2, 3)
CASES: list[Case] = [
    ("Add", 6, [f(2, 3, 4), f(3)], {"broadcast": 1, "axis": 1}, lambda a, b: a + aligned(b, 1)),
    ("Add", 6, [f(2, 3, 4), f(3)], {"broadcast": 1, "axis": -2}, lambda a, b: a + aligned(b, 1)),
    ("Add", 6, [f(2, 3, 4), f(4)], {"broadcast": 1}, lambda a, b: a + b),
    ("Add", 6, [f(2, 3, 4), f(4)], {"broadcast": 1, "axis": -1}, lambda a, b: a + b),
    ("Mul", 1, [f(2, 3, 4), f(3, 4)], {"broadcast": 1, "axis": 1, "consumed_inputs": [0, 0]}, lambda a, b: a * b),
    ("Sub", 6, [f(2, 3, 4), f(2)], {"broadcast": 1, "axis": 0}, lambda a, b: a - aligned(b, 2)),
    ("Div", 6, [f(2, 3, 4), f(2, 3)], {"broadcast": 1, "axis": 0}, lambda a, b: a / aligned(b, 1)),
    ("Pow", 1, [np.abs(f(2, 3)), f(2)], {"broadcast": 1, "axis": 0}, lambda a, b: a ** aligned(b, 1)),
    ("Less", 1, [f(2, 3), f(2)], {"broadcast": 1, "axis": 0}, lambda a, b: a < aligned(b, 1)),
    ("Equal", 1, [np.arange(6).reshape(2, 3), np.array([1, 4])], {"broadcast": 1, "axis": 0},
     lambda a, b: a == aligned(b, 1)),
    ("Or", 1, [MATRIX > 0, np.array([True, False])], {"broadcast": 1, "axis": 0}, lambda a, b: a | aligned(b, 1)),
    ("PRelu", 6, [IMAGE, f(3)], {}, lambda x, s: np.where(x < 0, x * aligned(s, 2), x)),
    ("PRelu", 1, [IMAGE, f(1)], {"consumed_inputs": [0, 0]}, lambda x, s: np.where(x < 0, x * s, x)),
    ("Gemm", 6, [f(2, 3), f(3, 4), f(4)], {"broadcast": 1}, lambda a, b, c: a @ b + c),
    ("Relu", 1, [MATRIX], {"consumed_inputs": [0]}, lambda x: np.maximum(x, 0)),
    ("Dropout", 6, [MATRIX], {"is_test": 1}, lambda x: x),
    ("BatchNormalization", 6, [IMAGE, f(3), f(3), f(3), np.abs(f(3))], {"is_test": 1},
     lambda x, s, b, m, v: (x - aligned(m, 2)) / np.sqrt(aligned(v, 2) + 1e-5) * aligned(s, 2) + aligned(b, 2)),
    ("Reshape", 1, [f(2, 6)], {"shape": [3, -1]}, lambda x: x.reshape(3, 4)),
    ("Cast", 1, [MATRIX], {"to": "INT32"}, lambda x: x.astype(np.int32)),
    ("Concat", 1, [MATRIX, f(2, 2)], {}, lambda a, b: np.concatenate([a, b], 1)),
    ("Pad", 1, [MATRIX], {"paddings": [0, 1, 1, 0], "value": 2.0},
     lambda x: np.pad(x, [(0, 1), (1, 0)], constant_values=2)),
    ("Upsample", 1, [IMAGE], {"height_scale": 2.0, "width_scale": 3.0, "mode": "nearest"},
     lambda x: x.repeat(2, 2).repeat(3, 3)),
    ("Tile", 1, [MATRIX, np.array([3], np.float32), np.array([1], np.float32)], {}, lambda x, n, a: np.tile(x, (1, 3))),
    ("Split", 1, [f(2, 4), np.array([3, 1], np.float32)], {"axis": 1}, lambda x, n: x[:, :3]),
    ("LpPool", 1, [IMAGE], {"kernel_shape": [4, 5], "p": 2.0},
     lambda x: np.sqrt(np.square(x).sum((2, 3), keepdims=True))),
    ("GlobalLpPool", 1, [IMAGE], {"p": 1.0}, lambda x: np.abs(x).sum((2, 3), keepdims=True)),
    ("Selu", 1, [MATRIX], {}, lambda x: 1.0507 * np.where(x < 0, 1.6732 * (np.exp(x) - 1), x)),
    ("RNN", 1, [f(3, 1, 2), f(1, 2, 2), f(1, 2, 2) * 0], {"hidden_size": 2, "output_sequence": 1},
     lambda x, w, r: np.tanh(x @ w[0].T)[:, None]),
]  # fmt: skip
CONSTANT = {"Tile": (1, 2), "Split": (1,)}
"""Operands that must be constants."""


def model(
    op: str, opset: int, inputs: Sequence[Any], attributes: dict[str, Any], open_: bool, inner: bool = False
) -> ModelProto:
    """A model of one node; of open dimensions, and of a value that other nodes make, where asked."""
    names = [f"i{slot}" for slot in range(len(inputs))]
    infos = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(x.dtype),
            [f"{name}{axis}" for axis in range(x.ndim)] if open_ else x.shape,
        )
        for name, x in zip(names, inputs, strict=True)
    ]
    nodes = [helper.make_node("Transpose", ["i0"], ["t"]), helper.make_node("Transpose", ["t"], ["h"])] if inner else []
    outputs = ["y", "rest"] if op == "Split" else ["y"]
    nodes.append(helper.make_node(op, ["h" if inner else "i0", *names[1:]], outputs, name="n", **attributes))
    initializers = [numpy_helper.from_array(inputs[slot], names[slot]) for slot in CONSTANT.get(op, ())]
    made = [helper.make_value_info("y", onnx.TypeProto())]
    graph = helper.make_graph(nodes, "g", infos, made, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)


@pytest.mark.parametrize("inner", [False, True], ids=["input", "inner"])
@pytest.mark.parametrize("open_", [False, True], ids=["known", "open"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}-{'-'.join(case[3])}")
def test_an_old_operator_computes_what_it_was(case: Case, open_: bool, inner: bool) -> None:
    op, opset, inputs, attributes, formula = case
    graph = read_onnx(model(op, opset, inputs, attributes, open_, inner))
    assert graph.opsets[""] == 7
    assert graph.notes == (f"the model was of opset {opset} and is read as one of opset 7",)
    infer_types(graph)
    feeds = {f"i{slot}": x for slot, x in enumerate(inputs) if slot not in CONSTANT.get(op, ())}
    got = next(iter(interpret(graph, feeds).values()))
    want = formula(*inputs)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_the_source_is_not_changed_and_what_is_written_is_of_opset_7() -> None:
    source = model("Add", 6, [f(2, 3, 4), f(3)], {"broadcast": 1, "axis": 1}, open_=False)
    source.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 3, 4)))
    before = source.SerializeToString(deterministic=True)
    written = write_onnx(read_onnx(source))
    assert source.SerializeToString(deterministic=True) == before
    assert [entry.version for entry in written.opset_import] == [7]
    onnx.checker.check_model(written)
    assert read_onnx(written).notes == ()


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "says"),
    [
        ("BatchNormalization", [IMAGE, *[f(3)] * 4], {"is_test": 0}, "it is training"),
        ("Dropout", [MATRIX], {"is_test": 0}, "it is training"),
        ("Add", [f(2, 3), f(2, 3, 4)], {"broadcast": 1, "axis": 1}, "an operand of rank 3 does not fit one of rank 2"),
        ("Cast", [MATRIX], {"to": "INT33"}, "there is no element type 'INT33'"),
        ("GlobalLpPool", [IMAGE], {"p": 1.5}, "its power is 1.5"),
        ("Tile", [MATRIX, f(1), f(1)], {}, "no constants"),
        ("Split", [MATRIX, f(1)], {}, "no constant"),
    ],
)
def test_what_opset_7_cannot_say_is_refused_by_name(
    op: str, inputs: Sequence[Any], attributes: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.frontend.test_raise_opset.CONSTANT", {})
    opset = 1 if op in ("Cast", "GlobalLpPool", "Tile", "Split") else 6
    with pytest.raises(ModelError, match=f"^{op} 'n' cannot be brought to opset 7: .*{says}"):
        read_onnx(model(op, opset, inputs, attributes, open_=False))


def test_an_operand_of_unknown_rank_is_refused_where_its_place_matters() -> None:
    source = model("Add", 6, [f(2, 3, 4), f(3)], {"broadcast": 1, "axis": 1}, open_=False)
    source.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match=r"'n' cannot be brought to opset 7: .*ranks that are not known"):
        read_onnx(source)


def test_branches_are_raised_with_what_they_capture() -> None:
    add = helper.make_node("Add", ["x", "b"], ["t"], broadcast=1, axis=0)
    other = helper.make_node("Sub", ["x", "b"], ["e"], broadcast=1, axis=0)
    branches: dict[str, Any] = {
        name: helper.make_graph([node], name, [], [helper.make_value_info(node.output[0], onnx.TypeProto())])
        for name, node in (("then_branch", add), ("else_branch", other))
    }
    choose = helper.make_node("If", ["c"], ["y"], **branches)
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [2, 3]), ("b", [2]))]
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    graph = helper.make_graph([choose], "g", [condition, *infos], [helper.make_value_info("y", onnx.TypeProto())])
    source = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 1)], ir_version=3)
    x, b = f(2, 3), f(2)
    for c, want in ((True, x + b[:, None]), (False, x - b[:, None])):
        (got,) = interpret(read_onnx(source), {"c": np.array(c), "x": x, "b": b}).values()
        np.testing.assert_allclose(got, want)


def test_a_model_from_before_opsets_were_imported_is_of_opset_1() -> None:
    source = model("Reshape", 1, [f(2, 6)], {"shape": [3, 4]}, open_=False)
    del source.opset_import[:]
    source.ir_version = 2
    assert read_onnx(source).notes == ("the model was of opset 1 and is read as one of opset 7",)


def test_models_that_pytorch_wrote_in_opset_6_give_what_pytorch_gave() -> None:
    """All 112 of them, which ship with onnx."""
    ran = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        cases: list[Any] = [*load_model_tests(kind="pytorch-converted"), *load_model_tests(kind="pytorch-operator")]
    for case in cases:
        folder = Path(case.model_dir)
        graph = read_onnx(folder / "model.onnx")
        if not graph.notes:
            continue
        for data in sorted(folder.glob("test_data_set*")):
            inputs, outputs = (_tensors(data, word) for word in ("input", "output"))
            got = interpret(graph, {value.name: x for value, x in zip(graph.inputs, inputs, strict=True)})
            for want, have in zip(outputs, got.values(), strict=True):
                np.testing.assert_allclose(have, want, rtol=case.rtol, atol=1e-5, err_msg=case.name)
        ran += 1
    assert ran == 112


def _tensors(folder: Path, word: str) -> list[np.ndarray]:
    return [numpy_helper.to_array(TensorProto.FromString(p.read_bytes())) for p in sorted(folder.glob(f"{word}_*.pb"))]


def test_two_versions_of_the_standard_are_refused_however_old_they_are() -> None:
    source = model("Relu", 6, [MATRIX], {}, open_=False)
    source.opset_import.add(domain="ai.onnx", version=5)
    with pytest.raises(ModelError, match=r"imports two versions of the operator set 'ai\.onnx'"):
        read_onnx(source)
