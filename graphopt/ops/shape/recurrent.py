"""Recurrent layers: all states, the last state, and LSTM's last cell."""

from __future__ import annotations

from graphopt.ir.dim import Dim
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import Result, dtype_of, refuse, shape_of, unknown, with_rank
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
    return states(call, hidden)


@shape_rule("DynamicQuantizeLSTM", domain="com.microsoft")
def dynamic_quantize_lstm(call: Inference) -> Result:
    """As LSTM; the weights are quantised and transposed, the states as the data."""
    return states(call, call.attributes.get("hidden_size"))


def states(call: Inference, hidden: Dim | None) -> Result:
    """The outputs of a recurrent layer of `hidden` units."""
    directions = 2 if call.attributes.get("direction", "forward") == "bidirectional" else 1
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
