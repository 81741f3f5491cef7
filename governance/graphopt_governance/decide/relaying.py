"""Relaying: ballots for one action that came back from members become one, which is executed when it has enough.

It takes no member's key: whoever relays only carries what the members signed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide.governing import relay
from graphopt_governance.decide.review import check_ballot
from graphopt_governance.errors import BallotError
from graphopt_governance.exchange.ballot import Ballot, needed
from graphopt_governance.wording import utc


@dataclass(frozen=True, slots=True)
class Relayed:
    """What a relayed ballot came to: `ready` is None when it is done, else from when it can be relayed again."""

    what: str
    block: int
    block_time: int
    gas: int
    signatures: int
    ready: int | None

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


def merged(ballots: Sequence[Ballot]) -> Ballot:
    """One ballot with the signatures of all; BallotError when they are for different actions."""
    if not ballots:
        raise BallotError("there is no ballot to relay")
    one, *others = ballots
    for other in others:
        one = one.merged(other)
    return one


def relay_ballots(ballots: Sequence[Ballot], chain: Chain) -> Relayed:
    """Merge and execute ballots for one action; BallotError, saying what is missing, when that cannot be yet."""
    ballot = merged(ballots)
    chain.settle()
    snapshot = check_ballot(ballot, chain)
    state, action = snapshot.state, ballot.action
    what = ballot.describe()[0]
    now = max(int(time.time()), snapshot.time)
    identity = action.identity(ballot.domain)
    ready = state.waiting(identity)
    if ready > now:
        raise BallotError(f"this is approved and waits for its delay: relay it again from {utc(ready)}")
    counting = len(ballot.counting(state))
    wanted = needed(action.kind, state)
    if not ready and counting < wanted:
        useless = len(ballot.signers()) - counting
        also = f" ({useless} of those on it count for nothing: not of members with the right)" if useless else ""
        raise BallotError(f"this ballot lacks {wanted - counting} of {wanted} signatures{also}")
    receipt = relay(ballot, chain)
    later = chain.snapshot().state
    waits = not ready and later.number("epoch") == action.epoch and later.waiting(identity)
    return Relayed(what, receipt.block, receipt.time, receipt.gas, counting, later.waiting(identity) if waits else None)
