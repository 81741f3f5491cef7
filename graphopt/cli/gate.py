"""The gate that `run` and `bench` ask: the federation of this machine's home, on the chain it is on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt.bundle import Gate


def chosen_gate(
    *,
    no_gate: bool,
    chain: str | None = None,
    policy: Path | None = None,
    offline: bool = False,
    max_age: float | None = None,
) -> Gate | None:
    """The gate of the federation, or none where the caller wants none and is told so.

    `chain`: URLs of its nodes; `policy`: a file to obey instead of the home's; `offline` and `max_age` (seconds): as
    `graphopt verify` takes them.
    """
    if no_gate:
        from graphopt.cli.failure import warn

        warn("nobody was asked whether this bundle is approved (--no-gate)")
        return None
    from graphopt_governance.gate import ChainGate
    from graphopt_governance.home import Home
    from graphopt_governance.verdict.policy import Policy

    home = Home.default(chain)
    return ChainGate.default(home, policy=Policy.of(home, policy), offline=offline, max_age=max_age)
