"""How much a check may compute: counted in operations and not in seconds, so that every machine checks the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.rounding import terms_of
from graphopt.ops.table import Call


class BudgetSpentError(Exception):
    """The operations granted are used up.  No GraphoptError: nothing is wrong with the model."""


class Budget:
    """Runs operators as `run_call` does until `operations` are spent, then raises BudgetSpentError."""

    def __init__(self, operations: int) -> None:
        self.operations = operations
        self.spent = 0

    def __call__(self, call: Call) -> tuple[Any, ...]:
        if self.spent >= self.operations:
            raise BudgetSpentError
        results = run_call(call)
        sizes = [np.size(result) for result in results if isinstance(result, (np.ndarray, np.generic))]
        first = results[0] if results else None
        terms = 1
        if isinstance(first, np.ndarray) and all(isinstance(v, (np.ndarray, np.generic)) for v in call.inputs[:2]):
            terms = terms_of(call, first)
        self.spent += sum(sizes) * terms + _OVERHEAD
        return results


_OVERHEAD = 10_000
"""What running an operator costs in Python, in operations of the same duration."""
