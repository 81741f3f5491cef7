"""Matrix products and convolutions: constants packed as the kernel reads them, what follows taken into the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np

from graphopt.ir.graph import Value
from graphopt.lower.select.epilogue import Epilogue, epilogue_of
from graphopt.lower.select.site import Choice, Operand, Site, dtype_of
from graphopt_kernels.bind.table import families_for, family

OPERATORS = ("MatMul", "Gemm", "Conv", "ConvTranspose")
BIAS, RESIDUAL = 2, 3


class Packs(Protocol):
    """A family that reads constants in a layout of its own."""

    def pack(self, slot: int, value: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray | None:
        """The constant in the kernel's layout; None where it is read as it is."""
        ...


def product(site: Site) -> Choice | None:
    """The first family that serves the operator, with the longest epilogue that it takes; None when none does."""
    dtypes = site.dtypes()
    if dtypes is None or len(site.outputs) != 1 or site.outputs[0] is None:
        return None
    has_bias = len(site.inputs) > BIAS and site.inputs[BIAS] is not None
    bias_fits = not has_bias and site.op in ("MatMul", "Gemm")
    for name in families_for(site.op):
        full = epilogue_of(site.graph, site.outputs[0], site.taken, bias_fits=bias_fits)
        for epilogue in (full, Epilogue()):
            found = _with(site, name, epilogue)
            if found is not None:
                return found
    return None


def _with(site: Site, name: str, epilogue: Epilogue) -> Choice | None:
    inputs: list[Value | None] = [*site.inputs, None, None, None][: RESIDUAL + 1]
    attributes = {**site.attributes, **epilogue.activation, "op": site.op, "version": site.version}
    if epilogue.bias is not None:
        inputs[BIAS] = epilogue.bias
        attributes["beta"] = 1.0
    inputs[RESIDUAL] = epilogue.residual
    dtypes = [None if value is None else dtype_of(value) for value in inputs]
    specs = family(name).select(site.op, site.version, dtypes, attributes)
    if specs is None:
        return None
    operands, packed = _packed(name, inputs, attributes)
    return Choice(name, specs, attributes | {"packed": packed}, operands, tuple(epilogue.absorbed))


def _packed(
    name: str, inputs: Sequence[Value | None], attributes: Mapping[str, Any]
) -> tuple[tuple[Operand | None, ...], tuple[int, ...]]:
    """The operands with constants packed, and the slots that were."""
    module = family(name)
    pack = cast(Packs, module).pack if hasattr(module, "pack") else None
    operands: list[Operand | None] = []
    slots: list[int] = []
    for slot, value in enumerate(inputs):
        if value is None:
            operands.append(None)
            continue
        array = None
        if pack is not None and value.constant is not None:
            array = pack(slot, value.constant.array(), attributes)
        if array is None:
            operands.append(Operand(value))
        else:
            operands.append(Operand(None, array, f"{value.name}:packed"))
            slots.append(slot)
    return tuple(operands), tuple(slots)
