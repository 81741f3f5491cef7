"""Operators that a kernel family serves as they are: the family says whether it does."""

from __future__ import annotations

from graphopt.lower.select.site import Choice, Operand, Site
from graphopt_kernels.bind.table import families_for, family


def general(site: Site) -> Choice | None:
    """The first family that serves the operator with these element types; None when none does."""
    dtypes = site.dtypes()
    if dtypes is None:
        return None
    rest = [value for value in site.outputs[1:] if value is not None and site.graph.users_of(value)]
    for name in families_for(site.op):
        if name == "elementwise" and rest:  # its loops write one output: the mask of a Dropout is another
            continue
        specs = family(name).select(site.op, site.version, dtypes, site.attributes)
        if specs is not None:
            attributes = {**site.attributes, "op": site.op, "version": site.version}
            operands = tuple(None if value is None else Operand(value) for value in site.inputs)
            return Choice(name, specs, attributes, operands)
    return None
