"""Where a member's files are: $GRAPHOPT_HOME, or graphopt/ in the XDG data folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one member of a federation on this machine; nothing in it need exist yet."""

    folder: Path
    chain: str | None = None
    """URLs of a chain's nodes, with commas between them, instead of those in `federation.json`; None: as it says."""

    @classmethod
    def default(cls, chain: str | None = None) -> Home:
        """The home that the environment names; on `chain`, where it is given, rather than on $GRAPHOPT_CHAIN."""
        chain = chain or os.environ.get("GRAPHOPT_CHAIN") or None
        if named := os.environ.get("GRAPHOPT_HOME"):
            return cls(Path(named), chain)
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return cls(Path(data) / "graphopt", chain)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The URLs in `chain`, one by one."""
        return tuple(url.strip() for url in (self.chain or "").split(",") if url.strip())

    @property
    def keys(self) -> Path:
        """The folder of the keys."""
        return self.folder / "keys"

    @property
    def signing_key(self) -> Path:
        """P-256, PKCS#8: signs manifests."""
        return self.keys / "signing.pem"

    @property
    def member_key(self) -> Path:
        """secp256k1, Ethereum V3 keystore: votes in a federation."""
        return self.keys / "member.json"

    @property
    def sealing_key(self) -> Path:
        """X25519, an age identity file: opens sealed bundles."""
        return self.keys / "sealing.age"

    @property
    def next_keys(self) -> Path:
        """The keys that a rotation goes on to, while the federation decides on it."""
        return self.keys / "next"

    @property
    def rekeyed(self) -> Path:
        """The keys under a new passphrase, until they are all there."""
        return self.keys / "rekeyed"

    @property
    def federation(self) -> Path:
        """Which federation this member is in and how it is reached (`where`)."""
        return self.folder / "federation.json"

    @property
    def names(self) -> Path:
        """What this member calls the others; a convenience, and never trusted."""
        return self.folder / "names.json"

    @property
    def ledger(self) -> Path:
        """The embedded chain, where this member keeps it."""
        return self.folder / "ledger.sqlite3"

    @property
    def inclusions(self) -> Path:
        """A folder with one file for each manifest that is known to be in an anchored batch."""
        return self.folder / "inclusions"

    @property
    def proofs(self) -> Path:
        """A folder with what the chain proved of each bundle when it was last asked, and what this home has seen."""
        return self.folder / "proofs"

    @property
    def policy(self) -> Path:
        """What the gate asks for beyond approval (`policy`)."""
        return self.folder / "policy.toml"

    @property
    def builds(self) -> Path:
        """A folder with how long each bundle took to compile here: what `publish` tells others."""
        return self.folder / "builds"
