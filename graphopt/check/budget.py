"""How much a check may compute: counted in operations and not in seconds, so that every machine checks the same."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.foresee import foresee, may_never_end, terms
from graphopt.ops.table import Call

MOST_BYTES = 1 << 31
"""What the results of operators that are still needed may take, together."""
MOST_CALLS = 50_000
"""Operators, and turns of loops: some ten seconds, however small they are."""


class BudgetSpentError(Exception):
    """What was granted is used up; the message says when.  No GraphoptError: nothing is wrong with the model."""


class Budget:
    """Runs operators as `run_call` does until `operations`, bytes or calls are spent, then raises BudgetSpentError.

    An operator that would take more than is left is not begun.
    """

    def __init__(self, operations: int) -> None:
        self.operations = operations
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
        if ahead.operations > self.operations:
            done = f"after {self.spent:.0e} operations of the reference"
            raise BudgetSpentError(f"{done}, before {call.op}, which takes {ahead.operations:.0e}")
        try:
            results = run_call(call)
        except MemoryError:
            raise BudgetSpentError(f"before {call.op}, for which there is not enough memory here") from None
        self.spent += _cost(call, results) + _OVERHEAD
        for result in results:
            self._hold(result)
        return results

    def turn(self) -> None:
        """Count one operator, or one turn of a loop, whose body may hold none."""
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise BudgetSpentError(f"after {MOST_CALLS:,} operators of the reference")
        if self.spent >= self.operations:
            raise BudgetSpentError(f"after {self.operations:.0e} operations of the reference")

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
    sizes = [np.size(result) for result in results if isinstance(result, (np.ndarray, np.generic))]
    first = results[0] if results else None
    return sum(sizes) * (terms(call, first) if isinstance(first, np.ndarray) else 1)


_WORTH_COUNTING = 1 << 16
_OVERHEAD = 10_000
"""What running an operator costs in Python, in operations of the same duration."""
