"""Chains of elementwise operators on the GPU: the text of `chain.py` becomes the source of one Numba kernel.

One thread an element, in a loop that strides over the grid; operands broadcast by strides as the CPU's do.
"""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numba import types

from graphopt_kernels.bind.broadcast import broadcast_nest
from graphopt_kernels.chain import Argument, Chain, Literal, Step, parse
from graphopt_kernels.cuda import scalar
from graphopt_kernels.cuda.target import cuda
from graphopt_kernels.errors import KernelError

THREADS = 128


def source(text: str) -> str:
    """The Python source of the kernel for a chain: `kernel(nest, i0, ..., o0, ...)` over flat arrays.

    `nest` is an int64 array: rank, number of elements, then for each dimension (innermost first) its size and the
    stride of each input.
    """
    chain = parse(text)
    count = len(chain.inputs)
    names = [f"i{i}" for i in range(count)]
    outputs = [f"o{i}" for i in range(len(chain.outputs))]
    lines = [
        f"def kernel({', '.join(['nest', *names, *outputs])}):",
        "    for element in range(cuda.grid(1), nest[1], cuda.gridsize(1)):",
        "        rest = element",
        *[f"        at_{name} = 0" for name in names],
        "        for d in range(nest[0]):",
        f"            dimension = 2 + d * {count + 1}",
        "            index = rest % nest[dimension]",
        "            rest //= nest[dimension]",
        *[f"            at_{name} += index * nest[dimension + {1 + i}]" for i, name in enumerate(names)],
        *[f"        v{i} = {name}[at_{name}]" for i, name in enumerate(names)],
    ]
    for i, step in enumerate(chain.steps):
        lines.append(f"        v{count + i} = {_expression(step, chain)}")
    lines += [f"        {name}[element] = v{position}" for name, position in zip(outputs, chain.outputs, strict=True)]
    return "\n".join(lines) + "\n"


def _expression(step: Step, chain: Chain) -> str:
    if step.op not in scalar.FORMULAS or (step.op in scalar.REAL_ONLY and not step.dtype.startswith("float")):
        raise KernelError(f"{step.op} of {step.dtype} has no CUDA kernel yet")
    words = [_word(argument) for argument in step.arguments]
    attributes = dict(step.attributes)
    made = scalar.FORMULAS[step.op](words, attributes)
    return f"types_{step.dtype}({made})"


def _word(argument: Argument) -> str:
    if isinstance(argument, int):
        return f"v{argument}"
    if isinstance(argument, Literal):
        return f"types_{argument.dtype}({float(argument.value)!r})".replace("(inf)", "(math.inf)").replace(
            "(nan)", "(math.nan)"
        )
    return ""


@lru_cache(maxsize=256)
def kernel_of(text: str) -> Any:
    """The Python function of a chain, which `cuda.jit` or `cuda.compile_ptx` compiles."""
    code, name = source(text), f"<cuda elementwise {text}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)  # so that errors show the line
    scope: dict[str, Any] = {**scalar.SCOPE, "cuda": cuda}
    exec(compile(code, name, "exec"), scope)
    return scope["kernel"]


def signature(text: str) -> tuple[Any, ...]:
    """The Numba types of the kernel's arguments."""
    chain = parse(text)
    dtypes = [*chain.inputs, *(chain.dtype(position) for position in chain.outputs)]
    return (types.int64[::1], *(scalar.NUMBA[dtype][::1] for dtype in dtypes))


def elementwise(text: str, inputs: Sequence[Any], outputs: Sequence[Any], stream: int = 0) -> None:
    """Run a chain on the GPU, on a stream; numpy or device arrays, C-contiguous.  The caller allocates the outputs.

    KernelError where dtypes or shapes do not fit; the inputs broadcast to the outputs, which have one shape.
    """
    chain = parse(text)
    wanted = [*chain.inputs, *(chain.dtype(position) for position in chain.outputs)]
    given = [*inputs, *outputs]
    if [np.dtype(array.dtype).name for array in given] != wanted:
        raise KernelError(f"dtypes {[str(a.dtype) for a in given]} given; the chain has {wanted}")
    shape = tuple(outputs[0].shape)
    if any(tuple(output.shape) != shape for output in outputs):
        raise KernelError(f"the outputs differ in shape: {[list(o.shape) for o in outputs]}")
    total = int(np.prod(shape))
    if total == 0:
        return
    try:
        nest = broadcast_nest([tuple(array.shape) for array in inputs], shape)
    except ValueError as error:
        raise KernelError(str(error)) from error
    row = [len(nest.sizes), total]
    for axis in reversed(range(len(nest.sizes))):
        row += [nest.sizes[axis], *(strides[axis] for strides in nest.strides)]
    blocks = min(-(-total // THREADS), 65535)
    flat = [array.reshape(-1) for array in given]
    _compiled(text)[blocks, THREADS, stream](np.array(row, np.int64), *flat)


@lru_cache(maxsize=256)
def _compiled(text: str) -> Any:
    return cuda.jit(kernel_of(text))
