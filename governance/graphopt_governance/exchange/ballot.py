"""A ballot: an action and the signatures gathered for it, in a file that members pass around.

Gathering happens off the chain: whoever drafts an action writes the file, members add their signatures, and anybody
relays it once there are enough.  The file is canonical JSON, read strictly; what it says is shown decoded before it is
signed (`describe`), and a signature in it is worth nothing until it was checked against the action (`signers`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, cast

from graphopt.errors import GraphoptError
from graphopt_governance.documents import read_document, write_document
from graphopt_governance.errors import BallotError
from graphopt_governance.keys.member_key import MemberKey, in_order, recover
from graphopt_governance.protocol.action import ALL_RIGHTS, Action, Domain, Kind, Right
from graphopt_governance.protocol.contract import Event, Member, State
from graphopt_governance.wording import printable, utc

FORMAT = "graphopt/ballot/v1"
Ask = Callable[[Sequence[str]], None]
"""Is shown, decoded, what is about to be signed, and returns when it may be; raises when not."""
SINGLE = frozenset({Kind.PROPOSE, Kind.SUSPEND, Kind.REPORT})
"""What one member does alone; all else needs a quorum."""

MAX_SIGNATURES = 32
MAX_LASTING = 366 * 86400
MAX_REMOVAL_LASTING = 30 * 86400
"""For how many seconds a signature may count.  One that removes a member counts to its end, whatever is cancelled and
however few must sign by then, so it ends sooner."""

_RIGHTS: Mapping[Kind, Right] = {
    Kind.PROPOSE: Right.PROPOSE,
    Kind.REVOKE: Right.REVOKE,
    Kind.SUSPEND: Right.REVOKE,
    Kind.REPORT: Right.REPORT,
}
_NUMBERS = ("amount", "expires", "epoch", "nonce", "deadline")
_BYTES = {"subject": 32, "name": 20, "evidence": 32, "sealing": 32}


@dataclass(frozen=True, slots=True)
class Ballot:
    """An action on one federation, and signatures of 65 bytes for it."""

    domain: Domain
    action: Action
    signatures: tuple[bytes, ...] = ()

    def signers(self) -> dict[bytes, bytes]:
        """Signatures by the account that made each; BallotError for one that does not hold for this action."""
        identity = self.action.identity(self.domain)
        return {recover(identity, signature): signature for signature in self.signatures}

    def check_signer(self, account: bytes, state: State) -> int:
        """The number of the member with this account; BallotError when he may not sign this, or has done so."""
        right = right_for(self.action.kind)
        number, rights = state.standing(account)
        if rights is None:
            raise BallotError(f"0x{account.hex()} is not a member's account")
        if not rights & right:
            raise BallotError(f"this member may not {(right.name or '').lower()}")
        if account in self.signers():
            raise BallotError(f"0x{account.hex()} has signed this already")
        return number

    def signed(self, key: MemberKey, state: State, now: int | None = None) -> Ballot:
        """The ballot with one signature more; BallotError when `key` is not that of a member who may sign this.

        BallotError, too, where it would count for too long after `now` (seconds since the epoch; the clock's where it
        is None).
        """
        self.check_signer(key.account, state)
        check_deadline(self.action, int(time.time()) if now is None else now)
        return replace(self, signatures=(*self.signatures, key.sign(self.action.identity(self.domain))))

    def counting(self, state: State) -> dict[bytes, bytes]:
        """The signatures that count now, by account: those of members with the right to what the action does."""
        right = right_for(self.action.kind)
        return {account: s for account, s in self.signers().items() if (state.standing(account)[1] or Right(0)) & right}

    def merged(self, other: Ballot) -> Ballot:
        """The ballot with what `other` has gathered; BallotError when that is for anything but this very action."""
        if (other.domain, other.action) != (self.domain, self.action):
            raise BallotError("these ballots are for different actions; their signatures do not add up")
        there = self.signers()
        more = [signature for account, signature in other.signers().items() if account not in there]
        return replace(self, signatures=(*self.signatures, *more))

    def for_relay(self, state: State) -> list[bytes]:
        """The signatures that count, as the contract wants them: one an account, accounts ascending.

        The contract turns down a call with even one that does not: a stranger's must not keep the members' from it.
        """
        return in_order(list(self.counting(state).items()))

    @property
    def is_shown(self) -> bool:
        """Whether `describe` shows all of the action: nothing is in a field that it leaves out.

        The contract ignores such a field and the signature covers it: two ballots would look alike and not add up.
        """
        shown = {_HOLDERS.get(field, "amount") for field in _FIELDS[self.action.kind]}
        left_out = Action(self.action.kind)
        plain = all(getattr(self.action, name) == getattr(left_out, name) for name in _CONTENT - shown)
        rights = "rights" not in _FIELDS[self.action.kind] or self.action.amount <= ALL_RIGHTS
        return plain and rights and (self.action.kind <= Kind.RESTORE or self.action.nonce == 0)

    def describe(self) -> list[str]:
        """What is about to be signed, decoded: one line for each thing that it says."""
        action = self.action
        lines = [_SENTENCES[action.kind]]
        for field in _FIELDS[action.kind]:
            lines.append(f"  {field}: {_shown(action, field)}")
        lines.append(f"  epoch: {action.epoch}" + ("" if action.kind > Kind.RESTORE else f", nonce: {action.nonce}"))
        lines.append(f"  until: {utc(action.deadline)}")
        lines.append(f"  on chain {self.domain.chain_id}, contract 0x{self.domain.contract.hex()}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The ballot as data."""
        action: dict[str, Any] = {"kind": self.action.kind.name}
        action |= {name: getattr(self.action, name).hex() for name in _BYTES}
        # as text: amounts may be larger than what readers of JSON agree on
        action |= {name: str(getattr(self.action, name)) for name in _NUMBERS}
        return {
            "format": FORMAT,
            "chain": str(self.domain.chain_id),
            "contract": self.domain.contract.hex(),
            "action": action,
            "signatures": [signature.hex() for signature in self.signatures],
        }

    def save(self, path: Path) -> None:
        """Write the ballot's file, beside and renamed.

        BallotError for more signatures than members can give, and where a ballot for something else is that somebody
        has signed: his signature would be lost.
        """
        if len(self.signatures) > MAX_SIGNATURES:
            raise BallotError(
                f"together these ballots have more than {MAX_SIGNATURES} signatures; some are no member's"
            )
        self.check_place(path)
        write_document(path, self.to_json(), "the ballot")

    def check_place(self, path: Path) -> None:
        """BallotError where a ballot for something else is at `path` that somebody has signed."""
        try:
            there = Ballot.load(path)
        except GraphoptError:
            return
        if there.signatures and (there.domain, there.action) != (self.domain, self.action):
            raise BallotError(
                f"{path} is a ballot for something else, with {len(there.signatures)} signatures on it that would be"
                " lost: choose another name (-o)"
            )

    @classmethod
    def load(cls, path: Path) -> Ballot:
        """Read a ballot's file; GraphoptError for anything but the form that `save` writes."""
        return cls.from_json(read_document(path, "the ballot"))

    @classmethod
    def from_json(cls, document: object) -> Ballot:
        """Read what `to_json` gives; BallotError for anything else."""
        outer = _fields(document, {"format", "chain", "contract", "action", "signatures"})
        fields = _fields(outer["action"], {"kind", *_BYTES, *_NUMBERS})
        if outer["format"] != FORMAT:
            _refuse("it is of another format")
        if fields["kind"] not in list(Kind.__members__):
            _refuse("it has an unknown kind of action")
        values: dict[str, Any] = {name: _bytes(fields[name], size) for name, size in _BYTES.items()}
        values |= {name: _number(fields[name]) for name in _NUMBERS}
        action = Action(Kind[cast(str, fields["kind"])], **values)
        listed = outer["signatures"]
        if not isinstance(listed, list) or len(cast("list[object]", listed)) > MAX_SIGNATURES:
            _refuse(f"its signatures are not a list of at most {MAX_SIGNATURES}")
        signatures = tuple(_bytes(item, 65) for item in cast("list[object]", listed))
        ballot = cls(Domain(_number(outer["chain"]), _bytes(outer["contract"], 20)), action, signatures)
        ballot.signers()
        return ballot


def check_deadline(action: Action, now: int) -> None:
    """BallotError for an action whose signatures would count for longer than anybody can overlook."""
    removes = action.kind is Kind.REMOVE
    most = MAX_REMOVAL_LASTING if removes else MAX_LASTING
    if action.deadline > now + most:
        why = ", because nothing but its end voids it" if removes else ""
        raise BallotError(
            f"signatures on this would count until {utc(action.deadline)}, and may for {most // 86400} days{why}: make"
            " a ballot that ends sooner"
        )


def unasked(lines: Sequence[str]) -> None:
    """Nobody is asked: whoever calls from Python has decided."""


def right_for(kind: Kind) -> Right:
    """The right that a signature for this kind of action needs."""
    return _RIGHTS.get(kind, Right.APPROVE)


def needed(kind: Kind, state: State) -> int:
    """How many signatures this kind of action needs now."""
    return 1 if kind in SINGLE else state.number("quorum")


def sentence_for(kind: int) -> str:
    """What this kind of action does, in words."""
    return _SENTENCES[Kind(kind)] if 1 <= kind <= Kind.CANCEL else f"an action of the unknown kind {kind}"


def member_json(member: Member) -> dict[str, Any]:
    """A member as data."""
    return {
        "number": member.number,
        "account": "0x" + member.account.hex(),
        "rights": [right.name.lower() for right in member.rights if right.name],
        "signing_key": member.signing.hex(),
        "sealing_key": member.sealing.hex(),
    }


def event_json(event: Event) -> dict[str, Any]:
    """An event as data."""
    fields = {name: value.hex() if isinstance(value, bytes) else value for name, value in event.fields.items()}
    return {"event": event.name, "block": event.block, "time": event.time, **fields}


_SENTENCES: Mapping[Kind, str] = {
    Kind.PROPOSE: "propose a manifest as a version of a model",
    Kind.ANCHOR: "approve a manifest as a version of a model",
    Kind.BATCH: "approve all manifests of a batch",
    Kind.ROLLBACK: "make an earlier version of a model current again",
    Kind.REVOKE: "revoke",
    Kind.SUSPEND: "suspend in an emergency",
    Kind.RESTORE: "restore what was revoked or suspended",
    Kind.REPORT: "put a report on record",
    Kind.ADMIT: "admit a new member",
    Kind.CHANGE: "change a member's account, rights and keys",
    Kind.REMOVE: "remove a member, at once",
    Kind.QUORUM: "change how many approvals are needed",
    Kind.DELAY: "change how long changes of the federation wait",
    Kind.CANCEL: "void everything that waits or was signed so far, but removals",
}

_VERSION = ("manifest", "model", "version", "expires", "build")
_MEMBER = ("account", "rights", "signing key", "sealing key")
_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.PROPOSE: _VERSION,
    Kind.ANCHOR: _VERSION,
    Kind.BATCH: ("batch", "size", "expires"),
    Kind.ROLLBACK: ("manifest", "instead of version"),
    Kind.REVOKE: ("manifest", "reason"),
    Kind.SUSPEND: ("manifest", "reason"),
    Kind.RESTORE: ("manifest", "reason"),
    Kind.REPORT: ("manifest", "report"),
    Kind.ADMIT: _MEMBER,
    Kind.CHANGE: ("member", *_MEMBER),
    Kind.REMOVE: ("member",),
    Kind.QUORUM: ("approvals needed",),
    Kind.DELAY: ("seconds to wait",),
    Kind.CANCEL: (),
}
_CONTENT = frozenset({"subject", "name", "amount", "expires", "evidence", "sealing"})
# where in the action each of those is; all others are its amount
_HOLDERS: Mapping[str, str] = {
    "manifest": "subject",
    "batch": "subject",
    "member": "subject",
    "model": "name",
    "account": "name",
    "expires": "expires",
    "build": "evidence",
    "report": "evidence",
    "reason": "evidence",
    "signing key": "evidence",
    "sealing key": "sealing",
}


def _shown(action: Action, field: str) -> str:
    match field:
        case "manifest" | "batch":
            return action.subject.hex()
        case "member":
            return str(int.from_bytes(action.subject, "big"))
        case "model":
            return action.name.hex()
        case "account":
            return "0x" + action.name.hex()
        case "rights":
            return ", ".join((right.name or "").lower() for right in Right(action.amount & 31)) or "none"
        case "expires":
            return utc(action.expires) if action.expires else "never"
        case "reason":
            return printable(action.evidence.rstrip(b"\0").decode("utf-8", "replace")) or "none given"
        case "build" | "report" | "signing key":
            return action.evidence.hex()
        case "sealing key":
            return action.sealing.hex()
        case _:
            return str(action.amount)


def _fields(value: object, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or cast("dict[str, Any]", value).keys() != names:
        _refuse("its fields are not those of a ballot")
    return cast("dict[str, Any]", value)


def _bytes(value: object, size: int) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * size or set(value) - set("0123456789abcdef"):
        _refuse(f"{json.dumps(value)[:80]} are not {size} bytes in lower-case hexadecimal")
    return bytes.fromhex(value)


def _number(value: object) -> int:
    plain = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 79
    number = int(cast(str, value)) if plain else -1
    if str(number) != value or number >= 2**256:
        _refuse(f"{json.dumps(value)[:80]} is not a number of at most 256 bits, in decimal")
    return number


def _refuse(what: str) -> NoReturn:
    raise BallotError(f"this is no ballot: {what}")
