"""Three organisations with three sets of keys and one ledger: drafting, gathering signatures in a file, relaying."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.bundle import read_manifest
from graphopt.errors import BundleError
from graphopt_governance import actions
from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide.governing import (
    draft,
    draft_approval,
    found,
    log,
    member_card,
    relay,
    sign_ballot,
    standing,
)
from graphopt_governance.errors import ActionError, BallotError, ChainError, KeyFileError
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import Action, Domain, Kind, Right
from graphopt_governance.verdict.verify import verify_bundle

from .federation import digest, key, number


@pytest.fixture
def homes(tmp_path: Path, home: Home) -> list[Home]:
    """Three members; the ledger is in the first one's home.  A fourth is a stranger."""
    return [Home(tmp_path / name) for name in ("north", "east", "west", "stranger")]


@pytest.fixture
def chain(homes: list[Home]) -> Chain:
    """A federation of three with a quorum of two."""
    return found(homes[0], [member_card(home) for home in homes[:3]], quorum=2)


def decide(chain: Chain, homes: list[Home], kind: Kind, **fields: Any) -> None:
    ballot = draft(chain, kind, **fields)
    for home in homes:
        ballot = sign_ballot(ballot, chain, home)
    relay(ballot, chain)


def test_three_organisations_approve_run_and_withdraw_a_model(
    homes: list[Home], chain: Chain, bundle: Path, tmp_path: Path
):
    manifest = read_manifest(bundle)
    north, east, west = homes[:3]
    relay(sign_ballot(draft_approval(chain, manifest, "digits", propose=True), chain, north), chain)
    actions.sign(bundle, north)

    # the file goes from hand to hand; each reads what it says before signing
    file = tmp_path / "ballot.json"
    draft_approval(chain, manifest, "digits").save(file)
    for home in (east, west):
        ballot = Ballot.load(file)
        assert manifest.digest.hex() in "\n".join(ballot.describe())
        sign_ballot(ballot, chain, home).save(file)
    relay(Ballot.load(file), chain)

    verdict = verify_bundle(bundle, chain)
    assert verdict.approved, verdict.sentence
    ChainGate(chain).admit(read_manifest(bundle))
    decide(chain, [west], Kind.SUSPEND, subject=manifest.digest, evidence=b"drift".ljust(32, b"\0"))
    assert "by member 3" in verify_bundle(bundle, chain).sentence
    assert [event["event"] for event in log(chain)][-3:] == ["Proposed", "Anchored", "Suspended"]
    json.dumps(log(chain))


def test_too_few_signatures_are_not_even_sent(homes: list[Home], chain: Chain):
    ballot = sign_ballot(draft(chain, Kind.REVOKE, subject=digest("a")), chain, homes[0])
    with pytest.raises(BallotError, match="lacks 1 of 2"):
        relay(ballot, chain)


def test_nobody_signs_twice_nor_without_the_right(homes: list[Home], chain: Chain):
    ballot = sign_ballot(draft(chain, Kind.REVOKE, subject=digest("a")), chain, homes[0])
    with pytest.raises(BallotError, match="signed this already"):
        sign_ballot(ballot, chain, homes[0])
    with pytest.raises(KeyFileError, match="no member key"):
        sign_ballot(ballot, chain, homes[3])
    member_card(homes[3])
    with pytest.raises(BallotError, match="not a member"):
        sign_ballot(ballot, chain, homes[3])
    card = member_card(homes[3])
    decide(chain, homes[:2], Kind.ADMIT, name=card.account, amount=int(Right.REPORT), evidence=card.signing)
    with pytest.raises(BallotError, match="may not revoke"):
        sign_ballot(draft(chain, Kind.REVOKE, subject=digest("a")), chain, homes[3])


def test_the_standing_tells_who_decides(homes: list[Home], chain: Chain):
    card = member_card(homes[3])
    decide(chain, homes[:2], Kind.ADMIT, name=card.account, amount=int(card.rights), evidence=card.signing)
    decide(chain, homes[:2], Kind.QUORUM, amount=3)
    decide(chain, homes[:3], Kind.REMOVE, subject=number(1))
    now = standing(chain)
    assert (now.quorum, now.epoch) == (3, 4)
    assert [member.number for member in now.members] == [2, 3, 4]
    assert now.members[2].account == card.account
    json.dumps(now.to_json())


def test_a_bundle_of_a_member_who_left_needs_a_new_signature(homes: list[Home], chain: Chain, bundle: Path):
    actions.sign(bundle, homes[0])
    ballot = draft_approval(chain, read_manifest(bundle), "digits")
    for home in homes[:2]:
        ballot = sign_ballot(ballot, chain, home)
    relay(ballot, chain)
    decide(chain, homes[1:3], Kind.REMOVE, subject=number(1))
    assert "signed by member 1, who has left" in verify_bundle(bundle, chain).sentence
    actions.sign(bundle, homes[1])
    assert verify_bundle(bundle, chain).approved


def test_what_waits_is_relayed_a_second_time_when_it_is_ready(homes: list[Home], monkeypatch: pytest.MonkeyPatch):
    chain = found(homes[0], [member_card(homes[0])], quorum=1, delay=86400)
    card = member_card(homes[1])
    fields: dict[str, Any] = {"name": card.account, "amount": int(card.rights), "evidence": card.signing}
    ballot = sign_ballot(draft(chain, Kind.ADMIT, **fields), chain, homes[0])
    relay(ballot, chain)
    with pytest.raises(ActionError, match="not ready yet"):
        relay(ballot, chain)
    later = chain.snapshot().time + 86400
    monkeypatch.setattr("time.time", lambda: float(later))
    relay(ballot, chain)
    assert len(standing(chain).members) == 2


def test_a_ballot_of_another_federation_is_refused(homes: list[Home], chain: Chain):
    ballot = draft(chain, Kind.REVOKE, subject=digest("a"))
    other = replace(ballot, domain=Domain(ballot.domain.chain_id + 1, ballot.domain.contract))
    for use in (lambda: sign_ballot(other, chain, homes[0]), lambda: relay(other, chain)):
        with pytest.raises(BallotError, match="another federation"):
            use()


def test_a_second_federation_is_not_founded_over_the_first(homes: list[Home], chain: Chain):
    with pytest.raises(ChainError, match="already"):
        found(homes[0], [member_card(homes[0])], quorum=1)


def test_every_kind_of_action_is_shown_decoded():
    domain = Domain(7, bytes(20))
    for kind in Kind:
        lines = Ballot(domain, Action(kind, subject=digest("a"), evidence=b"\x1b[31mred".ljust(32, b"\0"))).describe()
        assert all(line.isprintable() for line in lines)
        assert len(lines) >= 4


words = st.binary(min_size=32, max_size=32)
amounts = st.integers(0, 2**256 - 1)
ballots = st.builds(
    Ballot,
    st.builds(Domain, amounts, st.binary(min_size=20, max_size=20)),
    st.builds(
        Action,
        st.sampled_from(Kind),
        words,
        st.binary(min_size=20, max_size=20),
        amounts,
        amounts,
        words,
        words,
        amounts,
        amounts,
        amounts,
    ),
)


@given(ballots)
def test_a_ballot_survives_its_file(tmp_path_factory: pytest.TempPathFactory, ballot: Ballot):
    signature = key(1).sign(ballot.action.identity(ballot.domain))
    signed = replace(ballot, signatures=(signature,))
    file = tmp_path_factory.mktemp("ballot") / "ballot.json"
    signed.save(file)
    assert Ballot.load(file) == signed
    assert list(signed.signers()) == [key(1).account]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "graphopt/ballot/v2"),
        (("chain",), 7),
        (("chain",), "07"),
        (("chain",), "-7"),
        (("chain",), str(2**256)),
        (("contract",), "AB" * 20),
        (("action", "kind"), "GRANT"),
        (("action", "kind"), ["ANCHOR"]),
        (("action", "subject"), "ab"),
        (("action", "amount"), "1e3"),
        (("action", "extra"), "1"),
        (("signatures",), "ab"),
        (("signatures",), ["ab" * 64]),
        (("signatures",), ["00" * 65]),
        (("signatures",), ["ff" * 64 + "1b"]),
        (("signatures",), ["00" * 64 + "1b"]),
        (("signatures",), ["ab" * 65] * 33),
    ],
)
def test_a_ballot_of_another_form_is_refused(path: tuple[str, ...], value: Any):
    document: Any = Ballot(Domain(7, bytes(20)), Action(Kind.CANCEL)).to_json()
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(BallotError):
        Ballot.from_json(document)


@given(st.binary(max_size=100))
def test_a_file_that_is_no_ballot_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    file = tmp_path_factory.mktemp("ballot") / "ballot.json"
    file.write_bytes(content)
    with pytest.raises((BallotError, BundleError)):
        Ballot.load(file)


def test_ballots_that_went_to_two_members_at_once_are_merged(homes: list[Home], chain: Chain):
    ballot = draft(chain, Kind.REVOKE, subject=digest("a"))
    east, west = (sign_ballot(ballot, chain, home) for home in homes[1:3])
    with pytest.raises(BallotError, match="lacks 1 of 2"):
        relay(east.merged(east), chain)
    relay(east.merged(west), chain)
    with pytest.raises(BallotError, match="different actions"):
        east.merged(draft(chain, Kind.REVOKE, subject=digest("b")))


def test_a_strangers_signature_neither_counts_nor_stands_in_the_way(homes: list[Home], chain: Chain):
    ballot = draft(chain, Kind.REVOKE, subject=digest("a"))
    stranger = replace(ballot, signatures=(key(9).sign(ballot.action.identity(ballot.domain)),))
    one = stranger.merged(sign_ballot(ballot, chain, homes[0]))
    with pytest.raises(BallotError, match="lacks 1 of 2"):
        relay(one, chain)
    relay(one.merged(sign_ballot(ballot, chain, homes[1])), chain)
