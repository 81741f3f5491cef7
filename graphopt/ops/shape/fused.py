"""The compiler's own operators: what lowering makes and kernels compute."""

from __future__ import annotations

from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import Result, broadcast, shape_of
from graphopt.ops.table import Inference, shape_rule


@shape_rule("Elementwise", domain="ai.graphopt")
def elementwise(call: Inference) -> Result:
    """The broadcast of all operands; the element types are those of the body's outputs.

    A lowered step has no body any more: it names them in `dtypes`.
    """
    body = call.attributes.get("body")
    if body is None:
        dtypes = [DType(number) for number in call.attributes["dtypes"]]
    else:
        dtypes = [value.type.dtype for value in body.outputs]
    shape = broadcast(call, [shape_of(call, i) for i in range(len(call.types))])
    return tuple(TensorType(dtype, shape) for dtype in dtypes)
