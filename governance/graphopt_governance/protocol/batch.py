"""Many manifests under one commitment: an RFC 9162 tree whose commitment covers the number of leaves.

Leaves, inner nodes and commitments are hashed apart (0x00, 0x01, 0x02 in front), so none passes for another, and the
position of a leaf is bound by the number of leaves.  `Federation.vy` checks the same proofs (`approved_in_batch`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

MAX_PROOF = 40
MAX_SIZE = 2**MAX_PROOF
"""As many leaves as a path can tell apart.  The contract asks only that a path is short: of a larger batch, which no
member signs here, it would take the few leaves whose path is short enough."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That a digest is leaf `index` of the `size` leaves under a commitment; `path` has the siblings, lowest first."""

    index: int
    size: int
    path: tuple[bytes, ...]

    def holds(self, digest: bytes, commitment: bytes) -> bool:
        """Whether it is so for `digest` and `commitment` (32 bytes each).  RFC 9162, 2.1.3.2."""
        if not 0 <= self.index < self.size <= MAX_SIZE or len(self.path) > MAX_PROOF:
            return False
        node, at, last = _leaf(digest), self.index, self.size - 1
        for step in self.path:
            if last == 0:
                return False
            if at & 1 or at == last:
                node = _inner(step, node)
                while at and not at & 1:
                    at, last = at >> 1, last >> 1
            else:
                node = _inner(node, step)
            at, last = at >> 1, last >> 1
        return last == 0 and commitment == _commitment(self.size, node)


class Batch:
    """The tree over `digests` (32 bytes each, at least one), in their order."""

    def __init__(self, digests: Sequence[bytes]) -> None:
        if not digests:
            raise ValueError("a batch has at least one manifest")
        # an odd node at the end of a level moves up as it is; that is RFC 9162's tree, built from below
        self._levels = [[_leaf(digest) for digest in digests]]
        while len(level := self._levels[-1]) > 1:
            above = [_inner(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
            self._levels.append(above + level[len(above) * 2 :])

    @property
    def size(self) -> int:
        """How many manifests there are."""
        return len(self._levels[0])

    @property
    def commitment(self) -> bytes:
        """What is anchored (32 bytes)."""
        return _commitment(self.size, self._levels[-1][0])

    def inclusion(self, index: int) -> Inclusion:
        """The proof that the manifest at `index` is in the batch; IndexError for one that is not there."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        path: list[bytes] = []
        at = index
        for level in self._levels[:-1]:
            sibling = at ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            at >>= 1
        return Inclusion(index, self.size, tuple(path))


def _leaf(digest: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + digest).digest()


def _inner(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _commitment(size: int, root: bytes) -> bytes:
    return hashlib.sha256(b"\x02" + size.to_bytes(32, "big") + root).digest()
