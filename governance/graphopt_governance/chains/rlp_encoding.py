"""RLP, written: the other direction of `rlp_decoding`.  Yellow Paper, appendix B."""

from __future__ import annotations

from collections.abc import Sequence

Item = bytes | Sequence["Item"]


def encode(item: Item) -> bytes:
    """The one encoding of a byte string, or of a list of items."""
    if not isinstance(item, bytes):
        payload = b"".join(map(encode, item))
        return _prefix(len(payload), 0xC0) + payload
    return item if len(item) == 1 and item[0] < 0x80 else _prefix(len(item), 0x80) + item


def number_bytes(number: int) -> bytes:
    """The byte string that stands for a number: without zeros in front, none at all for 0."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _prefix(length: int, kind: int) -> bytes:
    """What comes before a string (0x80) or a list (0xC0) of so many bytes."""
    if length <= 55:
        return bytes([kind + length])
    size = number_bytes(length)
    return bytes([kind + 55 + len(size)]) + size
