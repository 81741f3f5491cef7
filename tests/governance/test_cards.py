"""Cards: nobody shows keys that he does not have, and what is no card is one sentence."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from graphopt.errors import GraphoptError
from graphopt_governance.errors import DocumentError
from graphopt_governance.exchange.cards import Card, UnsignedCard, make_card, prepare_card
from graphopt_governance.exchange.invitation import Invitation
from graphopt_governance.exchange.names import Names
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import Action, Domain, Kind, Right


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> list[Home]:
    folder = tmp_path_factory.mktemp("homes")
    return [Home(folder / name) for name in ("east", "mallory")]


@pytest.fixture(scope="module")
def card(homes: list[Home]) -> Card:
    return make_card(homes[0], rights=Right.APPROVE | Right.REVOKE)


def test_a_card_survives_its_file(card: Card, tmp_path: Path):
    card.save(tmp_path / "east.card.json")
    assert Card.load(tmp_path / "east.card.json") == card
    assert card.name == "east"
    card.check()


def test_nobody_shows_a_key_of_somebody_else_as_his_own(homes: list[Home], card: Card):
    own = prepare_card(homes[1])
    # with each of the two keys, signing what the thief would like to be true
    for field, sentence in (("account", "key of account"), ("signing", "signing key that it shows")):
        stolen = replace(own.card, **{field: getattr(card, field)})
        with pytest.raises(DocumentError, match=sentence):
            UnsignedCard(stolen, own.member, own.signing).signed().check()
    with pytest.raises(DocumentError, match="nothing can be sealed"):
        UnsignedCard(replace(own.card, sealing=bytes(32)), own.member, own.signing).signed().check()


def test_the_proofs_of_a_card_hold_for_nothing_else(card: Card):
    assert card.message() != replace(card, rights=Right.APPROVE).message()
    assert card.identity() != Action(Kind.CANCEL).identity(Domain(1, bytes(20)))
    # an EIP-712 digest is the hash of 0x19 0x01 …, a card's of 0x19 'g' …; a manifest's signature covers "DSSEv1 …"
    assert card.message().startswith(b"graphopt member card\0")


FIELDS = ("name", "account", "rights", "signing_key", "sealing_key", "member_proof", "signing_proof")
RIGHTS = ("propose", "approve", "revoke", "report", "decrypt", "fly")


@given(st.sampled_from(FIELDS), st.data())
def test_no_changed_card_is_a_card(card: Card, field: str, data: st.DataObject):
    document: dict[str, Any] = card.to_json()
    if field == "rights":
        document[field] = data.draw(st.lists(st.sampled_from(RIGHTS)))
    elif field == "name":
        document[field] = data.draw(st.text(max_size=50))
    else:
        at = data.draw(st.integers(0, len(document[field]) // 2 - 1))
        raw = bytearray.fromhex(document[field])
        raw[at] ^= data.draw(st.integers(1, 255))
        document[field] = raw.hex()
    if document == card.to_json():
        return
    with pytest.raises(DocumentError):
        Card.from_json(document)


hostile = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53 - 1) | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef", max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(st.binary(max_size=80) | hostile.map(rfc8785.dumps))
def test_what_is_no_document_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    file = tmp_path_factory.getbasetemp() / "hostile.json"
    file.write_bytes(content)
    for load in (Card.load, Invitation.load):
        with pytest.raises(GraphoptError) as caught:
            load(file)
        assert "\n" not in str(caught.value)


@given(st.data())
def test_a_document_with_a_hostile_field_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, card: Card, data: st.DataObject
):
    file = tmp_path_factory.getbasetemp() / "field.json"
    where = {"chain": "1", "contract": "11" * 20, "first_block": "1", "names": {}}
    invitation = {**where, "format": "graphopt/invitation/v1"}
    for document, load in ((card.to_json(), Card.load), (invitation, Invitation.load)):
        field = data.draw(st.sampled_from(sorted(document)))
        value = data.draw(hostile)
        file.write_bytes(rfc8785.dumps({**document, field: value}))
        taken = False
        with contextlib.suppress(GraphoptError):
            load(file)
            taken = True
        assert not taken or value == document[field] or field in ("chain", "first_block", "names")


@pytest.mark.parametrize("name", ["", "a" * 41, "a/b", "..", "a\nb", "a\x1b[2J", "east) (", "\u202eeast", "-o"])
def test_a_name_is_plain(homes: list[Home], name: str):
    with pytest.raises(DocumentError, match="cannot be a member's name"):
        make_card(homes[0], name)


def test_a_name_goes_from_the_account_to_the_number(home: Home, card: Card):
    names = Names().with_cards([card]).with_numbers({1: "north"})
    names.keep(home)
    assert Names.of(home) == names
    assert (names.label(1), names.label(2)) == ("1 (north)", "2")
    home.names.write_bytes(b"{")
    assert Names.of(home) == Names()
