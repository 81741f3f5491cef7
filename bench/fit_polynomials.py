"""The coefficients of `graphopt_kernels.cpu.approximate`, fitted from the functions themselves.

    python -m bench.fit_polynomials

Each fit is weighted least squares with Lawson's reweighting (it tends to the minimax polynomial), one coefficient
after another rounded to its type and held while the rest are fitted again, lowest power first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]


def _power_series(x: np.ndarray, coefficients: Sequence[float]) -> np.ndarray:
    result = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        result = result * x + coefficient
    return result


def fit(target: Function, weight: Function, low: float, high: float, degree: int, dtype: type) -> list[float]:
    """Coefficients, lowest power first, that keep `weight * (p - target)` small on [low, high]."""
    nodes = np.cos(np.pi * (np.arange(2000) + 0.5) / 2000)
    x = (low + high) / 2 + (high - low) / 2 * nodes
    y, w = target(x), weight(x)
    fixed: list[float] = []
    for power in range(degree + 1):
        rest = y - _power_series(x, fixed)
        columns = np.stack([x**i for i in range(power, degree + 1)], axis=1)
        emphasis = np.ones_like(x)
        solution = np.zeros(degree + 1 - power)
        for _ in range(60):
            root = np.sqrt(emphasis) * w
            solution = np.linalg.lstsq(columns * root[:, None], rest * root, rcond=None)[0]
            error = np.abs(w * (columns @ solution - rest))
            emphasis = emphasis * (error + 1e-3 * error.max())
            emphasis /= emphasis.mean()
        fixed.append(float(dtype(solution[0])))
    error = np.abs(w * (_power_series(x, fixed) - y)).max()
    print(f"    # largest weighted error 2^{math.log2(error):.1f}")
    return fixed


def _exp_tail(r: np.ndarray) -> np.ndarray:
    series = [1 / math.factorial(k + 2) for k in range(14)]
    return _power_series(r, series)  # (e^r - 1 - r) / r^2, without cancellation


def _exp2_tail(f: np.ndarray) -> np.ndarray:
    return np.exp2(f)


def _log_tail(f: np.ndarray) -> np.ndarray:
    f = np.where(np.abs(f) < 1e-300, 1e-300, f)
    direct = (np.log1p(f) - f + f * f / 2) / f**3
    series = _power_series(f, [(-1) ** k / (k + 3) for k in range(40)])
    return np.where(np.abs(f) < 0.1, series, direct)


def _sin_tail(s: np.ndarray) -> np.ndarray:
    return _power_series(s, [(-1) ** (k + 1) / math.factorial(2 * k + 3) for k in range(12)])  # (sin r - r) / r^3


def _cos_tail(s: np.ndarray) -> np.ndarray:
    return _power_series(s, [(-1) ** k / math.factorial(2 * k + 4) for k in range(12)])  # (cos r - 1 + r^2/2) / r^4


def _erf_core(s: np.ndarray) -> np.ndarray:
    terms = [(-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(30)]
    return 2 / math.sqrt(math.pi) * _power_series(s, terms) - 1  # erf(x)/x - 1


def _log2_core(z: np.ndarray) -> np.ndarray:
    return 2 / math.log(2) * _power_series(z, [1 / (2 * k + 1) for k in range(30)])  # log2((1+s)/(1-s)) / s, z = s^2


def main() -> None:
    """Print every table."""
    half = math.log(2) / 2
    single, double = np.float32, np.float64
    tables = {
        "EXP": (_exp_tail, lambda r: r**2 / np.exp(r), -half, half, 4, single),
        "LOG": (_log_tail, lambda f: np.abs(f**3 / np.log1p(f)), -1 / 3, 1 / 3, 7, single),
        "SIN": (_sin_tail, lambda s: s, 1e-9, (math.pi / 4) ** 2, 2, single),
        "COS": (_cos_tail, lambda s: s**2, 1e-9, (math.pi / 4) ** 2, 2, single),
        "ERF": (_erf_core, np.ones_like, 0.0, 1.0, 6, single),
        "ERFC": (
            lambda t: np.array([math.log(math.erfc(v)) for v in t]),
            lambda t: np.array([math.erfc(v) / math.erf(v) for v in t]),
            0.9,
            4.0,
            7,
            single,
        ),
        "EXP2": (_exp2_tail, lambda f: 1 / np.exp2(f), -0.5, 0.5, 8, double),
        "LOG2": (_log2_core, lambda z: 1 / _log2_core(z), 0.0, 0.04001, 7, double),
    }
    for name, (target, weight, low, high, degree, dtype) in tables.items():
        print(f"{name} = (")
        for coefficient in fit(target, weight, low, high, degree, dtype):
            print(f"    {coefficient!r},")
        print(")")


if __name__ == "__main__":
    main()
