"""The gate that obeys a federation: a bundle runs when its manifest is signed by a member and approved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from graphopt.bundle import Manifest
from graphopt.errors import RefusedError
from graphopt_governance.chain import Chain
from graphopt_governance.home import Home
from graphopt_governance.verify import Verdict, judge


class FederationRefusedError(RefusedError):
    """The federation does not let a bundle run; `verdict` has every reason."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"refused: {verdict.sentence}")
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class ChainGate:
    """A gate (`graphopt.bundle.Gate`) that asks the federation on `chain`; where that is None, nothing is admitted.

    `inclusions`: a folder with proofs that manifests are in anchored batches.
    """

    chain: Chain | None
    inclusions: Path | None = None

    @classmethod
    def default(cls, home: Home | None = None) -> ChainGate:
        """The gate of the federation on this machine."""
        from graphopt_governance.actions import open_chain

        home = home or Home.default()
        return cls(open_chain(home), home.inclusions)

    def admit(self, manifest: Manifest) -> None:
        """Return if the bundle may run, else FederationRefusedError; ChainError when the chain cannot be read."""
        verdict = judge(manifest, self.chain, self.inclusions)
        if not verdict.approved:
            raise FederationRefusedError(verdict)
