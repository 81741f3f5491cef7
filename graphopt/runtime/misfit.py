"""What the caller is told when a request does not fit an operator of the model."""

from __future__ import annotations

from graphopt.errors import GraphoptError, InputError, MisfitError, ModelError
from graphopt.program import Step

_SAYS = "these inputs do not fit the model: "


def misfit(step: Step, error: Exception) -> GraphoptError:
    """The InputError that names the step and says what did not fit; an error of another kind as it is.

    A step inside a subprogram is named after the steps around it.
    """
    if isinstance(error, GraphoptError) and not isinstance(error, (InputError, ModelError)):
        return error
    problem = error.problem if isinstance(error, MisfitError) else str(error).removeprefix(_SAYS)
    return InputError(f"{_SAYS}at {step.op}{f' {step.name!r}' if step.name else ''}: {problem}")
