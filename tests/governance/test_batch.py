"""Batches off the chain: the tree of RFC 9162, and proofs that hold for one leaf at one position."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_governance.errors import InclusionError
from graphopt_governance.exchange.inclusions import BatchInclusion
from graphopt_governance.protocol.batch import (
    MAX_SIZE,
    Batch,
    Inclusion,
    _commitment,  # pyright: ignore[reportPrivateUsage]
    _inner,  # pyright: ignore[reportPrivateUsage]
    _leaf,  # pyright: ignore[reportPrivateUsage]
)

from .federation import digest
from .test_contract_batches import commitment, proof

sizes = st.integers(1, 70)


def leaves(size: int) -> list[bytes]:
    return [digest(f"leaf {i}") for i in range(size)]


@given(sizes, st.data())
def test_the_tree_is_the_one_of_the_rfc(size: int, data: st.DataObject):
    batch, index = Batch(leaves(size)), data.draw(st.integers(0, size - 1))
    assert batch.commitment == commitment(leaves(size))
    assert batch.inclusion(index) == Inclusion(index, size, tuple(proof(leaves(size), index)))
    assert batch.inclusion(index).holds(leaves(size)[index], batch.commitment)


@given(sizes, st.data())
def test_a_proof_holds_for_nothing_else(size: int, data: st.DataObject):
    batch, index = Batch(leaves(size)), data.draw(st.integers(0, size - 1))
    good, leaf = batch.inclusion(index), leaves(size)[index]
    other = data.draw(st.integers(0, 80).filter(lambda value: value != index))
    assert not good.holds(digest("stranger"), batch.commitment)
    assert not good.holds(leaf, digest("another batch"))
    assert not replace(good, index=other).holds(leaf, batch.commitment)
    assert not replace(good, size=size + data.draw(st.integers(1, 9))).holds(leaf, batch.commitment)
    assert not replace(good, path=(*good.path, digest("more"))).holds(leaf, batch.commitment)
    if good.path:
        assert not replace(good, path=good.path[1:]).holds(leaf, batch.commitment)


def test_an_inner_node_is_no_leaf_and_no_commitment():
    batch = Batch(leaves(4))
    inner = batch.inclusion(2).path[-1]
    for size in (2, 4):
        assert not Inclusion(0, size, (batch.inclusion(0).path[-1],)).holds(inner, batch.commitment)
    assert Batch(leaves(1)).commitment not in (leaves(1)[0], Batch([Batch(leaves(1)).commitment]).commitment)


def test_a_proof_longer_than_the_contract_takes_does_not_hold():
    assert not Inclusion(0, 2**41, (bytes(32),) * 41).holds(digest("a"), digest("b"))


def test_a_leaf_of_a_batch_larger_than_its_paths_does_not_hold():
    # beside all of a tree of 2**40, the path of one more leaf has a single step
    leaf, rest = digest("a"), digest("a tree of 2**40")
    root = _commitment(MAX_SIZE + 1, _inner(rest, _leaf(leaf)))
    assert not Inclusion(MAX_SIZE, MAX_SIZE + 1, (rest,)).holds(leaf, root)
    with pytest.raises(InclusionError, match="not a place in a batch"):
        BatchInclusion.from_json(BatchInclusion(leaf, root, Inclusion(MAX_SIZE, MAX_SIZE + 1, (rest,))).to_json())


def test_a_batch_is_not_empty_and_has_no_other_places():
    with pytest.raises(ValueError, match="at least one"):
        Batch([])
    for index in (-1, 3):
        with pytest.raises(IndexError):
            Batch(leaves(3)).inclusion(index)
