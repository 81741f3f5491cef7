"""Elementwise operators: one operand's type, or the broadcast of all."""

from __future__ import annotations

from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import Result, broadcast, dtype_of, is_given, like, refuse, shape_of, tensor
from graphopt.ops.table import Inference, shape_rule

shape_rule(
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil", "Celu", "Clip", "Cos", "Cosh",
    "CumProd", "CumSum", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Hardmax", "Identity",
    "InstanceNormalization", "LRN", "LeakyRelu", "Log", "LogSoftmax", "LpNormalization", "MeanVarianceNormalization",
    "Mish", "Neg", "Not", "PRelu", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh",
    "Softmax", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Trilu",
)(like())  # fmt: skip
shape_rule("Gelu", "QuickGelu", "FastGelu", "BiasGelu", domain="com.microsoft")(like())


@shape_rule("Add", "Sub", "Mul", "Div", "Mod", "Pow", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
def arithmetic(call: Inference) -> Result:
    """The broadcast of both; the first one's element type (which Pow's exponent need not have)."""
    dtype = dtype_of(call, 0)
    if call.op not in ("Pow", "BitShift"):
        dtype = _common_dtype(call)
    return (TensorType(dtype, broadcast(call, [shape_of(call, 0), shape_of(call, 1)])),)


@shape_rule("Max", "Min", "Mean", "Sum")
def variadic(call: Inference) -> Result:
    """The broadcast of any number of operands of one element type."""
    return (TensorType(_common_dtype(call), broadcast(call, [shape_of(call, i) for i in range(len(call.types))])),)


@shape_rule("And", "Or", "Xor", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
def comparison(call: Inference) -> Result:
    """The broadcast of both, as truth values."""
    _common_dtype(call)
    return (TensorType(DType.BOOL, broadcast(call, [shape_of(call, 0), shape_of(call, 1)])),)


@shape_rule("IsNaN", "IsInf")
def test(call: Inference) -> Result:
    """The operand's shape, as truth values."""
    return (TensorType(DType.BOOL, shape_of(call, 0)),)


@shape_rule("Where")
def where(call: Inference) -> Result:
    """The broadcast of condition and both branches."""
    dtype = dtype_of(call, 1) or dtype_of(call, 2)
    return (TensorType(dtype, broadcast(call, [shape_of(call, i) for i in range(3)])),)


@shape_rule("Cast")
def cast(call: Inference) -> Result:
    """The operand's shape, of the element type that `to` names."""
    return (TensorType(DType(call.attributes["to"]), shape_of(call, 0)),)


@shape_rule("CastLike")
def cast_like(call: Inference) -> Result:
    """The first operand's shape, of the second one's element type."""
    return (TensorType(dtype_of(call, 1), shape_of(call, 0)),)


@shape_rule("BitCast")
def bit_cast(call: Inference) -> Result:
    """The operand's shape, its bits read as another type of the same width."""
    return (TensorType(DType(call.attributes["to"]), shape_of(call, 0)),)


@shape_rule("Dropout")
def dropout(call: Inference) -> Result:
    """The data's type; the mask is boolean since opset 10, before that of the data's type."""
    data = tensor(call, 0)
    mask = data if call.version < 10 or data is None else TensorType(DType.BOOL, data.shape)
    return (data, mask)[: call.outputs]


def _common_dtype(call: Inference) -> DType | None:
    dtypes = [dtype_of(call, slot) for slot in range(len(call.types)) if is_given(call, slot)]
    known = [dtype for dtype in dtypes if dtype is not None]
    for dtype in known[1:]:
        if dtype is not known[0]:
            refuse(call, f"operands must have one element type, got {known[0]} and {dtype}")
    return known[0] if known else None
