"""Operators that the standard had as experiments and dropped."""

from __future__ import annotations

from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import Result, dtype_of, like, refuse, same_dim, shape_of, tensor, with_rank
from graphopt.ops.table import Inference, shape_rule

shape_rule("Affine", "ParametricSoftplus", "ScaledTanh")(like())


@shape_rule("ImageScaler")
def image_scaler(call: Inference) -> Result:
    """The data's type; the bias has one number for each channel."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 2, "the data")
        same_dim(call, shape[1], len(call.attributes["bias"]), "the channels and the numbers of bias")
    return (tensor(call, 0),)


@shape_rule("Crop")
def crop(call: Inference) -> Result:
    """The picture without its border, or of the size that `scale` names, from the border's corner on."""
    shape, border = shape_of(call, 0), tuple(int(v) for v in call.attributes["border"])
    if len(border) != 4 or min(border) < 0:
        refuse(call, f"border must be four numbers that are not negative, got {list(border)}")
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    batch, channels, height, width = with_rank(call, shape, 4, "the data", 4)
    left, top, right, bottom = border
    scale = tuple(int(v) for v in call.attributes.get("scale") or ())
    if scale:
        if len(scale) != 2 or min(scale) < 1:
            refuse(call, f"scale must be two positive numbers, got {list(scale)}")
        bottom, right = height - top - scale[0], width - left - scale[1]
    cut = (height - top - bottom, width - left - right)
    if any(isinstance(v, int) and v < 0 for v in (*cut, bottom, right)):
        refuse(call, f"a border of {list(border)} does not fit a picture of {height} by {width}")
    return (TensorType(dtype_of(call, 0), (batch, channels, *cut)),)
