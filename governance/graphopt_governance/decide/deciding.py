"""Deciding on a model together: propose it, approve it, relay what was approved.  Each function returns data.

What `actions` does for one person, this does where several must agree.  `ask` is shown, decoded, what is signed, before
it is signed; `rebuild` compiles a proposal's source again (the compiler's, which governance does not know).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from graphopt.bundle import Manifest, check_files, read_manifest
from graphopt.errors import RefusedError
from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide.founding import own_federation
from graphopt_governance.decide.governing import WEEK, draft_approval, now_on, relay
from graphopt_governance.decide.relaying import merged
from graphopt_governance.decide.review import NOT_REBUILT, Measured, check_ballot, count, lines, member_lines, review
from graphopt_governance.errors import BallotError, ProposalError
from graphopt_governance.exchange.ballot import Ask, Ballot, unasked
from graphopt_governance.exchange.names import Names, remember_model
from graphopt_governance.exchange.proposal import (
    BALLOT,
    Proposal,
    check_model_name,
    is_proposal,
    new_proposal,
    private_source,
    read_proposal,
    write_proposal,
)
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, passphrase_from_environment
from graphopt_governance.keys.member_key import MemberKey, load_member_key
from graphopt_governance.protocol.action import Kind
from graphopt_governance.verdict.policy import Policy

Rebuild = Callable[[Manifest, Path], Measured]
"""Compiles the model at a path as a manifest records, and raises unless the same bundle comes out."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A bundle was announced as the next version of a model, and a proposal for it was written.

    `until`: when the signatures end (seconds since the epoch).
    """

    digest: str
    model: str
    version: int
    block: int
    proposal: str
    until: int

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Approved:
    """A member signed: for what, whether it was rebuilt first, and how far the ballot is."""

    subject: str
    member: int
    rebuilt: bool
    signatures: int
    needed: int
    written: str

    @property
    def missing(self) -> int:
        """How many signatures are still needed."""
        return max(self.needed - self.signatures, 0)

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self) | {"missing": self.missing}


@dataclass(frozen=True, slots=True)
class ProposalAnchored:
    """What was approved is on record.  `inclusions`: of a batch, the files that were put into the home."""

    what: str
    subject: str
    block: int
    block_time: int
    inclusions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


def propose(
    bundle: str | Path,
    model: str,
    output: Path,
    *,
    source: Path | None,
    expires: int = 0,
    lasts: int = WEEK,
    home: Home | None = None,
    passphrase: Passphrase = passphrase_from_environment,
    ask: Ask = unasked,
) -> Proposed:
    """Announce a signed bundle as the next version of `model`, and write the proposal that members approve.

    `source` is the model it was made from, None to leave it out; `expires`: when the approval is to end (seconds since
    the epoch, 0 for never); `lasts`: for how many seconds signatures can be gathered.  GraphoptError, and nothing
    written, when the bundle, its signature or its source is not in order.
    """
    home = home or Home.default()
    check_model_name(model)
    if lasts <= 0:
        raise ProposalError("signatures could be gathered for no time at all: give --lasts more")
    chain = own_federation(home, passphrase)
    chain.settle()
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    ballot = draft_approval(chain, manifest, model, expires, lasts=lasts)
    with new_proposal(output) as made:
        snapshot = review(proposal := write_proposal(made, model, manifest, ballot, source), chain)
        announcement = replace(ballot, action=replace(ballot.action, kind=Kind.PROPOSE))
        shown = replace(proposal, ballot=announcement)
        # a proposer vouches for the work himself; that nothing was rebuilt is the approvers' concern
        told = [line for line in lines(shown, snapshot, Names.of(home)) if NOT_REBUILT not in line]
        receipt = relay(sign_decoded(announcement, chain, home, passphrase, ask, told)[0], chain)
    remember_model(home, model)
    return Proposed(
        manifest.digest.hex(), model, ballot.action.amount, receipt.block, str(output), ballot.action.deadline
    )


def approve(
    path: Path,
    *,
    rebuild: Rebuild | None = None,
    source: Path | None = None,
    output: Path | None = None,
    home: Home | None = None,
    passphrase: Passphrase = passphrase_from_environment,
    ask: Ask = unasked,
) -> Approved:
    """Add the signature of the member in `home` to a proposal's folder or a ballot's file, after checking all of it.

    With `rebuild` the source is compiled again first, from `source` or the proposal's own, and nothing is signed unless
    the same bundle comes out.  The ballot is written in place, or to `output`.  GraphoptError says why nothing was
    signed.
    """
    home = home or Home.default()
    chain = own_federation(home, passphrase)
    chain.settle()
    if not is_proposal(path):
        return _approve_ballot(path, rebuild, output, chain, home, passphrase, ask)
    proposal = read_proposal(path)
    snapshot = review(proposal, chain)
    policy = Policy.of(home)
    if rebuild is None and policy.rebuild:
        how = "propose its bundles one by one" if proposal.model is None else "add --rebuild"
        raise RefusedError(f"nothing was signed: your policy ({policy.source}) asks for a rebuild; {how}")
    # who may not sign need not wait for a compilation to hear it
    key = load_member_key(home.member_key, passphrase, make=False)
    proposal.ballot.check_signer(key.account, snapshot.state)
    measured: Measured | None = None
    if rebuild is not None:
        measured = _rebuilt(proposal, rebuild, source)
        snapshot = review(proposal, chain)  # that took its time, in which much can have been decided
    told = lines(proposal, snapshot, Names.of(home), measured)
    signed, member = sign_decoded(proposal.ballot, chain, home, passphrase, ask, told)
    written = output or path / BALLOT
    signed = _added(signed, written, chain)
    if proposal.model is not None:
        remember_model(home, proposal.model)
    now = count(signed, chain.snapshot())
    subject = proposal.ballot.action.subject.hex()
    return Approved(subject, member, measured is not None, len(now.members), now.needed, str(written))


def anchor_proposals(
    paths: Sequence[Path], *, home: Home | None = None, passphrase: Passphrase = passphrase_from_environment
) -> ProposalAnchored:
    """Put on record what proposals, or ballots of them, all for the same action, gathered signatures for.

    Signs nothing.  BallotError when signatures are missing, with how many.  A batch's inclusions are put into the home.
    """
    home = home or Home.default()
    chain = own_federation(home, passphrase)
    chain.settle()
    proposals = {path: read_proposal(path) for path in paths if is_proposal(path)}
    ballot = merged([proposals[path].ballot if path in proposals else Ballot.load(path) for path in paths])
    for proposal in proposals.values():
        review(replace(proposal, ballot=ballot), chain)
    now = count(ballot, check_ballot(ballot, chain))
    if now.missing:
        signatures = "signature is" if now.missing == 1 else "signatures are"
        raise BallotError(f"{now.missing} of {now.needed} {signatures} missing; {now.sentence(Names.of(home))}")
    receipt = relay(ballot, chain)
    for model in {proposal.model for proposal in proposals.values() if proposal.model is not None}:
        remember_model(home, model)
    inclusions = [inclusion for proposal in proposals.values() for inclusion in proposal.inclusions]
    files = dict.fromkeys(str(inclusion.save(home.inclusions)) for inclusion in inclusions)
    what, subject = ballot.describe()[0], ballot.action.subject.hex()
    return ProposalAnchored(what, subject, receipt.block, receipt.time, tuple(files))


def sign_decoded(
    ballot: Ballot,
    chain: Chain,
    home: Home,
    passphrase: Passphrase,
    ask: Ask,
    told: Sequence[str] | None = None,
) -> tuple[Ballot, int]:
    """The ballot with the home's member's signature, and his number; `ask` is shown `told`, or what the ballot says.

    BallotError when he may not sign it, or has done so; signatures that do not count are dropped.
    """
    snapshot = chain.snapshot()
    key: MemberKey = load_member_key(home.member_key, passphrase, make=False)
    member = ballot.check_signer(key.account, snapshot.state)
    ask(ballot.describe() if told is None else told)
    counting = replace(ballot, signatures=tuple(ballot.counting(snapshot.state).values()))
    return counting.signed(key, snapshot.state, now_on(snapshot)), member


def _approve_ballot(
    path: Path,
    rebuild: Rebuild | None,
    output: Path | None,
    chain: Chain,
    home: Home,
    passphrase: Passphrase,
    ask: Ask,
) -> Approved:
    ballot = Ballot.load(path)
    if ballot.action.kind in (Kind.ANCHOR, Kind.BATCH):
        raise ProposalError(f"{path} approves a bundle: sign it in its proposal (a folder), which shows what it is")
    if rebuild is not None:
        raise ProposalError(f"{path} is a ballot to {ballot.describe()[0]}; there is nothing to rebuild")
    snapshot, names = check_ballot(ballot, chain), Names.of(home)
    about = member_lines(ballot, snapshot, names)
    told = [*ballot.describe(), *about, f"  {count(ballot, snapshot).sentence(names)}"]
    signed, member = sign_decoded(ballot, chain, home, passphrase, ask, told)
    signed = _added(signed, output or path, chain)
    now = count(signed, chain.snapshot())
    return Approved(
        ballot.action.subject.hex(),
        member,
        rebuilt=False,
        signatures=len(now.members),
        needed=now.needed,
        written=str(output or path),
    )


def _rebuilt(proposal: Proposal, rebuild: Rebuild, source: Path | None) -> Measured:
    if proposal.model is None:
        raise ProposalError("a batch is not rebuilt as a whole: rebuild its bundles one by one, as proposals")
    if source is not None:
        return rebuild(proposal.manifest, source)
    with private_source(proposal) as private:
        return rebuild(proposal.manifest, private)


def _added(ballot: Ballot, path: Path, chain: Chain) -> Ballot:
    """Write a ballot to `path`, together with the signatures that count which are there by now."""
    with _only_writer(path.absolute().parent):
        if path.exists():
            there = Ballot.load(path)
            counting = there.counting(chain.snapshot().state)
            ballot = ballot.merged(replace(there, signatures=tuple(counting.values())))
        ballot.save(path)
    return ballot


@contextmanager
def _only_writer(folder: Path) -> Generator[None]:
    """Hold what others on this machine wait for who sign in the same folder at the same moment."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
