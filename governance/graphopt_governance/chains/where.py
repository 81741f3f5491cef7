"""Where a member's federation is: which contract on which chain, and how this member reaches it (`federation.json`).

Which federation is meant is written down once, when a member founds or joins it; a ledger or a node that serves another
one is refused from then on.  How it is reached is each member's own business and goes to nobody: a node's URL may hold
the key of an account, so the file is its owner's alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graphopt import strict_json
from graphopt_governance.chains.chain import Checkpoint
from graphopt_governance.documents import Fields
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import create_key_file, read_key_file, replace_key_file
from graphopt_governance.protocol.action import Domain

FORMAT = "graphopt/federation/v1"
MAX_ENDPOINTS = 16
_MAX_URL = 2048


@dataclass(frozen=True, slots=True)
class Where:
    """A federation's contract, the block that made it, and how it is reached: a ledger's file, or nodes by URL.

    `agree`: how many of the nodes must say the same before it is believed; one that does not have the block
    `checkpoint` is not counted.  With neither `ledger` nor `endpoints` it says only which federation is meant.
    """

    domain: Domain
    first_block: int
    ledger: Path | None = None
    endpoints: tuple[str, ...] = ()
    agree: int = 1
    checkpoint: Checkpoint | None = None

    def reached_by(self, endpoints: tuple[str, ...], agree: int | None = None) -> Where:
        """The same federation, reached by these nodes; a majority of them must agree unless `agree` says how many.

        ChainError for more of them than there are.
        """
        wanted = len(endpoints) // 2 + 1 if agree is None else agree
        if not 1 <= wanted <= len(endpoints) <= MAX_ENDPOINTS:
            raise ChainError(f"{wanted} of {len(endpoints)} nodes cannot agree; name 1 to {MAX_ENDPOINTS} nodes")
        return replace(self, ledger=None, endpoints=endpoints, agree=wanted)

    def reached_instead_by(self, endpoints: tuple[str, ...]) -> Where:
        """The same federation, reached by these nodes, of which no fewer must agree than was said for it.

        ChainError when there are not as many: who names a single node has not thereby said that one is enough.
        """
        if len(endpoints) < self.agree:
            raise ChainError(
                f"{self.agree} nodes must agree on this federation, and {len(endpoints)} named instead (GRAPHOPT_CHAIN,"
                f" --chain): name {self.agree} or more, or say that fewer are enough by joining again (fed join"
                " --agree)"
            )
        return self.reached_by(endpoints, max(self.agree, len(endpoints) // 2 + 1))

    def to_json(self) -> dict[str, Any]:
        """The document that `federation.json` holds."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "chain": str(self.domain.chain_id),
            "contract": self.domain.contract.hex(),
            "first_block": str(self.first_block),
        }
        if self.ledger is not None:
            return document | {"ledger": str(self.ledger)}
        document |= {"endpoints": list(self.endpoints), "agree": str(self.agree)}
        if self.checkpoint is not None:
            document |= {
                "checkpoint_block": str(self.checkpoint.number),
                "checkpoint_hash": self.checkpoint.digest.hex(),
            }
        return document

    def check(self, home: Home) -> None:
        """DocumentError when this, once written, could not be read again: a path with a line break, say."""
        _parse(self.to_json(), home, f"the place {self.ledger or self.endpoints}")

    def write(self, home: Home, *, instead: bool = False) -> None:
        """Keep it in `home`; ChainError when the home names another federation already, unless this comes `instead`."""
        self.check(home)
        document = self.to_json()
        content = strict_json.encode(document, "the federation's place")
        if instead:
            replace_key_file(home.federation, content)
            return
        if create_key_file(home.federation, content) != content:
            raise ChainError(f"{home.federation} names a federation already")


def read_where(home: Home) -> Where | None:
    """Where the federation of `home` is, None where that was never written down; GraphoptError for an unusable file."""
    content = read_key_file(home.federation)
    if content is None:
        return None
    what = str(home.federation)
    return _parse(strict_json.decode(content, what), home, what)


def _parse(document: Any, home: Home, what: str) -> Where:
    on_ledger = isinstance(document, dict) and "ledger" in document
    reach = {"ledger"} if on_ledger else {"endpoints", "agree"}
    has_checkpoint = isinstance(document, dict) and "checkpoint_hash" in document
    if has_checkpoint and not on_ledger:
        reach |= {"checkpoint_block", "checkpoint_hash"}
    fields = Fields(document, FORMAT, {"chain", "contract", "first_block", *reach}, what)
    domain = Domain(fields.number("chain"), fields.bytes("contract", 20))
    first = fields.number("first_block", 2**63)
    if on_ledger:
        # a ledger inside the home is named relative to it, so that the folder can be moved
        return Where(domain, first, home.folder / fields.text("ledger", 4096))
    endpoints = fields.texts("endpoints", MAX_ENDPOINTS, _MAX_URL)
    agree = fields.number("agree", MAX_ENDPOINTS + 1)
    if not 1 <= agree <= len(endpoints):
        fields.refuse(f"{agree} of {len(endpoints)} endpoints cannot agree")
    checkpoint = None
    if has_checkpoint:
        checkpoint = Checkpoint(fields.number("checkpoint_block", 2**63), fields.bytes("checkpoint_hash", 32))
    return Where(domain, first, None, endpoints, agree, checkpoint)
