"""Recurrent layers: all states, the last state, and LSTM's last cell."""

from __future__ import annotations

from graphopt.ir.dim import Dim
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import (
    Result,
    dtype_of,
    refuse,
    same_shape,
    shape_of,
    unknown,
    vector,
    with_rank,
    within,
)
from graphopt.ops.table import Inference, shape_rule

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@shape_rule("RNN", "GRU", "LSTM")
def recurrent(call: Inference) -> Result:
    """Y [length, directions, batch, hidden], Y_h (and Y_c) [directions, batch, hidden]; batch first in layout 1."""
    weights, recurrence = shape_of(call, 1), shape_of(call, 2)
    hidden: Dim | None = call.attributes.get("hidden_size")
    if recurrence is not None:
        with_rank(call, recurrence, 3, "R", 3)
        gates = recurrence[1]
        if hidden is not None and isinstance(gates, int) and gates != hidden * _GATES[call.op]:
            refuse(call, f"R has {gates} rows, but {_GATES[call.op]} gates of {hidden} units need others")
        hidden = recurrence[2] if hidden is None else hidden
    if weights is not None:
        with_rank(call, weights, 3, "W", 3)
    data, count = shape_of(call, 0), _directions(call)
    rows = None if hidden is None else hidden * _GATES[call.op]
    same_shape(call, 1, (count, rows, None if data is None or len(data) != 3 else data[2]), "W")
    same_shape(call, 2, (count, rows, hidden), "R")
    same_shape(call, 3, (count, None if rows is None else rows * 2), "B")
    _check_states(call, hidden)
    return states(call, hidden)


@shape_rule("DynamicQuantizeLSTM", domain="com.microsoft")
def dynamic_quantize_lstm(call: Inference) -> Result:
    """As LSTM; the weights are quantised and transposed, the states as the data."""
    data, recurrence = shape_of(call, 0), shape_of(call, 2)
    hidden: Dim | None = call.attributes.get("hidden_size")
    if recurrence is not None:
        hidden = with_rank(call, recurrence, 3, "R", 3)[1] if hidden is None else hidden
    rows, count = None if hidden is None else hidden * 4, _directions(call)
    same_shape(call, 1, (count, None if data is None or len(data) != 3 else data[2], rows), "W")
    same_shape(call, 2, (count, hidden, rows), "R")
    same_shape(call, 3, (count, None if rows is None else rows * 2), "B")
    for slot, name in ((8, "W_scale"), (9, "W_zero_point"), (10, "R_scale"), (11, "R_zero_point")):
        shape = shape_of(call, slot)
        same_shape(call, slot, (count,) if shape is None or len(shape) == 1 else (count, rows), name)
    _check_states(call, hidden)
    return states(call, hidden)


def _directions(call: Inference) -> int:
    return 2 if call.attributes.get("direction", "forward") == "bidirectional" else 1


def _check_states(call: Inference, hidden: Dim | None) -> None:
    """Lengths, initial states and peepholes: as many, and as wide, as data, directions and units ask for."""
    data = shape_of(call, 0)
    length, batch = (None, None) if data is None else with_rank(call, data, 3, "X", 3)[:2]
    count = _directions(call)
    if call.attributes.get("layout", 0):
        length, batch = batch, length
    wanted = (batch, count, hidden) if call.attributes.get("layout", 0) else (count, batch, hidden)
    vector(call, 4, batch, "sequence_lens")
    if length is not None:
        within(call, 4, 0, length, "sequence_lens")
    same_shape(call, 5, wanted, "initial_h")
    if call.op in ("LSTM", "DynamicQuantizeLSTM"):
        same_shape(call, 6, wanted, "initial_c")
        same_shape(call, 7, (count, None if hidden is None else hidden * 3), "P")


def states(call: Inference, hidden: Dim | None) -> Result:
    """The outputs of a recurrent layer of `hidden` units."""
    directions = _directions(call)
    data = shape_of(call, 0)
    length, batch = (unknown(call, 0), unknown(call, 2)) if data is None else with_rank(call, data, 3, "X", 3)[:2]
    width = unknown(call, 3) if hidden is None else hidden
    dtype = dtype_of(call, 0)
    if call.attributes.get("layout", 0):
        length, batch = batch, length
        state = TensorType(dtype, (batch, directions, width))
        return (TensorType(dtype, (batch, length, directions, width)), state, state)[: call.outputs]
    state = TensorType(dtype, (directions, batch, width))
    return (TensorType(dtype, (length, directions, batch, width)), state, state)[: call.outputs]
