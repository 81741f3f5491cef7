"""The contract as others see it: its code, what is signed, and the one way in."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak

from graphopt_governance.protocol.action import Kind, model_id
from graphopt_governance.protocol.contract import artifact

from .evm import TurnedDownError
from .federation import CHAIN_ID, Federation, digest, refuses


def test_the_shipped_code_is_what_the_source_compiles_to():
    vyper = shutil.which("vyper", path=str(Path(sys.executable).parent)) or shutil.which("vyper")
    if vyper is None:
        pytest.skip("needs vyper: pip install vyper==0.4.3")
    folder = Path(__file__).parents[2] / "governance" / "contracts"
    sys.path.insert(0, str(folder))
    try:
        from compile import SOURCE, compile_contract  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(folder))
    assert compile_contract(SOURCE, vyper) == artifact()


def test_what_is_signed_is_the_eip_712_encoding(fed: Federation):
    from eth_account.messages import encode_typed_data

    action = fed.make(
        Kind.ANCHOR,
        subject=digest("a"),
        name=model_id("m"),
        amount=3,
        expires=4,
        evidence=digest("e"),
        sealing=digest("s"),
    )
    fields = artifact()["abi"]
    types = next(item for item in fields if item.get("name") == "identity")["inputs"][0]["components"]
    message = encode_typed_data(
        domain_data={
            "name": "graphopt federation",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": "0x" + fed.contract.hex(),
        },
        message_types={"Action": [{"name": field["name"], "type": field["type"]} for field in types]},
        message_data={field["name"]: getattr(action, field["name"]) for field in types},
    )
    expected = keccak(b"\x19" + message.version + message.header + message.body)
    assert action.identity(fed.domain) == expected
    names = ",".join(f"{field['type']}" for field in types)
    assert fed.view(f"identity(({names}))", action.encode()) == expected


@pytest.mark.parametrize("kind", [0, 15, 2**255])
def test_an_unknown_kind_of_action_is_refused(fed: Federation, kind: Any):
    fed.do(Kind.REVOKE, 1, 2, subject=digest("a"))
    action = fed.make(Kind.RESTORE, subject=digest("a"))
    unknown = replace(action, kind=kind)
    with refuses("unknown kind of action"):
        fed.send(unknown, fed.sign(unknown, 1, 2))


def test_no_other_way_in(fed: Federation):
    for item in artifact()["abi"]:
        if item["type"] == "function":
            assert item["name"] == "execute" or item["stateMutability"] == "view"
    with pytest.raises(TurnedDownError):
        fed.call(b"")
    with pytest.raises(TurnedDownError):
        fed.call(keccak(b"transferOwnership(address)")[:4] + bytes(32))
