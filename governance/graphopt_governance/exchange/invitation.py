"""An invitation: which federation to join, and what its members are called.

How it is reached is not in it: each member knows that himself.  It is no secret and proves nothing: who joins compares
what the chain says of the federation with what he was told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphopt_governance.documents import Fields, read_document, write_document
from graphopt_governance.exchange.cards import checked_name
from graphopt_governance.protocol.action import Domain

FORMAT = "graphopt/invitation/v1"
_MAX_NAMES = 1024


@dataclass(frozen=True, slots=True)
class Invitation:
    """A federation's contract, the block that made it, and names for its members by number: hints, never trusted."""

    domain: Domain
    first_block: int
    names: Mapping[int, str] = field(default_factory=dict[int, str])

    def save(self, path: Path) -> None:
        """Write the invitation's file."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "chain": str(self.domain.chain_id),
            "contract": self.domain.contract.hex(),
            "first_block": str(self.first_block),
            "names": {str(number): name for number, name in self.names.items()},
        }
        write_document(path, document, "the invitation")

    @classmethod
    def load(cls, path: Path) -> Invitation:
        """The invitation in the file at `path`; GraphoptError for anything else."""
        document = read_document(path, "the invitation")
        fields = Fields(document, FORMAT, {"chain", "contract", "first_block", "names"}, f"the invitation {path}")
        domain = Domain(fields.number("chain"), fields.bytes("contract", 20))
        names = {number: checked_name(name) for number, name in fields.numbered("names", _MAX_NAMES).items()}
        return cls(domain, fields.number("first_block", 2**63), names)
