"""The meaning of last resort: onnx's reference evaluator, one operator at a time.

It is asked only where `graphopt.ops.meaning` has nothing.  Imports onnx on the first such call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphopt.errors import MisfitError, ModelError
from graphopt.ir.dtype import DType
from graphopt.ops.table import Call


def reference_call(call: Call) -> tuple[Any, ...]:
    """The outputs of one operator by onnx.reference; ModelError when it does not know the operator or fails."""
    from onnx import TypeProto, ValueInfoProto, checker, helper, reference

    name = f"{call.domain}::{call.op}" if call.domain else call.op
    feeds = {f"i{slot}": value for slot, value in enumerate(call.inputs) if value is not None}
    attributes = {k: _attribute(v) for k, v in call.attributes.items() if not (isinstance(v, tuple) and not v)}
    try:
        node = helper.make_node(
            call.op,
            [f"i{slot}" if value is not None else "" for slot, value in enumerate(call.inputs)],
            [f"o{slot}" for slot in range(call.outputs)],
            domain=call.domain,
            **attributes,
        )
        inputs: list[ValueInfoProto] = [helper.make_value_info(k, _type(v)) for k, v in feeds.items()]
        outputs = [helper.make_value_info(f"o{slot}", TypeProto()) for slot in range(call.outputs)]
        graph = helper.make_graph([node], "call", inputs, outputs)
        opset = helper.make_opsetid(call.domain, call.version)
        evaluator = reference.ReferenceEvaluator(helper.make_model(graph, opset_imports=[opset]))
        return tuple(evaluator.run(None, feeds))
    except (NotImplementedError, ImportError, checker.ValidationError) as error:
        raise ModelError(
            f"graphopt cannot compute {name} (opset {call.version}): no meaning of it is registered here "
            "(docs/custom-operators.md)"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # it runs numpy, onnx and, for pictures, Pillow, and lets all their errors through
        raise MisfitError(name, f"onnx.reference cannot compute it (opset {call.version})") from error


def _attribute(value: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value


def _type(value: Any) -> Any:
    from onnx import helper

    if isinstance(value, list):
        items: Sequence[Any] = value
        return helper.make_sequence_type_proto(_type(items[0] if items else np.zeros(0, np.float32)))
    array = np.asarray(value)
    return helper.make_tensor_type_proto(int(DType.of(array.dtype)), array.shape)
