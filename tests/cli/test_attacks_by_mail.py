"""What goes between members is anybody's: files that hang or never end, names that deceive, signatures of nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from graphopt.report.content import Format
from graphopt.report.wording import worded
from graphopt_governance.chains.ledger_log import MAX_SIGNATURES, LedgerLog
from graphopt_governance.errors import GraphoptError
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.exchange.proposal import check_model_name
from graphopt_governance.protocol.action import Action, Kind, word
from tests.cli.organisations import Organisation, federation, organisations
from tests.governance.federation import key


@pytest.fixture
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Organisation]:
    monkeypatch.chdir(tmp_path)
    members = organisations(tmp_path, "north", "east", "west")
    federation(members, "--quorum", 2)
    return members


@pytest.mark.parametrize("place", ["fifo", "/dev/zero"])
@pytest.mark.parametrize(
    "command",
    [
        ("fed", "member", "add"),
        ("fed", "relay"),
        ("fed", "join"),
        ("approve",),
        ("audit", "replay"),
        ("fed", "init", "--yes", "--member"),
    ],
)
def test_a_file_that_hangs_or_never_ends_is_refused_at_once(
    tmp_path: Path, members: list[Organisation], command: tuple[str, ...], place: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    nobody = organisations(tmp_path, "nobody")[0]
    member = nobody if command[1:2] in (("join",), ("init",)) else members[0]
    assert "not a plain file" in member.refused(*command, place)


HIDDEN: dict[Kind, Callable[[Action], Action]] = {
    Kind.REMOVE: lambda action: replace(action, subject=word(3), evidence=bytes(31) + b"1"),
    Kind.QUORUM: lambda action: replace(action, amount=3, subject=word(3)),
    Kind.CANCEL: lambda action: replace(action, amount=1),
    Kind.DELAY: lambda action: replace(action, amount=60, nonce=1),
    Kind.REVOKE: lambda action: replace(action, subject=bytes(31) + b"1", expires=2**40),
    Kind.ADMIT: lambda action: replace(action, amount=63),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_ballot_that_says_more_than_it_shows_is_signed_by_nobody(
    members: list[Organisation], tmp_path: Path, kind: Kind
) -> None:
    drafted = members[0].graphopt("fed", "member", "remove", 3, "-o", "b.json")
    assert drafted.code == 0
    plain = Ballot.load(tmp_path / "b.json")
    epoch = 0 if kind is Kind.REMOVE else 1
    action = Action(kind, epoch=epoch, deadline=plain.action.deadline)
    replace(plain, action=HIDDEN[kind](action)).save(tmp_path / "b.json")
    for command in (("approve", "b.json", "--yes"), ("fed", "relay", "b.json")):
        assert "carries more than what is shown of it" in members[1].refused(*command)


@pytest.mark.parametrize("name", ["digits ", " digits", "two  blanks", "", "di\u200bgits", "\udcff", "a\u00a0b"])
def test_a_model_is_named_so_that_it_reads_as_what_it_is(name: str) -> None:
    check_model_name("large digits 2")
    with pytest.raises(GraphoptError, match="single blanks only"):
        check_model_name(name)


def test_text_that_is_no_utf_8_is_one_sentence(members: list[Organisation], monkeypatch: pytest.MonkeyPatch) -> None:
    reason = ("revoke", "ab" * 32, "--emergency", "--yes", "--reason", "\udcff")
    assert "this is none" in members[0].refused(*reason)
    monkeypatch.setenv("GRAPHOPT_PASSPHRASE", "\udcff")
    assert "is no UTF-8" in organisations(members[0].folder.parent, "new")[0].refused("fed", "card", "--yes")


def test_thirty_one_bytes_and_a_blank_are_no_digest(members: list[Organisation]) -> None:
    assert "not a bundle" in members[0].refused("revoke", "ab" * 31 + "  ", "--emergency", "--yes")


def test_a_time_past_every_calendar_is_shown_as_a_number() -> None:
    assert worded(86401795299715, Format.TIME) == "second 86401795299715"
    assert worded(2**255, Format.TIME).startswith("second ")


def test_a_federation_whose_place_cannot_be_written_down_is_not_founded(tmp_path: Path) -> None:
    north = organisations(tmp_path, "north")[0]
    ledger = tmp_path / "two\nlines.sqlite3"
    assert "printable" in north.refused("fed", "init", "--ledger", ledger, "--yes", "-o", tmp_path / "i.json")
    assert not ledger.exists()
    assert "no federation" in north.refused("fed", "status")


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\nsecret\n", b"\xff\n", b"x" * 5000])
def test_a_file_with_no_passphrase_in_it_protects_nothing_and_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "passphrase").write_bytes(content)
    monkeypatch.setenv("GRAPHOPT_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    north = organisations(tmp_path, "north")[0]
    assert "the passphrase file" in north.refused("fed", "card", "--yes", "-o", tmp_path / "c.json")
    assert not north.home.member_key.exists()


def test_strangers_signatures_cannot_fill_a_log(members: list[Organisation], tmp_path: Path) -> None:
    assert members[0].graphopt("audit", "export", "-o", "log.json", "--sign", "--yes").code == 0
    log = LedgerLog.load(tmp_path / "log.json")
    for stranger in range(1, MAX_SIGNATURES):
        log = log.signed(key(stranger))
    log.save(tmp_path / "log.json")
    done = members[1].graphopt("audit", "replay", "log.json", "--sign", "--yes")
    assert done.code == 0, done.err
    assert "compared with yours: the same history" in done.err
    audit = members[2].graphopt("audit", "replay", "log.json", "--json").data
    assert (audit["signed"], audit["strangers"]) == (2, 0)


def test_a_full_disk_takes_no_signature_off_a_log(
    members: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert members[0].graphopt("audit", "export", "-o", "log.json", "--sign", "--yes").code == 0
    before = (tmp_path / "log.json").read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in members[1].refused("audit", "replay", "log.json", "--sign", "--yes")
    assert (tmp_path / "log.json").read_bytes() == before
    assert json.loads(before)["signatures"]


def test_a_signed_ballot_is_not_written_over_by_another(members: list[Organisation], tmp_path: Path) -> None:
    draft = ("fed", "member", "remove", 3, "-o", "b.json")
    assert members[0].graphopt(*draft).code == 0
    assert members[0].graphopt(*draft).code == 0  # nobody has signed it
    assert members[1].graphopt("approve", "b.json", "--yes").code == 0
    signed = (tmp_path / "b.json").read_bytes()
    assert "would be lost" in members[0].refused("fed", "quorum", 3, "-o", "b.json")
    assert (tmp_path / "b.json").read_bytes() == signed


def test_whom_a_ballot_is_about_and_what_changes_is_shown(members: list[Organisation]) -> None:
    assert members[2].graphopt("fed", "member", "rotate", "-o", "r.json", "--yes").code == 0
    shown = members[0].graphopt("approve", "r.json", "--yes").err
    assert "  now member 3 (west): account 0x" in shown
    assert "  what changes: account, signing key, sealing key\n" in shown
    assert members[0].graphopt("fed", "member", "remove", 2, "-o", "d.json").code == 0
    assert "  now member 2 (east): account 0x" in members[2].graphopt("approve", "d.json", "--yes").err
