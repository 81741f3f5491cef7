"""RLP, read strictly: the one encoding of nested byte strings that Ethereum's headers and state consist of.

Thirty lines in the place of a library whose import takes longer than verifying a bundle.  Yellow Paper, appendix B.
"""

from __future__ import annotations

Item = bytes | list["Item"]


def decode(data: bytes) -> Item:
    """The item that `data` encodes; ValueError for anything but exactly one item in its shortest form."""
    item, end = _item(data, 0, len(data))
    if end != len(data):
        raise ValueError("bytes after the item")
    return item


def _item(data: bytes, at: int, limit: int) -> tuple[Item, int]:
    if at >= limit:
        raise ValueError("the item is cut off")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    is_list = first >= 0xC0
    start, end = _payload(data, at, first - (0xC0 if is_list else 0x80), limit)
    if not is_list:
        if end - start == 1 and data[start] < 0x80:
            raise ValueError("a byte is not in its shortest form")
        return data[start:end], end
    items: list[Item] = []
    while start < end:
        item, start = _item(data, start, end)
        items.append(item)
    return items, end


def _payload(data: bytes, at: int, short: int, limit: int) -> tuple[int, int]:
    """Where the payload of the item at `at` begins and ends."""
    start, length = at + 1, short
    if short > 55:
        start += short - 55
        length = int.from_bytes(data[at + 1 : start], "big")
        if start > limit or length <= 55 or data[at + 1] == 0:
            raise ValueError("a length is not in its shortest form")
    if start + length > limit:
        raise ValueError("the item is cut off")
    return start, start + length
