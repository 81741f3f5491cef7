"""How much a check may compute: counted and not timed, so that every machine checks the same."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.foresee import foresee, may_never_end, terms
from graphopt.ops.facts import facts_of
from graphopt.ops.table import Call

SECOND = 1_000_000_000
"""What one second of the reference is worth: costs are about nanoseconds on one core of a server of 2024."""
MOST_BYTES = 1 << 31
"""What the results of operators that are still needed may take, together."""
MOST_CALLS = 50_000
"""Operators, and turns of loops: some ten seconds, however small they are."""


class BudgetSpentError(Exception):
    """What was granted is used up; the message says when.  No GraphoptError: nothing is wrong with the model."""


class Budget:
    """Runs operators as `run_call` does, until what is `granted`, bytes or calls are spent: then BudgetSpentError.

    An operator that would take more than was granted is not begun.  None grants any amount of computing, though not of
    memory.
    """

    def __init__(self, granted: int | None) -> None:
        self.granted = granted
        self.spent = 0
        self.calls = 0
        self.held = 0

    def __call__(self, call: Call) -> tuple[Any, ...]:
        self.turn()
        ahead = foresee(call)
        if self.held + ahead.nbytes > MOST_BYTES:
            raise BudgetSpentError(f"before {call.op}, with which it would take more than {MOST_BYTES:,} bytes")
        if may_never_end(call):
            raise BudgetSpentError(f"before {call.op}, whose pattern may take for ever")
        if self.granted is not None and ahead.operations * _PRODUCT > self.granted:
            raise BudgetSpentError(f"before {call.op}, which takes {ahead.operations:.0e} operations")
        try:
            results = run_call(call)
        except MemoryError:
            raise BudgetSpentError(f"before {call.op}, for which there is not enough memory here") from None
        self.spent += _cost(call, results)
        for result in results:
            self._hold(result)
        return results

    def turn(self) -> None:
        """Count one operator, or one turn of a loop, whose body may hold none."""
        self.calls += 1
        if self.granted is not None and (self.calls > MOST_CALLS or self.spent >= self.granted):
            raise BudgetSpentError(f"after {self.calls:,} operators of the reference")

    def _hold(self, result: Any) -> None:
        """Count the memory of a result for as long as anybody has it."""
        while isinstance(result, np.ndarray) and isinstance(result.base, np.ndarray):
            result = result.base
        if isinstance(result, np.ndarray) and result.nbytes >= _WORTH_COUNTING and result.base is None:
            self.held += result.nbytes
            weakref.finalize(result, self._let_go, result.nbytes)

    def _let_go(self, nbytes: int) -> None:
        self.held -= nbytes


def _cost(call: Call, results: tuple[Any, ...]) -> int:
    """What running an operator costs, about in nanoseconds."""
    facts = facts_of(call.op, call.domain)
    read = () if facts is not None and facts.moves else call.inputs
    elements = sum(np.size(v) for v in (*read, *results) if isinstance(v, (np.ndarray, np.generic)))
    first = results[0] if results else None
    products = first.size * terms(call, first) if isinstance(first, np.ndarray) else 0
    return int(_OPERATOR + elements * _DEAR.get(call.op, _ELEMENT) + products * _PRODUCT)


_WORTH_COUNTING = 1 << 16
_OPERATOR, _ELEMENT, _PRODUCT = 60_000, 12.0, 0.2
_DEAR = {"Erf": 120.0, "Gelu": 150.0, "Pow": 40.0, "Exp": 15.0, "Tanh": 20.0, "Sigmoid": 25.0, "Softmax": 25.0}
"""Operators whose elements cost more than one pass over memory."""
