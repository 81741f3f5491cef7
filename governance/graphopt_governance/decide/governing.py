"""Governing together: found a federation, draft an action, sign its ballot, relay it, and see how things stand.

What `graphopt_governance.actions` does for one person on one machine, this does for several: nothing here needs more
than the chain, the ballot's file, and for signing one member's own keys.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphopt.bundle import Manifest
from graphopt_governance.chains.chain import Chain, Receipt, Snapshot
from graphopt_governance.chains.floors import Floors
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.decide.able import check_founding
from graphopt_governance.errors import BallotError
from graphopt_governance.exchange.ballot import Ballot, check_deadline, event_json, member_json, needed
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, passphrase_from_environment
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.keys.sealing_key import load_sealing_key
from graphopt_governance.keys.signing_key import load_signing_key
from graphopt_governance.protocol.action import ALL_RIGHTS, Action, Kind, Right, model_id
from graphopt_governance.protocol.contract import Founder, Member, execution
from graphopt_governance.protocol.subject import build_key

WEEK = 7 * 86400
MAX_MEMBERS = 32
MAX_DELAY = 30 * 86400
"""The contract's own limits."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a federation stands: its rules and its members, as of one block."""

    block: int
    epoch: int
    quorum: int
    delay: int
    members: tuple[Member, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "block": self.block,
            "epoch": self.epoch,
            "quorum": self.quorum,
            "delay": self.delay,
            "members": [member_json(member) for member in self.members],
        }


def member_card(
    home: Home, rights: Right = ALL_RIGHTS, passphrase: Passphrase = passphrase_from_environment
) -> Founder:
    """A member as the contract takes him; his three keys are made on first use and stay where they are."""
    member = load_member_key(home.member_key, passphrase)
    signing = load_signing_key(home.signing_key, passphrase)
    return Founder(member.account, rights, signing.hint, load_sealing_key(home.sealing_key, passphrase).recipient)


def found(home: Home, members: Sequence[Founder], quorum: int, delay: int = 0, ledger: Path | None = None) -> Chain:
    """A new federation of `members` on the embedded chain, in the file `ledger`, else in `home`.

    ChainError when there is one already, BallotError for one that could not do what it is for.
    """
    check_founding([member.rights for member in members], quorum)
    chain = Ledger.create(ledger or home.ledger, members, quorum, delay, only_new=True)
    return chain.remembering(Floors(home.proofs))


def draft(chain: Chain, kind: Kind, *, lasts: int = WEEK, **fields: Any) -> Ballot:
    """A ballot with no signatures yet, for the state that the chain is in; it can be relayed for `lasts` seconds."""
    snapshot = chain.snapshot()
    action = Action(
        kind,
        epoch=0 if kind is Kind.REMOVE else snapshot.state.number("epoch"),
        nonce=snapshot.state.record(fields["subject"]).nonce if kind <= Kind.RESTORE else 0,
        deadline=now_on(snapshot) + lasts,
        **fields,
    )
    check_deadline(action, now_on(snapshot))
    return Ballot(chain.domain, action)


def now_on(snapshot: Snapshot) -> int:
    """The time (seconds since the epoch) by which deadlines on a chain are reckoned."""
    return max(int(time.time()), snapshot.time)


def draft_approval(
    chain: Chain, manifest: Manifest, model: str, expires: int = 0, *, lasts: int = WEEK, propose: bool = False
) -> Ballot:
    """A ballot that makes `manifest` the next version of `model`, or that proposes so."""
    name = model_id(model)
    return draft(
        chain,
        Kind.PROPOSE if propose else Kind.ANCHOR,
        lasts=lasts,
        subject=manifest.digest,
        name=name,
        amount=chain.snapshot().state.versions(name)[1] + 1,
        expires=expires,
        evidence=build_key(manifest.predicate),
    )


def sign_ballot(
    ballot: Ballot, chain: Chain, home: Home, passphrase: Passphrase = passphrase_from_environment
) -> Ballot:
    """The ballot with the signature of the member whose keys are in `home`.  Show `ballot.describe()` first."""
    if ballot.domain != chain.domain:
        raise BallotError("this ballot is for another federation, or for another chain")
    snapshot = chain.snapshot()
    return ballot.signed(load_member_key(home.member_key, passphrase, make=False), snapshot.state, now_on(snapshot))


def relay(ballot: Ballot, chain: Chain) -> Receipt:
    """Execute a ballot that has enough signatures; needs no key.  ActionError when the contract turns it down."""
    if ballot.domain != chain.domain:
        raise BallotError("this ballot is for another federation, or for another chain")
    chain.settle()
    state = chain.snapshot().state
    what = ballot.describe()[0]
    signatures = ballot.for_relay(state)
    if state.waiting(ballot.action.identity(ballot.domain)):
        # approved before; now it only has to be ready
        return chain.submit(execution(ballot.action), what)
    missing = needed(ballot.action.kind, state) - len(signatures)
    if missing > 0:
        raise BallotError(f"this ballot lacks {missing} of {needed(ballot.action.kind, state)} signatures")
    return chain.submit(execution(ballot.action, signatures), what)


def standing(chain: Chain) -> Standing:
    """How the federation stands."""
    snapshot = chain.snapshot()
    epoch, quorum, delay = (snapshot.state.number(name) for name in ("epoch", "quorum", "delay"))
    return Standing(snapshot.block, epoch, quorum, delay, snapshot.state.members())


def log(chain: Chain) -> list[dict[str, Any]]:
    """Everything that ever happened in the federation, oldest first, as data."""
    return [event_json(event) for event in chain.events()]
