"""Several organisations found a federation, join it and see it, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rfc8785

from tests.cli.organisations import Organisation, federation, organisations


@pytest.fixture
def three(tmp_path: Path) -> list[Organisation]:
    return organisations(tmp_path, "north", "east", "west")


def test_three_organisations_found_and_join_a_federation_on_one_ledger(three: list[Organisation]) -> None:
    federation(three, "--quorum", 2, "--delay", "1d")
    for number, member in enumerate(three, 1):
        status = member.graphopt("fed", "status", "--json").data
        assert status["rules"] == {"quorum": 2, "delay": 86400, "epoch": 1}
        assert [row["name"] for row in status["members"]] == ["north", "east", "west"]
        assert [row["number"] for row in status["members"] if row["you"]] == [number]
        assert "without consensus" in status["ledger"]


def test_what_is_founded_is_shown_and_asked_for(three: list[Organisation], tmp_path: Path) -> None:
    card = three[1].card("--rights", "approve,revoke,report")
    done = three[0].graphopt("fed", "init", "--member", card, "--quorum", 2)
    assert done.code == 2
    assert "nothing was founded" in done.err.splitlines()[-1]
    assert json.loads(card.read_bytes())["account"] in done.err
    assert "rights: approve, revoke, report" in done.err
    assert not three[0].home.ledger.exists()
    assert "no federation" in three[0].refused("fed", "status")


def test_a_card_with_somebody_elses_key_is_refused(three: list[Organisation], tmp_path: Path) -> None:
    first, second = (json.loads(member.card().read_bytes()) for member in three[1:])
    forged = tmp_path / "forged.json"
    for field in ("account", "signing_key", "sealing_key", "name", "rights"):
        altered = first | {field: ["approve"] if field == "rights" else second[field]}
        forged.write_bytes(rfc8785.dumps(altered))
        assert "was not made with the key of account" in three[0].refused("fed", "init", "--member", forged, "--yes")


def test_a_federation_that_cannot_be_is_refused_before_it_is_founded(three: list[Organisation]) -> None:
    north, east, _ = three
    card = east.card("--rights", "propose")
    init = ("fed", "init", "--yes", "--member", card)
    assert "1 of the members may approve" in north.refused(*init, "--quorum", 2)
    assert "a quorum of 0" in north.refused(*init, "--quorum", 0)
    assert "the same account" in north.refused(*init, "--member", card)
    assert "a delay is" in north.refused(*init, "--quorum", 1, "--delay", "31d")
    assert "no length of time" in north.refused(*init, "--delay", "soon")
    voter = east.card("--rights", "approve")
    assert "nothing could be revoked: 1" in north.refused("fed", "init", "--yes", "--member", voter, "--quorum", 2)
    assert "no right 'fly'" in north.refused(*init, "--rights", "fly")
    assert "cannot be read" in north.refused("fed", "init", "--member", north.folder / "none")
    assert not north.home.federation.exists()


def test_a_second_federation_is_not_founded_over_the_first(three: list[Organisation]) -> None:
    federation(three)
    assert "in a federation already" in three[0].refused("fed", "init", "--yes")


def test_another_federation_is_joined_only_when_the_first_is_left(three: list[Organisation], tmp_path: Path) -> None:
    invitation = federation(three[:2])
    stranger = organisations(tmp_path, "stranger")[0]
    other = federation([stranger])
    east, west = three[1:]
    join = ("fed", "join", other, "--ledger", stranger.home.ledger, "--yes")
    assert "--replace leaves that one" in east.refused(*join)
    done = east.graphopt(*join, "--replace", "--json")
    assert done.data["member"] is None
    assert "none of these accounts is yours" in done.err
    wrong = ("fed", "join", invitation, "--ledger", stranger.home.ledger, "--yes")
    assert "is that of another federation" in west.refused(*wrong)
    assert "say how the federation is reached" in west.refused("fed", "join", invitation, "--yes")
    assert "nothing was joined" in west.refused("fed", "join", invitation, "--ledger", three[0].home.ledger)
    assert not west.home.federation.exists()
