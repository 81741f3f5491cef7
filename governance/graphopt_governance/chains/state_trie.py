"""The contract's storage, read from an Ethereum state trie whose every node is checked against its hash.

Whoever keeps the nodes (a local database, a server that answers `eth_getProof`) cannot lie about them: a node that
does not hash to what its parent says is refused.  Only the header's state root has to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from eth_hash.auto import keccak

from graphopt_governance.chains import rlp_decoding
from graphopt_governance.errors import ChainError
from graphopt_governance.protocol.action import word
from graphopt_governance.protocol.contract import artifact

_EMPTY_ROOT = keccak(b"\x80")

Nodes = Callable[[bytes], bytes | None]
"""From a node's hash to its RLP; None when it is not there."""


class IncompleteError(ChainError):
    """What was given does not hold all nodes on the way to a value, so nothing is known of the value."""


class Recorded:
    """The nodes that `nodes` gives, each that was asked for kept in `used`: what is needed to read the same again."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.used: dict[bytes, bytes] = {}

    def __call__(self, digest: bytes) -> bytes | None:
        """The RLP of a node, None when it is not there."""
        raw = self._nodes(digest)
        if raw is not None:
            self.used[digest] = raw
        return raw


@dataclass(frozen=True, slots=True)
class Header:
    """What is needed of a block's header, and the hash that all of it has."""

    digest: bytes
    number: int
    time: int
    state_root: bytes
    parent: bytes

    @classmethod
    def decode(cls, raw: bytes) -> Header:
        """Read the RLP of a header; ChainError for what is none."""
        fields = _decode(raw)
        if len(fields) < 15 or not all(isinstance(field, bytes) for field in fields):
            raise ChainError("the chain has a block header that is none")
        number, seconds = (int.from_bytes(fields[index], "big") for index in (8, 11))
        return cls(keccak(raw), number, seconds, fields[3], fields[0])


class TrieStorage:
    """The storage of the contract at `address` under `state_root`; ChainError when its code is not the federation's."""

    def __init__(self, nodes: Nodes, state_root: bytes, address: bytes, *, check_code: bool = True) -> None:
        self._nodes = nodes
        fields = account_fields(nodes, state_root, address)
        if fields is None:
            raise ChainError(f"there is no contract at 0x{address.hex()}")
        if check_code and fields[3].hex() != artifact()["code_hash"]:
            raise ChainError(f"the contract at 0x{address.hex()} is not the federation's: its code differs")
        self._root = fields[2]

    def slot(self, key: int) -> int:
        """The word at `key`; 0 where nothing was written."""
        value = _lookup(self._nodes, self._root, keccak(word(key)))
        return int.from_bytes(_word(value), "big") if value is not None else 0

    def expect(self, keys: Sequence[int]) -> None:
        """Nothing: the nodes are at hand."""


def account_fields(nodes: Nodes, state_root: bytes, address: bytes) -> list[bytes] | None:
    """An account's nonce, balance, storage root and code hash; None where it is proven that there is none."""
    account = _lookup(nodes, state_root, keccak(address))
    fields = _decode(account) if account is not None else []
    if len(fields) != 4:
        return None
    if not all(isinstance(field, bytes) for field in fields):
        raise ChainError("the chain's state has an account that is none")
    return cast("list[bytes]", fields)


def _lookup(nodes: Nodes, root: bytes, key: bytes) -> bytes | None:
    """The value at the 32-byte `key`; None when the trie proves that there is none."""
    if root == _EMPTY_ROOT:
        return None
    path = key.hex()
    node = _fetch(nodes, root)
    while True:
        if len(node) == 17:
            if not path:
                return _value(node[16])
            child, path = node[int(path[0], 16)], path[1:]
        elif len(node) == 2 and isinstance(node[0], bytes) and node[0]:
            part, is_leaf = _nibbles(node[0])
            if is_leaf:
                return _value(node[1]) if path == part else None
            if not path.startswith(part):
                return None
            child, path = node[1], path[len(part) :]
        else:
            raise ChainError("the chain's state has a node that is none")
        if not child:
            return None
        # a node shorter than a hash stands in its parent
        node = child if isinstance(child, list) else _fetch(nodes, child)


def _fetch(nodes: Nodes, digest: bytes) -> list[Any]:
    raw = nodes(digest)
    if raw is None:
        raise IncompleteError("the chain's state is incomplete: a node is missing")
    if keccak(raw) != digest:
        raise ChainError("the chain's state was altered: a node does not have the hash that its parent names")
    return _decode(raw)


def _value(item: object) -> bytes | None:
    if not isinstance(item, bytes):
        raise ChainError("the chain's state has a value that is none")
    return item or None


def _word(raw: bytes) -> bytes:
    try:
        value = rlp_decoding.decode(raw)
    except (ValueError, RecursionError) as error:
        raise ChainError("the chain's state has a value that is none") from error
    if not isinstance(value, bytes) or len(value) > 32:
        raise ChainError("the chain's state has a value that is none")
    return value


def _decode(raw: bytes) -> list[Any]:
    try:
        fields = rlp_decoding.decode(raw)
    except (ValueError, RecursionError) as error:
        raise ChainError("the chain's state has a node that is none") from error
    return cast("list[Any]", fields) if isinstance(fields, list) else []


def _nibbles(encoded: bytes) -> tuple[str, bool]:
    text = encoded.hex()
    flag = int(text[0], 16)
    return (text[1:] if flag & 1 else text[2:]), bool(flag & 2)
