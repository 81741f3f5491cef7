"""Whether a result is the expected one, and where it is not.

At `exact` two results are the same when they are the same bit for bit; all NaN are one, the sign of zero counts.
At `reassociate` what is not finite has to stay so (another order of terms may make NaN of infinities, or the reverse),
and a finite element may be off by what is *allowed* for it: an array that `check.propagate` derives from the model
itself.  Without one, half a unit in the last place on either side is all there is.  The smallest normal number is
added to it, since kernels may flush denormals to zero.  At `approximate`, a stated bound relative to the largest
expected element is added to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt.ops.meaning.precision import is_float
from graphopt.rewrite.exactness import Exactness


@dataclass(frozen=True, slots=True)
class Difference:
    """What is between an expected result and the one that came."""

    kind: str = ""
    """Empty when the two agree; else `dtype`, `shape`, `length`, `missing`, `nan`, `infinity`, `zero` or `value`."""
    count: int = 0
    """How many elements are wrong."""
    where: tuple[int, ...] = ()
    """The worst wrong element, or the one with the largest error when all agree."""
    expected: str = ""
    got: str = ""
    worst_absolute: float = 0.0
    worst_relative: float = 0.0
    """The largest error of a finite element, relative to the largest expected one."""
    allowed: float = 0.0
    """What was allowed at `where`, absolute."""

    @property
    def agrees(self) -> bool:
        """Whether the result is the expected one at the level asked for."""
        return not self.kind

    def __str__(self) -> str:
        if self.agrees:
            return f"agrees (worst error {self.worst_relative:.1e} of the largest element)"
        place = f" at {list(self.where)}" if self.where else ""
        return f"{self.kind} differs{place}: {self.expected} became {self.got} ({self.count} elements)"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "agrees": self.agrees,
            "kind": self.kind,
            "count": self.count,
            "where": list(self.where),
            "expected": self.expected,
            "got": self.got,
            "worst_absolute": _finite(self.worst_absolute),
            "worst_relative": _finite(self.worst_relative),
            "allowed": _finite(self.allowed),
        }


def compare(
    expected: Any,
    got: Any,
    level: Exactness | str = Exactness.EXACT,
    allowed: np.ndarray | None = None,
    bound: float = 0.0,
) -> Difference:
    """How two results differ; `allowed` and `bound` as the module says.  Lists are compared element by element."""
    level = Exactness.parse(level)
    if isinstance(expected, list) or isinstance(got, list):
        return _compare_lists(expected, got, level, bound)
    if expected is None or got is None:
        return Difference() if expected is got else Difference("missing", 1, (), _brief(expected), _brief(got))
    a, b = np.asarray(expected), np.asarray(got)
    if a.shape != b.shape:
        return Difference("shape", 1, (), str(list(a.shape)), str(list(b.shape)))
    if a.dtype != b.dtype and not (a.dtype.kind in "OUS" and b.dtype.kind in "OUS"):
        return Difference("dtype", 1, (), str(a.dtype), str(b.dtype))
    if not is_float(a.dtype) and a.dtype.kind != "c":
        return _compare_discrete(a, b, allowed if level > Exactness.EXACT else None)
    with np.errstate(all="ignore"):
        return _compare_floats(a, b, level, allowed, bound)


def _compare_lists(expected: Any, got: Any, level: Exactness, bound: float) -> Difference:
    if not isinstance(expected, list) or not isinstance(got, list) or len(expected) != len(got):
        sizes = [str(len(v)) if isinstance(v, list) else type(v).__name__ for v in (expected, got)]
        return Difference("length", 1, (), sizes[0], sizes[1])
    found = [compare(a, b, level, None, bound) for a, b in zip(expected, got, strict=True)]
    return next((d for d in found if not d.agrees), Difference())


def _compare_discrete(a: np.ndarray, b: np.ndarray, allowed: np.ndarray | None) -> Difference:
    wrong = np.asarray(a != b)
    if allowed is not None and a.dtype.kind in "iu":
        wrong &= np.abs(a.astype(np.float64) - b.astype(np.float64)) > allowed
    elif allowed is not None:
        wrong &= np.asarray(allowed) == 0
    if not wrong.any():
        return Difference()
    where = _first(wrong)
    return Difference("value", int(wrong.sum()), where, _brief(a[where]), _brief(b[where]))


def _compare_floats(
    a: np.ndarray, b: np.ndarray, level: Exactness, allowed: np.ndarray | None, bound: float
) -> Difference:
    kind = np.complex128 if a.dtype.kind == "c" else np.float64
    x, y = a.astype(kind), b.astype(kind)
    finite = np.isfinite(x) & np.isfinite(y)
    error = np.where(finite, np.abs(x - y), 0.0)
    largest = float(np.max(np.abs(x), where=np.isfinite(x), initial=0.0))
    absolute = float(np.max(error, initial=0.0))
    relative = absolute / largest if largest else absolute
    if level is Exactness.EXACT:
        limit = np.zeros(x.shape)
    else:
        rounding = np.abs(x) * _unit(a.dtype) if allowed is None else allowed
        limit = rounding + _smallest(a.dtype) + (bound * largest if level is Exactness.APPROXIMATE else 0.0)
    for name, wrong in _wrong(x, y, finite, error, limit, level):
        if wrong.any():
            worst = np.where(wrong, np.where(finite, error - limit, np.inf), -1.0)
            where = np.unravel_index(int(np.argmax(worst)), worst.shape)
            place = tuple(int(i) for i in where)
            return Difference(
                name,
                int(wrong.sum()),
                place,
                _brief(a[place]),
                _brief(b[place]),
                absolute,
                relative,
                float(limit[place]),
            )
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(error)), error.shape)) if error.size else ()
    return Difference("", 0, place, "", "", absolute, relative, float(limit[place]) if error.size else 0.0)


def _wrong(
    x: np.ndarray, y: np.ndarray, finite: np.ndarray, error: np.ndarray, limit: np.ndarray, level: Exactness
) -> list[tuple[str, np.ndarray]]:
    nan = np.isnan(x) != np.isnan(y)
    infinite = ~finite & ~np.isnan(x) & ~np.isnan(y) & np.asarray(x != y)
    if level is not Exactness.EXACT:
        nan &= np.isfinite(x) | np.isfinite(y)
        infinite &= ~np.isposinf(limit)  # rounding may carry a number that is almost too large over the edge
    zero = np.zeros(x.shape, bool)
    if level is Exactness.EXACT and x.dtype.kind != "c":
        zero = (x == 0) & (y == 0) & (np.signbit(x) != np.signbit(y))
    return [("nan", nan), ("infinity", infinite), ("value", finite & (error > limit)), ("zero", zero)]


def _unit(dtype: np.dtype) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(_real(dtype)).eps)


def _smallest(dtype: np.dtype) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(_real(dtype)).tiny)


def _real(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float32 if dtype.itemsize == 8 else np.float64) if dtype.kind == "c" else dtype


def _first(wrong: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))


def _brief(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _finite(value: float) -> float | str:
    return value if np.isfinite(value) else str(value)
