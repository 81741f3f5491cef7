"""Where a federation is: kept whole and private, read in one form only, and no other federation is taken for it."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from graphopt.errors import GraphoptError
from graphopt_governance.chains.chain import Checkpoint
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.chains.where import Where, read_where
from graphopt_governance.decide.founding import prepare_to_join
from graphopt_governance.decide.governing import found, member_card
from graphopt_governance.errors import ChainError, DocumentError
from graphopt_governance.exchange.invitation import Invitation
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import Domain

HERE = Where(Domain(2**60, b"\x11" * 20), 7)
NODES = HERE.reached_by(("https://one.example", "https://two.example/key"))
ON_LEDGER = replace(HERE, ledger=Path("/shared/ledger.sqlite3"))

texts = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20)
places = st.one_of(
    st.builds(
        lambda chain, contract, first, urls: Where(Domain(chain, contract), first).reached_by(tuple(urls)),
        st.integers(0, 2**256 - 1),
        st.binary(min_size=20, max_size=20),
        st.integers(0, 2**63 - 1),
        st.lists(texts, min_size=1, max_size=16),
    ),
    st.builds(
        lambda chain, contract, first, name: Where(Domain(chain, contract), first, Path("/") / name),
        st.integers(0, 2**256 - 1),
        st.binary(min_size=20, max_size=20),
        st.integers(0, 2**63 - 1),
        texts.filter(lambda name: "/" not in name and name not in (".", "..")),
    ),
)


@given(places)
def test_a_place_survives_its_file(tmp_path_factory: pytest.TempPathFactory, place: Where):
    home = Home(tmp_path_factory.mktemp("home"))
    place.write(home)
    assert read_where(home) == place
    assert stat.S_IMODE(home.federation.stat().st_mode) == 0o600


def test_a_checkpoint_is_kept_with_the_nodes(home: Home):
    place = replace(NODES, checkpoint=Checkpoint(17, b"\xab" * 32))
    place.write(home)
    assert read_where(home) == place
    document = json.loads(home.federation.read_bytes())
    for change in ({"checkpoint_hash": "ab"}, {"checkpoint_block": 17}):
        home.federation.write_bytes(rfc8785.dumps(document | change))
        with pytest.raises(DocumentError):
            read_where(home)
    del document["checkpoint_block"]
    home.federation.write_bytes(rfc8785.dumps(document))
    with pytest.raises(DocumentError, match="checkpoint_block"):
        read_where(home)


def test_one_federation_is_not_written_over_another(home: Home):
    NODES.write(home)
    NODES.write(home)
    with pytest.raises(ChainError, match="names a federation already"):
        ON_LEDGER.write(home)
    assert read_where(home) == NODES
    ON_LEDGER.write(home, instead=True)
    assert read_where(home) == ON_LEDGER
    assert [path.name for path in home.folder.iterdir()] == ["federation.json"]


def test_what_could_not_be_read_again_is_not_written(home: Home):
    for place in (replace(HERE, ledger=Path("/a\nb")), HERE.reached_by(("https://one.example/" + "x" * 3000,))):
        with pytest.raises(DocumentError, match="cannot be used"):
            place.write(home)
    assert read_where(home) is None


def test_a_majority_of_the_nodes_must_agree_where_nothing_else_is_said():
    counts = [HERE.reached_by(tuple("abcdefg"[:count])).agree for count in range(1, 6)]
    assert counts == [1, 2, 2, 3, 3]
    for agree, urls in ((0, ("a",)), (2, ("a",)), (1, ()), (1, tuple("abcdefghijklmnopq"))):
        with pytest.raises(ChainError, match="cannot agree"):
            HERE.reached_by(urls, agree)


@pytest.mark.parametrize("agree", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_other_nodes_do_not_lower_how_many_must_agree(agree: int, count: int):
    place, others = HERE.reached_by(("a", "b", "c"), agree), tuple("qrstuvw"[:count])
    if count < agree:
        with pytest.raises(ChainError, match=rf"{agree} nodes must agree on this federation, and {count} named"):
            place.reached_instead_by(others)
    else:
        assert place.reached_instead_by(others).agree == max(agree, count // 2 + 1)


def test_a_variable_that_names_one_node_does_not_make_one_voice_enough(home: Home, monkeypatch: pytest.MonkeyPatch):
    urls = [f"http://{name}.invalid:8545" for name in ("one", "two", "three")]
    HERE.reached_by(tuple(urls), 2).write(home)
    with pytest.raises(ChainError, match=r"name 2 or more, or say that fewer are enough by joining again"):
        open_chain(Home(home.folder, urls[0]))
    monkeypatch.setenv("GRAPHOPT_CHAIN", urls[1])
    with pytest.raises(ChainError, match=r"2 nodes must agree on this federation, and 1 named instead"):
        open_chain(Home.default())
    with pytest.raises(ChainError, match=r"2 nodes must agree on this federation, and 1 named instead"):
        prepare_to_join(Home.default(), Invitation(HERE.domain, HERE.first_block, {}))
    assert open_chain(Home(home.folder, ",".join(urls[:2]))) is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "graphopt/federation/v2"),
        ("chain", 7),
        ("chain", "07"),
        ("contract", "0x" + "11" * 20),
        ("contract", "AB" * 20),
        ("first_block", str(2**63)),
        ("endpoints", []),
        ("endpoints", "https://one.example"),
        ("endpoints", [7]),
        ("endpoints", ["x"] * 17),
        ("endpoints", ["https://one.example\n"]),
        ("agree", "0"),
        ("agree", "3"),
        ("ledger", 7),
        ("more", "1"),
    ],
)
def test_a_place_of_another_form_is_refused(home: Home, field: str, value: Any):
    NODES.write(home)
    home.federation.write_bytes(rfc8785.dumps(json.loads(home.federation.read_bytes()) | {field: value}))
    with pytest.raises(DocumentError, match=r"federation\.json cannot be used"):
        read_where(home)


@given(
    st.binary(max_size=60) | st.recursive(st.none() | st.text(max_size=9), st.lists, max_leaves=9).map(rfc8785.dumps)
)
def test_a_file_that_names_no_federation_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    home = Home(tmp_path_factory.mktemp("home"))
    NODES.write(home)
    home.federation.write_bytes(content)
    with pytest.raises(GraphoptError):
        open_chain(home)


def test_a_place_that_others_can_read_is_not_used(home: Home):
    NODES.write(home)
    home.federation.chmod(0o644)
    with pytest.raises(GraphoptError, match="chmod 600"):
        open_chain(home)


def test_members_share_one_ledger_and_take_no_other_for_it(tmp_path: Path, home: Home):
    east = Home(tmp_path / "east")
    chain = found(home, [member_card(home), member_card(east)], quorum=2)
    place = Where(chain.domain, 1, home.ledger)
    place.write(east)
    opened = open_chain(east)
    assert opened is not None
    assert opened.domain == chain.domain
    another = Home(tmp_path / "another")
    found(another, [member_card(another)], quorum=1)
    replace(place, ledger=another.ledger).write(east, instead=True)
    with pytest.raises(ChainError, match="is that of another federation"):
        open_chain(east)
    replace(place, ledger=tmp_path / "none").write(east, instead=True)
    with pytest.raises(ChainError, match="there is no ledger"):
        open_chain(east)


def test_a_ledger_in_the_home_moves_with_it(tmp_path: Path):
    home = Home(tmp_path / "here")
    chain = found(home, [member_card(home)], quorum=1)
    Where(chain.domain, 1, Path("ledger.sqlite3")).write(home)
    moved = Home(home.folder.rename(tmp_path / "there"))
    opened = open_chain(moved)
    assert opened is not None
    assert opened.domain == chain.domain
