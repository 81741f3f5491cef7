"""Fourier transforms."""

from __future__ import annotations

from graphopt.ir.dim import Dim, floor_divide
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import (
    Result,
    axis_in,
    dims_in,
    dtype_of,
    is_given,
    refuse,
    setting,
    shape_of,
    unknown,
    unknown_shape,
    with_rank,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule("STFT")
def stft(call: Inference) -> Result:
    """[batch, frames, bins, 2]: half the bins and one when `onesided`, as it is by default."""
    signal, step, length = shape_of(call, 0), dims_in(call, 1), dims_in(call, 3)
    window = shape_of(call, 2)
    if signal is None:
        return (TensorType(dtype_of(call, 0), (*unknown_shape(call, 3), 2)),)
    with_rank(call, signal, 2, "the signal", 3)
    frame: Dim | None = length[0] if length else None if window is None else window[0]
    if frame is None:
        return (TensorType(dtype_of(call, 0), (signal[0], unknown(call, 1), unknown(call, 2), 2)),)
    bins = floor_divide(frame, 2) + 1 if call.attributes.get("onesided", 1) else frame
    if not step:
        return (TensorType(dtype_of(call, 0), (signal[0], unknown(call, 1), bins, 2)),)
    if step[0] == 0:
        refuse(call, "frame_step must not be 0")
    return (TensorType(dtype_of(call, 0), (signal[0], floor_divide(signal[1] - frame, step[0]) + 1, bins, 2)),)


@shape_rule("DFT")
def dft(call: Inference) -> Result:
    """The signal's shape with `dft_length` along the axis (half of it and one when `onesided`), last 2."""
    signal = shape_of(call, 0)
    if signal is None:
        return (TensorType(dtype_of(call, 0)),)
    rank = len(with_rank(call, signal, 2, "the signal"))
    given, known = setting(call, "axis", 2)
    wide = (*(unknown(call, axis) for axis in range(rank - 1)), unknown(call, rank - 1))
    both = call.attributes.get("inverse", 0) and call.attributes.get("onesided", 0)
    if not known or both:  # an inverse of half a spectrum is real in some versions
        return (TensorType(dtype_of(call, 0), wide),)
    axis = axis_in(call, given[0] if given else 1 if call.version < 20 else -2, rank)
    length = dims_in(call, 1)
    size: Dim = signal[axis]
    if is_given(call, 1):
        size = length[0] if length else unknown(call, axis)
    if call.attributes.get("onesided", 0):
        size = floor_divide(size, 2) + 1
    return (TensorType(dtype_of(call, 0), (*signal[:axis], size, *signal[axis + 1 : -1], 2)),)
