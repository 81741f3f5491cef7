"""Fourier transforms and the windows that go with them; complex numbers lie in a last axis of two."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphopt.ir.dtype import DType
from graphopt.ops.meaning.operands import axis_of, scalar
from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.table import Call, meaning


def _complex(x: np.ndarray) -> np.ndarray:
    wide = widened(x)
    return wide[..., 0] + (1j * wide[..., 1] if x.shape[-1] == 2 else 0.0)


def _pairs(x: np.ndarray) -> np.ndarray:
    return np.stack([np.real(x), np.imag(x)], axis=-1)


@meaning("DFT")
def _dft(call: Call) -> tuple[np.ndarray]:
    x, a = call.inputs[0], call.attributes
    given: Any = call.input(2)
    axis = int(scalar(given)) if given is not None else int(a.get("axis", 1 if call.version < 20 else -2))
    axis = axis_of(axis, x.ndim)
    length = x.shape[axis] if call.input(1) is None else int(scalar(call.inputs[1]))
    one_sided, inverse = bool(a.get("onesided", 0)), bool(a.get("inverse", 0))
    signal = _complex(x)
    if inverse and one_sided:
        real = np.fft.irfft(signal, 2 * (x.shape[axis] - 1) if call.input(1) is None else length, axis)
        return (rounded(real[..., None], x.dtype),)
    found = np.fft.ifft(signal, length, axis) if inverse else np.fft.fft(signal, length, axis)
    if one_sided:
        found = np.take(found, np.arange(length // 2 + 1), axis)
    return (rounded(_pairs(found), x.dtype),)


@meaning("STFT")
def _stft(call: Call) -> tuple[np.ndarray]:
    x, step, window = call.inputs[0], int(scalar(call.inputs[1])), call.input(2)
    length = int(scalar(call.inputs[3])) if call.input(3) is not None else len(window)
    signal = _complex(x[..., None] if x.ndim == 2 else x)
    shape = np.ones(length) if window is None else widened(window)
    frames = (signal.shape[1] - length) // step + 1
    cut = np.stack([signal[:, i * step : i * step + length] * shape for i in range(frames)], axis=1)
    found = np.fft.fft(cut, axis=-1)
    found = found[..., : length // 2 + 1] if call.attributes.get("onesided", 1) else found
    return (rounded(_pairs(found), x.dtype),)


_WINDOWS = {
    "HannWindow": (0.5, 0.5, 0.0),
    "HammingWindow": (25 / 46, 21 / 46, 0.0),
    "BlackmanWindow": (0.42, 0.5, 0.08),
}


@meaning("HannWindow", "HammingWindow", "BlackmanWindow")
def _window(call: Call) -> tuple[np.ndarray]:
    size = int(scalar(call.inputs[0]))
    turns = size if call.attributes.get("periodic", 1) else size - 1
    at = 2 * math.pi * np.arange(size) / turns if turns else np.zeros(size)
    a, b, c = _WINDOWS[call.op]
    dtype = DType(int(call.attributes.get("output_datatype", 1))).numpy
    return (rounded(a - b * np.cos(at) + c * np.cos(2 * at), dtype),)
