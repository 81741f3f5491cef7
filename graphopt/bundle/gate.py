"""The question a loader asks before it runs anything: may this bundle run?

The compiler knows the question only.  Governance implements it, the command line hands the implementation in.
"""

from __future__ import annotations

from typing import Protocol

from graphopt.bundle.statement import Manifest


class Gate(Protocol):
    """Decides whether the bundle that a manifest describes may run."""

    def admit(self, manifest: Manifest) -> None:
        """Return when the bundle may run; raise RefusedError, with one sentence that says why, when not.

        What is loaded afterwards is held against this very `manifest` (`open_verified`), so the gate decides on what
        it says: the digest that was approved, the statement under it, and the signature.
        """
        ...
