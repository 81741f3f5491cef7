"""A model on its way through a federation: proposed, held against its parts, rebuilt, approved, put on record."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt import strict_json
from graphopt.bundle import Manifest, read_manifest, write_manifest
from graphopt.errors import GraphoptError, RefusedError
from graphopt_governance import actions
from graphopt_governance.chains.chain import Chain
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.where import Where
from graphopt_governance.decide.deciding import anchor_proposals, approve, propose
from graphopt_governance.decide.governing import draft, found, member_card, relay, sign_ballot
from graphopt_governance.errors import BallotError, PolicyError, ProposalError
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.exchange.proposal import read_proposal
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import ALL_RIGHTS, Domain, Kind, Right, model_id
from graphopt_governance.verdict.verify import verify_bundle

from .conftest import make_bundle
from .federation import digest, key, number

MODEL = b"an ONNX model, as far as governance knows"


@dataclass(frozen=True)
class Measurement:
    own: Mapping[str, Any]


class Shown(list[str]):
    """Agrees to everything, and keeps what it was shown."""

    def __call__(self, lines: Sequence[str]) -> None:
        self[:] = lines


NAMES = ("north", "east", "west", "stranger")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three members with a quorum of two, a bundle signed by the first, and its proposal, which nobody has signed."""
    world = tmp_path_factory.mktemp("world")
    homes = [Home(world / name) for name in NAMES]
    tie(homes, found(homes[0], [member_card(home) for home in homes[:3]], quorum=2))
    (world / "any.onnx").write_bytes(MODEL)
    bundle = make_bundle(world / "bundle", hashlib.sha256(MODEL).hexdigest())
    actions.sign(bundle, homes[0])
    propose(bundle, "digits", world / "digits.proposal", source=world / "any.onnx", home=homes[0])
    return world


def tie(homes: Sequence[Home], chain: Chain) -> None:
    """Let all these homes be in the federation whose ledger is in the first."""
    for home in homes:
        home.folder.mkdir(exist_ok=True)
        Where(chain.domain, 1, homes[0].ledger).write(home, instead=True)


@pytest.fixture
def here(world: Path, tmp_path: Path) -> Path:
    """A copy of the world to change."""
    return Path(shutil.copytree(world, tmp_path / "world"))


@pytest.fixture
def homes(here: Path) -> list[Home]:
    return [Home(here / name) for name in NAMES]


@pytest.fixture
def chain(homes: list[Home]) -> Chain:
    chain = Ledger.open(homes[0].ledger)
    tie(homes, chain)
    return chain


@pytest.fixture
def source(here: Path) -> Path:
    return here / "any.onnx"


@pytest.fixture
def bundle(here: Path, chain: Chain) -> Path:
    return here / "bundle"


@pytest.fixture
def folder(here: Path, chain: Chain) -> Path:
    """The proposal that nobody has signed yet."""
    return here / "digits.proposal"


def decide(chain: Chain, homes: list[Home], kind: Kind, **fields: Any) -> None:
    ballot = draft(chain, kind, **fields)
    for home in homes:
        ballot = sign_ballot(ballot, chain, home)
    relay(ballot, chain)


def test_a_model_is_proposed_approved_by_two_and_runs(
    folder: Path, bundle: Path, homes: list[Home], chain: Chain, tmp_path: Path
):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    shown = Shown()
    first = approve(folder, home=homes[1], ask=shown)
    assert (first.member, first.missing, first.rebuilt) == (2, 1, False)
    assert any("NOTHING WAS REBUILT" in line for line in shown)
    assert {"  model: digits", "  version: 1", f"  manifest: {first.subject}"} <= set(shown)
    assert shown[-1] == "  signed so far by nobody; 2 needed, 2 missing"
    with pytest.raises(BallotError, match="1 of 2 signature is missing; signed so far by member 2"):
        anchor_proposals([folder], home=homes[0])
    # the other one signs a copy at the same time, and a stranger relays both
    approve(copy, home=homes[2])
    relayed = anchor_proposals([folder, copy], home=homes[3])
    assert relayed.what == "approve a manifest as a version of a model"
    assert verify_bundle(bundle, chain).approved
    with pytest.raises(BallotError, match="approved already"):
        approve(folder, home=homes[0])
    json.dumps([first.to_json(), relayed.to_json()])


def test_a_proposal_is_announced_by_one_member_who_sees_what_he_signs(
    bundle: Path, source: Path, homes: list[Home], chain: Chain, tmp_path: Path
):
    shown = Shown()
    proposed = propose(bundle, "digits", tmp_path / "p", source=source, home=homes[0], ask=shown)
    assert shown[0] == "propose a manifest as a version of a model"
    assert "  model: digits" in shown
    event = chain.events("Proposed")[-1]
    assert (event.fields["digest"].hex(), event.fields["member"]) == (proposed.digest, 1)
    assert event.fields["model"] == model_id("digits")


def test_who_does_not_agree_announces_and_writes_nothing(
    bundle: Path, source: Path, homes: list[Home], chain: Chain, tmp_path: Path
):
    def refuse(lines: Sequence[str]) -> None:
        raise GraphoptError("no")

    with pytest.raises(GraphoptError, match="no"):
        propose(bundle, "digits", tmp_path / "p", source=source, home=homes[0], ask=refuse)
    assert len(chain.events("Proposed")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_only_what_is_in_order_is_proposed(bundle: Path, source: Path, homes: list[Home], chain: Chain, tmp_path: Path):
    out = tmp_path / "p"
    swapped = source.with_name("other.onnx")
    swapped.write_bytes(MODEL + b"!")
    with pytest.raises(ProposalError, match="is not what the bundle was made from"):
        propose(bundle, "digits", out, source=swapped, home=homes[0])
    with pytest.raises(ProposalError, match="1 to 200 printable"):
        propose(bundle, "dig\nits", out, source=source, home=homes[0])
    member_card(homes[3])
    with pytest.raises(BallotError, match="not a member"):
        propose(bundle, "digits", out, source=source, home=homes[3])
    unsigned = make_bundle(tmp_path / "unsigned", hashlib.sha256(MODEL).hexdigest())
    with pytest.raises(RefusedError, match="not signed"):
        propose(unsigned, "digits", out, source=source, home=homes[0])
    actions.sign(unsigned, homes[3])
    with pytest.raises(RefusedError, match="does not know"):
        propose(unsigned, "digits", out, source=source, home=homes[0])
    (bundle / "weights").write_bytes(b"other")
    with pytest.raises(GraphoptError, match="weights was altered"):
        propose(bundle, "digits", out, source=source, home=homes[0])
    assert not out.exists()


def test_a_proposal_does_not_replace_what_is_there(bundle: Path, source: Path, homes: list[Home], folder: Path):
    with pytest.raises(ProposalError, match="exists"):
        propose(bundle, "digits", folder, source=source, home=homes[0])


def test_a_rebuild_gets_the_very_source_that_the_manifest_names(folder: Path, homes: list[Home]):
    seen: list[bytes] = []

    def rebuild(manifest: Manifest, source: Path) -> Measurement:
        seen.append(source.read_bytes())
        return Measurement({"checked": True, "worst_difference": "1e-7", "seeds": [0, 1], "sizes": {"N": 2}})

    shown = Shown()
    assert approve(folder, rebuild=rebuild, home=homes[1], ask=shown).rebuilt
    assert seen == [MODEL]
    line = "  rebuilt here, the same in every file; own evidence: worst difference 1e-7 (seeds 0, 1, N=2)"
    assert line in shown
    assert not any("NOTHING WAS REBUILT" in line for line in shown)


def test_a_swapped_source_is_not_even_compiled(folder: Path, homes: list[Home]):
    def rebuild(manifest: Manifest, source: Path) -> Measurement:
        raise AssertionError("compiled")

    (folder / "source" / "model.onnx").write_bytes(MODEL + b"!")
    with pytest.raises(ProposalError, match="is not what the bundle was made from"):
        approve(folder, rebuild=rebuild, home=homes[1])
    shutil.rmtree(folder / "source")
    with pytest.raises(ProposalError, match="holds no source; say where the model is"):
        approve(folder, rebuild=rebuild, home=homes[1])
    assert read_proposal(folder).ballot.signatures == ()


def test_when_the_rebuild_differs_nothing_is_signed(folder: Path, homes: list[Home]):
    def rebuild(manifest: Manifest, source: Path) -> Measurement:
        raise GraphoptError("the rebuild differs: native/x86-64-v3/kernels.so")

    with pytest.raises(GraphoptError, match="differs"):
        approve(folder, rebuild=rebuild, home=homes[1])
    assert read_proposal(folder).ballot.signatures == ()


def test_a_policy_can_ask_for_a_rebuild(folder: Path, homes: list[Home]):
    policy = homes[1].folder / "policy.toml"
    policy.write_text("[approve]\nrebuild = true\n")
    with pytest.raises(RefusedError, match="add --rebuild"):
        approve(folder, home=homes[1])
    approve(folder, home=homes[1], rebuild=lambda manifest, source: Measurement({}))
    for wrong in ("[approve]\nrebuild = 1\n", "approve = true\n", "[approve\n"):
        policy.write_text(wrong)
        with pytest.raises(PolicyError):
            approve(folder, home=homes[1])


def forged(folder: Path, **action: Any) -> None:
    """Put another ballot into a proposal."""
    ballot = read_proposal(folder).ballot
    replace(ballot, action=replace(ballot.action, **action)).save(folder / "ballot.json")


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ({"subject": digest("x")}, "the ballot is for another bundle"),
        ({"name": model_id("faces")}, "for another model than 'digits'"),
        ({"evidence": digest("x")}, "another build"),
        ({"kind": Kind.RESTORE}, "would not approve it: it is a ballot to restore"),
        ({"amount": 2}, "version 2 of 'digits', whose next version is 1"),
        ({"amount": 0}, "version 0"),
        ({"sealing": digest("x")}, "more than what is shown"),
        ({"epoch": 2}, "rules have changed"),
        ({"nonce": 1}, "what is on record has changed"),
        ({"deadline": 1}, "ended at 1970-01-01"),
        ({"expires": 1}, "would have ended at 1970-01-01"),
        ({"expires": 2**40}, "or never"),
    ],
)
def test_a_ballot_for_something_else_is_refused(folder: Path, homes: list[Home], action: dict[str, Any], sentence: str):
    forged(folder, **action)
    with pytest.raises(GraphoptError, match=sentence):
        approve(folder, home=homes[1])
    with pytest.raises(GraphoptError, match=sentence):
        anchor_proposals([folder], home=homes[1])


def test_a_ballot_of_another_chain_is_refused(folder: Path, homes: list[Home], chain: Chain):
    ballot = read_proposal(folder).ballot
    other = replace(ballot, domain=Domain(chain.domain.chain_id + 1, chain.domain.contract))
    other.save(folder / "ballot.json")
    with pytest.raises(BallotError, match="another federation: chain"):
        approve(folder, home=homes[1])


def test_a_name_that_only_looks_like_anothers_is_spelt_out(bundle: Path, homes: list[Home], tmp_path: Path):
    shown = Shown()
    propose(bundle, "d\u0456gits", tmp_path / "p", source=None, home=homes[0], ask=shown)
    assert any(line.endswith("(in ASCII: 'd\\u0456gits')") for line in shown)


def test_another_models_name_is_refused(folder: Path, homes: list[Home]):
    document = {"format": "graphopt/proposal/v1", "model": "faces"}
    (folder / "proposal.json").write_bytes(strict_json.encode(document, "the test"))
    with pytest.raises(ProposalError, match="another model than 'faces'"):
        approve(folder, home=homes[1])


def test_another_manifest_is_refused(folder: Path, homes: list[Home], tmp_path: Path):
    other = make_bundle(tmp_path / "other", hashlib.sha256(MODEL).hexdigest())
    manifest = read_manifest(other)
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    # a signature does not change what a manifest says: the same one unsigned is refused for that alone
    with pytest.raises(RefusedError, match="not signed"):
        approve(folder, home=homes[1])
    another = make_bundle(tmp_path / "another", "cd" * 32)
    (folder / "manifest.json").write_bytes(read_manifest(another).to_bytes())
    with pytest.raises(ProposalError, match="for another bundle"):
        approve(folder, home=homes[1])


def test_nobody_approves_twice_nor_without_the_right(folder: Path, homes: list[Home], chain: Chain):
    asked = Shown()
    approve(folder, home=homes[1])
    with pytest.raises(BallotError, match="signed this already"):
        approve(folder, home=homes[1], ask=asked)
    member_card(homes[3])
    with pytest.raises(BallotError, match="not a member"):
        approve(folder, home=homes[3], ask=asked)
    assert asked == []


def test_who_may_not_approve_is_told_before_anything_is_compiled(tmp_path: Path, source: Path):
    homes = [Home(tmp_path / name) for name in NAMES[:3]]
    cards = [member_card(homes[0]), member_card(homes[1], ALL_RIGHTS & ~Right.APPROVE), member_card(homes[2])]
    chain = found(homes[0], cards, quorum=2)
    tie(homes, chain)
    bundle = make_bundle(tmp_path / "bundle", hashlib.sha256(MODEL).hexdigest())
    actions.sign(bundle, homes[0])
    propose(bundle, "digits", tmp_path / "p", source=source, home=homes[0])

    def rebuild(manifest: Manifest, source: Path) -> Measurement:
        raise AssertionError("compiled")

    with pytest.raises(BallotError, match="may not approve"):
        approve(tmp_path / "p", rebuild=rebuild, home=homes[1])


def test_when_the_rules_changed_it_is_said_what_changed(folder: Path, homes: list[Home], chain: Chain):
    approve(folder, home=homes[1])
    card = member_card(homes[3])
    decide(chain, homes[:2], Kind.ADMIT, name=card.account, amount=int(card.rights), evidence=card.signing)
    decide(chain, homes[:2], Kind.QUORUM, amount=3)
    decide(chain, homes[:3], Kind.REMOVE, subject=number(2))
    for act in (lambda: approve(folder, home=homes[2]), lambda: anchor_proposals([folder], home=homes[2])):
        with pytest.raises(BallotError, match=r"epoch 1, now 4; .*member 4 joined.*sign again") as caught:
            act()
        assert "member 2 left" in str(caught.value)
        assert "3 signatures are needed" in str(caught.value)


def test_a_bundle_that_was_withdrawn_meanwhile_is_not_approved(folder: Path, homes: list[Home], chain: Chain):
    subject = read_proposal(folder).manifest.digest
    decide(chain, homes[1:2], Kind.SUSPEND, subject=subject)
    with pytest.raises(BallotError, match="this was suspended; only restoring"):
        approve(folder, home=homes[1])
    decide(chain, homes[:2], Kind.RESTORE, subject=subject)
    with pytest.raises(BallotError, match="what is on record has changed"):
        approve(folder, home=homes[1])


def test_strangers_signatures_cannot_fill_a_ballot(folder: Path, homes: list[Home], chain: Chain, bundle: Path):
    ballot = read_proposal(folder).ballot
    identity = ballot.action.identity(ballot.domain)
    replace(ballot, signatures=tuple(key(i).sign(identity) for i in range(40, 72))).save(folder / "ballot.json")
    assert approve(folder, home=homes[1]).signatures == 1
    assert approve(folder, home=homes[2]).missing == 0
    anchor_proposals([folder], home=homes[0])
    assert verify_bundle(bundle, chain).approved


def test_strangers_signatures_on_many_copies_do_not_stand_in_the_way(
    folder: Path, homes: list[Home], chain: Chain, bundle: Path, tmp_path: Path
):
    ballot = read_proposal(folder).ballot
    identity = ballot.action.identity(ballot.domain)
    files: list[Path] = []
    for i in range(2):
        signed = tmp_path / f"{i}.ballot.json"
        approve(folder, home=homes[1 + i], output=signed)
        strangers = tuple(key(j).sign(identity) for j in range(40 + 31 * i, 71 + 31 * i))
        filled = Ballot.load(signed)
        replace(filled, signatures=(*strangers, *filled.signatures)).save(signed)
        files.append(signed)
    anchor_proposals([folder, *files], home=homes[0])
    assert verify_bundle(bundle, chain).approved


def test_a_manifest_cannot_scroll_what_counts_off_the_screen(homes: list[Home], chain: Chain, tmp_path: Path):
    bundle = make_bundle(tmp_path / "long")
    (bundle / "manifest.json").unlink()
    noise = {"tools": {f"tool {i}": "x" * 100 for i in range(1000)}, "program": {f"{i}": {} for i in range(1000)}}
    write_manifest(bundle, {"source": {"sha256": "ab" * 32}, "options": {}, "targets": ["y" * 10**6], **noise})
    actions.sign(bundle, homes[0])
    shown = Shown()
    propose(bundle, "digits", tmp_path / "p", source=None, home=homes[0], ask=shown)
    assert len(shown) < 40
    assert max(map(len, shown)) < 2100
    assert any(line.endswith("characters)") for line in shown)
    assert f"  manifest: {read_manifest(bundle).digest.hex()}" in shown


def test_a_ballot_that_approves_a_bundle_is_signed_in_its_proposal_alone(folder: Path, homes: list[Home]):
    with pytest.raises(ProposalError, match="sign it in its proposal"):
        approve(folder / "ballot.json", home=homes[1])


def test_a_signature_can_travel_alone(folder: Path, homes: list[Home], chain: Chain, bundle: Path, tmp_path: Path):
    for home in homes[1:3]:
        approve(folder, home=home, output=tmp_path / f"{home.folder.name}.ballot.json")
    assert read_proposal(folder).ballot.signatures == ()
    anchor_proposals([folder, *tmp_path.glob("*.ballot.json")], home=homes[0])
    assert verify_bundle(bundle, chain).approved


def test_proposals_for_different_bundles_are_not_put_together(folder: Path, homes: list[Home], tmp_path: Path):
    other = make_bundle(tmp_path / "other", "cd" * 32)
    actions.sign(other, homes[0])
    propose(other, "digits", tmp_path / "other.proposal", source=None, home=homes[0])
    with pytest.raises(BallotError, match="different actions"):
        anchor_proposals([folder, tmp_path / "other.proposal"], home=homes[0])


def test_an_interrupted_signature_leaves_the_ballot_as_it_was(
    folder: Path, homes: list[Home], monkeypatch: pytest.MonkeyPatch
):
    approve(folder, home=homes[1])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def killed(handle: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("graphopt_governance.documents.os.fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            approve(folder, home=homes[2])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert approve(folder, home=homes[2]).missing == 0


FILES = ("proposal.json", "manifest.json", "ballot.json")


@pytest.mark.parametrize("name", FILES)
def test_links_missing_files_and_strange_ones_are_refused(folder: Path, homes: list[Home], name: str, tmp_path: Path):
    (folder / "more").mkdir()
    with pytest.raises(ProposalError, match="'more', which does not belong"):
        read_proposal(folder)
    (folder / "more").rmdir()
    (folder / "source" / "more").write_bytes(b"")
    with pytest.raises(ProposalError, match="'source/more', which does not belong"):
        read_proposal(folder)
    (folder / "source" / "more").unlink()
    (folder / name).rename(tmp_path / "moved")
    with pytest.raises(GraphoptError, match=f"has no {name}"):
        read_proposal(folder)
    (folder / name).symlink_to(tmp_path / "moved")
    with pytest.raises(GraphoptError, match=r"cannot be opened as a plain file|does not belong"):
        read_proposal(folder)


def test_a_source_that_is_a_link_is_refused(folder: Path, homes: list[Home], source: Path):
    (folder / "source" / "model.onnx").unlink()
    (folder / "source" / "model.onnx").symlink_to(source)
    with pytest.raises(ProposalError, match="does not belong"):
        read_proposal(folder)
    shutil.rmtree(folder / "source")
    (folder / "source").symlink_to(source.parent)
    with pytest.raises(ProposalError, match="does not belong"):
        read_proposal(folder)


def test_a_file_that_is_too_large_is_not_read(folder: Path):
    with (folder / "ballot.json").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(ProposalError, match="more than 1048576 bytes"):
        read_proposal(folder)


@pytest.mark.parametrize(
    "external",
    [
        [{"name": "../../escape", "sha256": "ab" * 32}],
        [{"name": "/etc/passwd", "sha256": "ab" * 32}],
        [{"name": ".hidden", "sha256": "ab" * 32}],
        [{"name": "model.onnx", "sha256": "ab" * 32}],
        [{"name": "a", "sha256": "ab" * 32}, {"name": "a/b", "sha256": "ab" * 32}],
        [{"name": 5}],
        ["a"],
        {"a": "b"},
        5,
    ],
)
def test_a_manifest_cannot_name_a_source_outside_the_proposal(
    homes: list[Home], chain: Chain, source: Path, tmp_path: Path, external: Any
):
    bundle = make_bundle(tmp_path / "hostile")
    (bundle / "manifest.json").unlink()
    recorded = {"sha256": hashlib.sha256(MODEL).hexdigest(), "external": external}
    write_manifest(bundle, {"source": recorded, "options": {}, "targets": []})
    actions.sign(bundle, homes[0])
    with pytest.raises((GraphoptError, OSError)):
        propose(bundle, "digits", tmp_path / "p", source=source, home=homes[0])
    propose(bundle, "digits", tmp_path / "p", source=None, home=homes[0])
    (tmp_path / "p" / "source").mkdir()
    (tmp_path / "p" / "source" / "model.onnx").write_bytes(MODEL)
    with pytest.raises(GraphoptError):
        approve(tmp_path / "p", home=homes[1], rebuild=lambda manifest, source: pytest.fail("compiled"))
    assert read_manifest(bundle).predicate["source"] == recorded


@given(st.sampled_from(FILES), st.data())
def test_no_change_of_a_byte_makes_it_fall_over(
    world: Path, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
):
    folder = Path(shutil.copytree(world / "digits.proposal", tmp_path_factory.mktemp("flipped") / "p"))
    content = bytearray((folder / name).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    (folder / name).write_bytes(content)
    with suppress(GraphoptError):  # anything else fails the test
        read = read_proposal(folder)
        # what is still a proposal says in canonical form what its files say
        assert read.manifest.to_bytes() == (folder / "manifest.json").read_bytes()
        assert strict_json.encode(read.ballot.to_json(), "the test") == (folder / "ballot.json").read_bytes()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(FILES), json_values, st.sampled_from(["whole", "format", "model", "manifests", "action"]))
def test_hostile_json_is_one_sentence(
    world: Path, tmp_path_factory: pytest.TempPathFactory, name: str, value: Any, place: str
):
    folder = Path(shutil.copytree(world / "digits.proposal", tmp_path_factory.mktemp("hostile") / "p"))
    document = json.loads((folder / name).read_bytes())
    document = value if place == "whole" else document | {place: value}
    (folder / name).write_bytes(strict_json.encode(document, "the test"))
    with suppress(GraphoptError):
        read = read_proposal(folder)
        assert (place, read.model) == ("model", value), "only a name may be any text"


def test_a_ballot_file_is_merged_with_what_came_meanwhile(homes: list[Home], chain: Chain, tmp_path: Path):
    file = tmp_path / "revoke.ballot.json"
    ballot = draft(chain, Kind.REVOKE, subject=digest("a"))
    ballot.save(file)
    # both read the same ballot; the second to write finds the first one's signature there
    shown = Shown()

    def meanwhile(lines: Sequence[str]) -> None:
        shown(lines)
        sign_ballot(ballot, chain, homes[2]).save(file)

    assert approve(file, home=homes[1], ask=meanwhile).missing == 0
    assert set(Ballot.load(file).signers()) == {member_card(home).account for home in homes[1:3]}
    assert shown[0] == "revoke"
