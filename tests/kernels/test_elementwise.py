"""Elementwise chains against their naive twins: every operator, dtype, broadcast, and special value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_kernels.bind.elementwise import CHAIN, select
from graphopt_kernels.chain import RULES, chain_of, parse
from tests import naive
from tests.kernels.harness import run

ROUGH = {
    **dict.fromkeys(("Exp", "Log", "Sin", "Cos", "Tanh", "Sigmoid", "Erf", "Pow", "Tan", "Atan"), 2.0),
    **dict.fromkeys(("Elu", "Celu", "Selu", "Softplus", "HardSigmoid", "Softsign"), 4.0),
    **dict.fromkeys(("Mish", "HardSwish", "Swish"), 8.0),
}
"""Units in the last place that an operator may be off; the others are exact."""


def specials(dtype: str) -> list[Any]:
    """Values where kernels go wrong, and some ordinary ones."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return [False, True]
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return [0, 1, 2, 3, 7, 100, info.max, info.max - 1, info.min, *([-1, -2, -7, info.min + 1] if info.min else [])]
    tiny = float(np.finfo(kind).tiny)
    usual = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1.0, -1.0, 3.0, -3.7, 6.5, 20.0, -20.0, 88.9, -90.0, 1e4, 123456.7]
    return [
        *usual,
        tiny,
        -tiny,
        tiny / 8,
        2.0**31,
        -3e38 if dtype == "float32" else -1e300,
        math.inf,
        -math.inf,
        math.nan,
    ]


def operands(count: int, dtype: str) -> list[np.ndarray]:
    """Every combination of special values, for one operand or two (the third of three repeats the first)."""
    with np.errstate(over="ignore"):
        values = np.array(specials(dtype), np.float64 if np.dtype(dtype).kind == "f" else dtype).astype(dtype)
    if count == 1:
        return [values]
    pairs = np.meshgrid(values, values)
    return [pairs[0].ravel(), pairs[1].ravel(), pairs[0].ravel()[::-1].copy()][:count]


def assert_close(got: np.ndarray, expected: np.ndarray, ulps: float, what: str) -> None:
    """Equal to the last bit but for the sign of zero, or within some units in the last place."""
    assert got.dtype == expected.dtype
    if not ulps or got.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected, err_msg=what)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite], err_msg=what)
    unit = np.spacing(np.maximum(np.abs(expected[finite]), np.finfo(got.dtype).tiny)).astype(np.float64)
    error = np.abs(got[finite].astype(np.float64) - expected[finite].astype(np.float64)) / unit
    assert error.max(initial=0) <= ulps, f"{what}: {error.max()} ulp"


def cases(dtype: str) -> list[tuple[str, int, dict[str, Any]]]:
    """Every operator with a twin that takes the dtype: name, operands, attributes."""
    found: list[tuple[str, int, dict[str, Any]]] = []
    for op, rule in RULES.items():
        if op not in naive.SCALAR or dtype not in rule.dtypes or op in ("Where", "Gelu", "BitShift"):
            continue
        attributes = {k: float(np.float32(v)) if isinstance(v, float) else v for k, v in rule.defaults}
        if op == "Mod" and dtype.startswith("float"):
            continue
        if op == "Pow" and not dtype.startswith("float"):
            continue
        if dtype.startswith("float16") and op in ROUGH:
            continue
        found.append((op, {"Max": 2, "Min": 2, "Clip": 3}.get(op, rule.least), attributes))
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "int8", "bool", "float16"])
def test_every_operator_agrees_with_its_twin_on_special_values(dtype: str) -> None:
    chosen = cases(dtype)
    arrays = operands(3, dtype)
    steps = [(op, attributes, list(range(count))) for op, count, attributes in chosen]
    chain = chain_of([dtype] * 3, steps, [3 + i for i in range(len(steps))])
    assert chain is not None
    outputs = [(step.dtype, arrays[0].shape) for step in chain.steps]
    results = run("elementwise", CHAIN, arrays, outputs, {"body": chain.text}, team=2)
    for (op, count, attributes), got in zip(chosen, results, strict=True):
        with np.errstate(all="ignore"):
            expected = naive.elementwise(op, *arrays[:count], dtype=got.dtype, **attributes)
        assert_close(got, expected, ROUGH.get(op, 0.0), f"{op} of {dtype}")


def shapes() -> st.SearchStrategy[tuple[list[tuple[int, ...]], tuple[int, ...]]]:
    """Shapes that broadcast together, sizes 0 and 1 among them, and the shape of the result."""

    @st.composite
    def draw(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
        full = draw(st.lists(st.sampled_from([0, 1, 2, 3, 5, 16, 17, 40]), max_size=4))
        found: list[tuple[int, ...]] = []
        for _ in range(2):
            rank = draw(st.integers(0, len(full)))
            kept = full[len(full) - rank :]
            found.append(tuple(1 if draw(st.booleans()) else size for size in kept))
        return found, np.broadcast_shapes(*found)

    return draw()


@given(shapes(), st.integers(1, 3), st.integers(0, 2**31))
def test_broadcasting_and_the_size_of_the_team_change_nothing(
    drawn: tuple[list[tuple[int, ...]], tuple[int, ...]], team: int, seed: int
) -> None:
    (left, right), full = drawn
    random = np.random.default_rng(seed)
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in (left, right))
    (got,) = run("elementwise", "Sub", [a, b], [("float32", full)], team=team)
    np.testing.assert_array_equal(got, a - b)


def test_operands_of_several_dtypes_and_a_literal_make_one_chain() -> None:
    x = np.linspace(-3, 3, 37, dtype=np.float32)
    mask = np.arange(37) % 3 == 0
    count = np.arange(37, dtype=np.int64)
    steps: list[Any] = [
        ("Cast", {"to": "float32"}, [2]),
        ("Pow", {}, [0, np.float32(2)]),
        ("Add", {}, [3, 4]),
        ("Where", {}, [1, 5, np.float32(-1)]),
        ("Less", {}, [6, 0]),
        ("Cast", {"to": "uint8"}, [7]),
    ]
    chain = chain_of(["float32", "bool", "int64"], steps, [6, 7, 8])
    assert chain is not None
    assert parse(chain.text) == chain
    outputs = [("float32", (37,)), ("bool", (37,)), ("uint8", (37,))]
    value, less, byte = run("elementwise", CHAIN, [x, mask, count], outputs, {"body": chain.text})
    expected = np.where(mask, x * x + count.astype(np.float32), np.float32(-1))
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(less, expected < x)
    np.testing.assert_array_equal(byte, (expected < x).astype(np.uint8))


def test_casts_follow_numpy_between_all_dtypes() -> None:
    names = ["float32", "int8", "uint8", "int64", "bool", "float16"]
    for source in names:
        x = np.array([0, 1, 2, 100, 3] + ([-1, -100] if not source.startswith(("u", "b")) else []), source)
        if source.startswith("float"):
            x = np.concatenate([x, np.array([0.5, -0.5, -1.75, 99.99], source)])
        steps: list[Any] = [("Cast", {"to": name}, [0]) for name in names]
        chain = chain_of([source], steps, list(range(1, len(names) + 1)))
        assert chain is not None
        outputs = [(name, x.shape) for name in names]
        for name, got in zip(names, run("elementwise", CHAIN, [x], outputs, {"body": chain.text}), strict=True):
            with np.errstate(invalid="ignore"):
                wide = x.astype(np.int64) if name.startswith("u") and source.startswith("float") else x
                np.testing.assert_array_equal(got, wide.astype(name), err_msg=f"{source} to {name}")


def test_integer_powers_wrap_and_negative_exponents_truncate() -> None:
    base = np.array([2, -2, 3, -1, -1, 1, 2, 0, 7], np.int32)
    exponent = np.array([10, 3, 25, -3, -2, -5, -1, 0, 1], np.int32)
    (got,) = run("elementwise", "Pow", [base, exponent], [("int32", base.shape)])
    wrapped = (3**25 + 2**31) % 2**32 - 2**31
    assert got.tolist() == [1024, -8, wrapped, -1, 1, 1, 0, 1, 7]


def test_batch_normalization_scales_channels() -> None:
    random = np.random.default_rng(3)
    x = random.standard_normal((2, 5, 3, 7)).astype(np.float32)
    scale, bias, mean = (random.standard_normal(5).astype(np.float32) for _ in range(3))
    variance = random.random(5).astype(np.float32)
    (got,) = run("elementwise", "BatchNormalization", [x, scale, bias, mean, variance], [("float32", x.shape)])
    wide = [v.astype(np.float64)[:, None, None] for v in (scale, bias, mean, variance)]
    expected = (x - wide[2]) / np.sqrt(wide[3] + 1e-5) * wide[0] + wide[1]
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


def test_clip_reads_its_bounds_from_attributes_before_opset_11() -> None:
    x = np.array([-1, 0.25, 2, math.nan], np.float32)
    (got,) = run("elementwise", "Clip", [x], [("float32", (4,))], {"min": 0.0, "max": 1.0}, version=6)
    np.testing.assert_array_equal(got, np.array([0, 0.25, 1, math.nan], np.float32))
    high = np.array(1, np.float32)
    (got,) = run("elementwise", "Clip", [x, None, high], [("float32", (4,))])
    np.testing.assert_array_equal(got, np.array([-1, 0.25, 1, math.nan], np.float32))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_within_the_rounding_of_its_formula(approximate: str) -> None:
    x = np.linspace(-8, 8, 1001, dtype=np.float32)
    (got,) = run("elementwise", "Gelu", [x], [("float32", x.shape)], {"approximate": approximate})
    expected = naive.elementwise("Gelu", x, dtype="float64", approximate=approximate)
    assert np.abs(got - expected).max() <= 4e-7 * 8


def test_what_is_not_served_is_declined_and_what_is_not_canonical_is_refused() -> None:
    assert select("Add", 14, [np.dtype("float32"), np.dtype("float64")], {}) is None
    assert select("Add", 14, [np.dtype("complex64")] * 2, {}) is None
    assert select("BatchNormalization", 15, [np.dtype("float32")] * 5, {"training_mode": 1}) is None
    with pytest.raises(ValueError, match="is not a step"):
        parse("i0:float32;t0=Frobnicate(i0);t0")
    with pytest.raises(ValueError, match="canonical"):
        parse("i0:float32;t0=LeakyRelu(i0);t0")
