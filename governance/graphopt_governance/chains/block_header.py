"""A block's header as its hash covers it, put together from what a node says in JSON.

A node that changes a single field gives another hash.  The fields are those of the Yellow Paper, 4.4.3, and of the
forks since: EIP-1559 (London), 4895 (Shanghai), 4844 and 4788 (Cancun), 7685 (Prague; Osaka adds none).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphopt_governance.chains.rlp_encoding import encode, number_bytes
from graphopt_governance.chains.state_trie import Header

_NUMBER = None
_ANY_BYTES = -1
_MAX_BYTES = 65536

_FIELDS: Mapping[str, int | None] = {
    "parentHash": 32,
    "sha3Uncles": 32,
    "miner": 20,
    "stateRoot": 32,
    "transactionsRoot": 32,
    "receiptsRoot": 32,
    "logsBloom": 256,
    "difficulty": _NUMBER,
    "number": _NUMBER,
    "gasLimit": _NUMBER,
    "gasUsed": _NUMBER,
    "timestamp": _NUMBER,
    "extraData": _ANY_BYTES,
    "mixHash": 32,
    "nonce": 8,
}
_LATER_FIELDS: Mapping[str, int | None] = {
    "baseFeePerGas": _NUMBER,
    "withdrawalsRoot": 32,
    "blobGasUsed": _NUMBER,
    "excessBlobGas": _NUMBER,
    "parentBeaconBlockRoot": 32,
    "requestsHash": 32,
}
"""In the order in which forks brought them: a header that has one has all before it."""


def header_bytes(block: Mapping[str, Any]) -> bytes:
    """The RLP of the header in a node's answer to `eth_getBlockByNumber`.

    ValueError when a field is missing or is none, and when what is there does not have the hash that the answer names:
    the header then has a field that is not known here, or the node made it up.
    """
    fields = [_item(block.get(name), size, name) for name, size in _FIELDS.items()]
    later = list(_LATER_FIELDS.items())
    while later and block.get(later[-1][0]) is None:
        later.pop()
    fields += [_item(block.get(name), size, name) for name, size in later]
    raw = encode(fields)
    header = Header.decode(raw)
    if header.digest != data_bytes(block.get("hash"), 32):
        raise ValueError("the header does not have the hash that is said of it")
    if max(header.number, header.time) >= 2**63:
        raise ValueError("the header's number or time is none")
    return raw


def data_bytes(value: object, size: int = _ANY_BYTES, most: int = _MAX_BYTES) -> bytes:
    """The bytes that `0x…` stands for, `size` of them where that is given; ValueError for anything else."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 2 + 2 * most:
        raise ValueError("not bytes in hexadecimal")
    data = bytes.fromhex(value[2:])
    if len(data) * 2 + 2 != len(value) or size not in (_ANY_BYTES, len(data)):
        raise ValueError("not as many bytes as there should be")
    return data


def quantity(value: object) -> int:
    """The number of at most 256 bits that `0x…` stands for; ValueError for anything else."""
    if not isinstance(value, str) or not value.startswith("0x") or not 3 <= len(value) <= 66:
        raise ValueError("not a number in hexadecimal")
    if set(value[2:]) - set("0123456789abcdefABCDEF"):
        raise ValueError("not a number in hexadecimal")
    return int(value, 16)


def _item(value: object, size: int | None, name: str) -> bytes:
    try:
        if size is None:
            return number_bytes(quantity(value))
        return data_bytes(value, size)
    except ValueError as error:
        raise ValueError(f"the header's {name} is {error}") from error
