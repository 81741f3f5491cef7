"""The error of the float32 approximations, measured against float64 over every exponent and the ranges that matter."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.kernels.harness import run


def everywhere() -> np.ndarray:
    """Numbers of both signs with every exponent, denormals among them, and dense ranges around 0."""
    random = np.random.default_rng(0)
    patterns = random.integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32)
    dense = np.concatenate([np.linspace(-limit, limit, 40_001, dtype=np.float32) for limit in (1, 5, 20, 110)])
    return np.concatenate([patterns[np.isfinite(patterns)], dense])


def erf(x: np.ndarray) -> np.ndarray:
    return np.array([math.erf(v) for v in x])


CASES: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("Exp", np.exp),
    ("Log", np.log),
    ("Tanh", np.tanh),
    ("Sigmoid", lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))),
    ("Erf", erf),
    ("Sin", np.sin),
    ("Cos", np.cos),
]


def ulps(got: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units in the last place of float32; results that are not finite must be equal."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        nearest = exact.astype(np.float32)
    finite = np.isfinite(nearest)
    np.testing.assert_array_equal(got[~finite], nearest[~finite])
    error = np.abs(got[finite].astype(np.float64) - exact[finite])
    return float((error / np.spacing(np.abs(nearest[finite])).astype(np.float64)).max())


@pytest.mark.parametrize(("op", "function"), CASES)
def test_errors_stay_below_two_units_in_the_last_place(op: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
    x = everywhere()
    (got,) = run("elementwise", op, [x], [("float32", x.shape)])
    with np.errstate(all="ignore"):
        assert ulps(got, function(x.astype(np.float64))) < 2


def test_powers_stay_below_two_units_too() -> None:
    random = np.random.default_rng(1)
    x = np.exp(random.uniform(-80, 80, 200_000)).astype(np.float32)
    y = random.uniform(-8, 8, x.size).astype(np.float32)
    (got,) = run("elementwise", "Pow", [x, y], [("float32", x.shape)])
    with np.errstate(all="ignore"):
        assert ulps(got, np.power(x.astype(np.float64), y.astype(np.float64))) < 2
