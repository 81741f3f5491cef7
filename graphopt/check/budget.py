"""How much a check may compute: counted and not timed, so that every machine checks the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.terms import terms_of
from graphopt.ops.facts import facts_of
from graphopt.ops.table import Call

SECOND = 1_000_000_000
"""What one second of the reference is worth: costs are about nanoseconds on one core of a server of 2024."""

_OPERATOR, _ELEMENT, _PRODUCT = 60_000, 12.0, 0.2
_DEAR = {"Erf": 120.0, "Gelu": 150.0, "Pow": 40.0, "Exp": 15.0, "Tanh": 20.0, "Sigmoid": 25.0, "Softmax": 25.0}
"""Operators whose elements cost more than one pass over memory."""


class BudgetSpentError(Exception):
    """What was granted is used up.  No GraphoptError: nothing is wrong with the model."""


class Budget:
    """Runs operators as `run_call` does until `granted` is spent, then raises BudgetSpentError; None grants all."""

    def __init__(self, granted: int | None) -> None:
        self.granted = granted
        self.spent = 0

    def __call__(self, call: Call) -> tuple[Any, ...]:
        if self.granted is not None and self.spent >= self.granted:
            raise BudgetSpentError
        results = run_call(call)
        self.spent += cost_of(call, results)
        return results


def cost_of(call: Call, results: tuple[Any, ...]) -> int:
    """What running an operator in the reference costs, about in nanoseconds."""
    facts = facts_of(call.op, call.domain)
    read = () if facts is not None and facts.moves else call.inputs
    elements = sum(np.size(v) for v in (*read, *results) if isinstance(v, (np.ndarray, np.generic)))
    first = results[0] if results else None
    products = 0
    if isinstance(first, np.ndarray) and all(isinstance(v, (np.ndarray, np.generic)) for v in call.inputs[:2]):
        products = first.size * terms_of(call, first)
    return int(_OPERATOR + elements * _DEAR.get(call.op, _ELEMENT) + products * _PRODUCT)
