"""What a model's user sees never changes: names, types, defaults, documentation."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graphopt.frontend import read_onnx, write_onnx
from graphopt.ir import Dense
from tests.frontend.models import assert_same, canonical, f32, parse, run

X = f32([[1, -2], [3, 4]])


def test_an_input_may_be_an_output_and_a_value_may_be_returned_twice() -> None:
    model = parse("main (float[2, 2] x) => (float[2, 2] x, float[2, 2] y, float[2, 2] y) { y = Relu(x) }")
    written = write_onnx(read_onnx(model))
    assert [o.name for o in written.graph.output] == ["x", "y", "y"]


def test_an_output_keeps_its_name_when_another_value_is_returned() -> None:
    model = parse("main (float[2, 2] x) => (float[2, 2] y, float[2, 2] z) { y = Identity(x) z = Relu(y) }")
    graph = read_onnx(model)
    identity = next(graph.nodes())
    graph.replace_uses(next(v for v in graph.outputs_of(identity) if v is not None), graph.inputs[0])
    graph.remove_node(identity)
    assert_same(model, write_onnx(graph), x=X)


def test_an_inner_value_gives_way_to_an_output_of_its_name() -> None:
    model = parse("main (float[2, 2] x) => (float[2, 2] z) { y = Relu(x) z = Neg(y) }")
    graph = read_onnx(model)
    relu, neg = graph.sorted_nodes()
    inner, outer = graph.outputs_of(relu)[0], graph.outputs_of(neg)[0]
    assert inner is not None
    assert outer is not None
    graph.rename_value(outer, "old")
    graph.rename_value(inner, "z")
    assert_same(model, write_onnx(graph), x=X)


def test_an_overridable_initializer_stays_an_input_with_a_default() -> None:
    model = parse("main (float[2, 2] x, float[2] b = {1, 2}) => (float[2, 2] y) { y = Add(x, b) }")
    graph = read_onnx(model)
    assert [value.name for value in graph.inputs] == ["x", "b"]
    assert list(graph.defaults) == [graph.inputs[1]]
    written = write_onnx(graph)
    np.testing.assert_array_equal(run(written, x=X)[0], X + f32([1, 2]))
    np.testing.assert_array_equal(run(written, x=X, b=f32([5, 6]))[0], X + f32([5, 6]))


def test_before_ir_version_4_listed_initializers_are_constants() -> None:
    model = parse("main (float[2, 2] x, float[2] b = {1, 2}) => (float[2, 2] y) { y = Add(x, b) }")
    model.ir_version = 3
    graph = read_onnx(model)
    assert [value.name for value in graph.inputs] == ["x"]
    np.testing.assert_array_equal(run(write_onnx(graph), x=X)[0], X + f32([1, 2]))


def test_documentation_and_metadata_survive_at_every_level() -> None:
    model = parse('main (float["batch", 2] x) => (float["batch", 2] y) <float[2] c = {1, 2}> { y = Add(x, c) }')
    model.doc_string, model.producer_name, model.domain, model.model_version = "model", "maker", "org.example", 7
    helper.set_model_props(model, {"author": "nobody"})
    g = model.graph
    for item in (g, g.node[0], g.input[0], g.output[0], g.initializer[0]):
        item.doc_string = "said"
        entry = item.metadata_props.add()
        entry.key, entry.value = "key", "value"
    g.input[0].type.denotation = "IMAGE"
    g.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    annotation = g.quantization_annotation.add(tensor_name="x")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="c")
    assert write_onnx(read_onnx(model)) == canonical(model)


def test_device_configurations_survive() -> None:
    model = parse("main (float[2] x) => (float[2] y) { y = Relu(x) }", '<ir_version: 11, opset_import: ["" : 21]>')
    model.configuration.add(name="two", num_devices=2)
    model.graph.node[0].device_configurations.add(configuration_id="two").pipeline_stage = 1
    assert write_onnx(read_onnx(model)) == canonical(model)


def test_a_node_of_an_unknown_domain_stays_in_place() -> None:
    model = parse(
        'main (float[2] x) => (float[2] y) { a = Relu(x) b, c = custom.Magic<power = 3, how = "so">(a) y = Add(b, c) }'
    )
    written = write_onnx(read_onnx(model))
    assert list(written.graph.node) == list(canonical(model).graph.node)


def test_functions_are_inlined_with_their_attributes_and_defaults() -> None:
    model = parse("""
        main (float[2, 2] x) => (float[2, 2] y) { a = local.Twice<slope = 0.5>(x) y = local.Twice(a) }
        <domain: "local", opset_import: ["" : 21]>
        Leaky <slope: float = 0.25> (u) => (v) { w = LeakyRelu<alpha: float = @slope>(u) v = Neg(w) }
        <domain: "local", opset_import: ["" : 21, "local" : 1]>
        Twice <slope: float = 0.125> (u) => (v) { w = local.Leaky<slope: float = @slope>(u) v = Add(w, u) }
    """)
    graph = read_onnx(model)
    assert {node.op for node in graph.nodes()} == {"LeakyRelu", "Neg", "Add"}
    assert_same(model, write_onnx(graph), x=X)


def test_a_function_whose_operators_mean_something_else_in_its_opset_is_kept() -> None:
    model = parse("""
        main (float[2, 2] x) => (float[2, 2] y) { y = local.Old(x) }
        <domain: "local", opset_import: ["" : 12]>
        Old (u) => (v) { v = Softmax<axis = 0>(u) }
    """)
    written = write_onnx(read_onnx(model))
    assert [f.name for f in written.functions] == ["Old"]
    assert_same(model, written, x=X)


def test_every_form_of_constant_becomes_a_constant() -> None:
    forms = {
        "value_int = 3": np.int64(3), "value_ints = [1, 2]": np.array([1, 2]), "value_float = 0.5": np.float32(0.5),
        "value_floats = [0.5, 2.0]": f32([0.5, 2]), "value = float[2] {1, 2}": f32([1, 2]),
    }  # fmt: skip
    for form, expected in forms.items():
        graph = read_onnx(parse(f"main () => (float[N] y) {{ y = Constant<{form}>() }}"))
        (value,) = graph.outputs
        assert value.constant is not None
        np.testing.assert_array_equal(value.constant.array(), expected)
        assert value.constant.array().dtype == expected.dtype
    texts = (
        read_onnx(parse('main () => (string[2] y) { y = Constant<value_strings = ["a", "b"]>() }')).outputs[0].constant
    )
    assert texts is not None
    assert texts.array().tolist() == [b"a", b"b"]


def test_a_sparse_initializer_stays_sparse_and_gives_its_dense_elements() -> None:
    model = parse("main (float[2, 3] x) => (float[2, 3] y) { y = Add(x, s) }")
    values = numpy_helper.from_array(f32([5, 7]), "s")
    indices = numpy_helper.from_array(np.array([1, 5]))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2, 3]))
    graph = read_onnx(model)
    (constant,) = [value.constant for value in graph.values() if value.constant is not None]
    np.testing.assert_array_equal(constant.array(), [[0, 5, 0], [0, 0, 7]])
    (written,) = write_onnx(graph).graph.sparse_initializer
    np.testing.assert_array_equal(numpy_helper.to_array(written.values), f32([5, 7]))
    np.testing.assert_array_equal(numpy_helper.to_array(written.indices), [1, 5])
    assert list(written.dims) == [2, 3]


def test_every_element_type_survives_as_raw_bytes_and_as_typed_fields() -> None:
    for number in sorted(set(TensorProto.DataType.values()) - {0}):
        dtype = helper.tensor_dtype_to_np_dtype(number)
        plain = (
            np.array([0, 1, 1, 0, 1]) if number != TensorProto.STRING else np.array(["a", "", "é", "b", "c"], object)
        )
        array = plain.astype(dtype)
        raw = numpy_helper.from_array(array, "c")
        tensors = [raw] if number == TensorProto.STRING else [raw, helper.make_tensor("c", number, [5], array)]
        for tensor in tensors:
            model = helper.make_model(
                helper.make_graph([], "g", [], [helper.make_tensor_value_info("c", number, [5])], [tensor])
            )
            written = write_onnx(read_onnx(model)).graph.initializer[0]
            if number != TensorProto.STRING:
                assert numpy_helper.to_array(written).tobytes() == numpy_helper.to_array(tensor).tobytes()
            assert list(written.string_data) == list(tensor.string_data)


def test_unsorted_nodes_are_sorted() -> None:
    model = parse("main (float[2] x) => (float[2] y) { a = Relu(x) y = Neg(a) }")
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(model.graph.node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert [node.op_type for node in write_onnx(read_onnx(model)).graph.node] == ["Relu", "Neg"]


def test_the_model_given_is_neither_changed_nor_looked_at_later() -> None:
    model = parse("main (float[2] x) => (float[2] y) <float[2] c = {1, 2}> { y = Add(x, c) }")
    before = model.SerializeToString(deterministic=True)
    graph = read_onnx(model)
    assert model.SerializeToString(deterministic=True) == before
    del model.graph.initializer[0].float_data[:]
    (constant,) = [value.constant for value in graph.values() if value.constant is not None]
    np.testing.assert_array_equal(constant.array(), [1, 2])
    assert isinstance(constant.array(), np.ndarray)
    assert Dense.of(constant.array()).shape == (2,)
