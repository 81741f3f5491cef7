"""The one place where what launches touch is held against what they were given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module

from graphopt_kernels.abi import Launch, Operand, Ref
from graphopt_kernels.reach.block import Block, Reach

KERNELS = frozenset(
    (
        "col2im",
        "convolution",
        "copy",
        "depthwise",
        "elementwise",
        "gather",
        "matmul",
        "matmul_integer",
        "matmul_pack",
        "normalization",
        "pooling",
        "reduction",
        "remap",
        "scatter",
        "softmax",
    )
)
"""Modules of this package that state what a kernel touches."""

_LIMIT = 1 << 63


def hold(launches: Sequence[Launch], outputs: Sequence[Operand]) -> None:
    """Return when no launch touches a byte outside its operands and all bytes of the outputs are reached.

    ValueError in one sentence otherwise: for an address without a stated reach, too, for a field that no int64 holds,
    and for numbers with which the machine code would not come to an end.
    """
    written: dict[Ref, tuple[int, int]] = {}
    for launch in launches:
        for found in reach_of(launch):
            if found.low == found.high:
                continue
            ref = launch.fields[found.field]
            if not isinstance(ref, Ref):
                raise ValueError(f"{launch.spec.family} would touch memory through field {found.field}, no address")
            low, high = ref.offset + found.low, ref.offset + found.high
            if not ref.begin <= low < high <= ref.end:
                raise ValueError(
                    f"{launch.spec.family} would touch the bytes {low - ref.begin} to {high - ref.begin} of an operand"
                    f" of {ref.end - ref.begin}"
                )
            whole = Ref(ref.buffer, ref.begin, ref.begin, ref.end)
            first, last = written.get(whole, (low, high))
            written[whole] = (min(first, low), max(last, high))
    for output in outputs:
        low, high = written.get(output.ref, (0, 0))
        if output.nbytes and not low <= output.ref.offset < output.ref.offset + output.nbytes <= high:
            raise ValueError(f"an output of shape {list(output.shape)} would not be written in full")


def reach_of(launch: Launch) -> list[Reach]:
    """What the launch touches, for each of its addresses; ValueError where that cannot be told."""
    if launch.spec.family not in KERNELS:
        raise ValueError(f"nobody states what the kernel {launch.spec.family!r} touches")
    for place, field in enumerate(launch.fields):
        if isinstance(field, int) and not -_LIMIT <= field < _LIMIT:
            raise ValueError(f"field {place} of {launch.spec.family} is {field}, more than 64 bits hold")
    found = _statement(launch.spec.family)(Block(launch))
    stated = {reach.field for reach in found}
    for place, field in enumerate(launch.fields):
        if isinstance(field, Ref) and place not in stated:
            raise ValueError(f"nobody states what {launch.spec.family} touches through field {place}")
    return found


@cache
def _statement(family: str) -> Callable[[Block], list[Reach]]:
    return import_module(f"graphopt_kernels.reach.{family}").reach
