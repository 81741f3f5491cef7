"""Bounds on rounding: a plain float32 evaluation keeps them, and they are not much larger than it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt.check.estimate import Estimate, exact
from graphopt.check.propagate import propagate
from graphopt.ops.table import Call

EPS = float(np.finfo(np.float32).eps)


def estimated(op: str, *inputs: Any, version: int = 21, outputs: int = 1, **attributes: Any) -> Estimate:
    given = tuple(x if isinstance(x, Estimate) else exact(x) for x in inputs)
    result = propagate(Call(op, "", version, attributes, given, outputs))[0]
    assert isinstance(result, Estimate)
    return result


def within(result: Estimate, got: np.ndarray) -> bool:
    allowed = 0.0 if result.error is None else result.error
    half = EPS / 2 * np.abs(result.value)
    return bool(np.all(np.abs(got.astype(np.float64) - result.value) <= allowed + half))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def backwards(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for k in reversed(range(a.shape[1])):
        total = total + a[:, k : k + 1] * b[k]
    return total


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Exp": np.exp,
    "Tanh": np.tanh,
    "Sigmoid": lambda x: np.float32(1) / (np.float32(1) + np.exp(-x)),
    "Softplus": lambda x: np.log(np.float32(1) + np.exp(x)),
    "Mish": lambda x: x * np.tanh(np.log(np.float32(1) + np.exp(x))),
    "Elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - np.float32(1)),
    "Sin": np.sin,
}


@pytest.mark.parametrize("op", FUNCTIONS)
def test_a_function_in_float32_keeps_its_bound(op: str) -> None:
    x = np.concatenate([normal(2000) * np.float32(scale) for scale in (1e-3, 1, 8)])
    result = estimated(op, x)
    assert within(result, FUNCTIONS[op](x))
    assert result.error is not None
    assert np.all(result.error <= 8 * EPS * (np.abs(result.value) + 1) * (np.abs(x) + 1))


@pytest.mark.parametrize("k", [1, 7, 64, 600])
@pytest.mark.parametrize("kind", ["of both signs", "positive", "smooth"])
def test_a_sum_in_any_order_keeps_its_bound(k: int, kind: str) -> None:
    a, b = normal(30, k), normal(k, 40, seed=1)
    if kind == "positive":
        a, b = np.abs(a), np.abs(b)
    if kind == "smooth":  # neighbours alike, and a sum that cancels
        a = np.cos(np.linspace(0, np.pi, k, dtype=np.float32)) + np.zeros((30, 1), np.float32)
        b = np.abs(b)
    result = estimated("MatMul", a, b)
    assert within(result, backwards(a, b))
    assert within(result, a @ b)
    assert result.error is not None
    assert np.all(result.error <= 12 * EPS * np.sqrt(k) * (np.abs(a) @ np.abs(b)))
    assert not within(result, (result.value * 1.0005).astype(np.float32))


def test_what_is_added_to_an_unseen_sum_may_be_its_first_term() -> None:
    a, b, residual = normal(30, 200), normal(200, 40, seed=1), normal(30, 40, seed=2) * np.float32(1000)
    unseen = estimated("MatMul", a, b)
    fused = residual.copy()
    for k in range(200):
        fused = fused + a[:, k : k + 1] * b[k]
    assert within(estimated("Add", unseen, residual), fused)
    assert not within(estimated("Add", exact(unseen.plain), residual), fused)


def test_softmax_over_many_classes_may_lose_what_its_sum_loses() -> None:
    x = normal(4, 20_000) * np.float32(0.1)
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    sums = np.add.accumulate(powers, axis=1, dtype=np.float32)[:, -1:]
    result = estimated("Softmax", x, axis=-1)
    assert within(result, powers / sums)
    assert not within(result, (result.value * 1.001).astype(np.float32))


def test_a_quantum_next_to_its_boundary_is_either_and_no_other() -> None:
    x = np.array([0.05, 0.15 * (1 + EPS / 8), 0.1, 0.26], np.float32)
    result = estimated("QuantizeLinear", x, np.float32(0.1), np.uint8(0))
    assert result.error is not None
    assert result.error[0] == 1
    assert result.error[2] == 0
    assert result.error[3] == 0


def test_an_index_is_free_only_where_its_candidates_are_within_rounding() -> None:
    close, clear = np.array([[1.0, 1.0 + EPS / 2]]), np.array([[1.0, 2.0]])
    for values, free in ((close, True), (clear, False)):
        x = Estimate(values, np.dtype(np.float32), np.full((1, 2), 4 * EPS))
        result = estimated("ArgMax", x, axis=1)
        assert (result.error is not None and bool(result.error.any())) is free


def test_operands_that_decide_shapes_are_never_moved() -> None:
    x, scales = normal(1, 1, 26, 26), np.array([1, 1, 0.5, 2], np.float32)
    result = estimated("Resize", x, None, scales, mode="nearest")
    assert result.shape == (1, 1, 13, 52)
    assert result.error is None or np.isfinite(result.error).all()


def test_errors_move_with_the_elements_that_have_them() -> None:
    x = Estimate(np.arange(6.0).reshape(2, 3), np.dtype(np.float32), np.array([[0, 1, 0], [0, 0, 2.0]]))
    turned = estimated("Transpose", x, perm=(1, 0))
    assert turned.error is not None
    assert np.array_equal(turned.error, [[0, 0], [1, 0], [0, 2]])
    largest = estimated("MaxPool", Estimate(x.value[None], x.dtype, x.error[None]), kernel_shape=(3,))  # pyright: ignore[reportOptionalSubscript]
    assert largest.error is not None
    assert np.array_equal(largest.error, [[[1], [2]]])
