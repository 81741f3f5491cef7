"""LSTM, GRU and RNN: a loop over time, in float64, rounded at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.precision import rounded, sigmoid, softplus, widened
from graphopt.ops.table import Call, meaning

Activation: TypeAlias = Callable[[np.ndarray], np.ndarray]
Step: TypeAlias = Callable[[np.ndarray, "list[np.ndarray]"], "list[np.ndarray]"]
"""(input of one moment, states) → new states, the hidden one first."""

_PLAIN: dict[str, Activation] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "softplus": softplus,
}
_WITH_PARAMETERS: dict[str, tuple[Callable[[Any, float, float], Any], float | None, float | None]] = {
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "leakyrelu": (lambda x, a, b: np.where(x < 0, a * x, x), 0.01, None),
    "thresholdedrelu": (lambda x, a, b: np.where(x >= a, x, 0.0), 1.0, None),
    "scaledtanh": (lambda x, a, b: a * np.tanh(b * x), 1.0, 1.0),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, 0.0, 1.0), 0.2, 0.5),
    "elu": (lambda x, a, b: np.where(x < 0, a * np.expm1(x), x), 1.0, None),
}


def _activations(call: Call, defaults: Sequence[str], directions: int) -> list[list[Activation]]:
    """The activations of each direction; those that have an alpha or beta take it from the lists, in order."""
    names = [str(n).lower() for n in call.attributes.get("activations") or list(defaults) * directions]
    alphas, betas = (
        iter(call.attributes.get("activation_alpha") or ()),
        iter(call.attributes.get("activation_beta") or ()),
    )
    made = [_activation(name, alphas, betas) for name in names]
    return [made[i * len(defaults) : (i + 1) * len(defaults)] for i in range(directions)]


def _activation(name: str, alphas: Any, betas: Any) -> Activation:
    if name in _PLAIN:
        return _PLAIN[name]
    function, alpha, beta = _WITH_PARAMETERS[name]
    a = float(next(alphas, np.float32(alpha))) if alpha is not None else 0.0
    b = float(next(betas, np.float32(beta))) if beta is not None else 0.0
    return lambda x: function(x, a, b)


def _clipped(call: Call) -> Activation:
    limit = call.attributes.get("clip")
    return (lambda x: x) if not limit else lambda x: np.clip(x, -float(limit), float(limit))


def _directions(call: Call) -> list[bool]:
    """For each direction, whether it runs backwards."""
    return {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[
        str(call.attributes.get("direction", "forward"))
    ]


def unroll(call: Call, x: np.ndarray, steps: Sequence[Step], starts: Sequence[Sequence[np.ndarray]]) -> tuple[Any, ...]:
    """Y and the last states, for x (time, batch, input), one step function and start states a direction.

    A sequence shorter than the batch's longest gives zeros after its end and keeps its last state.
    """
    time, batch = x.shape[:2]
    lengths = np.full(batch, time) if call.input(4) is None else np.asarray(call.input(4))
    hidden = starts[0][0].shape[-1]
    y = np.zeros((time, len(steps), batch, hidden), x.dtype)
    finals: list[list[np.ndarray]] = []
    for direction, (backwards, step, start) in enumerate(zip(_directions(call), steps, starts, strict=True)):
        states = list(start)
        for t in reversed(range(time)) if backwards else range(time):
            going = (t < lengths)[:, None]
            states = [np.where(going, new, old) for new, old in zip(step(x[t], states), states, strict=True)]
            y[t, direction] = np.where(going, states[0], 0.0)
        finals.append(states)
    return (y, *(np.stack(column) for column in zip(*finals, strict=True)))


def recurrent(
    call: Call, gates: int, states: int, step_of: Callable[[Call, int, Any], Step], hidden: int = 0
) -> tuple[np.ndarray, ...]:
    """Y and the last states of an operator with as many gates and states; `hidden` where R is not (.., .., hidden)."""
    x, r = call.inputs[0], call.inputs[2]
    batch_first = bool(call.attributes.get("layout", 0))
    wide = np.swapaxes(widened(x), 0, 1) if batch_first else widened(x)
    directions, batch = r.shape[0], wide.shape[1]
    if (not hidden and r.shape[1] != gates * r.shape[2]) or directions != len(_directions(call)):
        raise ModelError(f"recurrence weights {list(r.shape)} do not fit {gates} gates")
    hidden = hidden or r.shape[2]
    starts = [_start(call.input(5 + i), directions, batch, hidden, batch_first) for i in range(states)]
    steps = [step_of(call, d, hidden) for d in range(directions)]
    y, *last = unroll(call, wide, steps, [[start[d] for start in starts] for d in range(directions)])
    if batch_first:
        y, last = y.transpose(2, 0, 1, 3), [np.swapaxes(v, 0, 1) for v in last]
    return tuple(rounded(v, x.dtype) for v in (y, *last))


def _start(given: Any, directions: int, batch: int, hidden: int, batch_first: bool) -> np.ndarray:
    if given is None:
        return np.zeros((directions, batch, hidden))
    return np.swapaxes(widened(given), 0, 1) if batch_first else widened(given)


def _bias(call: Call, direction: int, gates: int, hidden: int) -> tuple[np.ndarray, np.ndarray]:
    if call.input(3) is None:
        return np.zeros(gates * hidden), np.zeros(gates * hidden)
    both = widened(call.inputs[3])[direction]
    return both[: gates * hidden], both[gates * hidden :]


def lstm_step(call: Call, direction: int, hidden: int, product: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Step:
    """One moment of an LSTM; `product(x, h)` is X·Wᵀ + H·Rᵀ without biases, gates in the order i, o, f, c."""
    f, g, h = _activations(call, ("Sigmoid", "Tanh", "Tanh"), len(_directions(call)))[direction]
    clip, coupled = _clipped(call), bool(call.attributes.get("input_forget", 0))
    bias = sum(_bias(call, direction, 4, hidden), np.zeros(()))
    peep = np.zeros(3 * hidden) if call.input(7) is None else widened(call.inputs[7])[direction]
    peep_i, peep_o, peep_f = np.split(peep, 3)

    def step(x: np.ndarray, states: list[np.ndarray]) -> list[np.ndarray]:
        last_h, last_c = states
        i, o, forget, c = np.split(product(x, last_h) + bias, 4, axis=-1)
        i = f(clip(i + peep_i * last_c))
        forget = 1.0 - i if coupled else f(clip(forget + peep_f * last_c))
        cell = forget * last_c + i * g(clip(c))
        o = f(clip(o + peep_o * cell))
        return [o * h(clip(cell) if call.attributes.get("clip") else cell), cell]

    return step


@meaning("LSTM")
def _lstm(call: Call) -> tuple[np.ndarray, ...]:
    def step_of(call: Call, direction: int, hidden: int) -> Step:
        w, r = widened(call.inputs[1])[direction].T, widened(call.inputs[2])[direction].T
        return lstm_step(call, direction, hidden, lambda x, h: x @ w + h @ r)

    return recurrent(call, 4, 2, step_of)


@meaning("GRU")
def _gru(call: Call) -> tuple[np.ndarray, ...]:
    def step_of(call: Call, direction: int, hidden: int) -> Step:
        f, g = _activations(call, ("Sigmoid", "Tanh"), len(_directions(call)))[direction]
        clip, after = _clipped(call), bool(call.attributes.get("linear_before_reset", 0))
        w, r = widened(call.inputs[1])[direction].T, widened(call.inputs[2])[direction].T
        wb, rb = _bias(call, direction, 3, hidden)
        zr, hh = slice(0, 2 * hidden), slice(2 * hidden, None)

        def step(x: np.ndarray, states: list[np.ndarray]) -> list[np.ndarray]:
            (last,) = states
            given = x @ w + wb
            z, reset = np.split(f(clip(given[:, zr] + last @ r[:, zr] + rb[zr])), 2, axis=-1)
            inner = reset * (last @ r[:, hh] + rb[hh]) if after else (reset * last) @ r[:, hh] + rb[hh]
            return [(1.0 - z) * g(clip(given[:, hh] + inner)) + z * last]

        return step

    return recurrent(call, 3, 1, step_of)


@meaning("RNN")
def _rnn(call: Call) -> tuple[np.ndarray, ...]:
    def step_of(call: Call, direction: int, hidden: int) -> Step:
        (f,) = _activations(call, ("Tanh",), len(_directions(call)))[direction]
        clip = _clipped(call)
        w, r = widened(call.inputs[1])[direction].T, widened(call.inputs[2])[direction].T
        bias = sum(_bias(call, direction, 1, hidden), np.zeros(()))
        return lambda x, states: [f(clip(x @ w + states[0] @ r + bias))]

    return recurrent(call, 1, 1, step_of)
