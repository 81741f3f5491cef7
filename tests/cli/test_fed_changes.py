"""A federation changes itself: ballots are drafted, signed, merged and relayed, and what cannot be is refused early."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from graphopt_governance.chains.opening import open_chain
from graphopt_governance.decide.governing import sign_ballot
from graphopt_governance.exchange.ballot import Ballot
from tests.cli.organisations import Organisation, federation, organisations


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Organisation]:
    """North, east and west, with a quorum of two."""
    monkeypatch.chdir(tmp_path)
    members = organisations(tmp_path, "north", "east", "west")
    federation(members, "--quorum", 2)
    return members


def signed_by(member: Organisation, ballot: Path, output: Path) -> Path:
    """A copy of the ballot with this member's signature."""
    done = member.graphopt("approve", ballot, "-o", output, "--yes")
    assert done.code == 0, done.err
    return output


def decide(members: list[Organisation], ballot: Path) -> None:
    """Each signs a copy of his own; one relays them all."""
    copies = [signed_by(member, ballot, ballot.with_name(f"{member.name}-{ballot.name}")) for member in members]
    done = members[0].graphopt("fed", "relay", *copies)
    assert done.code == 0, done.err


def rows(member: Organisation) -> dict[int, dict[str, object]]:
    return {row["number"]: row for row in member.graphopt("fed", "status", "--json").data["members"]}


def test_a_member_is_admitted_changed_and_removed(three: list[Organisation], tmp_path: Path) -> None:
    north = three[0]
    south = organisations(tmp_path, "south")[0]
    drafted = north.graphopt("fed", "member", "add", south.card(), "--rights", "propose", "--json").data
    assert drafted["needed"] == 2
    assert "account: 0x" in json.dumps(drafted["says"])
    decide(three[1:], Path(drafted["ballot"]))
    assert rows(north)[4]["rights"] == "propose"
    assert rows(north)[4]["name"] == "south"
    north.graphopt("fed", "member", "change", 4, "--rights", "all", "-o", "change.ballot.json")
    decide(three[:2], Path("change.ballot.json"))
    assert "approve" in str(rows(three[1])[4]["rights"])
    north.graphopt("fed", "quorum", 3, "-o", "quorum.ballot.json")
    decide(three[:2], Path("quorum.ballot.json"))
    north.graphopt("fed", "member", "remove", 4, "-o", "remove.ballot.json")
    decide(three, Path("remove.ballot.json"))
    assert list(rows(north)) == [1, 2, 3]
    told = [row["sentence"] for row in north.graphopt("fed", "log", "--json").data["events"]]
    assert "removed member 4 (south)" in told
    assert any(line.startswith("epoch 5: decisions take 3 approvals") for line in told)
    assert north.graphopt("fed", "log", "--since", 5, "--json").data["events"][-1]["event"] == "RulesChanged"


def test_what_cannot_be_is_refused_before_anybody_signs(three: list[Organisation], tmp_path: Path) -> None:
    north, east, west = three
    assert "is that of member 2" in north.refused("fed", "member", "add", east.card())
    assert "no member 9 now; the members are 1, 2, 3" in north.refused("fed", "member", "remove", 9)
    assert "no member 0" in north.refused("fed", "member", "change", 0, "--rights", "all")
    assert "these rights already" in north.refused("fed", "member", "change", 2, "--rights", "all")
    assert "a quorum of 4 cannot be" in north.refused("fed", "quorum", 4)
    assert "2 approvals already" in north.refused("fed", "quorum", 2)
    assert "0 seconds already" in north.refused("fed", "delay", "0s")
    assert "a delay is" in north.refused("fed", "delay", "99d")
    assert "takes 2 signatures" in north.refused("fed", "quorum", 1, "--execute", "--yes")
    north.graphopt("fed", "quorum", 3, "-o", "q.json")
    decide([east, west], Path("q.json"))
    assert "lower the quorum first" in north.refused("fed", "member", "remove", 2)
    assert "lower the quorum first" in north.refused("fed", "member", "change", 2, "--rights", "report")
    stranger = organisations(tmp_path, "stranger")[0]
    assert "there is no federation" in stranger.refused("fed", "quorum", 1)
    assert "there is no federation" in stranger.refused("fed", "log")


def test_a_ballot_says_what_it_lacks_and_is_not_mixed_with_another(three: list[Organisation]) -> None:
    north, east, west = three
    north.graphopt("fed", "quorum", 3, "-o", "q.json")
    north.graphopt("fed", "quorum", 1, "-o", "other.json")
    assert "lacks 2 of 2 signatures" in north.refused("fed", "relay", "q.json")
    one = signed_by(east, Path("q.json"), Path("east.json"))
    assert "lacks 1 of 2 signatures" in north.refused("fed", "relay", one, "q.json", "-o", "merged.json")
    assert len(Ballot.load(Path("merged.json")).signatures) == 1
    assert "different actions" in north.refused("fed", "relay", "q.json", "other.json")
    two = signed_by(west, Path("q.json"), Path("west.json"))
    done = north.graphopt("fed", "relay", one, two, one, "--json").data
    assert (done["done"], done["signatures"]) == (True, 2)
    assert "epoch 1, now 2; since block 2 3 signatures are needed" in north.refused("fed", "relay", one, two)
    assert "cannot be read" in north.refused("fed", "relay", "none.json")


def test_a_strangers_signature_counts_for_nothing_and_is_told(three: list[Organisation], tmp_path: Path) -> None:
    north, east, _ = three
    stranger = organisations(tmp_path, "stranger")[0]
    stranger.card()
    north.graphopt("fed", "quorum", 3, "-o", "q.json")
    signed_by(east, Path("q.json"), Path("east.json"))
    from graphopt_governance.keys.member_key import load_member_key

    ballot = Ballot.load(Path("east.json"))
    foreign = load_member_key(stranger.home.member_key).sign(ballot.action.identity(ballot.domain))
    replace(ballot, signatures=(*ballot.signatures, foreign)).save(Path("both.json"))
    assert "lacks 1 of 2 signatures (1 of those on it count for nothing" in north.refused("fed", "relay", "both.json")


def test_what_gives_power_waits_and_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    north, south = organisations(tmp_path, "north", "south")
    federation([north], "--delay", "20d")
    execute = ("--execute", "--yes", "--json")
    done = north.graphopt("fed", "member", "add", south.card(), "-o", "add.json", *execute).data
    assert done["done"] is False
    waiting = north.graphopt("fed", "status", "--json").data["waiting"]
    assert [(row["what"], row["ready"]) for row in waiting] == [("admit a new member", done["ready"])]
    assert "waits for its delay: relay it again from" in north.refused("fed", "relay", "add.json")
    # it is not void when its time has come, though that is later than a ballot's usual week
    monkeypatch.setattr("time.time", lambda: float(done["ready"]))
    assert north.graphopt("fed", "relay", "add.json", "--json").data["done"] is True
    assert list(rows(north)) == [1, 2]
    north.graphopt("fed", "quorum", 2, "-o", "q.json", *execute)
    assert len(north.graphopt("fed", "status", "--json").data["waiting"]) == 1
    assert north.graphopt("fed", "cancel", *execute).data["done"] is True
    assert north.graphopt("fed", "status", "--json").data["waiting"] == []
    assert "no signature on it counts any more" in north.refused("fed", "relay", "q.json")
    events = [row["event"] for row in north.graphopt("fed", "log", "--json").data["events"]]
    assert events.count("Scheduled") == 2


def test_without_a_yes_nothing_is_signed_or_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    north = organisations(tmp_path, "north")[0]
    federation([north])
    sentence = north.refused("fed", "delay", "1d", "--execute")
    assert "nothing was signed" in sentence
    assert north.graphopt("fed", "status", "--json").data["rules"]["delay"] == 0


def test_what_is_proposed_is_open_until_it_is_decided(three: list[Organisation]) -> None:
    from graphopt_governance.decide.governing import draft, relay
    from graphopt_governance.protocol.action import Kind

    chain = open_chain(three[0].home)
    assert chain is not None
    digest = b"\x07" * 32
    proposal = draft(chain, Kind.PROPOSE, subject=digest, name=bytes(20), amount=1)
    relay(sign_ballot(proposal, chain, three[1].home), chain)
    (open_now,) = three[0].graphopt("fed", "status", "--json").data["proposed"]
    assert (open_now["digest"], open_now["member"], open_now["version"]) == (digest.hex(), "2 (east)", 1)
    draft(chain, Kind.REVOKE, subject=digest, evidence=b"\x1b[31mno".ljust(32, b"\0")).save(Path("r.json"))
    decide(three[:2], Path("r.json"))
    assert three[0].graphopt("fed", "status", "--json").data["proposed"] == []
    text = three[0].graphopt("fed", "log").out
    assert "member 2 (east) proposed 0707" in text
    assert "revoked 0707" in text
    assert "\x1b" not in text


def test_an_invitation_can_be_written_again(three: list[Organisation], tmp_path: Path) -> None:
    late = organisations(tmp_path, "late")[0]
    assert three[1].graphopt("fed", "invitation", "-o", "again.json").code == 0
    done = late.graphopt("fed", "join", "again.json", "--ledger", three[0].home.ledger, "--yes", "--json")
    assert done.data["member"] is None
    assert "there is no federation" in organisations(tmp_path, "nobody")[0].refused("fed", "invitation")
