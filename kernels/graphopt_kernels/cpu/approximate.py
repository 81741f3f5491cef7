"""Vector approximations of exp, log, erf, tanh, sin, cos and pow in float32, and what is built on them.

Errors are below 2 units in the last place over the whole range (tests/kernels/test_approximate.py measures them); NaN,
infinities, zeros and denormals come out as in C.  The coefficients are those of bench/fit_polynomials.py, which fits
them.  Reductions follow Cody and Waite, "Software Manual for the Elementary Functions" (1980).

float64 is left to the C library, lane by lane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from graphopt_kernels.cpu.lanes import WIDTH, Lanes, declare, each_lane, vector_type

EXP = (0.4999999403953552, 0.1666652113199234, 0.04166825860738754, 0.00836866907775402, 0.0013821362517774105)
"""(e^r - 1 - r) / r² on ±ln(2)/2."""
LOG = (
    0.3333321511745453,
    -0.24999800324440002,
    0.2001044601202011,
    -0.1668037623167038,
    0.14005306363105774,
    -0.12185713648796082,
    0.13986897468566895,
    -0.1288565695285797,
)
"""(log(1+f) - f + f²/2) / f³ on ±1/3."""
SIN = (-0.16666655242443085, 0.008332191966474056, -0.00019518790941219777)
"""(sin r - r) / r³ in r² on ±π/4."""
COS = (0.04166664555668831, -0.00138873013202101, 2.4430661142105237e-05)
"""(cos r - 1 + r²/2) / r⁴ in r² on ±π/4."""
ERF = (
    0.12837916612625122,
    -0.3761262893676758,
    0.11283618211746216,
    -0.02685512602329254,
    0.005190733820199966,
    -0.0008030761382542551,
    7.920368079794571e-05,
)
"""erf(x) / x - 1 in x² on ±1."""
ERFC = (
    0.0001692051300778985,
    -1.1294883489608765,
    -0.633401095867157,
    -0.10821995884180069,
    0.025080231949687004,
    -0.00415606377646327,
    0.00043134408770129085,
    -2.082341416098643e-05,
)
"""log(1 - erf(t)) on [0.9, 4]."""
EXP2 = (
    0.9999999999997624,
    0.6931471805465135,
    0.2402265069887999,
    0.05550410939343615,
    0.009618128542915423,
    0.0013333452060867407,
    0.00015403851720658526,
    1.5309737717893818e-05,
    1.3175863140475014e-06,
)
"""2^f on ±1/2, for float64."""
LOG2 = (
    2.8853900817779303,
    0.9617966939183484,
    0.5770780193091608,
    0.4121981489772789,
    0.32062932207859773,
    0.2612196249904417,
    0.24091481455370423,
    0.07289379033928403,
)
"""log2((1+s)/(1-s)) / s in s², for float64, |s| up to 0.2."""

LN2_HIGH, LN2_LOW = 0.693145751953125, 1.4286068203094172e-06
PI_2_HIGH, PI_2_LOW = 1.5707963267948966, 6.123233995736766e-17
ROUNDING = 1.5 * 2.0**23
"""Added to a float32 below 2^22 it rounds to an integer, which then stands in the low bits."""
ROUNDING64 = 1.5 * 2.0**52
TINY = 2.0**-126


def polynomial(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """By Horner's rule, lowest power first."""
    result = x.const(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result.fma(x, coefficient)
    return result


def _clamped(x: Lanes, low: float, high: float) -> Lanes:
    """x within [low, high]; NaN stays NaN."""
    x = x.lt(low).where(low, x)
    return x.gt(high).where(high, x)


def _power_of_two(n: Lanes) -> Lanes:
    """2^n for int32 n in the range of normal exponents."""
    return ((n + 127) << 23).as_float()


def _exp_reduced(x: Lanes) -> tuple[Lanes, Lanes]:
    """(n, e^r - 1) with x = n·ln 2 + r, |r| ≤ ln(2)/2, n an int32; |x| below 2^20."""
    shifted = x.fma(math.log2(math.e), ROUNDING)
    count = shifted - ROUNDING
    r = count.fma(-LN2_HIGH, x)
    r = count.fma(-LN2_LOW, r)
    return shifted.bits() - x.const(ROUNDING).bits(), (r * r).fma(polynomial(r, EXP), r)


def exp(x: Lanes) -> Lanes:
    """e^x."""
    if x.dtype != "float32":
        return each_lane("exp", x)
    n, tail = _exp_reduced(_clamped(x, -110.0, 100.0))
    half = n >> 1  # 2^n is two factors, as n reaches from -159 to 145
    return (tail + 1.0) * _power_of_two(half) * _power_of_two(n - half)


def expm1(x: Lanes) -> Lanes:
    """e^x - 1, accurate near 0 too."""
    if x.dtype != "float32":
        return each_lane("expm1", x)
    n, tail = _exp_reduced(_clamped(x, -30.0, 100.0))
    half = n >> 1
    low, high = _power_of_two(half), _power_of_two(n - half)
    scaled = (tail * low).fma(high, low.fma(high, -1.0))
    big = x.gt(40.0).where((tail + 1.0) * low * high, scaled)  # there -1 is lost, and 2^128 alone would overflow
    return x.equals(0.0).where(x, big)


def log(x: Lanes) -> Lanes:
    """The natural logarithm: -inf at ±0, NaN below."""
    if x.dtype != "float32":
        return each_lane("log", x)
    small = x.lt(TINY)
    y = small.where(x * 2.0**23, x)
    lift = small.where(x.const(-23.0), 0.0)
    bits = y.bits()
    exponent = (bits - 0x3F2AAAAB) >> 23  # m lies in [2/3, 4/3)
    m = (bits - (exponent << 23)).as_float()
    n = exponent.to("float32") + lift
    f = m - 1.0
    tail = (f * f) * (f * polynomial(f, LOG) - 0.5)
    result = n.fma(LN2_HIGH, f + (n.fma(LN2_LOW, tail)))
    result = x.equals(0.0).where(-math.inf, result)
    result = x.lt(0.0).where(math.nan, result)
    return (x.equals(math.inf) | x.is_nan()).where(x, result)


def log1p(x: Lanes) -> Lanes:
    """log(1 + x), accurate near 0 too."""
    if x.dtype != "float32":
        return each_lane("log1p", x)
    u = x + 1.0
    d = u - 1.0
    lost = (x - d) / u
    result = log(u) + u.lt(math.inf).where(lost, 0.0)
    return (d.equals(0.0) | x.equals(math.inf)).where(x, result)


def _ratio(numerator: Lanes, big: Lanes, small: Lanes) -> Lanes:
    """numerator / (big + small) with what rounding the sum loses put back; |big| >= |small|."""
    total = big + small
    lost = small - (total - big)
    inverse = 1.0 / total
    first = numerator * inverse
    rest = first.call("fma", -total, numerator) - first * lost
    return rest.call("fma", inverse, first)


def tanh(x: Lanes) -> Lanes:
    """The hyperbolic tangent, (e^2x - 1) / (e^2x + 1)."""
    if x.dtype != "float32":
        return each_lane("tanh", x)
    n, tail = _exp_reduced(_clamped(x.magnitude(), 0.0, 10.0) * 2.0)
    scale = _power_of_two(n)
    less_one = tail.fma(scale, scale - 1.0)
    large = less_one.gt(2.0)
    quotient = _ratio(less_one, large.where(less_one, 2.0), large.where(2.0, less_one))
    return quotient.with_sign_of(x)


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + e^-x), without overflow."""
    e = exp(-x.magnitude())
    return _ratio(x.lt(0.0).where(e, 1.0), x.const(1.0), e)


def erf(x: Lanes) -> Lanes:
    """The error function."""
    if x.dtype != "float32":
        return each_lane("erf", x)
    t = x.magnitude()
    near = x.fma(polynomial(x * x, ERF), x)
    clamped = t.gt(4.0).where(4.0, t)
    far = (1.0 - exp(polynomial(clamped, ERFC))).with_sign_of(x)
    return t.gt(0.95).where(far, near)


def softplus(x: Lanes) -> Lanes:
    """log(1 + e^x), without overflow."""
    return x.maximum(x.const(0.0)) + log1p(exp(-x.magnitude()))


def _quadrant(x: Lanes) -> tuple[Lanes, Lanes]:
    """(n, r) with x = n·π/2 + r, |r| ≤ π/4: in float64, which is exact enough below 2^30."""
    wide = x.to("float64")
    shifted = wide.fma(2 / math.pi, ROUNDING64)
    count = shifted - ROUNDING64
    r = count.fma(-PI_2_LOW, count.fma(-PI_2_HIGH, wide)).to("float32")
    return shifted.bits().to("int32"), r


def _sine(x: Lanes, quarter: int) -> Lanes:
    n, r = _quadrant(x)
    n = n + quarter
    s = r * r
    sine = (s * r).fma(polynomial(s, SIN), r)
    cosine = (s * s).fma(polynomial(s, COS), s.fma(-0.5, 1.0))
    result = (n & 1).equals(0).where(sine, cosine)
    return (result.bits() ^ ((n & 2) << 30)).as_float()


def _far_lanes(x: Lanes, near: Lanes, name: str) -> Lanes:
    """`near`, but for vectors with a lane of 2^30 or more: those are left to the C library, lane by lane."""
    builder = x.builder
    far = x.magnitude().ge(2.0**30).value
    reduce = declare(builder, f"llvm.vector.reduce.or.v{WIDTH}i1", ir.FunctionType(ir.IntType(1), [far.type]))
    place = cgutils.alloca_once(builder, vector_type("float32"))
    builder.store(near.value, place)
    with builder.if_then(builder.call(reduce, [far]), likely=False):
        builder.store(each_lane(name, x).value, place)
    return Lanes(builder, builder.load(place), "float32")


def sin(x: Lanes) -> Lanes:
    """The sine; NaN of infinities."""
    if x.dtype != "float32":
        return each_lane("sin", x)
    return _far_lanes(x, x.equals(0.0).where(x, _sine(x, 0)), "sin")


def cos(x: Lanes) -> Lanes:
    """The cosine; NaN of infinities."""
    if x.dtype != "float32":
        return each_lane("cos", x)
    return _far_lanes(x, _sine(x, 1), "cos")


def _log2_wide(x: Lanes) -> Lanes:
    """log2 of a positive normal float64."""
    bits = x.bits()
    exponent = (bits - 0x3FE5555555555555) >> 52
    m = (bits - (exponent << 52)).as_float()
    s = (m - 1.0) / (m + 1.0)
    count = (exponent + x.const(ROUNDING64).bits()).as_float() - ROUNDING64  # AVX2 has no conversion from int64
    return s.fma(polynomial(s * s, LOG2), count)


def _exp2_wide(x: Lanes) -> Lanes:
    """2^x for a float64 within ±1000."""
    shifted = x + ROUNDING64
    n = shifted.bits() - x.const(ROUNDING64).bits()
    return polynomial(x - (shifted - ROUNDING64), EXP2) * ((n + 1023) << 52).as_float()


def pow(x: Lanes, y: Lanes) -> Lanes:
    """x^y with the special cases of C's pow; float32 is computed in float64."""
    if x.dtype != "float32":
        return each_lane("pow", x, y)
    size, exponent = x.magnitude(), y.to("float64")
    logarithm = _log2_wide(size.to("float64"))
    logarithm = size.equals(0.0).where(-math.inf, logarithm)
    logarithm = size.lt(math.inf).where(logarithm, size.to("float64"))  # inf and NaN are their own logarithm
    result = _exp2_wide(_clamped(exponent * logarithm, -300.0, 300.0)).to("float32")
    half = y * 0.5
    whole = y.call("floor").equals(y)
    odd = whole & half.call("floor").differs(half)
    negative = x.bits().lt(0)
    result = (negative & odd).where(-result, result)
    undefined = x.lt(0.0) & size.lt(math.inf) & ~whole & ~y.is_nan() & y.magnitude().lt(math.inf)
    result = undefined.where(math.nan, result)
    one = y.equals(0.0) | x.equals(1.0) | (size.equals(1.0) & y.magnitude().equals(math.inf))
    return one.where(1.0, result)


def power_of_integers(x: Lanes, y: Lanes) -> Lanes:
    """x^y by repeated squaring, wrapping; a negative exponent gives the truncated quotient (0 but for bases ±1)."""
    builder: Any = x.builder
    vector = vector_type(x.dtype)
    result, base, left = (cgutils.alloca_once(builder, vector) for _ in range(3))
    negative = y.lt(0) if y.is_signed else y.const(0, "bool")
    steps = negative.where(0, y)
    builder.store(x.const(1).value, result)
    builder.store(x.value, base)
    builder.store(steps.value, left)
    with cgutils.for_range(builder, ir.Constant(ir.IntType(64), 63)):
        r, b, e = (Lanes(builder, builder.load(place), x.dtype) for place in (result, base, left))
        builder.store((e & 1).equals(0).where(r, r * b).value, result)
        builder.store((b * b).value, base)
        builder.store((e >> 1).value, left)
    power = Lanes(builder, builder.load(result), x.dtype)
    odd = (y & 1).differs(0)
    minus_one = x.equals(-1) if x.is_signed else x.const(0, "bool")
    reciprocal = x.equals(1).where(1, minus_one.where(odd.where(x, 1), x.const(0)))
    return negative.where(reciprocal, power)
