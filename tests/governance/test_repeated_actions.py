"""Doing the same thing again, later, is another thing: on the embedded ledger and over a node's RPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from graphopt_governance import actions
from graphopt_governance.chains import rpc_endpoint
from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide.acting import Member, roll_back
from graphopt_governance.decide.changes import draft_admission, draft_cancel, draft_quorum
from graphopt_governance.decide.deciding import sign_decoded
from graphopt_governance.decide.founding import (
    Charter,
    found_federation,
    invitation_to,
    own_federation,
    prepare_to_join,
)
from graphopt_governance.decide.relaying import Relayed, relay_ballots
from graphopt_governance.exchange.ballot import Ballot, unasked
from graphopt_governance.exchange.cards import Card, make_card
from graphopt_governance.home import Home

from .conftest import make_bundle
from .ethereum_node import InProcessNode, fund

URL = "http://node.invalid:8545"
HOUR = 3600


@dataclass(frozen=True)
class Two:
    """Two members of one federation, one approval is enough; and the card of somebody who is none yet."""

    north: Home
    east: Home
    card: Card

    def chain(self, home: Home) -> Chain:
        return own_federation(home)

    def do(self, home: Home, draft: Callable[[Chain], Ballot]) -> Relayed:
        chain = own_federation(home)
        chain.settle()
        ballot = sign_decoded(draft(chain), chain, home, lambda: None, unasked)[0]
        return relay_ballots([ballot], chain)

    def epoch(self) -> int:
        return self.chain(self.north).snapshot().state.number("epoch")


@pytest.fixture(params=["embedded", "over RPC"])
def found(
    request: pytest.FixtureRequest, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], Two]:
    """Founds a federation whose changes wait so many seconds."""
    node = InProcessNode()
    monkeypatch.setattr(rpc_endpoint, "provider_at", lambda _: node)
    where = URL if request.param == "over RPC" else None

    def founded(delay: int) -> Two:
        homes = [Home(tmp_path / name, where) for name in ("north", "east", "west")]
        cards = [make_card(member) for member in homes]
        if where is not None:
            for card in cards:
                fund(node, card.account)
        found_federation(homes[0], Charter(tuple(cards[:2]), 1, delay))
        ledger = None if where is not None else homes[0].ledger
        prepare_to_join(homes[1], invitation_to(homes[0]), ledger).keep(homes[1])
        return Two(homes[0], homes[1], cards[2])

    return founded


def test_a_second_cancellation_voids_what_waits_since_the_first(found: Callable[[int], Two]):
    two = found(HOUR)
    two.do(two.north, draft_cancel)
    waiting = two.do(two.east, lambda chain: draft_admission(chain, two.card))
    assert waiting.ready is not None
    epoch = two.epoch()
    two.do(two.north, draft_cancel)
    assert two.epoch() == epoch + 1, "what waits was signed under an epoch that is over"


def test_a_second_rollback_undoes_what_another_member_did_since_the_first(found: Callable[[int], Two], tmp_path: Path):
    two = found(0)
    bundles = [make_bundle(tmp_path / str(version), f"{version:064x}") for version in (1, 2)]
    for bundle in bundles:
        actions.sign(bundle, two.north)
        actions.anchor(bundle, "digits", home=two.north)
    codes: list[Sequence[int]] = []
    for home, bundle in ((two.north, bundles[0]), (two.east, bundles[1]), (two.north, bundles[0])):
        roll_back(Member(home), bundle)
        codes.append([actions.verify(of, two.east).exit_code for of in bundles])
    assert codes == [[0, 17], [17, 0], [0, 17]]


def test_an_admission_after_a_cancellation_waits_again(found: Callable[[int], Two]):
    two = found(HOUR)
    first = two.do(two.north, lambda chain: draft_admission(chain, two.card))
    two.do(two.east, draft_cancel)
    again = two.do(two.north, lambda chain: draft_admission(chain, two.card))
    assert None not in (first.ready, again.ready)
    assert again.block > first.block


def test_a_change_after_it_was_changed_back_is_made_again(found: Callable[[int], Two]):
    two = found(0)
    quorums: list[int] = []
    # each takes one approval, but the one that makes it one again
    two.do(two.north, lambda chain: draft_quorum(chain, 2))
    quorums.append(two.chain(two.east).snapshot().state.number("quorum"))
    chain = two.chain(two.east)
    ballot = draft_quorum(chain, 1)
    for home in (two.north, two.east):
        ballot = sign_decoded(ballot, chain, home, lambda: None, unasked)[0]
    relay_ballots([ballot], chain)
    quorums.append(two.chain(two.east).snapshot().state.number("quorum"))
    two.do(two.north, lambda chain: draft_quorum(chain, 2))
    quorums.append(two.chain(two.east).snapshot().state.number("quorum"))
    assert quorums == [2, 1, 2]


def test_a_suspension_after_a_restoration_suspends_again(found: Callable[[int], Two], bundle: Path):
    from graphopt_governance.decide.acting import restore

    two = found(0)
    actions.sign(bundle, two.north)
    actions.anchor(bundle, home=two.north)
    codes: list[int] = []
    for act in ("suspend", "restore", "suspend"):
        if act == "suspend":
            actions.revoke(bundle, "odd", emergency=True, home=two.north)
        else:
            restore(Member(two.east), bundle)
        codes.append(actions.verify(bundle, two.east).exit_code)
    assert codes == [15, 0, 15]
