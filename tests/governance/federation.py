"""A federation for tests: the real contract on a virtual machine, members with fixed keys, and a clock of its own."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from eth_hash.auto import keccak

from graphopt_governance.keys.member_key import MemberKey, in_order
from graphopt_governance.protocol.action import ALL_RIGHTS, ZERO, Action, Domain, Kind, Right, model_id, word
from graphopt_governance.protocol.contract import (
    Founder,
    State,
    artifact,
    decode_event,
    deployment,
    execution,
)

from .evm import EmbeddedEvm, Evm, Mined, TurnedDownError

CHAIN_ID = 2**48 + 7
START = 1_800_000_000
DAY = 86400

OTHER_CODE = "GRAPHOPT_TEST_CONTRACT"
"""Names a file with the init code, in hexadecimal, of another contract to test instead (mutation_gate.py)."""


def key(number: int) -> MemberKey:
    """The fixed key of the test person with this number."""
    return MemberKey(ec.derive_private_key(number + 1, ec.SECP256K1()))


def digest(text: str) -> bytes:
    """Any 32 bytes, by name."""
    return hashlib.sha256(text.encode()).digest()


def number(value: int) -> bytes:
    """A member's number as the subject of an action."""
    return value.to_bytes(32, "big")


class Federation:
    """`size` members, numbered from 1, whose keys are `key(1)` to `key(size)`."""

    def __init__(
        self,
        size: int = 3,
        quorum: int = 2,
        delay: int = 0,
        rights: Sequence[Right] | None = None,
        chain_id: int = CHAIN_ID,
        evm: Evm | None = None,
    ) -> None:
        given = [ALL_RIGHTS] * size if rights is None else rights
        founders = [Founder(key(i + 1).account, right, digest(f"signing {i + 1}")) for i, right in enumerate(given)]
        self.evm = EmbeddedEvm() if evm is None else evm
        self.chain_id = chain_id
        code = deployment(founders, quorum, delay)
        other = os.environ.get(OTHER_CODE)
        if other is not None:
            standard = bytes.fromhex(artifact()["bytecode"][2:])
            code = bytes.fromhex(Path(other).read_text()) + code[len(standard) :]
        self.checks_code = other is None
        self.contract = self._done(self.evm.begin(chain_id, code, START)).contract

    def close(self) -> None:
        self.evm.close()

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, self.contract)

    @property
    def state(self) -> State:
        return State(self.evm.storage(check_code=self.checks_code))

    def make(self, kind: Kind, **fields: Any) -> Action:
        """An action with the epoch, nonce and deadline that are right now, where they are not given."""
        action = Action(kind, **fields)
        if "epoch" not in fields:
            action = replace(action, epoch=self.state.number("epoch"))
        if "nonce" not in fields and kind <= Kind.RESTORE:
            action = replace(action, nonce=self.state.record(action.subject).nonce)
        if "deadline" not in fields:
            action = replace(action, deadline=self.now + 1000)
        return action

    def sign(self, action: Action, *who: int) -> list[bytes]:
        """The signatures of the persons `who`, in the order of their accounts."""
        identity = action.identity(self.domain)
        return in_order([(key(i).account, key(i).sign(identity)) for i in who])

    def send(self, action: Action, signatures: Sequence[bytes] = ()) -> list[tuple[str, dict[str, Any]]]:
        """Execute, and return the events; TurnedDownError when the contract turns it down."""
        return self.call(execution(action, signatures))

    def do(self, kind: Kind, *who: int, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
        """Make an action, have it signed by `who`, and execute it."""
        action = self.make(kind, **fields)
        return self.send(action, self.sign(action, *who))

    def call(self, data: bytes) -> list[tuple[str, dict[str, Any]]]:
        """Send any call data; a call that is turned down leaves no trace."""
        self.now += 1
        decoded = (decode_event(topics, data) for topics, data in self._done(self.evm.execute(data, self.now)).logs)
        return [event for event in decoded if event is not None]

    def anchor(self, text: str, *who: int, model: str = "m", version: int | None = None, **fields: Any) -> Any:
        """Approve the digest of `text` as the next version of `model`."""
        version = self.state.versions(model_id(model))[1] + 1 if version is None else version
        return self.do(Kind.ANCHOR, *who, subject=digest(text), name=model_id(model), amount=version, **fields)

    def view(self, name: str, data: bytes) -> bytes:
        """What a view function returns."""
        return self.evm.view(selector(name) + data, self.now + 1)

    def send_to_a_forged_state(self, action: Action, who: Sequence[int], variable: str, at: bytes, value: int) -> None:
        """Execute on a state that no reasonable number of actions would lead to, and forget it again."""
        slot = int.from_bytes(keccak(word(artifact()["layout"][variable]) + at), "big")
        self.evm.execute_on_forged_state(slot, value, execution(action, self.sign(action, *who)), self.now + 1)

    def approved(self, text: str) -> bool:
        """The contract's own word on a digest."""
        return self.view("approved(bytes32)", digest(text)) != ZERO

    def _done(self, mined: Mined) -> Mined:
        self.now = mined.time
        self.gas = mined.gas
        return mined


Found = Callable[..., Federation]
"""Founds a federation, with the options of `Federation`, that ends with the test."""


def selector(signature: str) -> bytes:
    """The first four bytes of a call."""
    return keccak(signature.encode())[:4]


def refuses(reason: str) -> Any:
    """Expect the contract to turn down what follows, for exactly this reason."""
    return pytest.raises(TurnedDownError, match=f"^{re.escape(reason)}$")


def admission(fed: Federation, person: int, rights: int = ALL_RIGHTS, **fields: Any) -> Action:
    """The action that makes the test person a member."""
    return fed.make(Kind.ADMIT, name=key(person).account, amount=rights, evidence=digest(f"signing {person}"), **fields)
