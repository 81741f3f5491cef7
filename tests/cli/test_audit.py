"""A ledger's log on the command line: exported, replayed, signed by members, and convicting who shows two histories."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import rfc8785

from tests.cli.organisations import Organisation, federation, organisations


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Organisation]:
    monkeypatch.chdir(tmp_path)
    members = organisations(tmp_path, "north", "east", "west")
    federation(members, "--quorum", 1)
    act(members[0], "1h")
    return members


def act(member: Organisation, delay: str) -> None:
    """Put one block on record."""
    done = member.graphopt(
        "fed", "delay", delay, "--execute", "--yes", "-o", f"delay-{member.name}-{delay}.ballot.json"
    )
    assert done.code == 0, done.err


def test_members_replay_and_sign_one_history(three: list[Organisation]) -> None:
    north, east, west = three
    assert north.graphopt("audit", "export", "-o", "a.json", "--sign", "--yes", "--json").data["signatures"] == 1
    audit = east.graphopt("audit", "replay", "a.json", "--json").data
    assert audit["agreement"] == "the same history"
    assert (audit["signers"], audit["members"], audit["blocks"]) == ("1 (north)", 3, 2)
    # the same member twice is one signature
    for member, file in ((east, "b.json"), (west, "b.json"), (west, "b.json")):
        source = "a.json" if not Path("b.json").exists() else "b.json"
        assert member.graphopt("audit", "replay", source, "--sign", "-o", file, "--yes").code == 0
    assert north.graphopt("audit", "replay", "b.json", "--json").data["signed"] == 3
    assert len(json.loads(Path("b.json").read_bytes())["signatures"]) == 3


def test_a_log_that_is_behind_or_ahead_contradicts_nothing(three: list[Organisation], tmp_path: Path) -> None:
    north, _, west = three
    north.graphopt("audit", "export", "-o", "old.json")
    copy = tmp_path / "copy.sqlite3"
    with sqlite3.connect(north.home.ledger) as here, sqlite3.connect(copy) as there:
        here.backup(there)
    joined = ("fed", "join", f"{north.name}.invitation.json", "--ledger", copy, "--yes")
    # another place for the federation that it is in can show another history of it
    assert "only with --replace" in west.refused(*joined)
    assert west.graphopt(*joined, "--replace").code == 0
    act(north, "0")
    north.graphopt("audit", "export", "-o", "new.json")
    assert "goes on where the log ends" in north.graphopt("audit", "replay", "old.json", "--json").data["agreement"]
    assert "goes on where the ledger" in west.graphopt("audit", "replay", "new.json", "--json").data["agreement"]
    # and when the copy goes another way, that is two histories of one ledger
    act(west, "2h")
    done = west.graphopt("audit", "replay", "new.json", "--json")
    assert done.code == 20
    assert (done.data["contradicts"], done.data["first_difference"]) == (True, 3)
    assert "contradicts the ledger here, from block 3 on" in done.err
    unsigned = west.graphopt("audit", "replay", "new.json", "--sign", "--yes", "-o", "signed.json")
    assert unsigned.code == 20
    assert not Path("signed.json").exists()


def test_a_log_says_nothing_about_another_federation_or_nowhere(three: list[Organisation], tmp_path: Path) -> None:
    stranger, nobody = organisations(tmp_path, "stranger", "nobody")
    federation([stranger])
    three[0].graphopt("audit", "export", "-o", "a.json", "--sign", "--yes")
    assert "another federation" in stranger.graphopt("audit", "replay", "a.json", "--json").data["agreement"]
    nowhere = nobody.graphopt("audit", "replay", "a.json", "--json").data
    assert "nothing here to compare" in nowhere["agreement"]
    assert nowhere["signed"] == 1
    signing = ("audit", "replay", "a.json", "--sign", "--yes", "-o", "s.json")
    assert "no member's account in this log" in stranger.refused(*signing)
    assert not Path("s.json").exists()
    assert "no ledger here" in nobody.refused("audit", "export", "-o", "n.json")
    assert "no member key" in nobody.refused("audit", "replay", "a.json", "--sign", "--yes")


def test_a_log_that_was_changed_does_not_replay(three: list[Organisation]) -> None:
    north = three[0]
    north.graphopt("audit", "export", "-o", "a.json", "--sign", "--yes")
    good = json.loads(Path("a.json").read_bytes())

    def told(**changed: object) -> str:
        Path("bad.json").write_bytes(rfc8785.dumps(good | changed))
        return north.refused("audit", "replay", "bad.json")

    calls = good["calls"]
    later = {**calls[1], "time": calls[1]["time"] + 1}
    assert "head that it claims" in told(calls=[calls[0], later])
    assert "head that it claims" in told(calls=calls[:1])
    assert "does not begin with the federation's contract" in told(calls=[])
    assert "does not begin with the federation's contract" in told(calls=[{**calls[0], "data": "60015ff3"}])
    assert "head that it claims" in told(head="00" * 32)
    assert "has chain id 7" in told(chain="7")
    assert "does not replay" in told(chain=str(2**48 + 7))
    assert "signature" in told(signatures=["00" * 65])
    assert "a number below" in told(chain="x")
    assert "does not replay" in told(calls=[{**calls[0], "data": calls[0]["data"] + "00" * 40000}])
    assert "a time" in told(genesis_time=-1)
    assert "not hexadecimal" in told(calls=[{"time": 1, "data": "xy"}])
    assert "is not a time and data" in told(calls=[[]])
    assert "cannot be read" in north.refused("audit", "replay", "none.json")


def test_a_real_chain_is_its_own_log(three: list[Organisation], monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from graphopt_governance.chains.opening import open_chain
    from graphopt_governance.decide import auditing

    chain = open_chain(three[0].home)
    assert chain is not None

    class Elsewhere:
        domain = replace(chain.domain, chain_id=1)

    monkeypatch.setattr(auditing, "open_chain", lambda home: Elsewhere())
    assert "chain 1, which is its own log" in three[0].refused("audit", "export", "-o", "a.json")


def test_nothing_is_vouched_for_without_a_yes(three: list[Organisation]) -> None:
    assert "nothing was signed" in three[0].refused("audit", "export", "-o", "a.json", "--sign")
    assert not Path("a.json").exists()
