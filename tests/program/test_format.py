"""The program's file format: what is written is read back, and what is damaged is refused with one sentence."""

import json
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.errors import BundleError
from graphopt.ir import DType, OptionalType, SequenceType, TensorType, symbol
from graphopt.program import (
    Image,
    KernelCall,
    Output,
    Program,
    Step,
    StepKind,
    Subprogram,
    ValueInfo,
    Weight,
    decode,
    encode,
)
from graphopt.program.encode import plain
from graphopt.program.parse_value import parse_plain, parse_type
from graphopt_kernels.abi import KernelSpec

N = symbol("batch: größe")


def example() -> Image:
    branch = Program("then", {"": 17}, (ValueInfo("outer", None),), (), (Output("y", 0),), (), captures=(0,))
    values = (
        ValueInfo("x", TensorType(DType.FLOAT32, (N, 2 * N + 1, N // 2, 4))),
        ValueInfo("w", TensorType(DType.FLOAT32, (4, 4)), 0),
        ValueInfo("c", TensorType(DType.BOOL, ())),
        ValueInfo("y", None),
        ValueInfo("s", SequenceType(OptionalType(TensorType(None, None)))),
    )
    kernel = KernelCall("matmul", (KernelSpec.of("matmul", dtype="float32", lanes=16),), {"alpha": 0.1}, (0, 1))
    bodies = tuple(Subprogram(name, branch, (3,)) for name in ("else_branch", "then_branch"))
    steps = (
        Step(StepKind.KERNEL, "MatMul", "", {}, (0, 1), (3,), "dense", kernel, (), ("Relu",)),
        Step(StepKind.CONTROL, "If", "", {}, (2,), (4,), "", None, bodies),
    )
    program = Program("main", {"": 17, "com.microsoft": 1}, values, (0, 2), (Output("out", 3),), steps)
    return Image((Weight(0, 64, DType.FLOAT32, (4, 4)),), (program,), {"x86-64-v3": 0}, 64)


def test_a_program_is_read_back_as_it_was_written():
    image = example()
    assert decode(encode(image)) == image


@pytest.mark.parametrize(
    "value",
    [None, 3, -(2**63), 2**64, 0.1, -0.0, float("inf"), "ü\x00\n", b"\xff", (1, (2.5, "a")), {"k": (1,)}, ()],
)
def test_an_attribute_keeps_its_value_and_kind(value: Any):
    found = parse_plain(json.loads(json.dumps(plain(value))))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "float16", "uint8", "complex64"])
def test_an_array_attribute_keeps_its_bits(dtype: str):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    found = parse_plain(json.loads(json.dumps(plain(array))))
    assert found.dtype == array.dtype
    assert found.shape == (2, 3)
    assert found.tobytes() == array.tobytes()


def test_a_type_keeps_symbols_and_quotients():
    shape = (N * N - 3, (N + 1) // 2, 7)
    from graphopt.program.encode import type_json

    assert parse_type(json.loads(json.dumps(type_json(TensorType(DType.INT8, shape))))) == TensorType(DType.INT8, shape)


def changed(path: list[Any], value: Any) -> bytes:
    document = json.loads(encode(example()))
    spot = document
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["version"], 2, "version 2"),
        (["format"], "zip", "format"),
        (["nbytes"], 63, "weight 0 ends after"),
        (["weights", 0, 0], 32, "weight 0"),
        (["weights", 0, 3], [4, 5], "weight 0 has 64 bytes"),
        (["weights", 0, 3], [2**62, 2**62], "weight 0 has 64 bytes"),
        (["weights", 0, 2], 99, "malformed"),
        (["targets", 0, 1], 1, "asks for program 1"),
        (["programs", 0, "steps", 0, "outputs"], [9], "value 9 of 5"),
        (["programs", 0, "steps", 0, "outputs"], [0], "defined twice"),
        (["programs", 0, "steps", 0, "inputs"], [-1], "malformed"),
        (["programs", 0, "steps", 0, "kernel", "inputs"], [4], "nothing before it defines"),
        (["programs", 0, "steps", 0, "kind"], "meaning", "kernel"),
        (["programs", 0, "steps", 1, "subprograms", 0, "captures"], [], "captures"),
        (["programs", 0, "outputs", 0, 1], 17, "nothing defines"),
        (["programs", 0, "inputs"], "ab", "malformed"),
        (["programs", 0, "name"], None, "malformed"),
    ],
)
def test_a_damaged_program_is_refused_in_one_sentence(path: list[Any], value: Any, says: str):
    with pytest.raises(BundleError, match=says):
        decode(changed(path, value))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"format":"graphopt.program"}'])
def test_bytes_that_are_no_program_are_refused(data: bytes):
    with pytest.raises(BundleError):
        decode(data)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_never_escapes_as_another_error(position: int, flip: int):
    data = bytearray(encode(example()))
    data[position % len(data)] ^= flip
    try:
        image = decode(bytes(data))
    except BundleError:
        return
    assert encode(image) == bytes(data)


def test_deep_nesting_is_refused_where_a_library_raised_the_recursion_limit():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        with pytest.raises(BundleError, match="nested deeper"):
            decode(b'{"a":' + b"[" * 100_000)
    finally:
        sys.setrecursionlimit(limit)


def test_depth_cannot_be_hidden_in_another_encoding():
    deep = '{"\u2201":0,"format":' + "[" * 100_000
    with pytest.raises(BundleError, match="not JSON"):
        decode(deep.encode("utf-16-be"))
