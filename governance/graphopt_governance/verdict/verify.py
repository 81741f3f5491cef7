"""The verdict on a bundle: may it run?  One answer, with every reason against it.

Needs the manifest, the files and the contract's storage; neither numba nor onnx nor an Ethereum virtual machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from graphopt.bundle import AlteredError, Manifest, check_files, read_manifest
from graphopt.bundle.statement import MANIFEST_NAME
from graphopt.errors import BundleError
from graphopt_governance.chains.chain import Chain, Snapshot
from graphopt_governance.errors import ChainError, InclusionError
from graphopt_governance.exchange.inclusions import BatchInclusion, find_inclusion
from graphopt_governance.keys.signing_key import signature_holds
from graphopt_governance.protocol.contract import Event, Record, RecordKind, Status
from graphopt_governance.wording import printable, utc


class Code(StrEnum):
    """Why a bundle is refused."""

    ALTERED = "altered"
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad-signature"
    UNKNOWN_SIGNER = "unknown-signer"
    NOT_ANCHORED = "not-anchored"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    STALE = "stale"
    AGAINST_POLICY = "against-policy"


Events = Callable[[str, bytes], Sequence[Event]]
"""The events of a name about a digest, oldest first."""

EXIT_CODES: Mapping[Code, int] = {
    Code.ALTERED: 10,
    Code.UNSIGNED: 11,
    Code.BAD_SIGNATURE: 12,
    Code.UNKNOWN_SIGNER: 13,
    Code.NOT_ANCHORED: 14,
    Code.REVOKED: 15,
    Code.SUSPENDED: 15,
    Code.EXPIRED: 16,
    Code.SUPERSEDED: 17,
    Code.STALE: 18,
    Code.AGAINST_POLICY: 19,
}
"""What `graphopt verify` exits with for a refused bundle; 0 is approved, 2 is: there was nothing to judge."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason against a bundle: a code for programs, a sentence for people."""

    code: Code
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """May the bundle run?  It may when there is no reason against it; the first reason is the gravest.

    `told`: whether what events add to reasons and facts was asked for.
    """

    reasons: tuple[Reason, ...]
    digest: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    told: bool = True

    @property
    def approved(self) -> bool:
        """Whether the bundle may run."""
        return not self.reasons

    @property
    def exit_code(self) -> int:
        """0 when approved, else what stands for the first reason."""
        return EXIT_CODES[self.reasons[0].code] if self.reasons else 0

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.reasons:
            return self.reasons[0].sentence
        # the block comes from the index of events, which is a convenience: the verdict does not rest on it
        if "member" not in self.facts:
            return f"approved: every file is as the key {str(self.facts.get('signer'))[:16]}… signed it"
        block = self.facts.get("anchored_block")
        since = f"as of block {self.facts['as_of_block']}" if block is None else f"anchored in block {block}"
        return f"approved: {since}, signed by member {self.facts['member']}"

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "approved": self.approved,
            "digest": self.digest,
            "reasons": [{"code": str(reason.code), "sentence": reason.sentence} for reason in self.reasons],
            **self.facts,
        }


def verify_bundle(path: str | Path, chain: Chain | None, inclusions: Path | None = None) -> Verdict:
    """Judge the bundle at `path`: its files, its signature, and what the federation on `chain` says of it.

    `chain` is None where there is none; then nothing is approved.  `inclusions` is a folder with proofs that manifests
    are in anchored batches.  BundleError when there is no bundle to judge.
    """
    return judge_files(path, lambda manifest: judge(manifest, chain, inclusions))


def judge_files(path: str | Path, judge_manifest: Callable[[Manifest], Verdict]) -> Verdict:
    """Judge the bundle at `path`: its files first, then its manifest by `judge_manifest`."""
    path = Path(path)
    if not (path / MANIFEST_NAME).exists():
        read_manifest(path)
    try:
        manifest = read_manifest(path)
        check_files(path, manifest)
    except AlteredError as error:
        return Verdict((Reason(Code.ALTERED, str(error)),))
    except BundleError as error:
        return Verdict((Reason(Code.ALTERED, f"{MANIFEST_NAME} was altered: {error}"),))
    return judge_manifest(manifest)


def judge(manifest: Manifest, chain: Chain | None, inclusions: Path | None = None) -> Verdict:
    """Judge a manifest by its signature and what the federation on `chain` says of it; files are not looked at.

    A manifest that stands on no record of its own is approved by an approved batch that `inclusions` shows it to be in.
    """
    digest = manifest.digest
    if chain is None:
        reasons = [*_signature_reasons(manifest, None), Reason(Code.NOT_ANCHORED, "not anchored: no federation here")]
        return Verdict(tuple(reasons), digest.hex())
    return judge_at(manifest, chain.snapshot(), chain, inclusions)


def judge_at(
    manifest: Manifest,
    snapshot: Snapshot,
    chain: Chain,
    inclusions: Path | None = None,
    passed: int = 0,
    *,
    told: bool = True,
) -> Verdict:
    """The same by a snapshot of `chain` that was taken before.

    `passed`: a time (seconds since the epoch) that is known to have passed, whatever the clock says now.

    What is proven under the snapshot's header decides.  Events only embellish: where there are none, or they are lies,
    the same bundles are approved and refused for the same reasons.  Unless they are to be `told`, nodes are not asked
    for any.
    """
    digest = manifest.digest
    # a ledger of one's own has its events at hand
    told = told or not snapshot.agreed
    events = partial(_told, chain) if told else _untold
    if manifest.signature is not None:
        snapshot.state.expect((digest, bytes.fromhex(manifest.signature.key)))
    now = max(snapshot.time, passed, time.time())
    record = snapshot.state.record(digest)
    reasons = [*_withdrawal(record, digest, events), *_signature_reasons(manifest, snapshot)]
    batch: BatchInclusion | None = None
    if record.status is Status.NOT_ANCHORED:
        batch, against = _in_batch(digest, inclusions, snapshot, events, now)
        reasons.extend(against)
    elif record.kind is not RecordKind.MANIFEST and record.status is Status.APPROVED:
        reasons.append(_NOT_APPROVED)
    elif record.status is Status.APPROVED:
        reasons.extend(_validity(record, snapshot, now))
    facts = _facts(manifest, record, snapshot, chain, batch, events)
    return Verdict(tuple(reasons), digest.hex(), facts, told)


class Reading:
    """One reading of a chain, by which all of `manifests` are judged: it is taken once, and so is its failure."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self._signed = [
            (manifest.digest, bytes.fromhex(manifest.signature.key))
            for manifest in manifests
            if manifest.signature is not None
        ]
        self._snapshot: Snapshot | None = None
        self._failure: ChainError | None = None

    def of(self, chain: Chain) -> Snapshot:
        """The chain as it was read; ChainError when it could not be, the first time and from then on."""
        if self._failure is not None:
            raise self._failure
        try:
            if self._snapshot is None:
                self._snapshot = chain.snapshot()
                self._snapshot.state.expect(*self._signed)
        except ChainError as error:
            self._failure = error
            raise
        # to each its own proof; a ledger of one's own is read again as quickly
        return self._snapshot.again() if self._snapshot.again is not None else chain.snapshot()


_NOT_APPROVED = Reason(Code.NOT_ANCHORED, "not anchored: the federation has not approved this bundle")


def _in_batch(
    digest: bytes, inclusions: Path | None, snapshot: Snapshot, events: Events, now: float
) -> tuple[BatchInclusion | None, list[Reason]]:
    """The batch that a manifest without a record of its own is in, where that is shown, and what is against it."""
    try:
        found = None if inclusions is None else find_inclusion(inclusions, digest)
    except InclusionError as error:
        return None, [Reason(Code.NOT_ANCHORED, f"not anchored: {error}")]
    if found is None:
        return None, [_NOT_APPROVED]
    name = f"{found.commitment.hex()[:16]}…"
    if not found.holds:
        sentence = f"not anchored: the proof that it is in batch {name} does not hold"
        return None, [Reason(Code.NOT_ANCHORED, sentence)]
    record = snapshot.state.record(found.commitment)
    if withdrawn := _withdrawal(record, found.commitment, events, f"its batch {name} was "):
        return found, withdrawn
    if record.kind is not RecordKind.BATCH or record.status is not Status.APPROVED:
        return found, [Reason(Code.NOT_ANCHORED, f"not anchored: the federation has not approved its batch {name}")]
    return found, _expiry(record, now)


def _told(chain: Chain, name: str, digest: bytes) -> Sequence[Event]:
    """The events that go with what is proven already; none where they cannot be had, which changes no verdict."""
    try:
        return chain.events(name, digest)
    except ChainError:
        return ()


def _untold(name: str, digest: bytes) -> Sequence[Event]:
    return ()


def _withdrawal(record: Record, digest: bytes, events: Events, what: str = "") -> list[Reason]:
    if record.status not in (Status.REVOKED, Status.SUSPENDED):
        return []
    revoked = record.status is Status.REVOKED
    when = ""
    if withdrawn := events("Revoked" if revoked else "Suspended", digest):
        last = withdrawn[-1]
        why = last.fields["reason"].rstrip(b"\0").decode("utf-8", "replace")
        by = "" if revoked else f" by member {last.fields['member']}"
        when = f"{by} in block {last.block} ({utc(last.time)})" + (f": {printable(why)}" if why else "")
    if revoked:
        return [Reason(Code.REVOKED, f"{what}revoked by the federation{when}")]
    return [Reason(Code.SUSPENDED, f"{what}suspended in an emergency{when}; only a quorum restores it")]


def _signature_reasons(manifest: Manifest, snapshot: Snapshot | None) -> list[Reason]:
    signature = manifest.signature
    if signature is None:
        return [Reason(Code.UNSIGNED, "the bundle is not signed")]
    if not signature_holds(signature, manifest.pre_authentication):
        return [
            Reason(Code.BAD_SIGNATURE, "the signature does not hold: it is not of this manifest by the key it names")
        ]
    if snapshot is None:
        return []
    number = snapshot.state.holder(bytes.fromhex(signature.key))
    key = f"{signature.key[:16]}…"
    if number == 0:
        return [Reason(Code.UNKNOWN_SIGNER, f"signed by a key that the federation does not know ({key})")]
    member = snapshot.state.member(number)
    if member is None:
        return [Reason(Code.UNKNOWN_SIGNER, f"signed by member {number}, who has left the federation ({key})")]
    if member.signing.hex() != signature.key:
        sentence = (
            f"signed by a key that member {number} has given up ({key}); sign the bundle again with a current one"
        )
        return [Reason(Code.UNKNOWN_SIGNER, sentence)]
    return []


def _expiry(record: Record, now: float) -> list[Reason]:
    # block time decides; where no block has come for a while, the clock can only make an approval end sooner
    if record.expires and now >= record.expires:
        return [Reason(Code.EXPIRED, f"the approval ended at {utc(record.expires)}")]
    return []


def _validity(record: Record, snapshot: Snapshot, now: float) -> list[Reason]:
    reasons = _expiry(record, now)
    current, _ = snapshot.state.versions(record.model)
    if current != record.version:
        sentence = f"superseded: this is version {record.version} of its model, current is version {current}"
        reasons.append(Reason(Code.SUPERSEDED, sentence))
    return reasons


def _facts(
    manifest: Manifest, record: Record, snapshot: Snapshot, chain: Chain, batch: BatchInclusion | None, events: Events
) -> dict[str, Any]:
    if batch is not None:
        record = snapshot.state.record(batch.commitment)
    facts: dict[str, Any] = {
        "status": record.status.name.lower().replace("_", "-"),
        "version": record.version,
        "expires": record.expires,
        "model": record.model.hex(),
        "chain": chain.domain.chain_id,
        "contract": "0x" + chain.domain.contract.hex(),
        "as_of_block": snapshot.block,
        "as_of_time": snapshot.time,
        "basis": snapshot.basis,
    }
    if manifest.signature is not None:
        facts["signer"] = manifest.signature.key
        facts["member"] = snapshot.state.holder(bytes.fromhex(manifest.signature.key))
    anchored: Sequence[Event] = ()
    if batch is not None:
        facts |= {"batch": batch.commitment.hex(), "place": batch.inclusion.index, "of": batch.inclusion.size}
        anchored = events("BatchAnchored", batch.commitment)
    elif record.kind is RecordKind.MANIFEST:
        anchored = events("Anchored", manifest.digest)
    if anchored:
        facts["anchored_block"] = anchored[-1].block
        facts["anchored_time"] = anchored[-1].time
    return facts
