"""A verdict from a proof that was kept, or that a stranger hands in: the same, and nothing that is not proven."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from graphopt.bundle import read_manifest
from graphopt.errors import GraphoptError
from graphopt_governance import actions
from graphopt_governance.chains.state_trie import Header
from graphopt_governance.errors import ChainError, PolicyError
from graphopt_governance.home import Home
from graphopt_governance.verdict.proof import Proof

from .conftest import make_bundle

DAY = 86400.0


def proof_file(home: Home, bundle: Path) -> Path:
    return home.proofs / f"{read_manifest(bundle).digest.hex()}.json"


def change(path: Path, **fields: Any) -> None:
    path.write_bytes(rfc8785.dumps(json.loads(path.read_bytes()) | fields))


@pytest.fixture
def verified(bundle: Path, home: Home) -> Path:
    """A bundle that is approved, and of which that was proven."""
    actions.sign(bundle)
    actions.anchor(bundle, "digits")
    assert actions.verify(bundle).approved
    return bundle


def without_ledger(home: Home) -> None:
    for path in home.folder.glob("ledger.sqlite3*"):
        path.unlink()


def test_a_kept_proof_gives_the_verdict_that_the_chain_gave(verified: Path, home: Home):
    online = actions.verify(verified)
    without_ledger(home)
    offline = actions.verify(verified, offline=True, max_age=DAY)
    assert offline.approved, offline.sentence
    told = ("anchored_block", "anchored_time", "basis", "proof_age")  # the age is that of the moment
    assert {k: v for k, v in offline.facts.items() if k not in told} == {
        k: v for k, v in online.facts.items() if k not in told
    }
    assert "a proof kept in this home since" in offline.facts["basis"]
    assert "the chain was not asked" in offline.facts["basis"]


def test_a_revocation_that_was_seen_is_kept_too(verified: Path, home: Home):
    actions.revoke(verified)
    assert actions.verify(verified).exit_code == 15
    assert actions.verify(verified, offline=True, max_age=DAY).exit_code == 15


def test_a_kept_proof_of_before_what_this_home_has_seen_is_refused(verified: Path, home: Home):
    before = proof_file(home, verified).read_bytes()
    actions.revoke(verified)
    actions.verify(verified)
    proof_file(home, verified).write_bytes(before)
    with pytest.raises(ChainError, match=r"the kept proof went back: .* changed 1 times, and this home has seen 2"):
        actions.verify(verified, offline=True, max_age=DAY)


@pytest.mark.parametrize(("age", "sentence"), [(2 * DAY, "is 2 days old, and may be 24 h"), (-3600, "from the future")])
def test_a_proof_that_is_too_old_or_of_the_future_is_stale(verified: Path, home: Home, age: float, sentence: str):
    change(proof_file(home, verified), taken=str(int(time.time() - age)))
    verdict = actions.verify(verified, offline=True, max_age=DAY)
    assert (verdict.exit_code, str(verdict.reasons[0].code)) == (18, "stale")
    assert sentence in verdict.sentence


def test_offline_somebody_must_say_how_old_a_proof_may_be(verified: Path):
    with pytest.raises(PolicyError, match="--max-age"):
        actions.verify(verified, offline=True)


def test_without_a_kept_proof_nothing_is_approved_offline(verified: Path, tmp_path: Path):
    other = make_bundle(tmp_path / "other", "cd" * 32)
    with pytest.raises(ChainError, match="no proof of this bundle was kept"):
        actions.verify(other, offline=True, max_age=DAY)


def test_a_proof_about_another_bundle_or_federation_is_refused(verified: Path, home: Home, tmp_path: Path):
    other = make_bundle(tmp_path / "other", "cd" * 32)
    actions.sign(other)
    proof_file(home, other).write_bytes(proof_file(home, verified).read_bytes())
    with pytest.raises(ChainError, match="about another bundle"):
        actions.verify(other, offline=True, max_age=DAY)
    # so few words are in this storage that their nodes also prove what is not there
    change(proof_file(home, other), digest=read_manifest(other).digest.hex())
    assert actions.verify(other, offline=True, max_age=DAY).exit_code == 14
    change(proof_file(home, verified), chain="7")
    with pytest.raises(ChainError, match="of another federation"):
        actions.verify(verified, offline=True, max_age=DAY)


def test_a_proof_holds_exactly_the_nodes_that_the_verdict_needs(verified: Path, home: Home):
    path = proof_file(home, verified)
    nodes = json.loads(path.read_bytes())["nodes"]
    assert 0 < len(nodes) < 40
    for at in range(len(nodes)):
        change(path, nodes=nodes[:at] + nodes[at + 1 :])
        with pytest.raises(ChainError, match="a node is missing"):
            actions.verify(verified, offline=True, max_age=DAY)


def test_no_flipped_bit_of_a_revoked_bundles_proof_makes_it_approved(verified: Path, home: Home):
    actions.revoke(verified)
    actions.verify(verified)
    path = proof_file(home, verified)
    whole = path.read_bytes()
    chance = random.Random(3)
    for _ in range(150):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            verdict = actions.verify(verified, offline=True, max_age=DAY)
        except GraphoptError as error:
            assert "\n" not in str(error)  # noqa: PT017 - a verdict or a sentence, both are right
        else:
            assert not verdict.approved


def auditor(tmp_path: Path, verified: Path, home: Home) -> tuple[Home, bytes]:
    """A home elsewhere that knows the federation and nothing else, and the hash of the proof's block."""
    proof = Proof.load(proof_file(home, verified))
    elsewhere = Home(tmp_path / "auditor")
    elsewhere.folder.mkdir(mode=0o700)
    elsewhere.policy.write_text(
        f'[federation]\nchain = "{proof.domain.chain_id}"\ncontract = "0x{proof.domain.contract.hex()}"\n'
    )
    return elsewhere, Header.decode(proof.header).digest


def test_an_auditor_elsewhere_judges_from_a_strangers_proof_under_a_checkpoint(
    verified: Path, home: Home, tmp_path: Path
):
    elsewhere, checkpoint = auditor(tmp_path, verified, home)
    file = proof_file(home, verified)
    verdict = actions.verify(verified, elsewhere, proof=file, checkpoint=checkpoint)
    assert verdict.approved, verdict.sentence
    assert "whose hash is the checkpoint" in verdict.facts["basis"]
    with pytest.raises(ChainError, match="and the checkpoint is 0xaaaa"):
        actions.verify(verified, elsewhere, proof=file, checkpoint=b"\xaa" * 32)
    with pytest.raises(ChainError, match="needs the hash of a block"):
        actions.verify(verified, elsewhere, proof=file)
    # when a stranger's proof was taken is his word; the block's time is proven
    change(file, taken=str(int(time.time()) - 10 * 86400))
    assert actions.verify(verified, elsewhere, proof=file, checkpoint=checkpoint, max_age=DAY).approved
    verdict = actions.verify(verified, elsewhere, proof=file, checkpoint=checkpoint, max_age=0)
    assert verdict.approved or verdict.exit_code == 18


def test_a_strangers_proof_is_worth_nothing_where_nobody_says_which_federation_is_meant(
    verified: Path, home: Home, tmp_path: Path
):
    elsewhere, checkpoint = auditor(tmp_path, verified, home)
    elsewhere.policy.unlink()
    with pytest.raises(ChainError, match="nothing here says which is meant"):
        actions.verify(verified, elsewhere, proof=proof_file(home, verified), checkpoint=checkpoint)
    elsewhere.policy.write_text(f'[federation]\nchain = 7\ncontract = "0x{"11" * 20}"\n')
    with pytest.raises(ChainError, match="of another federation"):
        actions.verify(verified, elsewhere, proof=proof_file(home, verified), checkpoint=checkpoint)


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "graphopt/proof/v2"},
        {"nodes": "ab"},
        {"nodes": ["xy"]},
        {"nodes": ["abc"]},
        {"header": "ab"},
        {"header": 7},
        {"taken": 1},
        {"agreed": [1]},
        {"more": 1},
    ],
)
def test_what_is_no_proof_is_one_sentence(verified: Path, home: Home, fields: dict[str, Any]):
    change(proof_file(home, verified), **fields)
    with pytest.raises(GraphoptError, match=r"^[^\n]+$"):
        actions.verify(verified, offline=True, max_age=DAY)


def test_a_block_that_was_too_old_when_it_was_read_has_not_grown_younger_by_being_kept(
    verified: Path, home: Home, monkeypatch: pytest.MonkeyPatch
):
    header = Header.decode(Proof.load(proof_file(home, verified)).header)
    home.policy.write_text('[basis]\nmax_block_age = "1h"')
    now = header.time + 3 * 3600
    monkeypatch.setattr(time, "time", lambda: now)
    for held_back, code in ((0, 0), (2 * 3600, 18)):
        change(proof_file(home, verified), agreed=["a.node"], taken=str(header.time + held_back))
        verdict = actions.verify(verified, offline=True, max_age=DAY)
        assert verdict.exit_code == code, verdict.sentence


def test_a_stricter_policy_is_not_laxer_about_a_strangers_proof(
    verified: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    elsewhere, checkpoint = auditor(tmp_path, verified, home)
    file = proof_file(home, verified)
    federation = elsewhere.policy.read_text()
    now = time.time() + 2 * DAY
    monkeypatch.setattr(time, "time", lambda: now)
    for rule in ('max_age = "24h"', 'max_block_age = "24h"'):
        elsewhere.policy.write_text(f"{federation}[basis]\n{rule}\n")
        assert actions.verify(verified, elsewhere, proof=file, checkpoint=checkpoint).exit_code == 18, rule
    elsewhere.policy.write_text(f"{federation}[basis]\noffline = false\n")
    with pytest.raises(PolicyError, match="does not allow to be offline"):
        actions.verify(verified, elsewhere, proof=file, checkpoint=checkpoint)
