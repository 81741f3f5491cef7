"""Publishing and reusing: an approved bundle is found and taken, and no lie costs more than time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from graphopt.bundle import check_files, read_manifest, write_manifest
from graphopt.errors import BundleError, RefusedError
from graphopt_governance import actions
from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide import governing
from graphopt_governance.errors import ChainError
from graphopt_governance.exchange.inclusions import inclusions_of
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.keys.sealing_key import load_sealing_key
from graphopt_governance.protocol.action import Kind
from graphopt_governance.share import reuse
from graphopt_governance.share.build_time import BuildTime, keep_build_time
from graphopt_governance.share.publishing import publish
from graphopt_governance.share.reuse import Search
from graphopt_governance.share.store import Store

from .conftest import make_bundle
from .federation import number
from .members import approve, decide, found
from .reuse_work import WANTED, fetch, nothing


@pytest.fixture
def chain(owners: list[Home]) -> Chain:
    return found(owners)


def test_what_one_member_publishes_another_takes_instead_of_compiling(
    owners: list[Home], chain: Chain, bundle: Path, store: Store, place: Path
):
    digest = approve(bundle, owners[0])
    keep_build_time(owners[0], digest.hex(), {"read": 1.5, "kernels": 40.0})
    published = publish(bundle, store, ChainGate(chain), home=owners[0])
    assert published.compiling == 41.5
    search = fetch(owners[0], store, place)
    assert search.fetched is not None
    assert search.fetched.digest == published.digest == digest.hex()
    assert search.fetched.compiling == 41.5
    assert search.fetched.nbytes == sum(record.size for record in read_manifest(bundle).files)
    assert search.passed_over == ()
    check_files(place, read_manifest(place))
    assert (place / "manifest.json").read_bytes() == (bundle / "manifest.json").read_bytes()
    json.dumps([published.to_json(), search.to_json()])


def test_only_what_is_approved_is_published_unless_that_is_said(
    owners: list[Home], chain: Chain, bundle: Path, store: Store, tmp_path: Path
):
    with pytest.raises(RefusedError, match="not signed"):
        publish(bundle, store, ChainGate(chain), home=owners[0])
    actions.sign(bundle, owners[0])
    with pytest.raises(RefusedError, match="not anchored"):
        publish(bundle, store, ChainGate(chain), home=owners[0])
    assert not (tmp_path / "store").exists()
    assert publish(bundle, store, None, home=owners[0]).files == 4
    (bundle / "weights").write_bytes(bytes(299) + b"\1")
    with pytest.raises(BundleError, match="weights was altered"):
        publish(bundle, store, None, home=owners[0])


def test_another_model_other_options_and_other_targets_are_not_taken(
    owners: list[Home], bundle: Path, chain: Chain, store: Store, place: Path
):
    approve(bundle, owners[0])
    publish(bundle, store, ChainGate(chain), home=owners[0])
    for change in (
        {"source": {"sha256": "cd" * 32}},
        {"source": {"sha256": "ab" * 32, "external": []}},
        {"options": {"level": "reassociate"}},
        {"targets": ["x86-64-v3", "x86-64-v4"]},
    ):
        search = fetch(owners[0], store, place, WANTED | change)
        assert (search.fetched, search.passed_over) == (None, ())
    assert not place.exists()


def test_what_was_revoked_superseded_or_only_proposed_is_not_taken(
    owners: list[Home], chain: Chain, bundle: Path, store: Store, place: Path, tmp_path: Path
):
    actions.sign(bundle, owners[0])
    ballot = governing.draft_approval(chain, read_manifest(bundle), "m", propose=True)
    governing.relay(governing.sign_ballot(ballot, chain, owners[0]), chain)
    publish(bundle, store, None, home=owners[0])
    nothing(fetch(owners[0], store, place), place, "not anchored")
    approve(bundle, owners[0], "m")
    assert fetch(owners[0], store, place).fetched is not None
    shutil.rmtree(place)

    # the next version is of another source, so this one is neither current nor replaced
    approve(make_bundle(tmp_path / "next", "cd" * 32), owners[0], "m")
    assert fetch(owners[0], store, place) == Search(None, ())
    actions.revoke(tmp_path / "next", home=owners[0])
    actions.revoke(bundle, home=owners[0])
    assert fetch(owners[0], store, place) == Search(None, ())
    assert list(place.parent.iterdir()) == []


def test_what_is_revoked_while_it_is_fetched_is_not_taken(
    owners: list[Home], chain: Chain, bundle: Path, store: Store, place: Path, monkeypatch: pytest.MonkeyPatch
):
    approve(bundle, owners[0])
    publish(bundle, store, ChainGate(chain), home=owners[0])
    get = Store.get

    def revoked_meanwhile(self: Store, *arguments: Any) -> None:
        get(self, *arguments)
        actions.revoke(bundle, home=owners[0])

    monkeypatch.setattr(Store, "get", revoked_meanwhile)
    nothing(fetch(owners[0], store, place), place, "revoked by the federation")


def test_a_bundle_of_a_batch_is_taken_with_the_proof_that_lies_beside_it(
    owners: list[Home], chain: Chain, bundle: Path, store: Store, place: Path, tmp_path: Path
):
    actions.sign(bundle, owners[0])
    manifest = read_manifest(bundle)
    ballot = governing.draft_approval(chain, manifest, "m", propose=True)
    governing.relay(governing.sign_ballot(ballot, chain, owners[0]), chain)
    mine, other = inclusions_of([manifest.digest, bytes(32)])
    decide(chain, owners[:1], Kind.BATCH, subject=mine.commitment, amount=2)
    mine.save(owners[0].inclusions)
    publish(bundle, store, ChainGate.default(owners[0]), home=owners[0])

    # a member who has the chain, but was never told of the batch
    shutil.rmtree(owners[0].inclusions)
    lie = tmp_path / "store" / "inclusions" / f"{manifest.digest.hex()}.json"
    proof = lie.read_bytes()
    lie.write_bytes(proof.replace(b'"index":0', b'"index":1'))
    nothing(fetch(owners[0], store, place), place, "not anchored")
    lie.write_bytes(b"{}")
    nothing(fetch(owners[0], store, place), place, "inclusion")
    unapproved = inclusions_of([manifest.digest, other.digest, other.digest])[0]
    lie.unlink()
    unapproved.save(lie.parent)
    nothing(fetch(owners[0], store, place), place, "not anchored")
    assert not owners[0].inclusions.exists()
    lie.write_bytes(proof)
    assert fetch(owners[0], store, place).fetched is not None
    # one that was planted, or whose batch is approved no more, does not stand in the way of the one that counts
    shutil.rmtree(place)
    unapproved.save(owners[0].inclusions)
    assert fetch(owners[0], store, place).fetched is not None


def test_a_sealed_bundle_is_opened_by_a_member_who_may_and_passed_over_by_others(
    owners: list[Home], chain: Chain, bundle: Path, store: Store, place: Path, tmp_path: Path
):
    digest = approve(bundle, owners[0])
    published = publish(bundle, store, ChainGate(chain), sealed=True, home=owners[0])
    assert published.members == (1, 2)
    assert not (tmp_path / "store" / "bundles").exists()
    search = fetch(owners[0], store, place)
    assert search.fetched is not None
    assert search.fetched.sealed
    check_files(place, read_manifest(place))
    shutil.rmtree(place)

    kept = owners[0].sealing_key.read_bytes()
    owners[0].sealing_key.write_bytes(_new_key(tmp_path))
    nothing(fetch(owners[0], store, place), place, "was not sealed for the key")
    owners[0].sealing_key.unlink()
    nothing(fetch(owners[0], store, place), place, "no sealing key")
    owners[0].sealing_key.write_bytes(kept)
    owners[0].sealing_key.chmod(0o600)
    sealed = tmp_path / "store" / "sealed" / f"{digest.hex()}.age"
    content = sealed.read_bytes()
    sealed.write_bytes(content[:-1] + b"\0")
    nothing(fetch(owners[0], store, place), place, "altered")

    # another approved bundle, sealed rightly, under this one's name
    other = make_bundle(tmp_path / "other", "cd" * 32)
    approve(other, owners[0])
    there = publish(other, store, ChainGate(chain), sealed=True, home=owners[0]).digest
    shutil.copy(sealed.parent / f"{there}.age", sealed)
    nothing(fetch(owners[0], store, place), place, "another bundle")


def _new_key(folder: Path) -> bytes:
    load_sealing_key(folder / "stranger.age")
    return (folder / "stranger.age").read_bytes()


def test_after_bad_candidates_a_good_one_is_taken(
    owners: list[Home], chain: Chain, bundle: Path, store: Store, place: Path, tmp_path: Path
):
    good = approve(bundle, owners[0])
    newer = make_bundle(tmp_path / "newer")
    (newer / "weights").write_bytes(b"tuned again")
    write_manifest(newer, WANTED)
    approve(newer, owners[0])
    publish(bundle, store, ChainGate(chain), home=owners[0])
    search = fetch(owners[0], store, place)
    assert search.fetched is not None
    assert search.fetched.digest == good.hex()
    assert len(search.passed_over) == 1


def test_a_publisher_who_has_left_is_not_enough(
    owners: list[Home], chain: Chain, bundle: Path, store: Store, place: Path
):
    approve(bundle, owners[0])
    publish(bundle, store, ChainGate(chain), home=owners[0])
    decide(chain, owners[:1], Kind.REMOVE, subject=number(1))
    nothing(fetch(owners[0], store, place), place, "who has left")


def test_a_chain_that_cannot_be_asked_is_a_reason_to_compile(
    owners: list[Home], store: Store, place: Path, chain: Chain, monkeypatch: pytest.MonkeyPatch
):
    def gone(home: Home) -> Chain:
        raise ChainError("the node at host does not answer")

    monkeypatch.setattr(reuse, "open_chain", gone)
    nothing(fetch(owners[0], store, place), place, "does not answer")


def test_without_a_federation_and_with_a_taken_place_it_is_said(
    owners: list[Home], store: Store, place: Path, chain: Chain
):
    assert fetch(owners[1], store, place).passed_over == ("there is no federation here",)
    place.write_text("something of the user's")
    with pytest.raises(BundleError, match="is no bundle"):
        fetch(owners[0], store, place)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        BuildTime("cd" * 32, {"read": 1.0}).encode(),
        BuildTime("ab" * 32, {"read": -1.0}).encode(),
        BuildTime("ab" * 32, {"read": float("inf")}).encode(),
        BuildTime("ab" * 32, {"read": 1e300}).encode(),
        BuildTime("ab" * 32, {str(phase): 1.0 for phase in range(65)}).encode(),
        BuildTime("ab" * 32, {"read": 1.0}).encode().replace(b'"1.000000"', b"1"),
        BuildTime("ab" * 32, {"read": 1.0}).encode().replace(b'{"read":"1.000000"}', b"[1]"),
    ],
)
def test_a_remark_on_time_of_another_form_is_no_remark(content: bytes):
    assert BuildTime.decode(content, "ab" * 32) is None
    good = BuildTime("ab" * 32, {"read": 0.25, "check": 3.0})
    assert BuildTime.decode(good.encode(), "ab" * 32) == good
