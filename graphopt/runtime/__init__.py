"""Running a program: binding, plans, memory, executor."""

from graphopt.runtime.compiled import Compiled
from graphopt.runtime.profile import CallTime
from graphopt.runtime.signature import Port

__all__ = ["CallTime", "Compiled", "Port"]
