"""Elementwise operators: one operand's type, or the broadcast of all."""

from __future__ import annotations

from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import (
    Result,
    axis_in,
    broadcast,
    dtype_of,
    is_given,
    like,
    one_element,
    refuse,
    same_shape,
    shape_of,
    spreads,
    tensor,
    unknown,
    vector,
    with_rank,
)
from graphopt.ops.table import Inference, shape_rule

shape_rule(
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf",
    "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg", "Not",
    "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt",
    "Swish", "Tan", "Tanh", "ThresholdedRelu",
)(like())  # fmt: skip
shape_rule("Gelu", "QuickGelu", domain="com.microsoft")(like())


@shape_rule("Clip")
def clip(call: Inference) -> Result:
    """The data's type; each bound is one number."""
    one_element(call, 1, "min")
    one_element(call, 2, "max")
    return (call.types[0],)


@shape_rule("PRelu")
def prelu(call: Inference) -> Result:
    """The data's type; the slope broadcasts to it (before opset 9 a vector may hold one slope a channel)."""
    data, slope = shape_of(call, 0), shape_of(call, 1)
    if data is not None:
        if call.version < 9 and slope is not None and len(slope) == 1 and len(data) > 2:
            if slope[0] != 1:
                vector(call, 1, data[1], "slope")
        else:
            spreads(call, 1, data, "slope")
    return (call.types[0],)


@shape_rule("Softmax", "LogSoftmax", "Hardmax", "LpNormalization")
def along_axis(call: Inference) -> Result:
    """The data's type; before opset 13 the axis of Softmax may also stand after the last one."""
    shape = shape_of(call, 0)
    if shape:
        older = call.version < 13 and call.op != "LpNormalization"
        axis = call.attributes.get("axis", 1 if older else -1)
        if not (older and axis == len(shape)):
            axis_in(call, axis, len(shape))
    return (call.types[0],)


@shape_rule("FastGelu", "BiasGelu", domain="com.microsoft")
def biased_gelu(call: Inference) -> Result:
    """The data's type; the bias has one number for each element of the last axis."""
    shape = shape_of(call, 0)
    if shape:
        vector(call, 1, shape[-1], "bias")
    return (call.types[0],)


@shape_rule("StringConcat")
def string_concat(call: Inference) -> Result:
    """The broadcast of both."""
    return (TensorType(DType.STRING, broadcast(call, [shape_of(call, 0), shape_of(call, 1)])),)


@shape_rule("StringNormalizer")
def string_normalizer(call: Inference) -> Result:
    """A vector of the strings that are kept, or a row of them."""
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(DType.STRING),)
    with_rank(call, shape, 1, "the data", 2)
    if len(shape) == 2:
        same_shape(call, 0, (1, None), "the data")
    return (TensorType(DType.STRING, (*shape[:-1], unknown(call, 0))),)


@shape_rule("RegexFullMatch")
def regex_full_match(call: Inference) -> Result:
    """The operand's shape, as truth values."""
    return (TensorType(DType.BOOL, shape_of(call, 0)),)


@shape_rule("SwiGLU")
def swiglu(call: Inference) -> Result:
    """The gate's type; the linear part has the same shape."""
    shape = shape_of(call, 0)
    if shape is not None:
        same_shape(call, 1, shape, "B")
    return (TensorType(_common_dtype(call), shape),)


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
    one_element(call, 1, "ratio")
    one_element(call, 2, "training_mode")
    mask = data if call.version < 10 or data is None else TensorType(DType.BOOL, data.shape)
    return (data, mask)[: call.outputs]


def _common_dtype(call: Inference) -> DType | None:
    dtypes = [dtype_of(call, slot) for slot in range(len(call.types)) if is_given(call, slot)]
    known = [dtype for dtype in dtypes if dtype is not None]
    for dtype in known[1:]:
        if dtype is not known[0]:
            refuse(call, f"operands must have one element type, got {known[0]} and {dtype}")
    return known[0] if known else None
