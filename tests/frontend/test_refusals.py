"""What is not a well-formed model is refused in one sentence, and nothing worse happens."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from graphopt.errors import ModelError
from graphopt.frontend import read_onnx, save_onnx, write_onnx
from graphopt.infer import infer_types
from graphopt.ir import DType, Fill, Graph, Mapped, TensorType
from tests.frontend.models import parse

PLAIN = "main (float[2] x) => (float[2] y) <float[2] c = {1, 2}> { a = Add(x, c) y = Relu(a) }"


def newer_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 99


def negative_dim(model: ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -2


def short_data(model: ModelProto) -> None:
    model.graph.initializer[0].raw_data = b"\0" * 7


def huge_dims(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**40, 2**40]


def cycle(model: ModelProto) -> None:
    model.graph.node[0].input[1] = "y"


def undefined(model: ModelProto) -> None:
    model.graph.node[0].input[1] = "nowhere"


def unknown_operator(model: ModelProto) -> None:
    model.graph.node[1].op_type = "Rellu"


def defined_twice(model: ModelProto) -> None:
    model.graph.node.add(op_type="Relu", input=["x"], output=["y"])


def wrong_attribute(model: ModelProto) -> None:
    model.graph.node[1].attribute.append(helper.make_attribute("alpha", 1.0))


def wrong_arity(model: ModelProto) -> None:
    model.graph.node[1].input.append("x")


def unknown_type(model: ModelProto) -> None:
    model.graph.initializer[0].data_type = 77


def no_graph(model: ModelProto) -> None:
    model.ClearField("graph")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (newer_opset, "opset 99 of ai.onnx, newer than the"),
        (negative_dim, "initializer 'c' has the negative dimension -2"),
        (short_data, r"declares float32\[2\], that is 8 bytes, but holds 7"),
        (huge_dims, "that is 1208925819614629174706176 in float_data, but holds 2"),
        (cycle, "has a cycle: 'a' needs 'y' needs 'a'"),
        (undefined, r"the node that computes 'a' \(Add\) uses 'nowhere', which nothing defines"),
        (unknown_operator, "has no operator 'Rellu' in opset 21"),
        (defined_twice, "defines 'y' a second time"),
        (wrong_attribute, "Relu has no attribute 'alpha' in opset 21"),
        (wrong_arity, "has 2 inputs, expected 1"),
        (unknown_type, "element type 77 is unknown"),
        (no_graph, "it has no graph"),
    ],
)
def test_a_broken_model_is_refused_with_its_file_and_the_reason(
    damage: Callable[[ModelProto], None], sentence: str, tmp_path: Path
) -> None:
    model = parse(PLAIN)
    damage(model)
    path = tmp_path / "broken.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=sentence) as refused:
        read_onnx(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    for data in (b"hello, I am not a model", b"", b"\x08"):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="not an ONNX model"):
            read_onnx(path)
    with pytest.raises(ModelError, match="no such file"):
        read_onnx(tmp_path / "missing.onnx")


def test_a_truncated_model_is_refused_or_gives_a_graph_at_every_length(tmp_path: Path) -> None:
    data = parse(PLAIN).SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        survives(path)


def test_flipped_bytes_give_a_graph_or_a_refusal(tmp_path: Path) -> None:
    source = parse("""
        main (bool c, float[2] x) => (float[2] z) <float[2] k = {1, 2}> {
            z = If(c) <
                then_branch = t () => (float[2] r) { r = local.Scale<by = 2.0>(x) },
                else_branch = e () => (float[2] s) { s = Add(x, k) }
            >
        }
        <domain: "local", opset_import: ["" : 21]>
        Scale <by: float = 1.0> (u) => (v) { b = Constant<value_float: float = @by>() v = Mul(u, b) }
    """).SerializeToString()
    seeded = random.Random(0)
    path = tmp_path / "flipped.onnx"
    for _ in range(1500):
        data = bytearray(source)
        for _ in range(seeded.choice((1, 1, 2, 5))):
            data[seeded.randrange(len(data))] = seeded.randrange(256)
        path.write_bytes(data)
        survives(path)


def survives(path: Path) -> None:
    with suppress(ModelError):  # anything else fails the test
        graph = read_onnx(path)
        infer_types(graph)
        write_onnx(graph)


def external(tmp_path: Path, location: str, **entries: str) -> Path:
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "c"], ["y"])], "g", infos[:1], infos[1:], [tensor])
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    path = folder / "m.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString())
    return path


def test_external_data_is_mapped_from_the_models_folder(tmp_path: Path) -> None:
    path = external(tmp_path, "w.bin", offset="16", length="16")
    np.arange(8, dtype=np.float32).tofile(path.parent / "w.bin")
    (constant,) = [value.constant for value in read_onnx(path).values() if value.constant is not None]
    assert isinstance(constant, Mapped)
    np.testing.assert_array_equal(constant.array(), [4, 5, 6, 7])


def test_external_data_outside_the_folder_missing_or_too_short_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    np.arange(8, dtype=np.float32).tofile(secret)
    for location in ("../secret.bin", str(secret)):
        with pytest.raises(ModelError, match="outside the model's folder"):
            read_onnx(external(tmp_path, location))
    path = external(tmp_path, "link.bin")
    (path.parent / "link.bin").symlink_to(secret)
    with pytest.raises(ModelError, match="outside the model's folder"):
        read_onnx(path)
    with pytest.raises(ModelError, match="is missing from"):
        read_onnx(external(tmp_path, "none.bin"))
    path = external(tmp_path, "w.bin", offset="24")
    np.arange(8, dtype=np.float32).tofile(path.parent / "w.bin")
    with pytest.raises(ModelError, match=r"needs bytes 24 to 40 of .*, which has only 32"):
        read_onnx(path)
    with pytest.raises(ModelError, match="has length 12"):
        read_onnx(external(tmp_path, "w.bin", length="12"))
    with pytest.raises(ModelError, match="the offset '-4'"):
        read_onnx(external(tmp_path, "w.bin", offset="-4"))
    with pytest.raises(ModelError, match="given as a ModelProto has no folder"):
        read_onnx(onnx.load(external(tmp_path, "w.bin"), load_external_data=False))


def test_a_large_model_is_saved_with_its_constants_beside_it(tmp_path: Path) -> None:
    graph = Graph("large", {"": 21})
    x = graph.add_input("x", TensorType(DType.FLOAT32, (3, 1000)))
    row = graph.add_constant(Fill(np.float32(2), (1000,), DType.FLOAT32), "row")
    nibbles = graph.add_constant(Fill(DType.INT4.numpy.type(3), (4097,), DType.INT4), "nibbles")
    (y,) = graph.add_node("Add", [x, row], ["y"], types=[x.type])
    graph.add_output(y)
    graph.add_output(nibbles)
    save_onnx(graph, tmp_path / "m.onnx", external_from=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    onnx.checker.check_model(str(tmp_path / "m.onnx"))
    again = read_onnx(tmp_path / "m.onnx")
    found = {value.name: value.constant for value in again.values() if value.constant is not None}
    np.testing.assert_array_equal(found["row"].array(), np.full(1000, 2, np.float32))
    np.testing.assert_array_equal(found["nibbles"].array(), np.full(4097, 3, DType.INT4.numpy))
    save_onnx(again, tmp_path / "m.onnx", external_from=1)  # over the file its constants are mapped from
    np.testing.assert_array_equal(found["row"].array(), np.full(1000, 2, np.float32))
