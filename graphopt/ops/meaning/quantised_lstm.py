"""com.microsoft DynamicQuantizeLSTM: an LSTM with 8-bit weights, whose inputs are quantised as they come.

ONNX Runtime defines the operator; what stands here agrees with what it computes (tests/ops), one batch, zero points 0.
Weights are (directions, input, 4·hidden), transposed against LSTM's; scales and zero points are per direction or per
direction and column.  The input of all moments is quantised at once, the hidden state anew at each moment, both as
uint8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.ops.meaning.quantisation import quantise_dynamically
from graphopt.ops.meaning.recurrent import Step, lstm_step, recurrent
from graphopt.ops.table import Call, meaning


@meaning("DynamicQuantizeLSTM", domain="com.microsoft")
def _dynamic_quantize_lstm(call: Call) -> tuple[np.ndarray, ...]:
    plain = Call("LSTM", "", 14, call.attributes, call.inputs[:8], call.outputs)
    x_scale, x_zero = quantise_dynamically(call.inputs[0])[1:]

    def step_of(call_: Call, direction: int, hidden: int) -> Step:
        w = _Weights(call.inputs[1][direction], call.inputs[8], call.input(9), direction)
        r = _Weights(call.inputs[2][direction], call.inputs[10], call.input(11), direction)

        def product(x: np.ndarray, h: np.ndarray) -> np.ndarray:
            taken = np.clip(np.rint(x.astype(np.float32) / x_scale).astype(np.float64) + x_zero, 0, 255)
            state, scale, zero = quantise_dynamically(h.astype(np.float32))
            return w.product(taken - x_zero, x_scale) + r.product(state.astype(np.float64) - zero, scale)

        return lstm_step(call_, direction, hidden, product)

    return recurrent(plain, 4, 2, step_of, hidden=call.inputs[2].shape[1])


class _Weights:
    """Quantised weights of one direction."""

    def __init__(self, weights: np.ndarray, scale: np.ndarray, zero: Any, direction: int) -> None:
        self._scale = _of(scale, direction, weights.shape[1]).astype(np.float32)
        shift = np.zeros(()) if zero is None else _of(np.asarray(zero), direction, weights.shape[1])
        self._weights = weights.astype(np.float64) - shift.astype(np.float64)

    def product(self, x: np.ndarray, scale: np.float32) -> np.ndarray:
        """x · weights: exact in integers, then scaled in float32."""
        return ((x @ self._weights).astype(np.float32) * (scale * self._scale)).astype(np.float64)


def _of(v: np.ndarray, direction: int, columns: int) -> np.ndarray:
    """The scale or zero point of one direction: a number, or one for each column."""
    if v.size == 1:
        return v.reshape(())
    row = v.reshape(-1, columns) if v.size % columns == 0 and v.size >= columns else v
    return row[direction]
