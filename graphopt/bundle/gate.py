"""The question a loader asks before it runs anything: may this bundle run?

The compiler knows the question only.  Governance implements it, the command line hands the implementation in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Gate(Protocol):
    """Decides whether a bundle whose integrity was checked may run."""

    def admit(self, digest: bytes, statement: Mapping[str, Any]) -> None:
        """Return when the bundle may run; raise RefusedError, with one sentence that says why, when not.

        `digest` is the SHA-256 of the manifest's DSSE pre-authentication encoding (32 bytes), `statement` the
        in-toto Statement that it covers, parsed strictly from the signed bytes.
        """
        ...
