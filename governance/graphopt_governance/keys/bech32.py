"""Bech32 (BIP 173) as age writes its keys: a prefix, `1`, the bytes in groups of five bits, and a checksum.

Strict: one text for each value, so that two texts never name one key.  age puts no limit on the length, BIP 173 does.
"""

from __future__ import annotations

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6


def encode(prefix: str, data: bytes) -> str:
    """The lower-case text of `data` under `prefix`."""
    groups = _regroup(data, 8, 5, pad=True)
    sum_of = _polymod([*_expanded(prefix), *groups, *bytes(_CHECKSUM)]) ^ 1
    checksum = [sum_of >> 5 * (_CHECKSUM - 1 - i) & 31 for i in range(_CHECKSUM)]
    return prefix + "1" + "".join(_CHARSET[group] for group in [*groups, *checksum])


def decode(prefix: str, text: str) -> bytes:
    """The bytes that `text` stands for; ValueError when it is not exactly what `encode` writes for some bytes."""
    head, _, tail = text.rpartition("1")
    if head != prefix or len(tail) < _CHECKSUM or set(tail) - set(_CHARSET):
        raise ValueError(f"not a Bech32 text that begins with {prefix}1")
    groups = [_CHARSET.index(character) for character in tail]
    data = bytes(_regroup(groups[:-_CHECKSUM], 5, 8, pad=False))
    if encode(prefix, data) != text:
        raise ValueError("a Bech32 text whose checksum does not hold, or with bits beyond its last byte")
    return data


def _expanded(prefix: str) -> list[int]:
    return [*(ord(character) >> 5 for character in prefix), 0, *(ord(character) & 31 for character in prefix)]


def _polymod(values: list[int]) -> int:
    """The remainder of BIP 173's BCH code."""
    state = 1
    for value in values:
        top, state = state >> 25, (state & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            state ^= term if top >> bit & 1 else 0
    return state


def _regroup(values: bytes | list[int], wide: int, narrow: int, *, pad: bool) -> list[int]:
    """Groups of `wide` bits as groups of `narrow` bits; what is left over is padded with zeros, or dropped."""
    accumulated, bits, groups = 0, 0, list[int]()
    for value in values:
        accumulated, bits = accumulated << wide | value, bits + wide
        while bits >= narrow:
            bits -= narrow
            groups.append(accumulated >> bits & (1 << narrow) - 1)
        accumulated &= (1 << bits) - 1
    if pad and bits:
        groups.append(accumulated << narrow - bits & (1 << narrow) - 1)
    return groups
