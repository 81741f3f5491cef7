"""Family name → the Python core that Numba compiles, by the convention of docs/add-a-kernel.md.

`cpu/<family>.py` has `core(spec)`, or `core(spec, target)` where the shape of the inner loop depends on the machine.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.errors import EmitError
from graphopt_kernels.targets import Target


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The core `(block, member, team)` of the spec; EmitError when there is no such family."""
    name = f"graphopt_kernels.cpu.{spec.family}"
    if not spec.family.isidentifier() or find_spec(name) is None:
        raise EmitError(spec.text, target.name, f"there is no family {spec.family!r}")
    make = import_module(name).core
    return make(spec, target) if len(inspect.signature(make).parameters) == 2 else make(spec)
