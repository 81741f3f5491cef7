"""A transaction's bytes are what was to be signed, and what it leaves proves that it was done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import rlp
from eth_account import Account
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from graphopt_governance.chains import rlp_decoding, rlp_encoding
from graphopt_governance.chains.fees import Asked, Fees, fees_between
from graphopt_governance.chains.transaction import Transaction, created_address
from graphopt_governance.protocol.action import Action, Domain, Kind, Right, model_id
from graphopt_governance.protocol.contract import Founder, State, deployed, deployment
from graphopt_governance.protocol.effect import is_done, is_founded, is_past, is_waiting

from .federation import Federation, Found, admission, digest, key, number

amounts = st.integers(0, 2**128)
items = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=5), max_leaves=20)


@given(items)
def test_what_is_encoded_is_as_the_library_encodes_it(item: Any):
    assert rlp_encoding.encode(item) == rlp.encode(item)
    assert rlp_decoding.decode(rlp_encoding.encode(item)) == item


accounts = st.binary(min_size=20, max_size=20)


@given(
    st.integers(1, 2**53),
    st.integers(0, 2**63),
    st.none() | accounts,
    st.binary(max_size=90),
    st.integers(0, 10**7),
    amounts,
    st.none() | amounts,
    st.integers(1, 5),
)
def test_a_transaction_is_signed_by_who_pays_and_says_what_it_should(
    chain: int, nonce: int, to: bytes | None, data: bytes, gas: int, most: int, tip: int | None, who: int
):
    form = Transaction(chain, nonce, to, data, gas, Fees(most, tip))
    signed = form.signed(key(who))
    # by the Yellow Paper and EIP-1559, and nobody's reading of them
    fields: Any = [item if isinstance(item, bytes) else int(item) for item in (nonce, gas, to or b"", 0, data)]
    if tip is None:
        found = rlp.decode(signed)
        said = [*fields[:1], most, *fields[1:]]
        assert int.from_bytes(found[6], "big") in (2 * chain + 35, 2 * chain + 36)
    else:
        assert signed[0] == 2
        found = rlp.decode(signed[1:])
        said = [chain, *fields[:1], tip, most, *fields[1:], []]
    assert rlp.encode(found[: len(said)]) == rlp.encode(said)
    assert Account.recover_transaction(signed) == Web3.to_checksum_address(key(who).account)
    assert Transaction.decode(signed) == form


@given(st.binary(max_size=200) | items.map(rlp.encode) | items.map(lambda item: b"\2" + bytes(rlp.encode(item))))
def test_what_is_no_transaction_is_refused(raw: bytes):
    with pytest.raises(ValueError, match=r".*"):
        Transaction.decode(raw)


@pytest.mark.parametrize("fees", [Fees(2, 1), Fees(2, None)])
def test_what_sends_something_along_is_refused(fees: Fees):
    fields: Any = {"chainId": 1, "nonce": 0, "gas": 9, "data": b"", "to": Web3.to_checksum_address(bytes(20))}
    for value in (0, 1):
        raw = bytes(Account.sign_transaction(fields | fees.fields() | {"value": value}, b"1" * 32).raw_transaction)
        if value:
            with pytest.raises(ValueError, match="sends something along"):
                Transaction.decode(raw)
        else:
            assert Transaction.decode(raw).fees == fees


@given(accounts, st.integers(0, 2**64))
def test_a_contracts_address_follows_from_who_creates_it(account: bytes, nonce: int):
    assert created_address(account, nonce) == keccak(rlp.encode([account, nonce]))[12:]


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=2), st.integers(0, 10**30), st.integers(0, 10**30))
def test_fees_are_between_what_honest_nodes_ask(honest: list[int], base: int, tip: int):
    asked = [Asked(honest[0], honest[1]), Asked(base, tip), Asked(honest[1], honest[0])]
    found = fees_between(asked, 2)
    assert found is not None
    assert min(honest) <= found[1] - (found[0].tip or 0) <= max(honest)
    assert min(honest) <= (found[0].tip or 0) <= max(honest)
    liar = Asked(None, tip)
    assert fees_between([asked[0], liar, asked[2]], 2) == fees_between([asked[0], asked[2]], 2)
    assert fees_between([asked[0], liar], 2) is None


FOUNDERS = tuple(Founder(key(at).account, Right(at), digest(f"s{at}"), digest(f"x{at}")) for at in range(1, 4))


def test_a_deployment_says_what_it_founds():
    code = deployment(FOUNDERS, 2, 60)
    assert deployed(code) == (FOUNDERS, 2, 60)
    for wrong in (code[:-1], code + bytes(32), code[:-32], b"", code[:200], bytes(8) + code[8:]):
        with pytest.raises(ValueError, match="not code that founds"):
            deployed(wrong)


def test_a_federation_is_founded_when_it_is_all_that_was_asked_for(found: Found):
    fed = found(size=3, quorum=2, delay=60)
    asked = tuple(Founder(m.account, m.rights, m.signing, m.sealing) for m in fed.state.members())
    assert is_founded(fed.state, asked, 2, 60)
    for other in (
        (asked, 1, 60),
        (asked, 2, 0),
        (asked[:2], 2, 60),
        ((*asked, FOUNDERS[0]), 2, 60),
        ((replace(asked[0], rights=Right.REVOKE), *asked[1:]), 2, 60),
        ((replace(asked[0], signing=digest("other")), *asked[1:]), 2, 60),
        ((replace(asked[0], sealing=digest("other")), *asked[1:]), 2, 60),
        (asked[::-1], 2, 60),
    ):
        assert not is_founded(fed.state, *other)


def shown(fed: Federation, action: Action) -> tuple[bool, bool, bool]:
    state: State = fed.state
    domain = Domain(fed.chain_id, fed.contract)
    return is_done(state, action, domain), is_waiting(state, action, domain), is_past(state, action)


def test_each_kind_of_action_is_known_by_what_it_leaves_and_by_nothing_before(found: Found):
    fed = found(size=3, quorum=2)
    fed.anchor("old", 1, 2)
    fed.anchor("new", 1, 2)
    doing: list[tuple[Kind, dict[str, Any]]] = [
        (Kind.PROPOSE, {"subject": digest("next"), "name": model_id("m"), "amount": 3}),
        (Kind.ANCHOR, {"subject": digest("next"), "name": model_id("m"), "amount": 3}),
        (Kind.BATCH, {"subject": digest("batch"), "amount": 2}),
        (Kind.ROLLBACK, {"subject": digest("old"), "amount": 3}),
        (Kind.SUSPEND, {"subject": digest("new"), "evidence": digest("why")}),
        (Kind.RESTORE, {"subject": digest("new")}),
        (Kind.REVOKE, {"subject": digest("new")}),
        (Kind.REPORT, {"subject": digest("new"), "evidence": digest("report")}),
        (Kind.ADMIT, {"name": key(4).account, "amount": 31, "evidence": digest("signing 4"), "sealing": digest("x")}),
        (Kind.CHANGE, {"subject": number(4), "name": key(5).account, "amount": 3, "evidence": digest("signing 5")}),
        (Kind.REMOVE, {"subject": number(4), "epoch": 0}),
        (Kind.QUORUM, {"amount": 3}),
        (Kind.CANCEL, {}),
        (Kind.DELAY, {"amount": 60}),
    ]
    assert {kind for kind, _ in doing} == set(Kind)
    for kind, fields in doing:
        action = fed.make(kind, **fields)
        assert shown(fed, action)[:2] == (False, False), kind
        who = (1,) if kind in (Kind.PROPOSE, Kind.SUSPEND, Kind.REPORT) else (1, 2, 3)
        fed.send(action, fed.sign(action, *who))
        assert shown(fed, action)[0], kind
    action = admission(fed, 6)
    fed.send(action, fed.sign(action, 1, 2, 3))
    assert shown(fed, action) == (False, True, False)
    fed.now += 100
    fed.send(action)
    assert shown(fed, action) == (True, False, True)


def test_what_was_decided_since_is_not_what_was_asked(found: Found):
    fed = found(size=3, quorum=2)
    fed.anchor("a", 1, 2)
    action = fed.make(Kind.SUSPEND, subject=digest("a"))
    fed.send(action, fed.sign(action, 1))
    assert shown(fed, action) == (True, False, True)
    fed.do(Kind.RESTORE, 1, 2, subject=digest("a"))
    assert shown(fed, action) == (False, False, True)
    fed.do(Kind.SUSPEND, 1, subject=digest("a"))
    assert shown(fed, action) == (False, False, True)
