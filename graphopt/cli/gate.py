"""The gate that `run` and `bench` ask: the federation on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt.bundle import Gate


def chosen_gate(*, no_gate: bool) -> Gate | None:
    """The gate of the federation on this machine, or none where the caller wants none and is told so."""
    if no_gate:
        from graphopt.cli.failure import warn

        warn("nobody was asked whether this bundle is approved (--no-gate)")
        return None
    from graphopt_governance.gate import ChainGate

    return ChainGate.default()
