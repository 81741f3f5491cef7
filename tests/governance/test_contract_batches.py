"""Many manifests under one commitment: RFC 9162 trees, and nothing passed off as something else."""

from __future__ import annotations

import hashlib

import pytest

from graphopt_governance.protocol.action import Kind, word

from .evm import TurnedDownError
from .federation import DAY, START, Federation, Found, digest


def commitment(leaves: list[bytes]) -> bytes:
    """RFC 9162's tree, written the plain recursive way; the commitment covers the number of leaves."""
    return hashlib.sha256(b"\x02" + word(len(leaves)) + _tree(leaves)).digest()


def _tree(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _tree(leaves[:split]) + _tree(leaves[split:])).digest()


def proof(leaves: list[bytes], index: int) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*proof(leaves[:split], index), _tree(leaves[split:])]
    return [*proof(leaves[split:], index - split), _tree(leaves[:split])]


def in_batch(fed: Federation, leaf: bytes, root: bytes, index: int, size: int, proof: list[bytes]) -> bool:
    data = leaf + root + word(index) + word(size) + word(160) + word(len(proof)) + b"".join(proof)
    return fed.view("approved_in_batch(bytes32,bytes32,uint256,uint256,bytes32[])", data) != bytes(32)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_each_leaf_of_an_approved_batch_is_approved_at_its_position_alone(found: Found, size: int):
    fed = found(size=1, quorum=1)
    leaves = [digest(f"leaf {i}") for i in range(size)]
    root = commitment(leaves)
    proofs = [proof(leaves, i) for i in range(size)]
    assert not in_batch(fed, leaves[0], root, 0, size, proofs[0])
    fed.do(Kind.BATCH, 1, subject=root, amount=size)
    for i, leaf in enumerate(leaves):
        assert in_batch(fed, leaf, root, i, size, proofs[i])
        assert not in_batch(fed, digest("stranger"), root, i, size, proofs[i])
        assert not in_batch(fed, leaf, root, i, size + 1, proofs[i])
        assert not in_batch(fed, leaf, root, size, size, proofs[i])
        assert not in_batch(fed, leaf, root, i, size, [*proofs[i], digest("more")])
        assert not in_batch(fed, leaf, root, i, size, proofs[i][:-1]) or not proofs[i]
        for other in range(size):
            assert in_batch(fed, leaf, root, other, size, proofs[i]) == (other == i)


def test_a_batch_is_no_manifest_and_its_inner_nodes_are_no_leaves(fed: Federation):
    leaves = [digest(f"leaf {i}") for i in range(4)]
    root = commitment(leaves)
    fed.do(Kind.BATCH, 1, 2, subject=root, amount=4)
    assert fed.view("approved(bytes32)", root) == bytes(32)
    inner = _tree(leaves[:2])
    assert not in_batch(fed, inner, root, 0, 2, [_tree(leaves[2:])])
    assert not in_batch(fed, inner, root, 0, 4, [_tree(leaves[2:])])
    fed.anchor("a", 1, 2)
    assert not in_batch(fed, digest("a"), digest("a"), 0, 1, [])


def test_one_leaf_or_the_whole_batch_can_be_withdrawn(fed: Federation):
    leaves = [digest(f"leaf {i}") for i in range(2)]
    root = commitment(leaves)
    fed.do(Kind.BATCH, 1, 2, subject=root, amount=2, expires=START + DAY)
    fed.do(Kind.SUSPEND, 3, subject=leaves[0])
    held = [in_batch(fed, leaves[i], root, i, 2, proof(leaves, i)) for i in range(2)]
    assert held == [False, True]
    fed.do(Kind.REVOKE, 1, 3, subject=root)
    assert not in_batch(fed, leaves[1], root, 1, 2, proof(leaves, 1))
    fed.do(Kind.RESTORE, 1, 3, subject=root)
    assert in_batch(fed, leaves[1], root, 1, 2, proof(leaves, 1))
    fed.now = START + DAY
    assert not in_batch(fed, leaves[1], root, 1, 2, proof(leaves, 1))


def test_a_proof_longer_than_the_limit_is_refused(fed: Federation):
    with pytest.raises(TurnedDownError):
        in_batch(fed, digest("a"), digest("b"), 0, 2**41, [bytes(32)] * 41)
