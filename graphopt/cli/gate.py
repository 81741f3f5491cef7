"""The gate that `run` and `bench` ask: the federation of this machine's home, on the chain it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt.bundle import Gate


def chosen_gate(*, no_gate: bool, chain: str | None = None) -> Gate | None:
    """The gate of the federation, or none where the caller wants none and is told so.  `chain`: its node's URL."""
    if no_gate:
        from graphopt.cli.failure import warn

        warn("nobody was asked whether this bundle is approved (--no-gate)")
        return None
    from graphopt_governance.gate import ChainGate
    from graphopt_governance.home import Home

    return ChainGate.default(Home.default(chain))
