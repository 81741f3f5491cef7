"""Which kernel computes which operator."""

from graphopt.lower.select.choose import choose
from graphopt.lower.select.site import Choice, Operand, Site

__all__ = ["Choice", "Operand", "Site", "choose"]
