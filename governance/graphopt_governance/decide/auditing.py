"""Auditing an embedded chain: its log is exported, rebuilt by whoever doubts it, and held against another copy of it.

A ledger's owner can write another history; he cannot make it come to a head that a member signed.  So members export
the log now and then, sign its head and keep it: two logs of one ledger that disagree convict whoever gave them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from graphopt.private import PrivateFolder
from graphopt_governance.chains.chain import Chain
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.ledger_log import LedgerLog
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home


class Agreement(StrEnum):
    """How a log stands to the ledger of the home."""

    SAME = "the same history"
    LONGER = "the log goes on where the ledger here ends"
    SHORTER = "the ledger here goes on where the log ends"
    CONTRADICTS = "the log contradicts the ledger here"
    NOTHING = "there is nothing here to compare it with"
    OTHER = "the ledger here is of another federation"


@dataclass(frozen=True, slots=True)
class Audit:
    """What replaying a log showed.  It came to the head that it claims, else there would be no audit.

    `signers`: the members, as the log itself has them, who signed the head; `strangers`: how many others did.
    `accounts`: those of its members, who alone sign it to any purpose.
    `first_difference`: the first block that differs from the ledger here, where one does.
    """

    chain: int
    contract: bytes
    blocks: int
    head: bytes
    signers: tuple[int, ...]
    members: int
    strangers: int
    agreement: Agreement
    first_difference: int | None
    accounts: frozenset[bytes]

    @property
    def contradicts(self) -> bool:
        """Whether two histories of one ledger were shown."""
        return self.agreement is Agreement.CONTRADICTS

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "chain": str(self.chain),
            "contract": "0x" + self.contract.hex(),
            "blocks": self.blocks,
            "head": self.head.hex(),
            "signers": list(self.signers),
            "members": self.members,
            "strangers": self.strangers,
            "agreement": self.agreement.name.lower(),
            "first_difference": self.first_difference,
        }


def export(home: Home) -> LedgerLog:
    """The log of the ledger of `home`, not signed; ChainError where there is none, or the chain needs none."""
    return LedgerLog.of(_own_ledger(open_chain(home)))


def members_of(home: Home) -> frozenset[bytes]:
    """The accounts of the members, as the ledger of `home` has them; ChainError as for `export`."""
    return frozenset(member.account for member in _own_ledger(open_chain(home)).snapshot().state.members())


def replay(log: LedgerLog, home: Home) -> Audit:
    """Execute `log` again from nothing, in a private temporary place, and hold it against the ledger of `home`.

    ChainError when it does not come to the head that it claims.  Nothing in `home` changes.
    """
    with PrivateFolder() as folder:
        rebuilt = log.rebuild(folder / "ledger.sqlite3")
        state = rebuilt.snapshot().state
        signed = log.signers()
        numbers = {account: state.standing(account) for account in signed}
        hashes = rebuilt.block_hashes()
        contract = rebuilt.domain.contract
        accounts = frozenset(member.account for member in state.members())
    signers = sorted(number for number, rights in numbers.values() if rights is not None)
    agreement, first = _compare(hashes, log.chain_id, open_chain(home))
    return Audit(
        log.chain_id,
        contract,
        len(hashes) - 1,
        log.head,
        tuple(signers),
        len(accounts),
        len(signed) - len(signers),
        agreement,
        first,
        accounts,
    )


def _own_ledger(chain: Chain | None) -> Ledger:
    if chain is None:
        raise ChainError("there is no ledger here to export: `graphopt fed init` or `graphopt anchor` makes one")
    if not isinstance(chain, Ledger):
        raise ChainError(
            f"the federation is on chain {chain.domain.chain_id}, which is its own log: any node of it shows the same"
            " history, so there is nothing to export"
        )
    return chain


def _compare(hashes: Sequence[bytes], chain_id: int, here: Chain | None) -> tuple[Agreement, int | None]:
    if here is None or not isinstance(here, Ledger):
        return Agreement.NOTHING, None
    if here.domain.chain_id != chain_id:
        return Agreement.OTHER, None
    own = here.block_hashes()
    differing = (number for number, (one, other) in enumerate(zip(hashes, own, strict=False)) if one != other)
    if (first := next(differing, None)) is not None:
        return Agreement.CONTRADICTS, first
    if len(hashes) == len(own):
        return Agreement.SAME, None
    return (Agreement.LONGER if len(hashes) > len(own) else Agreement.SHORTER), None
