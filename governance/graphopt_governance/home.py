"""Where a user's keys and ledger are ($GRAPHOPT_HOME, or graphopt/ in the XDG data folder), and which chain to ask."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one member of a federation on this machine; nothing in it need exist yet."""

    folder: Path
    chain: str | None = None
    """The URL of a chain's node; None is the embedded chain."""

    @classmethod
    def default(cls, chain: str | None = None) -> Home:
        """The home that the environment names; on `chain`, where it is given, rather than on $GRAPHOPT_CHAIN."""
        chain = chain or os.environ.get("GRAPHOPT_CHAIN") or None
        if named := os.environ.get("GRAPHOPT_HOME"):
            return cls(Path(named), chain)
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return cls(Path(data) / "graphopt", chain)

    @property
    def signing_key(self) -> Path:
        """P-256, PKCS#8: signs manifests."""
        return self.folder / "keys" / "signing.pem"

    @property
    def member_key(self) -> Path:
        """secp256k1, Ethereum V3 keystore: votes in a federation."""
        return self.folder / "keys" / "member.json"

    @property
    def sealing_key(self) -> Path:
        """X25519, an age identity file: opens sealed bundles."""
        return self.folder / "keys" / "sealing.age"

    @property
    def ledger(self) -> Path:
        """The embedded chain."""
        return self.folder / "ledger.sqlite3"

    @property
    def federation(self) -> Path:
        """Where the federation on an RPC chain is: JSON with the chain's id, the contract's address and its block."""
        return self.folder / "federation.json"

    @property
    def inclusions(self) -> Path:
        """A folder with one file for each manifest that is known to be in an anchored batch."""
        return self.folder / "inclusions"
