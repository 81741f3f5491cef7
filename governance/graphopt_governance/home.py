"""Where a user's keys and ledger are: $GRAPHOPT_HOME, or graphopt/ in the XDG data folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one member of a federation on this machine; nothing in it need exist yet."""

    folder: Path

    @classmethod
    def default(cls) -> Home:
        """The home that the environment names."""
        if named := os.environ.get("GRAPHOPT_HOME"):
            return cls(Path(named))
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return cls(Path(data) / "graphopt")

    @property
    def signing_key(self) -> Path:
        """P-256, PKCS#8: signs manifests."""
        return self.folder / "keys" / "signing.pem"

    @property
    def member_key(self) -> Path:
        """secp256k1, Ethereum V3 keystore: votes in a federation."""
        return self.folder / "keys" / "member.json"

    @property
    def ledger(self) -> Path:
        """The embedded chain."""
        return self.folder / "ledger.sqlite3"
