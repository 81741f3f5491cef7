"""Ethereum's state read with our own eyes: the same as the libraries read, and nothing that is not there."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from graphopt_governance.chains import rlp_decoding
from graphopt_governance.chains.state_trie import Header, TrieStorage
from graphopt_governance.errors import ChainError
from graphopt_governance.protocol.action import word
from graphopt_governance.protocol.contract import artifact

items: st.SearchStrategy[Any] = st.recursive(
    st.binary(max_size=70), lambda inner: st.lists(inner, max_size=6), max_leaves=20
)
ADDRESS = bytes(range(20))


@given(items)
def test_rlp_is_read_as_it_was_written(item: Any):
    assert rlp_decoding.decode(rlp.encode(item)) == item


@given(st.binary(max_size=60))
def test_what_the_library_refuses_is_refused_and_the_rest_is_read_alike(data: bytes):
    try:
        expected = rlp.decode(data)
    except (rlp.DecodingError, ValueError):
        with pytest.raises(ValueError, match=r"."):
            rlp_decoding.decode(data)
        return
    assert rlp_decoding.decode(data) == expected


def state(slots: dict[int, int]) -> tuple[dict[bytes, bytes], bytes]:
    """The nodes and the root of a state in which the federation's contract has these slots."""
    nodes: dict[bytes, bytes] = {}
    inner, outer = HexaryTrie(nodes), HexaryTrie(nodes)
    for slot, value in slots.items():
        inner[keccak(word(slot))] = rlp.encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))
    code_hash = bytes.fromhex(artifact()["code_hash"])
    outer[keccak(ADDRESS)] = rlp.encode([b"\x01", b"", inner.root_hash, code_hash])
    for i in range(20):
        outer[keccak(bytes([i]))] = rlp.encode([b"", b"", bytes(32), bytes(32)])
    return nodes, outer.root_hash


@given(st.dictionaries(st.integers(0, 300), st.integers(1, 2**256 - 1), max_size=40))
def test_every_slot_is_what_was_written_and_all_others_are_zero(slots: dict[int, int]):
    nodes, root = state(slots)
    read = TrieStorage(nodes.get, root, ADDRESS)
    assert {slot: read.slot(slot) for slot in range(0, 300, 7)} == {
        slot: slots.get(slot, 0) for slot in range(0, 300, 7)
    }
    assert all(read.slot(slot) == value for slot, value in slots.items())


def test_no_node_can_be_exchanged_for_another():
    slots = {slot: slot + 1 for slot in range(30)}
    nodes, root = state(slots)
    for digest in nodes:
        forged = nodes | {digest: rlp.encode([b"\x20" + bytes(32), b"\x07"])}
        try:
            read = TrieStorage(forged.get, root, ADDRESS)
            values = {slot: read.slot(slot) for slot in slots}
        except ChainError as error:
            assert "altered" in str(error)  # noqa: PT017 - noticed, or not needed
        else:
            assert values == slots


def test_an_address_without_the_contract_is_refused():
    with pytest.raises(ChainError, match="no contract"):
        TrieStorage({}.get, keccak(b"\x80"), ADDRESS)


@given(st.binary(max_size=200))
def test_what_is_no_header_is_one_sentence(raw: bytes):
    with pytest.raises(ChainError):
        Header.decode(raw)


@given(st.lists(items, min_size=1, max_size=4), st.lists(items, max_size=4))
def test_a_state_of_whatever_nodes_is_read_or_refused_in_one_sentence(path: list[Any], account: list[Any]):
    """Whoever makes up a state root can put anything under it that has its hash."""
    nodes: dict[bytes, bytes] = {}
    leaf = rlp.encode([bytes([0x20]) + keccak(ADDRESS), rlp.encode([*account, b""])])
    for raw in (leaf, *(rlp.encode(item) for item in path)):
        nodes[keccak(raw)] = raw
    for root in list(nodes):
        try:
            storage = TrieStorage(nodes.get, root, ADDRESS, check_code=False)
            assert 0 <= storage.slot(1) < 2**256
        except ChainError as error:
            assert "\n" not in str(error)  # noqa: PT017 - read, or refused


@given(items, items, st.integers(0, 16))
def test_a_storage_of_whatever_nodes_is_read_or_refused_in_one_sentence(item: Any, other: Any, place: int):
    nodes: dict[bytes, bytes] = {}
    inner = rlp.encode(item)
    branch: list[Any] = [b""] * 17
    branch[place] = other
    for raw in (inner, rlp.encode(branch), rlp.encode([item, other])):
        nodes[keccak(raw)] = raw
        account = rlp.encode([b"\x01", b"", keccak(raw), bytes(32)])
        leaf = rlp.encode([bytes([0x20]) + keccak(ADDRESS), account])
        nodes[keccak(leaf)] = leaf
        try:
            storage = TrieStorage(nodes.get, keccak(leaf), ADDRESS, check_code=False)
            assert all(0 <= storage.slot(slot) < 2**256 for slot in range(20))
        except ChainError as error:
            assert "\n" not in str(error)  # noqa: PT017 - read, or refused
