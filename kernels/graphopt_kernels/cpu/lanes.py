"""Vectors of lanes in LLVM IR, with the arithmetic of ONNX: what the generated loops are made of.

A `Lanes` value is one dtype in `WIDTH` lanes.  Python's operators on it emit LLVM instructions, so that the
definitions of operators (`operators.py`) and approximations (`approximate.py`) read as formulas.  No fast-math
flag is ever set: what is written is what is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils

WIDTH = 16
"""Lanes of a vector: one AVX-512 register of float32, two of AVX2."""

FLOATS = ("float16", "float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")

_ELEMENTS: dict[str, Any] = {
    "bool": ir.IntType(1),
    "float16": ir.HalfType(),
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    **{name: ir.IntType(int(name.lstrip("uint"))) for name in SIGNED + UNSIGNED},
}
_SUFFIX = {"float16": "f16", "float32": "f32", "float64": "f64"}


def bits_of(dtype: str) -> int:
    """The width of an element in a register (1 for bool)."""
    return {"bool": 1, "float16": 16, "float32": 32, "float64": 64}.get(dtype) or int(dtype.lstrip("uint"))


def vector_type(dtype: str) -> Any:
    """The LLVM type of a vector of that dtype."""
    return ir.VectorType(_ELEMENTS[dtype], WIDTH)


@dataclass(frozen=True, slots=True, eq=False)
class Lanes:
    """`WIDTH` elements of one dtype, held in a register."""

    builder: Any
    value: Any
    dtype: str

    # ---- making -------------------------------------------------------------------------------------

    def const(self, number: float, dtype: str = "") -> Lanes:
        """The same number in every lane, in this value's dtype unless another is named."""
        dtype = dtype or self.dtype
        element = float(number) if dtype in FLOATS else int(number)
        return Lanes(self.builder, ir.Constant(vector_type(dtype), [element] * WIDTH), dtype)

    def _of(self, other: Lanes | float) -> Lanes:
        return other if isinstance(other, Lanes) else self.const(other)

    def _same(self, value: Any, dtype: str = "") -> Lanes:
        return Lanes(self.builder, value, dtype or self.dtype)

    @property
    def is_float(self) -> bool:
        """Whether the dtype is a floating-point type."""
        return self.dtype in FLOATS

    @property
    def is_signed(self) -> bool:
        """Whether the dtype is a signed integer."""
        return self.dtype in SIGNED

    # ---- arithmetic ---------------------------------------------------------------------------------

    def _binary(self, floating: str, integer: str, other: Lanes | float, swap: bool = False) -> Lanes:
        a, b = (self._of(other), self) if swap else (self, self._of(other))
        emit: Callable[[Any, Any], Any] = getattr(self.builder, floating if self.is_float else integer)
        return self._same(emit(a.value, b.value))

    def __add__(self, other: Lanes | float) -> Lanes:
        return self._binary("fadd", "add", other)

    def __radd__(self, other: float) -> Lanes:
        return self._binary("fadd", "add", other, swap=True)

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self._binary("fsub", "sub", other)

    def __rsub__(self, other: float) -> Lanes:
        return self._binary("fsub", "sub", other, swap=True)

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self._binary("fmul", "mul", other)

    def __rmul__(self, other: float) -> Lanes:
        return self._binary("fmul", "mul", other, swap=True)

    def __truediv__(self, other: Lanes | float) -> Lanes:
        """IEEE division; for integers the machine's, so the divisor must be safe (see `operators.quotient`)."""
        return self._binary("fdiv", "sdiv" if self.is_signed else "udiv", other)

    def __rtruediv__(self, other: float) -> Lanes:
        return self._binary("fdiv", "sdiv" if self.is_signed else "udiv", other, swap=True)

    def __mod__(self, other: Lanes | float) -> Lanes:
        """The remainder with the sign of the dividend; an integer divisor must be safe."""
        return self._binary("frem", "srem" if self.is_signed else "urem", other)

    def __neg__(self) -> Lanes:
        return self._same(self.builder.fneg(self.value) if self.is_float else self.builder.neg(self.value))

    def __and__(self, other: Lanes | int) -> Lanes:
        return self._binary("", "and_", other)

    def __or__(self, other: Lanes | int) -> Lanes:
        return self._binary("", "or_", other)

    def __xor__(self, other: Lanes | int) -> Lanes:
        return self._binary("", "xor", other)

    def __invert__(self) -> Lanes:
        return self._same(self.builder.not_(self.value))

    def __lshift__(self, other: Lanes | int) -> Lanes:
        return self._binary("", "shl", other)

    def __rshift__(self, other: Lanes | int) -> Lanes:
        """Arithmetic for signed integers, logical for unsigned ones."""
        return self._binary("", "ashr" if self.is_signed else "lshr", other)

    # ---- comparison (false on NaN, but for `ne`) -------------------------------------------------------

    def compare(self, relation: str, other: Lanes | float) -> Lanes:
        """The bool lanes of `<`, `<=`, `>`, `>=`, `==` or `!=`."""
        a, b = self.value, self._of(other).value
        if self.is_float:
            emit = self.builder.fcmp_unordered if relation == "!=" else self.builder.fcmp_ordered
        else:
            emit = self.builder.icmp_signed if self.is_signed else self.builder.icmp_unsigned
        return self._same(emit(relation, a, b), "bool")

    def lt(self, other: Lanes | float) -> Lanes:
        """self < other."""
        return self.compare("<", other)

    def le(self, other: Lanes | float) -> Lanes:
        """self <= other."""
        return self.compare("<=", other)

    def gt(self, other: Lanes | float) -> Lanes:
        """self > other."""
        return self.compare(">", other)

    def ge(self, other: Lanes | float) -> Lanes:
        """self >= other."""
        return self.compare(">=", other)

    def equals(self, other: Lanes | float) -> Lanes:
        """self == other."""
        return self.compare("==", other)

    def differs(self, other: Lanes | float) -> Lanes:
        """self != other (true on NaN)."""
        return self.compare("!=", other)

    def is_nan(self) -> Lanes:
        """Whether each lane is NaN (never, for integers)."""
        if not self.is_float:
            return self.const(0, "bool")
        return self._same(self.builder.fcmp_unordered("uno", self.value, self.value), "bool")

    def where(self, yes: Lanes | float, no: Lanes | float) -> Lanes:
        """For bool lanes: `yes` where true, else `no`; at least one of them is a `Lanes`."""
        like = yes if isinstance(yes, Lanes) else no
        assert isinstance(like, Lanes)
        return like._same(self.builder.select(self.value, like._of(yes).value, like._of(no).value))

    # ---- LLVM intrinsics ----------------------------------------------------------------------------

    def call(self, name: str, *others: Lanes) -> Lanes:
        """An LLVM intrinsic over lanes of this dtype, `llvm.<name>`."""
        vector = vector_type(self.dtype)
        suffix = _SUFFIX.get(self.dtype) or f"i{bits_of(self.dtype)}"
        signature = ir.FunctionType(vector, [vector] * (1 + len(others)))
        function = declare(self.builder, f"llvm.{name}.v{WIDTH}{suffix}", signature)
        return self._same(self.builder.call(function, [self.value, *(other.value for other in others)]))

    def fma(self, factor: Lanes | float, term: Lanes | float) -> Lanes:
        """self·factor + term, rounded once."""
        return self.call("fma", self._of(factor), self._of(term))

    def minimum(self, other: Lanes | float) -> Lanes:
        """The smaller; NaN where either is NaN."""
        lesser = self.lt(other).where(self, other)  # where one is NaN, this is `other`
        return self.is_nan().where(self, lesser) if self.is_float else lesser

    def maximum(self, other: Lanes | float) -> Lanes:
        """The larger; NaN where either is NaN."""
        greater = self.gt(other).where(self, other)
        return self.is_nan().where(self, greater) if self.is_float else greater

    def magnitude(self) -> Lanes:
        """|self|; the smallest integer stays itself."""
        if self.is_float:
            return self.call("fabs")
        return self.lt(0).where(-self, self) if self.is_signed else self

    def sqrt(self) -> Lanes:
        """The correctly rounded square root."""
        return self.call("sqrt")

    def with_sign_of(self, other: Lanes) -> Lanes:
        """|self| with the sign bit of the other."""
        return self.call("copysign", other)

    # ---- changing the type --------------------------------------------------------------------------

    def bits(self) -> Lanes:
        """The bit pattern, as a signed integer of the same width."""
        dtype = f"int{bits_of(self.dtype)}"
        return self._same(self.builder.bitcast(self.value, vector_type(dtype)), dtype)

    def as_float(self) -> Lanes:
        """The float with this bit pattern."""
        dtype = f"float{bits_of(self.dtype)}"
        return self._same(self.builder.bitcast(self.value, vector_type(dtype)), dtype)

    def to(self, dtype: str) -> Lanes:
        """The same numbers in another dtype, as numpy's `astype` has it on x86-64.

        To bool: whether not zero.  Float to a narrower integer truncates towards zero and then wraps; what fits no
        int64 (int32 for int32), and NaN, become the smallest integer before wrapping.
        """
        if dtype == self.dtype:
            return self
        if dtype == "bool":
            return self.differs(0)
        target = vector_type(dtype)
        emit = self.builder
        if self.is_float:
            if dtype in FLOATS:
                wider = bits_of(dtype) > bits_of(self.dtype)
                return self._same((emit.fpext if wider else emit.fptrunc)(self.value, target), dtype)
            return self._to_integer(dtype)
        if dtype in FLOATS:
            return self._same((emit.sitofp if self.is_signed else emit.uitofp)(self.value, target), dtype)
        if bits_of(dtype) == bits_of(self.dtype):
            return self._same(self.value, dtype)
        if bits_of(dtype) < bits_of(self.dtype):
            return self._same(emit.trunc(self.value, target), dtype)
        return self._same((emit.sext if self.is_signed else emit.zext)(self.value, target), dtype)

    def _to_integer(self, dtype: str) -> Lanes:
        """Through int32, or int64 where the range wants it: LLVM leaves other conversions undefined."""
        wide = 64 if dtype in ("int64", "uint32", "uint64") else 32
        if dtype == "uint64":
            half = 2.0**63
            high = (self - half)._to_integer("int64") ^ (-(2**63))
            return self._same(self.ge(half).where(high, self._to_integer("int64")).value, dtype)
        limit = 2.0 ** (wide - 1)
        if self.dtype == "float16":
            return self.to("float32")._to_integer(dtype)
        fits = self.ge(-limit) & self.lt(limit)
        safe = fits.where(self, 0.0)
        number = self._same(self.builder.fptosi(safe.value, vector_type(f"int{wide}")), f"int{wide}")
        return fits.where(number, -(2 ** (wide - 1))).to(dtype)


def declare(builder: Any, name: str, signature: Any) -> Any:
    """The function of that name in the module being built."""
    module = builder.module
    known = module.globals.get(name)
    return known if known is not None else ir.Function(module, signature, name)


def load_lanes(builder: Any, address: Any, dtype: str) -> Lanes:
    """`WIDTH` elements from an address (an i64 value), in no particular alignment."""
    memory = ir.VectorType(ir.IntType(8), WIDTH) if dtype == "bool" else vector_type(dtype)
    value = builder.load(builder.inttoptr(address, memory.as_pointer()), align=1)
    loaded = Lanes(builder, value, "uint8" if dtype == "bool" else dtype)
    return loaded.to(dtype)


def store_lanes(lanes: Lanes, address: Any) -> None:
    """Write the lanes to an address, bools as bytes 0 and 1."""
    stored = lanes.to("uint8") if lanes.dtype == "bool" else lanes
    builder = lanes.builder
    builder.store(stored.value, builder.inttoptr(address, stored.value.type.as_pointer()), align=1)


def each_lane(name: str, *arguments: Lanes) -> Lanes:
    """A function of the C math library, called lane by lane (`float32` gets the function with an `f` appended)."""
    first = arguments[0]
    builder, element = first.builder, _ELEMENTS[first.dtype]
    symbol = name + ("f" if first.dtype == "float32" else "")
    function = declare(builder, symbol, ir.FunctionType(element, [element] * len(arguments)))
    result: Any = ir.Constant(vector_type(first.dtype), ir.Undefined)
    for lane in range(WIDTH):
        index = ir.Constant(ir.IntType(32), lane)
        scalars = [builder.extract_element(argument.value, index) for argument in arguments]
        result = builder.insert_element(result, builder.call(function, scalars), index)
    return Lanes(builder, result, first.dtype)


class Cell:
    """A vector that code in a loop may replace: LLVM keeps it in a register."""

    def __init__(self, lanes: Lanes) -> None:
        self._builder, self._dtype = lanes.builder, lanes.dtype
        self._place = cgutils.alloca_once(lanes.builder, lanes.value.type)
        self.set(lanes)

    def get(self) -> Lanes:
        """What it holds now."""
        return Lanes(self._builder, self._builder.load(self._place), self._dtype)

    def set(self, lanes: Lanes) -> None:
        """Hold this from here on."""
        self._builder.store(lanes.value, self._place)


def constant(builder: Any, number: float, dtype: str) -> Lanes:
    """The same number in every lane."""
    return Lanes(builder, None, dtype).const(number)


def splat(builder: Any, scalar: Any, dtype: str) -> Lanes:
    """A scalar of LLVM in every lane."""
    zero = ir.Constant(ir.IntType(32), 0)
    first = builder.insert_element(ir.Constant(vector_type(dtype), ir.Undefined), scalar, zero)
    mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return Lanes(builder, builder.shuffle_vector(first, first, mask), dtype)


def folded(lanes: Lanes, combine: Callable[[Lanes, Lanes], Lanes]) -> Lanes:
    """All lanes combined, pair by pair; the result stands in every lane."""
    distance = WIDTH // 2
    while distance:
        order = [(lane + distance) % WIDTH for lane in range(WIDTH)]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), order)
        turned = lanes.builder.shuffle_vector(lanes.value, lanes.value, mask)
        lanes = combine(lanes, Lanes(lanes.builder, turned, lanes.dtype))
        distance //= 2
    return lanes
