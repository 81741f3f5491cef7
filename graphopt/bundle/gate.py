"""The question a loader asks before it runs anything, and then again while it runs: may this bundle run?

The compiler knows the question only.  Governance implements it, the command line hands the implementation in.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from graphopt.bundle.statement import Manifest


class Gate(Protocol):
    """Decides whether the bundle that a manifest describes may run."""

    def admit(self, manifest: Manifest) -> None:
        """Return when the bundle may run; raise RefusedError, with one sentence that says why, when not.

        What is loaded afterwards is held against this very `manifest` (`open_verified`), so the gate decides on what
        it says: the digest that was approved, the statement under it, and the signature.
        """
        ...


class Revocable(Protocol):
    """What was loaded and can be stopped: a `Compiled`."""

    def withdraw(self, why: str) -> None:
        """Refuse every further call, with this sentence.  For any thread, and for good: to run it again, load it."""
        ...


@runtime_checkable
class WatchingGate(Protocol):
    """A gate that goes on asking after it has admitted."""

    def admit(self, manifest: Manifest) -> None:
        """As `Gate` does."""
        ...

    def watch(self, manifest: Manifest, loaded: Revocable, every: float | None) -> None:
        """Ask again each `every` seconds, and withdraw `loaded` when the bundle may not run any more.

        None leaves it to the gate whether and how often.  `loaded` is held weakly.
        """
        ...
