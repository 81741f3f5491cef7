"""How many terms are added up in one element of an operator's result."""

from __future__ import annotations

import math

import numpy as np

from graphopt.ops.table import Call


def terms_of(call: Call, result: np.ndarray) -> int:
    """How many terms are added up in one element of the result."""
    shapes = [np.shape(v) for v in call.inputs]
    match call.op:
        case "Conv" | "ConvInteger":
            terms = math.prod(shapes[1][1:])
        case "QLinearConv":
            terms = math.prod(shapes[3][1:])
        case "ConvTranspose":
            terms = shapes[1][0] * math.prod(shapes[1][2:])
        case "MatMul" | "FusedMatMul" | "MatMulInteger" | "QLinearMatMul":
            terms = shapes[0][-1]
        case "Gemm":
            terms = shapes[0][0 if call.attributes.get("transA", 0) else 1]
        case "AveragePool":
            terms = math.prod(call.attributes["kernel_shape"])
        case "CumSum" | "Einsum":
            terms = max(max(shape, default=1) for shape in shapes)
        case "Sum" | "Mean":
            terms = len(shapes)
        case _:
            terms = math.prod(shapes[0]) // max(result.size, 1)
    return max(int(terms), 1)
