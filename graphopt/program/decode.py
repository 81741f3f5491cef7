"""Bytes → Image, trusting nothing: every size, index and version is checked before anything is built on it.

One `BundleError` says what is wrong and where.  What passes here can be bound without a further look at its structure:
indices are in range, every value is defined before it is read and only once, weights lie inside the weights block.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from graphopt.errors import BundleError
from graphopt.ir.dtype import DType
from graphopt.program.encode import FORMAT, VERSION, encode
from graphopt.program.parse_value import parse_pairs, parse_type
from graphopt.program.program import Image, KernelCall, Output, Program, Step, StepKind, Subprogram, ValueInfo, Weight
from graphopt.program.verify import verify
from graphopt.strict_json import is_deeper
from graphopt_kernels.abi import KernelSpec

T = TypeVar("T")
MAX_BYTES = 1 << 28
MAX_RANK = 64
MAX_DEPTH = 256
"""Of brackets; a subprogram in a subprogram takes five levels."""


def decode(data: bytes) -> Image:
    """The image a `program` file holds; BundleError when it is damaged, too large or of another version."""
    if len(data) > MAX_BYTES:
        _fail(f"it has {len(data)} bytes, more than {MAX_BYTES}")
    if is_deeper(data, MAX_DEPTH):
        _fail(f"it is nested deeper than {MAX_DEPTH} levels")
    try:
        # as UTF-8 and nothing else: of UTF-16 the depth is not what it seems
        document = json.loads(data.decode())
    except ValueError as error:
        raise BundleError(f"program file: not JSON ({type(error).__name__})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        _fail(f"expected the format {FORMAT!r}")
    if document.get("version") != VERSION:
        _fail(f"it has format version {document.get('version')!r}, this graphopt reads version {VERSION}")
    try:
        image = _image(document)
        verify(image)
        if encode(image) != data:
            _fail("it is not in canonical form")
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError, AttributeError) as error:
        raise BundleError(f"program file: malformed ({type(error).__name__}: {error})") from None
    return image


def _image(document: dict[str, Any]) -> Image:
    return Image(
        weights=_all(document["weights"], _weight),
        programs=_all(document["programs"], _program),
        targets={_text(name): _count(index) for name, index in _list(document["targets"])},
        nbytes=_count(document["nbytes"]),
    )


def _weight(entry: Any) -> Weight:
    offset, nbytes, dtype, shape, fill = _list(entry)
    dims = _all(shape, _count)
    if len(dims) > MAX_RANK:
        raise ValueError(f"a weight has rank {len(dims)}")
    return Weight(_count(offset), _count(nbytes), DType(_count(dtype)), dims, bool(_count(fill)))


def _program(entry: Any) -> Program:
    return Program(
        name=_text(entry["name"]),
        opsets={_text(domain): _count(version) for domain, version in _list(entry["opsets"])},
        values=_all(entry["values"], _value),
        inputs=_all(entry["inputs"], _count),
        captures=_all(entry["captures"], _count),
        defaults={_count(value): _count(weight) for value, weight in _list(entry["defaults"])},
        outputs=_all(entry["outputs"], _output),
        steps=_all(entry["steps"], _step),
    )


def _value(entry: Any) -> ValueInfo:
    name, type, weight = _list(entry)
    return ValueInfo(_text(name), parse_type(type), None if weight is None else _count(weight))


def _output(entry: Any) -> Output:
    name, value = _list(entry)
    return Output(_text(name), _count(value))


def _step(entry: Any) -> Step:
    return Step(
        kind=StepKind(entry["kind"]),
        op=_text(entry["op"]),
        domain=_text(entry.get("domain", "")),
        attributes=parse_pairs(entry.get("attributes", [])),
        inputs=_all(entry["inputs"], _optional_count),
        outputs=_all(entry["outputs"], _optional_count),
        name=_text(entry["name"]),
        kernel=_kernel(entry["kernel"]) if "kernel" in entry else None,
        subprograms=_all(entry.get("subprograms", []), _subprogram),
        absorbed=_all(entry.get("absorbed", []), _text),
    )


def _kernel(entry: Any) -> KernelCall:
    return KernelCall(
        family=_text(entry["family"]),
        specs=_all(entry["specs"], _spec),
        attributes=parse_pairs(entry["attributes"]),
        inputs=_all(entry["inputs"], _optional_count),
    )


def _spec(entry: Any) -> KernelSpec:
    family, parameters = _list(entry)
    return KernelSpec(_text(family), tuple((_text(name), _parameter(value)) for name, value in _list(parameters)))


def _subprogram(entry: Any) -> Subprogram:
    return Subprogram(_text(entry["attribute"]), _program(entry["program"]), _all(entry["captures"], _count))


def _parameter(value: Any) -> int | str:
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return value
    raise TypeError(f"a kernel's parameter is {type(value).__name__}")


def _all(items: Any, parse: Callable[[Any], T]) -> tuple[T, ...]:
    return tuple(parse(item) for item in _list(items))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return value  # pyright: ignore[reportUnknownVariableType]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"expected a whole number from 0, got {value!r}")
    return value


def _optional_count(value: Any) -> int | None:
    return None if value is None else _count(value)


def _fail(reason: str) -> NoReturn:
    raise BundleError(f"program file: {reason}")
