"""Whatever is written in the place of a document: it is refused in a sentence, and nothing of it is approved.

`GRAPHOPT_FUZZ=10000 pytest tests/governance/test_fuzzed.py` is the long run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from graphopt import strict_json
from graphopt.bundle import Manifest, Signature, read_manifest, write_manifest
from graphopt.bundle.statement import PAYLOAD_TYPE, parse_manifest
from graphopt.errors import BundleError, GraphoptError
from graphopt_governance import actions
from graphopt_governance.chains.chain import Chain
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.ledger_log import LedgerLog
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.decide import governing
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.exchange.inclusions import BatchInclusion
from graphopt_governance.exchange.invitation import Invitation
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.keys.signing_key import SigningKey, load_signing_key
from graphopt_governance.protocol.action import Kind
from graphopt_governance.protocol.batch import Batch
from graphopt_governance.verdict.proof import Proof
from graphopt_governance.verdict.verify import verify_bundle

from .conftest import FILES
from .mutilated import mutilated, written

FUZZ = int(os.environ.get("GRAPHOPT_FUZZ", "200"))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("fuzzed"))


class Place:
    """An approved bundle, its federation, a member's key and a stranger's."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.bundle = folder / "bundle"
        for name, data in FILES.items():
            (self.bundle / name).parent.mkdir(parents=True, exist_ok=True)
            (self.bundle / name).write_bytes(data)
        write_manifest(self.bundle, {"source": {"sha256": "ab" * 32}, "error": 1.5, "ok": True, "none": None})
        self.member = load_signing_key(self.home.signing_key)
        self.stranger = load_signing_key(folder / "stranger.pem")
        actions.sign(self.bundle, self.home)
        actions.anchor(self.bundle, home=self.home)
        chain = open_chain(self.home)
        assert chain is not None
        self.chain: Chain = chain
        self.manifest = read_manifest(self.bundle)
        self.document: Any = json.loads(self.manifest.to_bytes())
        self.statement: Any = json.loads(self.manifest.payload)


@st.composite
def manifests(draw: st.DrawFn, place: Place) -> bytes:
    """A manifest that was changed inside or outside what is signed, and signed again by somebody or not."""
    document = json.loads(json.dumps(place.document))
    if draw(st.booleans()):
        return draw(written(draw(mutilated(document))))
    match draw(st.integers(0, 3)):
        case 0:
            payload = draw(written(place.statement))
        case 1:
            payload = draw(written(draw(mutilated(place.statement))))
        case _:
            payload = draw(_well_formed(place))
    document["dsseEnvelope"]["payload"] = _base64(draw, payload) if draw(st.booleans()) else _plainly(payload)
    signer = draw(st.sampled_from([None, place.member, place.stranger]))
    if signer is not None:
        # a stranger may name the member's key
        named = draw(st.sampled_from([signer, place.member]))
        signature = _signature(signer, payload)
        document["dsseEnvelope"]["signatures"] = [{"keyid": "", "sig": base64.b64encode(signature).decode()}]
        document["verificationMaterial"]["publicKey"]["hint"] = named.hint.hex()
    return draw(written(document)) if draw(st.booleans()) else strict_json.encode(document, "it")


@st.composite
def _well_formed(draw: st.DrawFn, place: Place) -> bytes:
    """A statement in canonical form about something else: another build, or other files."""
    statement = json.loads(json.dumps(place.statement))
    predicate = statement["predicate"]
    if draw(st.booleans()):
        build = draw(mutilated(predicate["build"]))
        predicate["build"] = build if isinstance(build, dict) else {"build": str(build)}
    else:
        record = draw(st.sampled_from(predicate["resources"]))
        record[draw(st.sampled_from(["digest", "size", "name"]))] = draw(
            st.sampled_from(["00" * 32, 0, 65, "weights2", "../weights", "weights"])
        )
        digests = b"".join(bytes.fromhex(item["digest"]) for item in predicate["resources"] if _is_hex(item["digest"]))
        statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(digests).hexdigest()
    try:
        return strict_json.encode(statement, "it")
    except BundleError:
        return place.manifest.payload


def _is_hex(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 64 and not set(text) - set("0123456789abcdef")


def _plainly(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


def _signature(signer: SigningKey, payload: bytes) -> bytes:
    kind = PAYLOAD_TYPE.encode()
    return signer.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)).value


def _base64(draw: st.DrawFn, payload: bytes) -> str:
    text = base64.b64encode(payload).decode()
    match draw(st.integers(0, 9)):
        case 0:
            return base64.urlsafe_b64encode(payload).decode()
        case 1:
            return text.rstrip("=")
        case 2:
            return text + "===="
        case 3:
            return text[:9] + "\n" + text[9:]
        case 4 if text.endswith("="):
            # bits that no byte is made of
            return text.rstrip("=")[:-1] + "/" + "=" * text.count("=")
        case 5:
            return payload.hex()
        case _:
            return text


def test_no_manifest_that_was_tampered_with_passes_or_crashes(place: Place):
    counts = {"refused when read": 0, "refused when judged": 0, "as it was": 0}

    @settings(max_examples=FUZZ, suppress_health_check=SLOW, deadline=None, phases=PHASES)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        content = data.draw(manifests(place))
        parsed: Manifest | None = None
        with suppress(BundleError):
            parsed = parse_manifest(content)
        (place.bundle / "manifest.json").write_bytes(content)
        verdict = verify_bundle(place.bundle, place.chain)
        assert verdict.approved <= (parsed is not None)
        if verdict.approved:
            # the same statement, signed by the member himself: nothing was changed that counts
            assert parsed is not None
            assert (parsed.payload, parsed.digest) == (place.manifest.payload, place.manifest.digest)
            assert parsed.to_bytes() == content
            assert parsed.signature in (place.manifest.signature, _by(place.member, parsed))
            counts["as it was"] += 1
        else:
            assert verdict.exit_code >= 10
            assert "\n" not in verdict.sentence
            counts["refused when judged" if parsed else "refused when read"] += 1

    run()
    print(counts)
    assert counts["refused when read"] > 0
    assert counts["refused when judged"] > 0
    (place.bundle / "manifest.json").write_bytes(place.manifest.to_bytes())
    assert verify_bundle(place.bundle, place.chain).approved


def _by(member: SigningKey, manifest: Manifest) -> Signature:
    return member.sign(manifest.pre_authentication)


def _ballot(place: Place, file: Path) -> Callable[[], object]:
    ballot = governing.draft(place.chain, Kind.REVOKE, subject=place.manifest.digest, evidence=b"why".ljust(32, b"\0"))
    governing.sign_ballot(ballot, place.chain, place.home).save(file)

    def read() -> object:
        read = Ballot.load(file)
        assert all("\n" not in line for line in read.describe())
        return read.for_relay(place.chain.snapshot().state)

    return read


def _log(place: Place, file: Path) -> Callable[[], object]:
    assert isinstance(place.chain, Ledger)
    log = LedgerLog.of(place.chain)
    log.signed(load_member_key(place.home.member_key)).save(file)
    return lambda: LedgerLog.load(file).signers()


def _inclusion(place: Place, file: Path) -> Callable[[], object]:
    batch = Batch([bytes([number]) * 32 for number in range(5)])
    made = BatchInclusion(bytes([2]) * 32, batch.commitment, batch.inclusion(2))
    made.save(file.parent).rename(file)
    return lambda: BatchInclusion.load(file).holds


def _invitation(place: Place, file: Path) -> Callable[[], object]:
    Invitation(place.chain.domain, 1, {1: "north", 2: "south"}).save(file)
    return lambda: Invitation.load(file)


def _proof(place: Place, file: Path) -> Callable[[], object]:
    snapshot = place.chain.snapshot()
    snapshot.state.record(place.manifest.digest)
    Proof.of(place.chain.domain, place.manifest.digest, snapshot).save(file)
    return lambda: Proof.load(file)


READERS = {"ballot": _ballot, "log": _log, "inclusion": _inclusion, "invitation": _invitation, "proof": _proof}


@pytest.mark.parametrize("kind", READERS)
def test_no_document_that_was_tampered_with_crashes_its_reader(place: Place, tmp_path: Path, kind: str):
    file = tmp_path / "document.json"
    read = READERS[kind](place, file)
    read()
    document = json.loads(file.read_bytes())

    @settings(max_examples=max(FUZZ // 5, 60), suppress_health_check=SLOW, deadline=None, phases=PHASES)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        file.write_bytes(data.draw(written(data.draw(mutilated(document)))))
        try:
            read()
        except GraphoptError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is right

    run()
