"""What a ballot is worth now, and what a proposal says: everything that is checked and shown before anybody signs.

`check_ballot` says whether an action could still be executed; `review` holds a proposal against its own parts and the
chain.  Both refuse in one sentence that says what to do.  The lines are for `consent`: decoded, nothing left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, cast

from graphopt.bundle import Manifest
from graphopt.errors import RefusedError
from graphopt_governance.chains.chain import Chain, Snapshot
from graphopt_governance.decide.able import check_change, check_signers, warning
from graphopt_governance.errors import BallotError, ProposalError
from graphopt_governance.exchange.ballot import Ballot, check_deadline, needed
from graphopt_governance.exchange.names import Names
from graphopt_governance.exchange.proposal import Proposal
from graphopt_governance.protocol.action import Action, Kind, model_id, names_of
from graphopt_governance.protocol.batch import MAX_SIZE, Batch
from graphopt_governance.protocol.contract import Status
from graphopt_governance.protocol.subject import build_key
from graphopt_governance.verdict.verify import Code, judge_at
from graphopt_governance.wording import utc

NOT_REBUILT = "NOTHING WAS REBUILT: this rests on the word of whoever made the bundle (--rebuild compiles it again)"


EVIDENCE_DIFFERS = "THE EVIDENCE ON RECORD IS FAR FROM WHAT WAS FOUND HERE: ask whoever made the bundle before you sign"
_FACTOR, _ROUNDING = 10.0, 1e-6
"""How far two measurements of a difference may be apart; what float32 comes to by rounding alone."""

MAX_LINE, MAX_LINES, MAX_TARGETS = 2000, 24, 12
MAX_EXPIRY = 2**40
"""What the contract has room for, in seconds since the epoch."""


class Measured(Protocol):
    """What rebuilding gave: the evidence of this machine."""

    @property
    def own(self) -> Mapping[str, Any]:
        """What the check found here."""
        ...


@dataclass(frozen=True, slots=True)
class Count:
    """How far a ballot is: the numbers of the members whose signatures count, and how many are needed."""

    members: tuple[int, ...]
    needed: int

    @property
    def missing(self) -> int:
        """How many signatures it lacks."""
        return max(self.needed - len(self.members), 0)

    def sentence(self, names: Names) -> str:
        """The same in words, with what the reader calls the members."""
        who = ", ".join(f"member {names.label(number)}" for number in self.members) or "nobody"
        return f"signed so far by {who}; {self.needed} needed, {self.missing} missing"


def count(ballot: Ballot, snapshot: Snapshot) -> Count:
    """How far a ballot is now."""
    numbers = (snapshot.state.standing(account)[0] for account in ballot.counting(snapshot.state))
    return Count(tuple(sorted(numbers)), needed(ballot.action.kind, snapshot.state))


def check_ballot(ballot: Ballot, chain: Chain) -> Snapshot:
    """The state in which a ballot could still be executed; BallotError, saying what to do, when it never will be."""
    action = ballot.action
    if ballot.domain != chain.domain:
        raise BallotError(
            f"this ballot is for another federation: chain {ballot.domain.chain_id}, contract"
            f" 0x{ballot.domain.contract.hex()}"
        )
    if not ballot.is_shown:
        raise BallotError("this ballot carries more than what is shown of it, so nobody should sign it")
    snapshot = chain.snapshot()
    now = max(int(time.time()), snapshot.time)
    if now > action.deadline:
        raise BallotError(f"this ballot ended at {utc(action.deadline)}; make a new one and sign again")
    epoch = snapshot.state.number("epoch")
    if action.kind is not Kind.REMOVE and action.epoch != epoch:
        raise BallotError(
            "the federation's rules have changed since this ballot was made"
            f" ({_changes(chain, action.epoch, epoch)}), so no signature on it counts any more: make a new one and sign"
            " again"
        )
    check_deadline(action, now)
    check_signers(ballot, snapshot.state)
    check_change(action, snapshot.state)
    _check_record(action, snapshot)
    return snapshot


def review(proposal: Proposal, chain: Chain) -> Snapshot:
    """Check everything about a proposal but what a rebuild would find; the state it was checked in.

    ProposalError, BallotError or RefusedError, in one sentence, when it cannot be approved.
    """
    action = proposal.ballot.action
    if proposal.model is None:
        _check_batch(proposal)
    else:
        _check_model(proposal, action)
    snapshot = check_ballot(proposal.ballot, chain)
    if proposal.model is not None:
        next_version = snapshot.state.versions(action.name)[1] + 1
        if action.amount != next_version:
            raise ProposalError(
                f"it would be version {action.amount} of {proposal.model!r}, whose next version is {next_version}:"
                " propose it again"
            )
    for manifest in proposal.manifests:
        for reason in judge_at(manifest, snapshot, chain).reasons:
            if reason.code is not Code.NOT_ANCHORED:
                raise RefusedError(f"{manifest.digest.hex()[:16]}… cannot be approved: {reason.sentence}")
    return snapshot


def member_lines(ballot: Ballot, snapshot: Snapshot, names: Names) -> list[str]:
    """Of a ballot about a member: who that is now, and what would change; BallotError when there is none."""
    action, state = ballot.action, snapshot.state
    if action.kind not in (Kind.CHANGE, Kind.REMOVE):
        return []
    number = int.from_bytes(action.subject, "big")
    member = state.member(number) if 0 < number <= state.number("joined") else None
    if member is None:
        raise BallotError(f"there is no member {number} now, so there is nothing to decide")
    rights = ", ".join(names_of(member.rights)) or "none"
    shown = [f"  now member {names.label(number)}: account 0x{member.account.hex()}, rights: {rights}"]
    if action.kind is Kind.CHANGE:
        changes = {
            "account": action.name != member.account,
            "rights": action.amount != member.rights,
            "signing key": action.evidence != member.signing,
            "sealing key": action.sealing != member.sealing,
        }
        shown.append(f"  what changes: {', '.join(what for what, other in changes.items() if other) or 'nothing'}")
    if why := warning(action, state):
        shown.append(f"  AFTERWARDS {why}")
    return shown


def lines(proposal: Proposal, snapshot: Snapshot, names: Names, rebuilt: Measured | None = None) -> list[str]:
    """What a signature on a proposal says, one line for each thing; `rebuilt` is None when nothing was rebuilt."""
    first, *rest = proposal.ballot.describe()
    shown = [first]
    if proposal.model is not None:
        # letters of other scripts can look like those of a model that is known
        spelt = "" if proposal.model.isascii() else f" (in ASCII: {proposal.model!a})"
        shown += [f"  model: {proposal.model}{spelt}", *record_lines(proposal.manifest, snapshot, names, rebuilt)]
    else:
        for manifest in proposal.manifests:
            shown.append(f"  manifest {manifest.digest.hex()}")
            shown += [f"  {line}" for line in record_lines(manifest, snapshot, names, rebuilt)]
    if rebuilt is None:
        shown.append(f"  {NOT_REBUILT}")
    return [*shown, *rest, f"  {count(proposal.ballot, snapshot).sentence(names)}"]


def record_lines(
    manifest: Manifest, snapshot: Snapshot, names: Names, rebuilt: Measured | None = None
) -> Iterator[str]:
    """What a manifest records of how its bundle was made; what it does not record is said to be missing.

    A manifest may be a stranger's: no line of it is so long, and it has not so many, that others scroll away.
    """
    for line in islice(_record_lines(manifest, snapshot, names, rebuilt), MAX_LINES):
        yield line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}… ({len(line)} characters)"


def _record_lines(manifest: Manifest, snapshot: Snapshot, names: Names, rebuilt: Measured | None) -> Iterator[str]:
    build = manifest.predicate
    if manifest.signature is not None:
        maker = snapshot.state.holder(bytes.fromhex(manifest.signature.key))
        yield f"  signed as made by: member {names.label(maker)}"
    source = _object(build.get("source"))
    beside = f", and {len(outside)} files beside it" if (outside := _list(source.get("external"))) else ""
    yield f"  made from: SHA-256 {source.get('sha256', 'not recorded')}{beside}"
    options = _object(build.get("options"))
    left_out = ", ".join(map(str, _list(options.get("skip")))) or "nothing"
    yield f"  exactness: {options.get('level', 'not recorded')}; passes left out: {left_out}"
    yield f"  targets: {', '.join(map(str, _list(build.get('targets')))) or 'not recorded'}"
    rewrites = [_object(entry) for entry in _list(build.get("rewrites"))]
    applied = ", ".join(f"{entry.get('name')} ×{entry.get('count')}" for entry in rewrites)
    yield f"  rewrites: {applied or 'none recorded'}"
    for target, counts in islice(_object(build.get("program")).items(), MAX_TARGETS):
        numbers = _object(counts)
        slow = ", ".join(f"{name} ×{times}" for name, times in _object(numbers.get("meanings")).items())
        calls = f"{numbers.get('steps')}, native {numbers.get('native')}, in Python {slow or 'none'}"
        yield f"  calls on {target}: {calls}"
    tools = ", ".join(f"{name} {version}" for name, version in _object(build.get("tools")).items())
    yield f"  made with: {tools or 'not recorded'}"
    yield f"  files: {len(manifest.files)}, {sum(record.size for record in manifest.files):,} bytes"
    yield f"  evidence on record: {_evidence(_object(build.get('evidence')))}"
    if rebuilt is not None:
        yield f"  rebuilt here, the same in every file; own evidence: {_evidence(rebuilt.own)}"
        if not _agree(_object(build.get("evidence")), rebuilt.own):
            yield f"  {EVIDENCE_DIFFERS}"


def _check_model(proposal: Proposal, action: Action) -> None:
    manifest, model = proposal.manifest, proposal.model or ""
    if action.kind is not Kind.ANCHOR:
        raise ProposalError(f"the ballot of this proposal would not approve it: it is a ballot to {_doing(proposal)}")
    if action.subject != manifest.digest:
        raise ProposalError(
            f"the ballot is for another bundle, {action.subject.hex()}; the manifest's digest is"
            f" {manifest.digest.hex()}"
        )
    if action.name != model_id(model):
        raise ProposalError(f"the ballot is for another model than {model!r}")
    if action.evidence != build_key(manifest.predicate):
        raise ProposalError("the ballot names another build (source, options, targets) than the manifest records")


def _check_batch(proposal: Proposal) -> None:
    action = proposal.ballot.action
    if action.kind is not Kind.BATCH:
        raise ProposalError(f"the ballot of this batch would not approve it: it is a ballot to {_doing(proposal)}")
    batch = Batch([manifest.digest for manifest in proposal.manifests])
    if (action.subject, action.amount) != (batch.commitment, batch.size):
        raise ProposalError(f"the ballot is for another batch, {action.subject.hex()} of {action.amount}")


def _doing(proposal: Proposal) -> str:
    return proposal.ballot.describe()[0]


_WITHDRAWN = (Status.SUSPENDED, Status.REVOKED)


def _check_record(action: Action, snapshot: Snapshot) -> None:
    """BallotError when what is on record of the action's subject leaves it nothing to do."""
    if action.kind > Kind.RESTORE or action.kind is Kind.PROPOSE:
        return
    record = snapshot.state.record(action.subject)
    status = record.status
    if action.kind in (Kind.ANCHOR, Kind.BATCH):
        if status is Status.APPROVED:
            raise BallotError("this is approved already; nothing more is to be signed")
        if status in _WITHDRAWN:
            raise BallotError(f"this was {status.name.lower()}; only restoring it brings it back (graphopt restore)")
        if action.expires and max(int(time.time()), snapshot.time) >= action.expires:
            raise BallotError(f"the approval would have ended at {utc(action.expires)}; propose it again")
        if action.expires >= MAX_EXPIRY:
            raise BallotError(f"an approval ends before second {MAX_EXPIRY} of the epoch, or never")
        if action.kind is Kind.BATCH and not 1 <= action.amount <= MAX_SIZE:
            raise BallotError(f"a batch has 1 to {MAX_SIZE} manifests, not {action.amount}")
    elif action.kind is Kind.REVOKE and status is Status.REVOKED:
        raise BallotError("this is revoked already; nothing more is to be signed")
    elif action.kind is Kind.SUSPEND and status in _WITHDRAWN:
        raise BallotError(f"this is {status.name.lower()} already; nothing more is to be signed")
    elif action.kind is Kind.RESTORE and status not in _WITHDRAWN:
        raise BallotError("this is not withdrawn, so there is nothing to restore")
    elif action.kind is Kind.ROLLBACK and status is not Status.APPROVED:
        raise BallotError("only an approved version can be made current again, and this one is not")
    if action.nonce != record.nonce:
        raise BallotError(
            "what is on record has changed since this ballot was made (approved, withdrawn or restored), so no"
            " signature on it counts any more: make a new one and sign again"
        )


def _changes(chain: Chain, since: int, now: int) -> str:
    """What changed in the federation after epoch `since`, as far as the chain's index tells."""
    told: list[str] = []
    quorum: int | None = None
    for event in chain.events():
        fields = event.fields
        match event.name:
            case "RulesChanged" if fields["epoch"] <= since:
                quorum, told = fields["quorum"], []
            case "RulesChanged" if fields["quorum"] != quorum:
                quorum = fields["quorum"]
                told.append(f"since block {event.block} {quorum} signatures are needed")
            case "MemberSet":
                told.append(f"member {fields['number']} joined or changed in block {event.block}")
            case "MemberRemoved":
                told.append(f"member {fields['number']} left in block {event.block}")
            case _:
                pass
    return "; ".join([f"epoch {since}, now {now}", *(["…"] if len(told) > 4 else []), *told[-4:]])


def _evidence(evidence: Mapping[str, Any]) -> str:
    if not evidence.get("checked"):
        return f"not checked ({evidence.get('reason') or 'no reason recorded'})"
    seeds = ", ".join(map(str, _list(evidence.get("seeds"))))
    sizes = "".join(f", {name}={size}" for name, size in _object(evidence.get("sizes")).items())
    return f"worst difference {evidence.get('worst_difference')} (seeds {seeds}{sizes})"


def _agree(recorded: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Whether two measurements of one thing could be just that; where nothing was measured, there is nothing to hold.

    Another processor rounds otherwise, so each is taken within a factor of ten, and anything below `_ROUNDING` as that.
    """
    if not recorded.get("checked") or not own.get("checked"):
        return True
    try:
        there, here = (max(float(one["worst_difference"]), _ROUNDING) for one in (recorded, own))
    except (KeyError, TypeError, ValueError):
        return False
    return here / _FACTOR <= there <= here * _FACTOR


def _object(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()
