"""Whether a federation can still do what it is for: a change must not leave a right with too few members to use it.

The contract sees to it that enough members can approve.  It takes as many signatures to revoke, of members with the
right to that, and one to propose: where fewer have it, a ballot lacks a signature for ever, which shows only on the day
on which something has to be revoked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphopt_governance.errors import BallotError
from graphopt_governance.exchange.ballot import Ballot, needed, right_for
from graphopt_governance.protocol.action import Action, Kind, Right
from graphopt_governance.protocol.contract import State


def what_nobody_could(rights: Mapping[int, Right], quorum: int) -> str | None:
    """What a federation of members with these rights could never do, in words; None where it can do everything."""

    def having(right: Right) -> int:
        return sum(1 for held in rights.values() if held & right)

    if having(Right.REVOKE) < quorum:
        return f"nothing could be revoked: {having(Right.REVOKE)} of the members may, and {quorum} must sign"
    if not having(Right.PROPOSE):
        return "nothing could be proposed: none of the members may"
    return None


def check_founding(rights: Sequence[Right], quorum: int) -> None:
    """BallotError for a federation of members with these rights that could not do what it is for."""
    if why := what_nobody_could(dict(enumerate(rights)), quorum):
        raise BallotError(f"{why}; give the right to more members, or found it with a lower quorum")


def check_change(action: Action, state: State) -> None:
    """BallotError when a change, once made, would leave a right with too few; one that mends that is let through."""
    if action.kind not in (Kind.ADMIT, Kind.CHANGE, Kind.QUORUM):
        return
    before, quorum = _rights(state), state.number("quorum")
    why = what_nobody_could(*_after(action, before, quorum))
    if why is not None and why != what_nobody_could(before, quorum):
        raise BallotError(f"{why}; give the right to more members first, or lower the quorum")


def warning(action: Action, state: State) -> str | None:
    """What a removal would leave undone, in words.  It is no reason to keep a member who has to go."""
    if action.kind is not Kind.REMOVE:
        return None
    return what_nobody_could(*_after(action, _rights(state), state.number("quorum")))


def check_signers(ballot: Ballot, state: State) -> None:
    """BallotError for a ballot that can never have its signatures, because too few members may sign it."""
    kind = ballot.action.kind
    right, wanted = right_for(kind), needed(kind, state)
    if right is Right.APPROVE:
        return  # the contract keeps enough of these
    may = sum(1 for held in _rights(state).values() if held & right)
    if may < wanted:
        verb = (right.name or "").lower()
        instead = "; one member alone may suspend it (--emergency)" if kind is Kind.REVOKE and may else ""
        raise BallotError(f"this takes {wanted} signatures, and only {may} of the members may {verb}{instead}")


def _rights(state: State) -> dict[int, Right]:
    return {member.number: member.rights for member in state.members()}


def _after(action: Action, rights: Mapping[int, Right], quorum: int) -> tuple[dict[int, Right], int]:
    """Rights by member, and the quorum, as an action would leave them."""
    after = dict(rights)
    match action.kind:
        case Kind.ADMIT:
            after[max(after, default=0) + 1] = Right(action.amount & 31)
        case Kind.CHANGE:
            after[int.from_bytes(action.subject, "big")] = Right(action.amount & 31)
        case Kind.REMOVE:
            after.pop(int.from_bytes(action.subject, "big"), None)
        case Kind.QUORUM:
            quorum = action.amount
        case _:
            pass
    return after, quorum
