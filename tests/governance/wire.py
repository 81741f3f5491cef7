"""What a node says on the wire about py-evm's chain: headers, proofs and logs as JSON-RPC has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rlp
from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

FIELDS = {
    "parent_hash": "parentHash",
    "uncles_hash": "sha3Uncles",
    "coinbase": "miner",
    "state_root": "stateRoot",
    "transaction_root": "transactionsRoot",
    "receipt_root": "receiptsRoot",
    "bloom": "logsBloom",
    "difficulty": "difficulty",
    "block_number": "number",
    "gas_limit": "gasLimit",
    "gas_used": "gasUsed",
    "timestamp": "timestamp",
    "extra_data": "extraData",
    "mix_hash": "mixHash",
    "nonce": "nonce",
    "base_fee_per_gas": "baseFeePerGas",
    "withdrawals_root": "withdrawalsRoot",
    "blob_gas_used": "blobGasUsed",
    "excess_blob_gas": "excessBlobGas",
    "parent_beacon_block_root": "parentBeaconBlockRoot",
    "requests_hash": "requestsHash",
}


def header_json(header: Any) -> dict[str, Any]:
    """A header of py-evm's as `eth_getBlockByNumber` gives it."""
    told: dict[str, Any] = {"hash": "0x" + bytes(header.hash).hex(), "transactions": [], "uncles": []}
    for name, spelled in FIELDS.items():
        value = getattr(header, name)
        if name == "bloom":
            value = int(value).to_bytes(256, "big")
        told[spelled] = hex(value) if isinstance(value, int) else "0x" + bytes(value).hex()
    return told


def proof_json(nodes: Mapping[bytes, bytes], state_root: bytes, address: bytes, keys: list[str]) -> dict[str, Any]:
    """What `eth_getProof` gives for the words `keys` of the account at `address`."""
    database: Any = nodes
    state = HexaryTrie(database, state_root)
    account = state[keccak(address)]
    root = rlp.decode(account)[2] if account else keccak(b"\x80")
    storage = HexaryTrie(database, root)
    proofs: list[dict[str, Any]] = []
    for key in keys:
        place = keccak(int(key, 16).to_bytes(32, "big"))
        value = storage[place]
        word: Any = rlp.decode(value) if value else b""
        proofs.append({"key": key, "value": hex(int.from_bytes(word, "big")), "proof": _nodes(storage, place)})
    return {"address": "0x" + address.hex(), "accountProof": _nodes(state, keccak(address)), "storageProof": proofs}


def log_json(log: Mapping[str, Any]) -> dict[str, Any]:
    """A log of eth-tester's as `eth_getLogs` gives it."""
    return {
        "address": log["address"],
        "topics": list(log["topics"]),
        "data": log["data"],
        "blockNumber": hex(log["block_number"]),
    }


def _nodes(trie: HexaryTrie, place: bytes) -> list[str]:
    # nodes shorter than a hash stand in their parents
    raws = [bytes(rlp.encode(node)) for node in trie.get_proof(place)]
    return ["0x" + raw.hex() for at, raw in enumerate(raws) if at == 0 or len(raw) >= 32]
