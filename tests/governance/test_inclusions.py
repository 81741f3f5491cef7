"""Batches in the verdict: a manifest in an approved batch runs, and nothing else does; the contract says the same."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt.bundle import FileRecord, Manifest
from graphopt.bundle.statement import new_manifest
from graphopt_governance.chains.chain import Receipt, Snapshot
from graphopt_governance.errors import InclusionError
from graphopt_governance.exchange.inclusions import BatchInclusion, find_inclusion, inclusion_file, inclusions_of
from graphopt_governance.protocol.action import Domain, Kind, model_id, word
from graphopt_governance.protocol.batch import Batch, Inclusion
from graphopt_governance.protocol.contract import Event
from graphopt_governance.verdict.verify import Code, Verdict, judge

from .federation import DAY, Federation, TurnedDownError, digest

REASON = b"wrong labels".ljust(32, b"\0")


class InMemory:
    """A federation in memory as a chain to judge by."""

    def __init__(self) -> None:
        self.federation = Federation(size=1, quorum=1)
        self.told: list[Event] = []

    @property
    def domain(self) -> Domain:
        return self.federation.domain

    @property
    def basis(self) -> str:
        return "in memory"

    def snapshot(self) -> Snapshot:
        return Snapshot(1, self.federation.now, self.federation.state, b"", {}, self.basis)

    def events(
        self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None
    ) -> Sequence[Event]:
        return [event for event in self.told if event.name == name and subject in event.fields.values()]

    def settle(self) -> None:
        raise NotImplementedError

    def submit(self, call: bytes, what: str) -> Receipt:
        raise NotImplementedError

    def do(self, kind: Kind, **fields: Any) -> None:
        for name, values in self.federation.do(kind, 1, **fields):
            self.told.append(Event(name, 1, self.federation.now, values))

    def contract_approves(self, manifest: bytes, commitment: bytes, inclusion: Inclusion) -> bool:
        steps = b"".join(inclusion.path)
        data = manifest + commitment + word(inclusion.index) + word(inclusion.size) + word(160)
        data += word(len(inclusion.path)) + steps
        function = "approved_in_batch(bytes32,bytes32,uint256,uint256,bytes32[])"
        try:
            in_batch = self.federation.view(function, data) != bytes(32)
        except TurnedDownError:
            in_batch = False  # a path longer than the contract reads
        return in_batch or self.federation.view("approved(bytes32)", manifest) != bytes(32)


@pytest.fixture(scope="module")
def chain() -> Generator[InMemory]:
    """One federation for all tests here; each uses manifests of its own."""
    chain = InMemory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: 0.0)  # block time alone decides here
        yield chain
    chain.federation.close()


numbers = itertools.count()


def manifests(count: int) -> list[Manifest]:
    record = FileRecord("model.onnx", "ab" * 32, 1)
    return [new_manifest([record], {"number": next(numbers)}) for _ in range(count)]


def against(verdict: Verdict) -> list[tuple[Code, str]]:
    """The reasons but for the signature, which these manifests lack."""
    return [(reason.code, reason.sentence) for reason in verdict.reasons if reason.code is not Code.UNSIGNED]


def anchored(chain: InMemory, folder: Path, count: int = 3, **fields: Any) -> tuple[list[Manifest], bytes]:
    """A batch of new manifests on the chain, with their inclusions in `folder`."""
    batch = manifests(count)
    found = inclusions_of([manifest.digest for manifest in batch])
    for inclusion in found:
        inclusion.save(folder)
    chain.do(Kind.BATCH, subject=found[0].commitment, amount=count, **fields)
    return batch, found[0].commitment


def test_each_manifest_of_an_approved_batch_is_approved(chain: InMemory, tmp_path: Path):
    batch, commitment = anchored(chain, tmp_path)
    for at, manifest in enumerate(batch):
        verdict = judge(manifest, chain, tmp_path)
        assert against(verdict) == []
        facts = {name: verdict.facts[name] for name in ("status", "batch", "place", "of", "anchored_block")}
        assert facts == {
            "status": "approved",
            "batch": commitment.hex(),
            "place": at,
            "of": 3,
            "anchored_block": 1,
        }


def test_without_an_inclusion_nothing_is_in_a_batch(chain: InMemory, tmp_path: Path):
    (manifest, *_), _ = anchored(chain, tmp_path)
    assert against(judge(manifest, chain))[0][0] is Code.NOT_ANCHORED
    assert against(judge(manifest, chain, tmp_path / "empty"))[0][0] is Code.NOT_ANCHORED
    (stranger,) = manifests(1)
    assert "has not approved this bundle" in against(judge(stranger, chain, tmp_path))[0][1]


def test_a_withdrawn_batch_takes_its_manifests_with_it(chain: InMemory, tmp_path: Path):
    (manifest, *_), commitment = anchored(chain, tmp_path)
    chain.do(Kind.SUSPEND, subject=commitment, evidence=REASON)
    ((code, sentence),) = against(judge(manifest, chain, tmp_path))
    assert (code, sentence.split("…")[0]) == (Code.SUSPENDED, f"its batch {commitment.hex()[:16]}")
    assert "wrong labels" in sentence
    chain.do(Kind.REVOKE, subject=commitment, evidence=REASON)
    assert against(judge(manifest, chain, tmp_path))[0][0] is Code.REVOKED
    chain.do(Kind.RESTORE, subject=commitment)
    assert against(judge(manifest, chain, tmp_path)) == []


def test_one_manifest_of_a_batch_is_withdrawn_alone(chain: InMemory, tmp_path: Path):
    (first, second, _), _ = anchored(chain, tmp_path)
    chain.do(Kind.REVOKE, subject=first.digest, evidence=REASON)
    ((code, sentence),) = against(judge(first, chain, tmp_path))
    assert code is Code.REVOKED
    assert "batch" not in sentence
    assert against(judge(second, chain, tmp_path)) == []


def test_a_batch_ends_with_its_time(chain: InMemory, tmp_path: Path):
    (manifest, *_), _ = anchored(chain, tmp_path, expires=chain.federation.now + DAY)
    assert against(judge(manifest, chain, tmp_path)) == []
    chain.federation.now += DAY
    assert [code for code, _ in against(judge(manifest, chain, tmp_path))] == [Code.EXPIRED]


def test_a_batch_that_nobody_approved_approves_nothing(chain: InMemory, tmp_path: Path):
    (manifest,) = manifests(1)
    inclusions_of([manifest.digest])[0].save(tmp_path)
    assert "has not approved its batch" in against(judge(manifest, chain, tmp_path))[0][1]


def test_a_manifest_on_record_is_no_batch(chain: InMemory, tmp_path: Path):
    (manifest,) = manifests(1)
    (inclusion,) = inclusions_of([manifest.digest])
    inclusion.save(tmp_path)
    chain.do(Kind.ANCHOR, subject=inclusion.commitment, name=model_id("m"), amount=1)
    assert "has not approved its batch" in against(judge(manifest, chain, tmp_path))[0][1]


def test_a_forged_path_is_refused(chain: InMemory, tmp_path: Path):
    (manifest, *_), commitment = anchored(chain, tmp_path)
    found = find_inclusion(tmp_path, manifest.digest)
    assert found is not None
    (stranger,) = manifests(1)
    forgeries = [
        replace(found, digest=stranger.digest),
        replace(found, inclusion=replace(found.inclusion, path=(digest("a"), *found.inclusion.path[1:]))),
        replace(found, inclusion=replace(found.inclusion, index=1)),
        replace(found, inclusion=replace(found.inclusion, size=4)),
    ]
    for forged in forgeries:
        forged.save(tmp_path)
        about = stranger if forged.digest == stranger.digest else manifest
        ((code, sentence),) = against(judge(about, chain, tmp_path))
        assert (code, "does not hold" in sentence) == (Code.NOT_ANCHORED, True)
    assert commitment == found.commitment


def test_an_inclusion_of_another_bundle_is_told_from_a_forged_one(chain: InMemory, tmp_path: Path):
    (first, second, _), _ = anchored(chain, tmp_path)
    inclusion_file(tmp_path, first.digest).write_bytes(inclusion_file(tmp_path, second.digest).read_bytes())
    assert "is for another bundle" in against(judge(first, chain, tmp_path))[0][1]
    inclusion_file(tmp_path, first.digest).write_bytes(b"{}")
    assert "no inclusion" in against(judge(first, chain, tmp_path))[0][1]


STEPS = st.one_of(
    st.tuples(st.sampled_from([Kind.SUSPEND, Kind.REVOKE, Kind.RESTORE]), st.sampled_from(["batch", "leaf"])),
    st.tuples(st.just(Kind.ANCHOR), st.just("leaf")),
    st.tuples(st.just("wait"), st.integers(1, 2 * DAY)),
)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 9), st.data(), st.booleans(), st.lists(STEPS, max_size=3), st.sampled_from(["index", "size", "path"])
)
def test_verdict_and_contract_agree(
    chain: InMemory,
    tmp_path_factory: pytest.TempPathFactory,
    size: int,
    data: st.DataObject,
    expires: bool,
    steps: list[tuple[Any, Any]],
    forged: str,
):
    folder = tmp_path_factory.mktemp("inclusions")
    fields = {"expires": chain.federation.now + DAY} if expires else {}
    batch, commitment = anchored(chain, folder, size, **fields)
    leaf = batch[data.draw(st.integers(0, size - 1))]
    for kind, on in steps:
        if kind == "wait":
            chain.federation.now += on
            continue
        subject = commitment if on == "batch" else leaf.digest
        extra = {"name": leaf.digest[:20], "amount": 1} if kind is Kind.ANCHOR else {}
        try:
            chain.do(kind, subject=subject, **extra)
        except TurnedDownError:
            continue
    good = find_inclusion(folder, leaf.digest)
    assert good is not None
    bad = {
        "index": replace(good.inclusion, index=data.draw(st.integers(0, 10))),
        "size": replace(good.inclusion, size=data.draw(st.integers(0, 10))),
        "path": replace(good.inclusion, path=(*good.inclusion.path, bytes(32))[data.draw(st.integers(0, 2)) :]),
    }
    for inclusion in (good.inclusion, bad[forged]):
        replace(good, inclusion=inclusion).save(folder)
        # the contract's view is of the next block, one second on
        chain.federation.now += 1
        verdict = judge(leaf, chain, folder)
        chain.federation.now -= 1
        assert (against(verdict) == []) == chain.contract_approves(leaf.digest, commitment, inclusion)


@given(st.integers(1, 70), st.data())
def test_an_inclusion_survives_its_file(tmp_path_factory: pytest.TempPathFactory, size: int, data: st.DataObject):
    leaves = [digest(f"leaf {i}") for i in range(size)]
    inclusion = inclusions_of(leaves)[data.draw(st.integers(0, size - 1))]
    folder = tmp_path_factory.mktemp("inclusions")
    assert BatchInclusion.load(inclusion.save(folder)) == inclusion
    assert inclusion.holds
    assert inclusion.commitment == Batch(leaves).commitment


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "graphopt/inclusion/v2"),
        ("digest", "AB" * 32),
        ("digest", "ab"),
        ("batch", 7),
        ("index", -1),
        ("index", True),
        ("index", "0"),
        ("size", 2**41),
        ("path", "ab" * 32),
        ("path", ["ab"]),
        ("path", ["ab" * 32] * 41),
        ("more", 1),
    ],
)
def test_an_inclusion_of_another_form_is_refused(field: str, value: Any):
    document: Any = inclusions_of([digest("a"), digest("b")])[0].to_json()
    with pytest.raises(InclusionError):
        BatchInclusion.from_json(document | {field: value})


@given(st.binary(max_size=100))
def test_a_file_that_is_no_inclusion_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    file = tmp_path_factory.mktemp("inclusions") / "a.json"
    file.write_bytes(content)
    with pytest.raises(InclusionError):
        BatchInclusion.load(file)
