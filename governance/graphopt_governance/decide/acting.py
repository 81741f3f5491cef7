"""One action of a member: done at once where his signature is enough, else a ballot for the others to sign.

Withdrawing a bundle and undoing that, going back to an earlier version, reports, batches.  `ask` is shown, decoded,
what is signed, before it is signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphopt.bundle import Manifest, check_files, read_manifest
from graphopt.errors import RefusedError
from graphopt.files import open_file
from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide.deciding import sign_decoded
from graphopt_governance.decide.founding import own_federation
from graphopt_governance.decide.governing import WEEK, draft, relay
from graphopt_governance.decide.review import NOT_REBUILT, check_ballot, lines, review
from graphopt_governance.errors import BallotError, ProposalError
from graphopt_governance.exchange.ballot import Ask, Ballot, needed, unasked
from graphopt_governance.exchange.inclusions import inclusions_of
from graphopt_governance.exchange.names import Names
from graphopt_governance.exchange.proposal import Proposal, new_proposal, write_batch
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, passphrase_from_environment
from graphopt_governance.protocol.action import Kind
from graphopt_governance.protocol.batch import Batch
from graphopt_governance.protocol.contract import RecordKind
from graphopt_governance.protocol.subject import digest_of, reason_bytes


@dataclass(frozen=True, slots=True)
class Acted:
    """An action was executed (`block` and `time` say when), or signed and written to `ballot` for the others."""

    what: str
    digest: str
    block: int | None
    time: int | None
    ballot: str | None
    missing: int

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Member:
    """Who acts: the home with his keys, and how he is asked."""

    home: Home
    passphrase: Passphrase = passphrase_from_environment
    ask: Ask = unasked

    def chain(self) -> Chain:
        """The chain of his federation, on which nothing of his is on the way any more."""
        chain = own_federation(self.home, self.passphrase)
        chain.settle()
        return chain


def revoke(
    member: Member, bundle: str | Path, reason: str = "", *, emergency: bool = False, output: Path | None = None
) -> Acted:
    """Withdraw a bundle, or a digest or batch given in hexadecimal; `emergency`: suspend it at once, as one member.

    `reason` goes on the chain word for word (at most 32 bytes).  Where more signatures are needed, the ballot is
    written to `output`; BallotError when that is None.
    """
    kind = Kind.SUSPEND if emergency else Kind.REVOKE
    return _act(member, kind, output, subject=digest_of(bundle), evidence=reason_bytes(reason))


def restore(member: Member, bundle: str | Path, reason: str = "", *, output: Path | None = None) -> Acted:
    """Undo a withdrawal; arguments as for `revoke`."""
    return _act(member, Kind.RESTORE, output, subject=digest_of(bundle), evidence=reason_bytes(reason))


def roll_back(member: Member, bundle: str | Path, *, output: Path | None = None) -> Acted:
    """Make an approved bundle current again, instead of the version of its model that is; arguments as for `revoke`."""
    digest = digest_of(bundle)
    state = member.chain().snapshot().state
    record = state.record(digest)
    current, _ = state.versions(record.model)
    if record.kind is RecordKind.MANIFEST and record.version == current:
        raise RefusedError(f"version {current} of this model is current already")
    return _act(member, Kind.ROLLBACK, output, subject=digest, amount=current)


def put_report(member: Member, bundle: str | Path, file: Path) -> Acted:
    """Put the SHA-256 of a report about a bundle on record; one member with the right to report does that alone."""
    with open_file(file) as content:
        evidence = hashlib.file_digest(content, "sha256").digest()
    return _act(member, Kind.REPORT, None, subject=digest_of(bundle), evidence=evidence)


def anchor_batch(
    member: Member,
    bundles: Sequence[str | Path],
    *,
    expires: int = 0,
    lasts: int = WEEK,
    output: Path | None = None,
) -> Acted:
    """Approve all these signed bundles with one action, as one batch.

    The proofs that they are in it are put into the home.  With `output`, or where more signatures are needed, a
    proposal is written there: manifests, ballot and proofs, for the others.  `expires` and `lasts` as for `propose`.
    """
    manifests = [_checked(bundle) for bundle in bundles]
    digests = [manifest.digest for manifest in manifests]
    if not digests or len(set(digests)) != len(digests):
        raise ProposalError("a batch has at least one bundle, and none of them twice")
    chain = member.chain()
    batch = Batch(digests)
    ballot = draft(chain, Kind.BATCH, lasts=lasts, subject=batch.commitment, amount=batch.size, expires=expires)
    proposal = Proposal(Path(), None, tuple(manifests), ballot)
    snapshot = review(proposal, chain)
    # whoever anchors vouches for his own work; that nothing was rebuilt is the others' concern
    told = [line for line in lines(proposal, snapshot, Names.of(member.home)) if NOT_REBUILT not in line]
    if output is None:
        acted = _carry_out(_signed(member, chain, ballot, None, told), chain, None)
    else:
        with new_proposal(output) as made:
            signed = _signed(member, chain, ballot, output, told)
            write_batch(made, manifests, signed)
            acted = _carry_out(signed, chain, output)
    for inclusion in inclusions_of(digests):
        inclusion.save(member.home.inclusions)
    return acted


def _act(member: Member, kind: Kind, output: Path | None, **fields: Any) -> Acted:
    chain = member.chain()
    ballot = draft(chain, kind, **fields)
    check_ballot(ballot, chain)
    if output is not None:
        ballot.check_place(output)
    signed = _signed(member, chain, ballot, output, ballot.describe())
    acted = _carry_out(signed, chain, output)
    if acted.ballot is not None:
        signed.save(Path(acted.ballot))
    return acted


def _signed(member: Member, chain: Chain, ballot: Ballot, output: Path | None, told: Sequence[str]) -> Ballot:
    wanted = needed(ballot.action.kind, chain.snapshot().state)
    if wanted > 1 and output is None:
        raise BallotError(f"this takes {wanted} signatures: say where to write it for the others (-o)")
    return sign_decoded(ballot, chain, member.home, member.passphrase, member.ask, told)[0]


def _carry_out(signed: Ballot, chain: Chain, output: Path | None) -> Acted:
    """Execute what has enough signatures; else it is for the others, at `output`."""
    what, subject = signed.describe()[0], signed.action.subject.hex()
    state = chain.snapshot().state
    missing = needed(signed.action.kind, state) - len(signed.counting(state))
    if missing > 0:
        return Acted(what, subject, None, None, str(output), missing)
    receipt = relay(signed, chain)
    return Acted(what, subject, receipt.block, receipt.time, None, 0)


def _checked(bundle: str | Path) -> Manifest:
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    return manifest
