"""What a chain proved of a bundle, as a file: a header, and the nodes of the state that the verdict was read from.

A proof is read by the same `judge` as a chain (`ProvenChain`).  Everything in it is checked against the header's hash;
that the header is the chain's is what a proof cannot show.  In one's own home it was found to be so when the proof was
taken; of a stranger's proof one must know the hash from elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from eth_hash.auto import keccak

from graphopt import strict_json
from graphopt_governance.chains.chain import Receipt, Snapshot
from graphopt_governance.chains.state_trie import Header, Recorded, TrieStorage
from graphopt_governance.documents import MAX_BYTES, Fields, read_document
from graphopt_governance.errors import ChainError
from graphopt_governance.keys.key_files import replace_key_file
from graphopt_governance.keys.own_files import read_own_file
from graphopt_governance.protocol.action import Domain
from graphopt_governance.protocol.contract import Event, State

FORMAT = "graphopt/proof/v1"
_MAX_NODES = 1000
_MAX_HEX = 8192


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof about manifest `digest`: the header (RLP) and the trie nodes that were used, and what they rested on.

    `taken`: when, in seconds since the epoch by the clock of who took it; `agreed`: the nodes that gave the header,
    none on a ledger; `final`: whether its block cannot be undone.
    """

    domain: Domain
    digest: bytes
    header: bytes
    nodes: tuple[bytes, ...]
    basis: str
    agreed: tuple[str, ...]
    final: bool
    taken: int

    @classmethod
    def of(cls, domain: Domain, digest: bytes, snapshot: Snapshot) -> Proof:
        """What `snapshot` was read from, up to now."""
        return cls(
            domain,
            digest,
            snapshot.header,
            tuple(snapshot.nodes[name] for name in sorted(snapshot.nodes)),
            snapshot.basis,
            snapshot.agreed,
            snapshot.final,
            int(time.time()),
        )

    @classmethod
    def load(cls, path: Path) -> Proof:
        """Read a stranger's proof, in the form that `save` writes; DocumentError or BundleError for anything else."""
        return cls._parse(read_document(path, "the proof"), f"the proof {path}")

    @classmethod
    def kept(cls, path: Path) -> Proof | None:
        """The proof that this home keeps at `path`, None when there is none; GraphoptError as for `load`.

        What such a file says of when and by whom it was taken is believed, so it is refused where others could have
        written it.
        """
        content = read_own_file(path, "the proof", MAX_BYTES, ChainError)
        if content is None:
            return None
        what = f"the proof {path}"
        return cls._parse(strict_json.decode(content, what), what)

    @classmethod
    def _parse(cls, document: object, what: str) -> Proof:
        names = {"chain", "contract", "digest", "header", "nodes", "basis", "agreed", "final", "taken"}
        fields = Fields(document, FORMAT, names, what)
        return cls(
            Domain(fields.number("chain"), fields.bytes("contract", 20)),
            fields.bytes("digest", 32),
            bytes.fromhex(fields.has("header", _is_hex, "a header in hexadecimal")),
            tuple(map(bytes.fromhex, fields.has("nodes", _is_nodes, "a list of nodes in hexadecimal"))),
            fields.text("basis", 4096),
            fields.texts("agreed", 64, 2048),
            fields.has("final", lambda value: isinstance(value, bool), "true or false"),
            fields.number("taken", 2**40),
        )

    def save(self, path: Path) -> None:
        """Write it to `path`, of mode 600, beside and renamed."""
        replace_key_file(path, strict_json.encode(self.to_json(), "the proof"))

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "format": FORMAT,
            "chain": str(self.domain.chain_id),
            "contract": self.domain.contract.hex(),
            "digest": self.digest.hex(),
            "header": self.header.hex(),
            "nodes": [node.hex() for node in self.nodes],
            "basis": self.basis,
            "agreed": list(self.agreed),
            "final": self.final,
            "taken": str(self.taken),
        }


class ProvenChain:
    """A chain of which one proof is all there is: `judge` reads it as it reads any other.

    What the proof does not cover is refused, and never taken for zero.  `basis` says in words what it rests on.
    """

    def __init__(self, proof: Proof, basis: str) -> None:
        self._proof = proof
        self._basis = basis

    @property
    def domain(self) -> Domain:
        """Where the federation's signatures hold."""
        return self._proof.domain

    @property
    def basis(self) -> str:
        """What a reading rests on, in words."""
        return self._basis

    def snapshot(self) -> Snapshot:
        """The contract as the proof shows it; ChainError when its nodes do not hash to its header."""
        proof = self._proof
        header = Header.decode(proof.header)
        known = {keccak(node): node for node in proof.nodes}

        def nodes(digest: bytes) -> bytes:
            if (node := known.get(digest)) is None:
                raise ChainError("the proof does not cover what the verdict needs, or was altered: a node is missing")
            return node

        recorded = Recorded(nodes)
        state = State(TrieStorage(recorded, header.state_root, proof.domain.contract))
        return Snapshot(
            header.number, header.time, state, proof.header, recorded.used, self._basis, proof.agreed, proof.final
        )

    def events(
        self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None
    ) -> Sequence[Event]:
        """None: events are not proven."""
        return ()

    def settle(self) -> NoReturn:
        """ChainError: a proof is for reading."""
        raise ChainError("a proof cannot be written to; ask the chain")

    def submit(self, call: bytes, what: str) -> Receipt:
        """ChainError: a proof is for reading."""
        raise ChainError("a proof cannot be written to; ask the chain")


def _is_hex(value: object) -> bool:
    if not isinstance(value, str) or len(value) > _MAX_HEX or len(value) % 2:
        return False
    return not set(value) - set("0123456789abcdef")


def _is_nodes(value: object) -> bool:
    return (
        isinstance(value, list) and len(nodes := cast("list[object]", value)) <= _MAX_NODES and all(map(_is_hex, nodes))
    )
