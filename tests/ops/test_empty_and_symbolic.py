"""Meanings at the edges: no elements, shapes that are known only as symbols, dtypes that must not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphopt.check import run_call
from graphopt.errors import ModelError
from graphopt.ir import symbol
from graphopt.ops.table import Call, meaning_of

N, M = symbol("N"), symbol("M")


def run(op: str, *inputs: Any, version: int = 21, domain: str = "", **attributes: Any) -> Any:
    return run_call(Call(op, domain, version, attributes, inputs, 1))[0]


def dims(*items: Any) -> np.ndarray:
    out = np.empty(len(items), object)
    out[:] = items
    return out


def ints(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


# ---- no elements ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_of_an_empty_batch_is_empty(groups: int) -> None:
    w = np.ones((4, 2 // groups, 1, 1), np.float32)
    assert run("Conv", np.zeros((0, 2, 3, 3), np.float32), w, group=groups).shape == (0, 4, 3, 3)
    turned = np.ones((2, 4 // groups, 2, 2), np.float32)
    assert run("ConvTranspose", np.zeros((0, 2, 3, 3), np.float32), turned, group=groups).shape == (0, 4, 4, 4)


@pytest.mark.parametrize(
    ("op", "neutral"),
    [("ReduceSum", 0), ("ReduceProd", 1), ("ReduceMax", -np.inf), ("ReduceMin", np.inf), ("ReduceLogSumExp", -np.inf)],
)
def test_reducing_nothing_gives_the_neutral_element(op: str, neutral: float) -> None:
    assert run(op, np.zeros((2, 0), np.float32), ints(1), keepdims=0).tolist() == [neutral, neutral]


def test_a_reshape_of_nothing_infers_what_is_left_of_the_shape() -> None:
    assert run("Reshape", np.zeros((0, 3, 4), np.float32), ints(0, -1)).shape == (0, 12)
    assert run("Reshape", np.zeros((0, 3), np.float32), ints(3, 0), allowzero=1).shape == (3, 0)


# ---- types and signs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceProd", "ReduceMax", "ReduceMean", "ReduceL1", "ReduceSumSquare"])
@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.float16])
def test_a_reduction_keeps_its_type(op: str, dtype: Any) -> None:
    assert run(op, np.ones((2, 3), dtype)).dtype == dtype


def test_integer_division_truncates_and_wraps() -> None:
    low = np.iinfo(np.int32).min
    a, b = np.array([7, -7, 7, -7, low], np.int32), np.array([2, 2, -2, -2, -1], np.int32)
    assert run("Div", a, b).tolist() == [3, -3, -3, 3, low]


def test_maximum_orders_zeros_and_propagates_nan() -> None:
    a, b = np.array([0.0, -0.0, np.nan, 1], np.float32), np.array([-0.0, 0.0, 1, np.nan], np.float32)
    for left, right in ((a, b), (b, a)):
        top, low = run("Max", left, right), run("Min", left, right)
        assert not np.signbit(top[:2]).any()
        assert np.signbit(low[:2]).all()
        assert np.isnan(top[2:]).all()
        assert np.isnan(low[2:]).all()
    assert np.isnan(run("Relu", a)[2])
    assert np.isnan(run("Clip", a, np.float32(0), np.float32(6))[2])


def test_clip_with_crossed_bounds_gives_the_upper_one() -> None:
    assert run("Clip", np.array([0, 9], np.float32), np.float32(2), np.float32(1)).tolist() == [1, 1]


# ---- symbols -------------------------------------------------------------------------------------------------


def test_shape_arithmetic_of_exporters_runs_on_symbols() -> None:
    shape = dims(N, 3, M)
    batch = run("Gather", shape, np.array(0), axis=0)
    assert batch.item() == N
    assert run("Unsqueeze", batch, ints(0)).tolist() == [N]
    assert run("Concat", dims(N), ints(-1), axis=0).tolist() == [N, -1]
    assert run("Slice", shape, ints(-2), ints(2**31 - 1), ints(0)).tolist() == [3, M]
    assert run("ReduceProd", shape, keepdims=0).item() == 3 * N * M
    assert run("Mul", dims(N), ints(2)).tolist() == [N * 2]
    assert run("Div", dims(N * 4), ints(2)).tolist() == [N * 2]
    assert run("Cast", shape, to=7).tolist() == [N, 3, M]
    assert run("Where", np.array([True, False, True]), shape, ints(1, 1, 1)).tolist() == [N, 1, M]
    first, rest = meaning_of("Split")(Call("Split", "", 18, {}, (shape, ints(1, 2)), 2))  # pyright: ignore[reportOptionalCall]
    assert (first.tolist(), rest.tolist()) == ([N], [3, M])


def test_what_no_symbol_is_left_in_is_a_number() -> None:
    gone = run("Sub", dims(N + 2), dims(N))
    assert gone.dtype == np.int64
    assert gone.tolist() == [2]


def test_equality_is_decided_where_a_size_cannot_be_negative() -> None:
    assert run("Equal", dims(N, 3), ints(-1, -1)).tolist() == [False, False]
    assert run("Equal", dims(N + 1), ints(0)).tolist() == [False]


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("Equal", (dims(N), ints(3))),
        ("Div", (dims(N - 3), ints(2))),
        ("Max", (dims(N), dims(M))),
        ("ConstantOfShape", (dims(N),)),
        ("Expand", (np.ones(1, np.float32), dims(N))),
        ("Less", (dims(N), ints(4))),
    ],
)
def test_what_depends_on_the_symbols_is_refused(op: str, inputs: tuple[Any, ...]) -> None:
    function = meaning_of(op)
    assert function is not None
    with pytest.raises(TypeError):
        function(Call(op, "", 21, {}, inputs, 1))


def test_operands_that_do_not_fit_are_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"^MatMul: the inner dimensions must agree, got 3 and 2$"):
        run("MatMul", np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))
