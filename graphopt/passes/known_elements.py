"""What is known of the elements of small integer tensors, symbols included: `[N, 64]` for the shape of x[N, 64]."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from graphopt.ir import DType, Node, Value, product
from graphopt.ops.call import call_of
from graphopt.ops.meaning.symbolic import objects
from graphopt.ops.table import meaning_of
from graphopt.rewrite.match import dtype_of, tensor_type
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import operators

_MOST_ELEMENTS = 64
_DTYPES = frozenset({DType.INT32, DType.INT64, DType.BOOL})


class KnownElements:
    """Remembers, for one run over one graph, the elements of values computed from shapes.

    Operators are asked from producers to users, so each looks only at what its operands were found to be; its own
    meaning, run on object arrays of `Dim`, says what it makes of them, and refuses what the symbols do not decide.
    """

    ops: ClassVar[frozenset[str]] = operators(
        "Shape Size Gather Slice Concat Squeeze Unsqueeze Cast Add Sub Mul Div Mod Max Min Equal Where Reshape"
        " ReduceProd Split Range Expand ConstantOfShape"
    )

    def __init__(self) -> None:
        self._known: dict[Value, np.ndarray] = {}

    def of(self, value: Value | None, rewriter: Rewriter) -> np.ndarray | None:
        """The elements of a value: numbers or `Dim`s; None when they are not known, or too many to be a shape."""
        constant = rewriter.constant_of(value)
        if value is None or constant is None:
            return None if value is None else self._known.get(value)
        if constant.dtype not in _DTYPES or int(np.prod(constant.shape)) > _MOST_ELEMENTS:
            return None
        return constant.array()

    def of_outputs(self, node: Node, rewriter: Rewriter) -> list[tuple[Value, np.ndarray]]:
        """The outputs of a node with their elements, where all of them are known; remembered."""
        outputs = rewriter.graph.outputs_of(node)
        if not all(value is not None and dtype_of(value) in _DTYPES for value in outputs):
            return []
        arrays = self._measure(node, rewriter) if node.op in ("Shape", "Size") else self._compute(node, rewriter)
        found = [
            (value, array)
            for value, array in zip(outputs, arrays, strict=False)
            if value is not None and array.size <= _MOST_ELEMENTS
        ]
        self._known.update(found)
        return found

    def _measure(self, node: Node, rewriter: Rewriter) -> list[np.ndarray]:
        type = tensor_type(rewriter.graph.inputs_of(node)[0])
        if type is None or type.shape is None:
            return []
        if node.op == "Size":
            return [objects([product(type.shape)], ())]
        dims = type.shape[slice(node.get("start", 0), node.get("end", None))]
        return [objects(list(dims), (len(dims),))]

    def _compute(self, node: Node, rewriter: Rewriter) -> list[np.ndarray]:
        operands: list[np.ndarray | None] = []
        for value in rewriter.graph.inputs_of(node):
            known = self.of(value, rewriter)
            if value is not None and known is None:
                return []
            operands.append(known)
        meaning = meaning_of(node.op, node.domain)
        if meaning is None:
            return []
        outputs = len(rewriter.graph.outputs_of(node))
        try:
            results: tuple[Any, ...] = meaning(call_of(node, operands, outputs, rewriter.opsets))
        except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError):
            return []  # what the symbols do not decide, or what fails when the model runs
        return [np.asarray(result) for result in results]
