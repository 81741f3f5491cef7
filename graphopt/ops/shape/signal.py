"""Fourier transforms."""

from __future__ import annotations

from graphopt.ir.dim import Dim, floor_divide
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import (
    Result,
    axis_in,
    dims_in,
    dtype_of,
    is_given,
    one_element,
    refuse,
    setting,
    shape_of,
    unknown,
    unknown_shape,
    vector,
    with_rank,
    within,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule("STFT")
def stft(call: Inference) -> Result:
    """[batch, frames, bins, 2]: half the bins and one when `onesided`, as it is by default."""
    signal, step, length = shape_of(call, 0), dims_in(call, 1), dims_in(call, 3)
    window = shape_of(call, 2)
    one_element(call, 1, "frame_step")
    one_element(call, 3, "frame_length")
    vector(call, 2, length[0] if length else None, "window")
    within(call, 1, 1, 2**63 - 1, "frame_step")
    within(call, 3, 1, 2**63 - 1, "frame_length")
    if signal is None:
        return (TensorType(dtype_of(call, 0), (*unknown_shape(call, 3), 2)),)
    with_rank(call, signal, 2, "the signal", 3)
    _check_complex(call, signal[2:])
    frame: Dim | None = length[0] if length else None if window is None else window[0]
    if frame is None:
        return (TensorType(dtype_of(call, 0), (signal[0], unknown(call, 1), unknown(call, 2), 2)),)
    if isinstance(frame, int) and isinstance(signal[1], int) and not 1 <= frame <= signal[1]:
        refuse(call, f"a frame of {frame} does not fit a signal of {signal[1]}")
    bins = floor_divide(frame, 2) + 1 if call.attributes.get("onesided", 1) else frame
    if not step:
        return (TensorType(dtype_of(call, 0), (signal[0], unknown(call, 1), bins, 2)),)
    return (TensorType(dtype_of(call, 0), (signal[0], floor_divide(signal[1] - frame, step[0]) + 1, bins, 2)),)


@shape_rule("DFT")
def dft(call: Inference) -> Result:
    """The signal's shape with `dft_length` along the axis (half of it and one when `onesided`), last 2."""
    signal = shape_of(call, 0)
    if signal is None:
        return (TensorType(dtype_of(call, 0)),)
    rank = len(with_rank(call, signal, 2, "the signal"))
    _check_complex(call, signal[-1:])
    one_element(call, 1, "dft_length")
    one_element(call, 2, "axis")
    within(call, 1, 1, 2**63 - 1, "dft_length")
    given, known = setting(call, "axis", 2)
    wide = (*(unknown(call, axis) for axis in range(rank - 1)), unknown(call, rank - 1))
    if not known:
        return (TensorType(dtype_of(call, 0), wide),)
    axis = axis_in(call, given[0] if given else 1 if call.version < 20 else -2, rank)
    if axis == rank - 1:
        refuse(call, "the axis must not be the last one, which holds real and imaginary parts")
    length = dims_in(call, 1)
    size: Dim = signal[axis]
    if size == 0:
        refuse(call, f"axis {axis} has no elements")
    if is_given(call, 1):
        size = length[0] if length else unknown(call, axis)
    if call.attributes.get("inverse", 0) and call.attributes.get("onesided", 0):
        return (TensorType(dtype_of(call, 0), wide),)  # an inverse of half a spectrum is real in some versions
    if call.attributes.get("onesided", 0):
        size = floor_divide(size, 2) + 1
    return (TensorType(dtype_of(call, 0), (*signal[:axis], size, *signal[axis + 1 : -1], 2)),)


def _check_complex(call: Inference, last: Shape) -> None:
    """The last dimension holds the real part, or both."""
    if last and isinstance(last[0], int) and last[0] not in (1, 2):
        refuse(call, f"the last dimension must hold 1 or 2 numbers, got {last[0]}")
