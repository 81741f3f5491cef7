"""One member's action, done at once or written down for the others: withdrawing, restoring, rolling back, batches."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from graphopt.bundle import read_manifest
from graphopt.errors import GraphoptError, RefusedError
from graphopt_governance import actions
from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide.acting import Member, anchor_batch, put_report, restore, revoke, roll_back
from graphopt_governance.decide.deciding import anchor_proposals, approve
from graphopt_governance.decide.governing import found, log, member_card
from graphopt_governance.decide.relaying import relay_ballots
from graphopt_governance.errors import BallotError, ProposalError
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.exchange.proposal import read_proposal
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.verdict.judging import Judge
from graphopt_governance.verdict.verify import Code, verify_bundle

from .conftest import make_bundle
from .test_deciding import tie

SOURCES = ("ab" * 32, "cd" * 32, "ef" * 32)


@pytest.fixture
def homes(tmp_path: Path, home: Home) -> list[Home]:
    return [Home(tmp_path / name) for name in ("north", "east", "west")]


@pytest.fixture
def alone(homes: list[Home]) -> Member:
    """The only member of a federation."""
    tie(homes[:1], found(homes[0], [member_card(homes[0])], quorum=1))
    return Member(homes[0])


@pytest.fixture
def chain(homes: list[Home]) -> Chain:
    """A federation of three with a quorum of two."""
    chain = found(homes[0], [member_card(home) for home in homes], quorum=2)
    tie(homes, chain)
    return chain


@pytest.fixture
def bundles(tmp_path: Path, homes: list[Home]) -> list[Path]:
    """Three bundles, signed by the first."""
    made = [make_bundle(tmp_path / f"bundle{i}", source) for i, source in enumerate(SOURCES)]
    member_card(homes[0])
    for bundle in made:
        actions.sign(bundle, homes[0])
    return made


def test_a_batch_of_ones_own_is_approved_at_once(alone: Member, bundles: list[Path], tmp_path: Path):
    acted = anchor_batch(alone, bundles, output=tmp_path / "batch.proposal")
    assert acted.block == 2
    for bundle in bundles:
        assert actions.verify(bundle, alone.home).approved
        ChainGate.default(alone.home).admit(read_manifest(bundle))
    # others take the proofs from the proposal
    assert sorted(path.name for path in (tmp_path / "batch.proposal" / "inclusions").iterdir()) == sorted(
        f"{read_manifest(bundle).digest.hex()}.json" for bundle in bundles
    )


def test_a_batch_of_several_members_is_shown_whole_and_approved_together(
    homes: list[Home], chain: Chain, bundles: list[Path], tmp_path: Path
):
    folder = tmp_path / "batch.proposal"
    with pytest.raises(BallotError, match="this takes 2 signatures"):
        anchor_batch(Member(homes[0]), bundles)
    assert anchor_batch(Member(homes[0]), bundles, output=folder).missing == 1
    assert not actions.verify(bundles[0], homes[0]).approved
    shown: list[str] = []

    def ask(lines: Sequence[str]) -> None:
        shown.extend(lines)

    assert approve(folder, home=homes[1], ask=ask).missing == 0
    for bundle in bundles:
        assert f"  manifest {read_manifest(bundle).digest.hex()}" in shown
    for source in SOURCES:
        assert any(f"SHA-256 {source}" in line for line in shown)
    relayed = anchor_proposals([folder], home=homes[2])
    assert len(relayed.inclusions) == 3
    for home in (homes[0], homes[2]):
        assert all(actions.verify(bundle, home).approved for bundle in bundles)
    assert actions.verify(bundles[0], homes[1]).reasons[0].code is Code.NOT_ANCHORED
    shutil.copytree(folder / "inclusions", homes[1].inclusions)
    assert actions.verify(bundles[0], homes[1]).approved


def test_a_batch_is_not_what_another_says_it_is(homes: list[Home], chain: Chain, bundles: list[Path], tmp_path: Path):
    one, two = tmp_path / "one.proposal", tmp_path / "two.proposal"
    anchor_batch(Member(homes[0]), bundles[:2], output=one)
    anchor_batch(Member(homes[0]), bundles, output=two)
    shutil.copy(two / "ballot.json", one)
    with pytest.raises(ProposalError, match="for another batch"):
        approve(one, home=homes[1])
    names = sorted(path.name for path in (two / "manifests").iterdir())
    shutil.copy(two / "manifests" / names[0], two / "manifests" / names[1])
    with pytest.raises(GraphoptError, match="is another manifest"):
        approve(two, home=homes[1])
    anchor_batch(Member(homes[0]), bundles, output=tmp_path / "three")
    with pytest.raises(ProposalError, match="not rebuilt as a whole"):
        approve(tmp_path / "three", home=homes[1], rebuild=lambda manifest, source: pytest.fail("rebuilt"))


def test_a_forged_inclusion_in_a_proposal_is_refused(
    homes: list[Home], chain: Chain, bundles: list[Path], tmp_path: Path
):
    folder = tmp_path / "batch.proposal"
    anchor_batch(Member(homes[0]), bundles, output=folder)
    file = next((folder / "inclusions").iterdir())
    file.write_bytes(file.read_bytes().replace(b'"size":3', b'"size":4'))
    with pytest.raises(GraphoptError, match="is not that of this batch"):
        read_proposal(folder)


def test_only_bundles_in_order_make_a_batch(alone: Member, bundles: list[Path], tmp_path: Path):
    with pytest.raises(ProposalError, match="none of them twice"):
        anchor_batch(alone, [bundles[0], bundles[0]])
    unsigned = make_bundle(tmp_path / "unsigned", "00" * 32)
    with pytest.raises(RefusedError, match="not signed"):
        anchor_batch(alone, [bundles[0], unsigned])
    revoke(alone, bundles[1])
    with pytest.raises(RefusedError, match="revoked"):
        anchor_batch(alone, bundles)


def test_several_revoke_by_a_ballot_and_one_suspends_at_once(
    homes: list[Home], chain: Chain, bundles: list[Path], tmp_path: Path
):
    bundle, file = bundles[0], tmp_path / "revoke.ballot.json"
    with pytest.raises(BallotError, match="this takes 2 signatures: say where"):
        revoke(Member(homes[0]), bundle, "wrong labels")
    acted = revoke(Member(homes[0]), bundle, "wrong labels", output=file)
    assert (acted.block, acted.missing) == (None, 1)
    assert verify_bundle(bundle, chain).reasons[0].code is Code.NOT_ANCHORED
    approve(file, home=homes[1])
    relay_ballots([Ballot.load(file)], chain)
    assert "wrong labels" in verify_bundle(bundle, chain).sentence
    assert revoke(Member(homes[2]), bundles[1], emergency=True).missing == 0
    assert verify_bundle(bundles[1], chain).reasons[0].code is Code.SUSPENDED
    with pytest.raises(BallotError, match="revoked already"):
        revoke(Member(homes[0]), bundle, output=tmp_path / "again")
    with pytest.raises(BallotError, match="suspended already"):
        revoke(Member(homes[0]), bundles[1], emergency=True)


def test_what_was_withdrawn_is_restored(alone: Member, bundles: list[Path]):
    bundle = bundles[0]
    actions.anchor(bundle, home=alone.home)
    revoke(alone, bundle)
    assert not actions.verify(bundle, alone.home).approved
    restore(alone, read_manifest(bundle).digest.hex(), "false alarm")
    assert actions.verify(bundle, alone.home).approved
    with pytest.raises(BallotError, match="nothing to restore"):
        restore(alone, bundle)


def test_an_earlier_version_is_made_current_again(alone: Member, bundles: list[Path]):
    for bundle in bundles[:2]:
        actions.anchor(bundle, "digits", home=alone.home)
    with pytest.raises(RefusedError, match="version 2 of this model is current already"):
        roll_back(alone, bundles[1])
    roll_back(alone, bundles[0])
    assert actions.verify(bundles[0], alone.home).approved
    assert actions.verify(bundles[1], alone.home).reasons[0].code is Code.SUPERSEDED
    with pytest.raises(BallotError, match="only an approved version"):
        roll_back(alone, bundles[2])


def test_a_withdrawn_batch_takes_its_bundles_with_it(alone: Member, bundles: list[Path]):
    batch = anchor_batch(alone, bundles)
    revoke(alone, batch.digest, "all of them")
    for bundle in bundles:
        assert "its batch" in actions.verify(bundle, alone.home).sentence
    restore(alone, batch.digest)
    revoke(alone, bundles[0])
    assert [actions.verify(bundle, alone.home).approved for bundle in bundles] == [False, True, True]


def test_a_report_is_on_record_by_its_digest(alone: Member, bundles: list[Path], tmp_path: Path):
    report = tmp_path / "drift.txt"
    report.write_text("the digits have become letters")
    put_report(alone, bundles[0], report)
    (event,) = [event for event in log(alone.chain()) if event["event"] == "Reported"]
    assert event["evidence"] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert event["digest"] == read_manifest(bundles[0]).digest.hex()


def test_where_there_is_no_federation_it_is_said_what_to_do(homes: list[Home], bundles: list[Path]):
    with pytest.raises(BallotError, match="fed init"):
        revoke(Member(homes[1]), bundles[0])


def test_a_batch_is_proven_offline_too(alone: Member, bundles: list[Path]):
    batch = anchor_batch(alone, bundles)
    manifest = read_manifest(bundles[0])
    assert Judge(alone.home).judge(manifest).approved
    offline = Judge(alone.home, offline=True, max_age=3600)
    verdict = offline.judge(manifest)
    assert verdict.approved, verdict.sentence
    assert verdict.facts["batch"] == batch.digest
    # what was proven about one of them says nothing about another
    with pytest.raises(GraphoptError):
        offline.judge(read_manifest(bundles[1]))
