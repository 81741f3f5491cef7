"""Which kernel computes an operator: the special selections first, then whatever family serves it as it is."""

from __future__ import annotations

from collections.abc import Callable

from graphopt.lower.select.chain import CHAIN, chain
from graphopt.lower.select.general import general
from graphopt.lower.select.product import OPERATORS, product
from graphopt.lower.select.site import Choice, Site

SPECIAL: dict[str, Callable[[Site], Choice | None]] = {CHAIN: chain, **dict.fromkeys(OPERATORS, product)}
"""By operator; where one of these declines, the general selection is asked."""


def choose(site: Site) -> Choice | None:
    """A kernel for the operator, None when there is none and its meaning has to serve."""
    special = SPECIAL.get(site.op)
    found = None if special is None else special(site)
    return general(site) if found is None else found
