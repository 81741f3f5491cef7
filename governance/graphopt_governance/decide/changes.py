"""Changes of the federation itself, each drafted as a ballot; what cannot come to pass is refused before it is signed.

What gives power (admitting, changing, quorum, delay) waits for the federation's delay once it has its signatures, so
the ballot's deadline lies beyond that; what takes power away (removing, cancelling) is immediate.
"""

from __future__ import annotations

from typing import Any

from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide.able import check_change
from graphopt_governance.decide.governing import MAX_DELAY, MAX_MEMBERS, WEEK, draft
from graphopt_governance.errors import BallotError
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.exchange.cards import Card
from graphopt_governance.protocol.action import Kind, Right, word
from graphopt_governance.protocol.contract import Member, State


def draft_admission(chain: Chain, card: Card, rights: Right | None = None) -> Ballot:
    """Admit the member whom `card` shows, with the rights that he asks for, or with `rights`."""
    state = chain.snapshot().state
    if state.number("size") >= MAX_MEMBERS:
        raise BallotError(f"the federation is full: it has {MAX_MEMBERS} members")
    _require_unused(state, card)
    granted = card.rights if rights is None else rights
    return _draft(
        chain, Kind.ADMIT, name=card.account, amount=int(granted), evidence=card.signing, sealing=card.sealing
    )


def draft_rights(chain: Chain, number: int, rights: Right) -> Ballot:
    """Give member `number` these rights instead of those that he has."""
    state = chain.snapshot().state
    member = _member(state, number)
    if member.rights == rights:
        raise BallotError(f"member {number} has these rights already")
    _require_voters(state, member, stays=bool(rights & Right.APPROVE))
    return _draft(chain, Kind.CHANGE, **_fields(member, member.account, rights, member.signing, member.sealing))


def draft_rotation(chain: Chain, number: int, card: Card) -> Ballot:
    """Let member `number` go on with the keys that `card` shows, and with the rights that he has."""
    state = chain.snapshot().state
    member = _member(state, number)
    _require_unused(state, card)
    return _draft(chain, Kind.CHANGE, **_fields(member, card.account, member.rights, card.signing, card.sealing))


def draft_removal(chain: Chain, number: int) -> Ballot:
    """Remove member `number`, at once."""
    state = chain.snapshot().state
    _require_voters(state, _member(state, number), stays=False)
    return draft(chain, Kind.REMOVE, subject=word(number))


def draft_quorum(chain: Chain, quorum: int) -> Ballot:
    """Let decisions take `quorum` approvals."""
    state = chain.snapshot().state
    if not 1 <= quorum <= (voters := state.number("voters")):
        raise BallotError(f"a quorum of {quorum} cannot be: {voters} of the members may approve")
    if quorum == state.number("quorum"):
        raise BallotError(f"decisions take {quorum} approvals already")
    return _draft(chain, Kind.QUORUM, amount=quorum)


def draft_delay(chain: Chain, seconds: int) -> Ballot:
    """Let changes that give power wait for `seconds`."""
    if not 0 <= seconds <= MAX_DELAY:
        raise BallotError(f"a delay is 0 to {MAX_DELAY} seconds, not {seconds}")
    if seconds == chain.snapshot().state.number("delay"):
        raise BallotError(f"changes wait {seconds} seconds already")
    return _draft(chain, Kind.DELAY, amount=seconds)


def draft_cancel(chain: Chain) -> Ballot:
    """Void everything that waits for its delay, and every signature given so far (but those that remove a member)."""
    return draft(chain, Kind.CANCEL)


def _draft(chain: Chain, kind: Kind, **fields: Any) -> Ballot:
    # once signed it waits; it must not have expired when it is ready
    state = chain.snapshot().state
    ballot = draft(chain, kind, lasts=WEEK + state.number("delay"), **fields)
    check_change(ballot.action, state)
    return ballot


def _member(state: State, number: int) -> Member:
    member = state.member(number) if 0 < number <= state.number("joined") else None
    if member is None:
        numbers = ", ".join(str(member.number) for member in state.members())
        raise BallotError(f"there is no member {number} now; the members are {numbers}")
    return member


def _fields(member: Member, account: bytes, rights: Right, signing: bytes, sealing: bytes) -> dict[str, Any]:
    subject = word(member.number)
    return {"subject": subject, "name": account, "amount": int(rights), "evidence": signing, "sealing": sealing}


def _require_unused(state: State, card: Card) -> None:
    number, rights = state.standing(card.account)
    if number:
        was = "is" if rights is not None else "was"
        raise BallotError(f"the account 0x{card.account.hex()} {was} that of member {number}")
    if holder := state.holder(card.signing):
        raise BallotError(f"the signing key on the card is or was that of member {holder}")


def _require_voters(state: State, member: Member, *, stays: bool) -> None:
    left = state.number("voters") - (0 if stays or not member.rights & Right.APPROVE else 1)
    if left < (quorum := state.number("quorum")):
        raise BallotError(f"only {left} could still approve, and {quorum} must: lower the quorum first")
