"""A federation stays able to do what it is for: no founding and no change leaves a right with too few to use it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from graphopt.errors import GraphoptError
from graphopt_governance.chains.chain import Chain
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.decide import acting, changes
from graphopt_governance.decide.deciding import approve
from graphopt_governance.decide.founding import Charter
from graphopt_governance.decide.governing import draft, found, sign_ballot
from graphopt_governance.decide.review import check_ballot, member_lines
from graphopt_governance.errors import BallotError
from graphopt_governance.exchange.ballot import MAX_LASTING, MAX_REMOVAL_LASTING, Ballot
from graphopt_governance.exchange.cards import make_card
from graphopt_governance.exchange.names import Names
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import ALL_RIGHTS, Action, Domain, Kind, Right, word
from graphopt_governance.protocol.batch import MAX_SIZE

from .federation import digest
from .members import card, homes

FEW = Right.APPROVE | Right.PROPOSE
"""All but the right to revoke."""


@pytest.fixture
def three(tmp_path: Path) -> list[Home]:
    return homes(tmp_path, "north", "east", "west")


def federation(owners: list[Home], quorum: int, *rights: Right) -> Chain:
    return found(owners[0], [card(owner, right) for owner, right in zip(owners, rights, strict=True)], quorum)


@pytest.mark.parametrize(
    ("quorum", "rights", "sentence"),
    [
        (2, (ALL_RIGHTS, FEW, FEW), "nothing could be revoked: 1 of the members may, and 2 must sign"),
        (1, (FEW, FEW, FEW), "nothing could be revoked: 0 of the members may, and 1 must sign"),
        (3, (ALL_RIGHTS, ALL_RIGHTS, FEW), "nothing could be revoked: 2"),
        (2, (Right.APPROVE | Right.REVOKE,) * 3, "nothing could be proposed: none of the members may"),
    ],
)
def test_what_nobody_could_ever_do_is_no_federation(
    three: list[Home], quorum: int, rights: tuple[Right, ...], sentence: str
):
    with pytest.raises(BallotError, match=sentence):
        federation(three, quorum, *rights)
    cards = tuple(make_card(owner, rights=right) for owner, right in zip(three, rights, strict=True))
    with pytest.raises(BallotError, match=sentence):
        Charter(cards, quorum).check()


def test_no_change_leaves_too_few_to_revoke_or_none_to_propose(three: list[Home]):
    chain = federation(three, 2, ALL_RIGHTS, Right.APPROVE | Right.REVOKE, FEW & ~Right.PROPOSE)
    with pytest.raises(BallotError, match=r"could be revoked: 1 of .* give the right to more members first"):
        changes.draft_rights(chain, 2, Right.APPROVE)
    with pytest.raises(BallotError, match="could be proposed: none"):
        changes.draft_rights(chain, 1, ALL_RIGHTS & ~Right.PROPOSE)
    with pytest.raises(BallotError, match="could be revoked: 2 of the members may, and 3 must"):
        changes.draft_quorum(chain, 3)
    assert changes.draft_rights(chain, 3, ALL_RIGHTS)
    assert changes.draft_quorum(chain, 1)


def test_nobody_signs_such_a_change_that_another_tool_drafted(three: list[Home], tmp_path: Path):
    chain = federation(three, 2, ALL_RIGHTS, ALL_RIGHTS, FEW)
    ballot = draft(chain, Kind.QUORUM, amount=3)
    ballot.save(tmp_path / "b.json")
    with pytest.raises(BallotError, match="could be revoked: 2 of the members may, and 3 must"):
        approve(tmp_path / "b.json", home=three[0])


def test_a_federation_that_is_that_way_already_can_be_mended(three: list[Home]):
    # the contract makes it: so could a version before, or another tool
    chain = Ledger.create(three[0].ledger, [card(o, r) for o, r in zip(three, (ALL_RIGHTS, FEW, FEW), strict=True)], 2)
    with pytest.raises(BallotError, match=r"takes 2 signatures, and only 1 .* may revoke; one member .*--emergency"):
        acting.revoke(acting.Member(three[0]), digest("a").hex(), output=three[0].folder / "b.json")
    assert not (three[0].folder / "b.json").exists()
    # what is no worse than before is no reason to refuse
    check_ballot(changes.draft_rights(chain, 3, ALL_RIGHTS), chain)
    check_ballot(changes.draft_quorum(chain, 1), chain)
    check_ballot(changes.draft_rights(chain, 3, FEW | Right.REPORT), chain)


def test_a_removal_that_leaves_too_few_says_so_and_is_not_kept_from(three: list[Home]):
    chain = federation(three, 2, ALL_RIGHTS, ALL_RIGHTS, FEW)
    ballot = changes.draft_removal(chain, 2)
    told = member_lines(ballot, check_ballot(ballot, chain), Names())
    assert any("AFTERWARDS nothing could be revoked: 1 of the members may, and 2 must" in line for line in told)
    ballot = changes.draft_removal(chain, 3)
    assert not any("AFTERWARDS" in line for line in member_lines(ballot, check_ballot(ballot, chain), Names()))


@pytest.mark.parametrize(
    ("kind", "most", "fields"),
    [
        (Kind.REVOKE, MAX_LASTING, {"subject": digest("a")}),
        (Kind.QUORUM, MAX_LASTING, {"amount": 1}),
        (Kind.REMOVE, MAX_REMOVAL_LASTING, {"subject": word(3)}),
    ],
)
def test_no_signature_counts_for_longer_than_anybody_can_overlook(
    three: list[Home], tmp_path: Path, kind: Kind, most: int, fields: dict[str, object]
):
    chain = federation(three, 2, ALL_RIGHTS, ALL_RIGHTS, ALL_RIGHTS)
    ballot: Ballot = draft(chain, kind, **fields)
    with pytest.raises(BallotError, match="would count until"):
        draft(chain, kind, lasts=most + 60, **fields)
    for deadline in (int(time.time()) + most + 60, 2**64, 2**256 - 1):
        lasting = replace(ballot, action=replace(ballot.action, deadline=deadline))
        lasting.save(tmp_path / "b.json")
        for sign in (
            lambda ballot: sign_ballot(ballot, chain, three[0]),
            lambda ballot: approve(tmp_path / "b.json", home=three[0]),
        ):
            with pytest.raises(GraphoptError, match=rf"would count until .* may for {most // 86400} days"):
                sign(lasting)
    assert sign_ballot(ballot, chain, three[0]).signatures


def test_cancelling_does_not_say_that_it_voids_removals():
    ballot = Ballot(Domain(2**48, bytes(20)), Action(Kind.CANCEL))
    assert ballot.describe()[0] == "void everything that waits or was signed so far, but removals"


@pytest.mark.parametrize("size", [0, MAX_SIZE + 1, 2**255])
def test_nobody_signs_a_batch_of_a_size_that_no_proof_is_read_of(three: list[Home], size: int):
    chain = federation(three, 1, ALL_RIGHTS, ALL_RIGHTS, ALL_RIGHTS)
    with pytest.raises(BallotError, match="a batch has 1 to"):
        check_ballot(draft(chain, Kind.BATCH, subject=digest("a"), amount=size), chain)
