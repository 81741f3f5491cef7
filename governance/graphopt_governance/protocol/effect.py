"""What an action leaves in the contract's storage: that it is there can be proven, so nobody's word is taken for it."""

from __future__ import annotations

from graphopt_governance.protocol.action import Action, Domain, Kind, Right
from graphopt_governance.protocol.contract import Founder, RecordKind, State, Status

_STATUSES: dict[Kind, tuple[Status, ...]] = {
    Kind.ANCHOR: (Status.APPROVED,),
    Kind.BATCH: (Status.APPROVED,),
    Kind.ROLLBACK: (Status.APPROVED,),
    Kind.REVOKE: (Status.REVOKED,),
    Kind.SUSPEND: (Status.SUSPENDED,),
    Kind.RESTORE: (Status.NOT_ANCHORED, Status.APPROVED),
}


def is_done(state: State, action: Action, domain: Domain) -> bool:
    """Whether the state is what `action` leaves: it was executed, or another that does the very same.

    False where something was decided about the same thing since then.
    """
    match action.kind:
        case Kind.PROPOSE | Kind.REPORT:
            return state.seen(action.identity(domain))
        case Kind.ANCHOR | Kind.BATCH | Kind.ROLLBACK | Kind.REVOKE | Kind.SUSPEND | Kind.RESTORE:
            return _is_on_record(state, action)
        case Kind.REMOVE:
            number = int.from_bytes(action.subject, "big")
            return 0 < number <= state.number("joined") and state.member(number) is None
        case Kind.CANCEL:
            # whatever it was that began another epoch, it voided the same
            return state.number("epoch") > action.epoch
        case _:
            return state.number("epoch") == action.epoch + 1 and _is_changed(state, action)


def is_waiting(state: State, action: Action, domain: Domain) -> bool:
    """Whether `action` was approved and waits for its delay, in the epoch that it was signed in."""
    if action.kind <= Kind.REPORT or state.number("epoch") != action.epoch:
        return False
    return state.waiting(action.identity(domain)) > 0


def is_past(state: State, action: Action) -> bool:
    """Whether the contract would not execute `action` any more: what it was signed for has moved on."""
    if action.kind is not Kind.REMOVE and state.number("epoch") != action.epoch:
        return True
    return action.kind <= Kind.RESTORE and state.record(action.subject).nonce != action.nonce


def is_founded(state: State, founders: tuple[Founder, ...], quorum: int, delay: int) -> bool:
    """Whether the federation is what its founders asked for, and nothing was changed in it since."""
    asked = tuple((founder.account, founder.rights, founder.signing, founder.sealing) for founder in founders)
    there = tuple((member.account, member.rights, member.signing, member.sealing) for member in state.members())
    rules = [state.number(name) for name in ("quorum", "delay", "epoch", "joined", "size", "voters")]
    voters = sum(1 for founder in founders if founder.rights & Right.APPROVE)
    return asked == there and rules == [quorum, delay, 1, len(founders), len(founders), voters]


def _is_on_record(state: State, action: Action) -> bool:
    record = state.record(action.subject)
    if record.nonce != action.nonce + 1 or record.status not in _STATUSES[action.kind]:
        return False
    match action.kind:
        case Kind.ANCHOR:
            told = (record.kind, record.version, record.expires, record.model)
            return told == (RecordKind.MANIFEST, action.amount, action.expires, action.name)
        case Kind.BATCH:
            return (record.kind, record.expires) == (RecordKind.BATCH, action.expires)
        case Kind.ROLLBACK:
            return state.versions(record.model)[0] == record.version
        case _:
            return True


def _is_changed(state: State, action: Action) -> bool:
    if action.kind in (Kind.QUORUM, Kind.DELAY):
        return state.number(action.kind.name.lower()) == action.amount
    number = state.standing(action.name)[0]
    if action.kind is Kind.CHANGE and number != int.from_bytes(action.subject, "big"):
        return False
    member = state.member(number)
    asked = (action.name, Right(action.amount & 31), action.evidence, action.sealing)
    return member is not None and asked == (member.account, member.rights, member.signing, member.sealing)
