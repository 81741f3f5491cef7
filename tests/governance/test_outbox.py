"""Sending to a real chain: done once and paid once, whatever becomes of the transaction, the node or the process."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_hash.auto import keccak
from hexbytes import HexBytes
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3
from web3.types import RPCEndpoint

from graphopt.bundle import read_manifest
from graphopt.errors import GraphoptError
from graphopt_governance import actions
from graphopt_governance.chains import rpc, rpc_endpoint
from graphopt_governance.chains.fees import Fees
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.chains.outbox import Attempt, Outbox, Outgoing
from graphopt_governance.chains.rpc_agreement import Agreement
from graphopt_governance.chains.rpc_nodes import Nodes
from graphopt_governance.chains.rpc_sending import Payer, Sender
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.protocol.action import Action, Domain, Kind, word
from graphopt_governance.protocol.contract import RecordKind, State, Status, artifact, execution

from .conftest import make_bundle
from .ethereum_node import InProcessNode, fund
from .federation import digest, key

URL = "http://node.invalid:8545"


@pytest.fixture
def node(home: Home, monkeypatch: pytest.MonkeyPatch) -> InProcessNode:
    """A node where the home's member has funds, who waits a moment for what he sends."""
    node = InProcessNode()
    monkeypatch.setenv("GRAPHOPT_CHAIN", URL)

    def provider_at(url: str) -> InProcessNode:
        return node

    def impatient(agreement: Agreement, home: Home, payer: Payer, patience: float) -> Sender:
        # nobody makes blocks, so there is no use in waiting
        in_vain = node.waiting is not None and node.before is None
        return Sender(
            Nodes(agreement), Outbox(home.folder), payer, 0.2 if in_vain else 60.0, raise_after=0.0, pause=0.05
        )

    monkeypatch.setattr(rpc_endpoint, "provider_at", provider_at)
    monkeypatch.setattr(rpc, "_sender", impatient)
    fund(node, load_member_key(home.member_key).account)
    return node


@pytest.fixture
def anchored(node: InProcessNode, home: Home, bundle: Path) -> Path:
    """A bundle that is anchored on the node, whose blocks come only when they are asked for from now on."""
    actions.sign(bundle)
    actions.anchor(bundle)
    node.waiting = {}
    return bundle


def mine(node: InProcessNode) -> None:
    node.answer_web3(RPCEndpoint("evm_mine"), [1])


def another(bundle: Path, name: str = "cd") -> Path:
    other = make_bundle(bundle.parent / name, name * 32)
    actions.sign(other)
    return other


def left(home: Home) -> Outgoing:
    outgoing = Outbox(home.folder).load()
    assert outgoing is not None
    return outgoing


def transactions(node: InProcessNode, home: Home) -> int:
    account = Web3.to_checksum_address(load_member_key(home.member_key).account)
    return Web3(node).eth.get_transaction_count(account)


def newest(node: InProcessNode) -> Any:
    """The transaction in the newest block."""
    web3: Any = Web3(node)
    return web3.eth.get_transaction(web3.eth.get_block("latest")["transactions"][0])


def withdrawals(bundle: Path) -> int:
    chain = open_chain(Home.default())
    assert chain is not None
    return len(chain.events("Revoked", read_manifest(bundle).digest))


def test_it_is_in_the_outbox_before_it_is_sent_and_final_there_when_it_is(
    anchored: Path, node: InProcessNode, home: Home
):
    node.waiting = None
    seen: list[str] = []

    def look(method: str, params: Any) -> None:
        if method == "eth_sendRawTransaction":
            path = home.folder / "outbox.json"
            assert path.stat().st_mode & 0o777 == 0o600
            seen.append(json.loads(path.read_bytes())["sent"][0])
            assert bytes.fromhex(seen[-1]) == bytes(HexBytes(params[0]))

    node.before = look
    actions.revoke(anchored)
    assert len(seen) == 1
    assert left(home).block == Web3(node).eth.block_number


def test_who_lost_patience_goes_on_waiting_for_the_same_transaction(anchored: Path, node: InProcessNode, home: Home):
    before = transactions(node, home)
    with pytest.raises(ChainError, match=r"was sent \(transaction 0x[0-9a-f]{64}\) and is in no block after .*repeat"):
        actions.revoke(anchored, "wrong")
    kept = left(home)
    with pytest.raises(ChainError, match="repeat this to go on waiting: it is done and paid once"):
        actions.revoke(anchored, "wrong")
    assert left(home).nonce == kept.nonce
    mine(node)
    assert actions.revoke(anchored, "wrong").reason == "wrong"
    assert (withdrawals(anchored), transactions(node, home)) == (1, before + 1)
    # repeated once more, as after a kill that came before the answer
    assert actions.revoke(anchored, "wrong").block == left(home).block
    assert transactions(node, home) == before + 1
    with pytest.raises(ActionError, match="revoked already"):
        actions.revoke(anchored, "for another reason")


def test_something_else_waits_for_what_was_sent_before(anchored: Path, node: InProcessNode, home: Home):
    other = another(anchored)
    with pytest.raises(ChainError, match="repeat"):
        actions.anchor(other)
    with pytest.raises(ChainError, match=r"^anchoring was sent"):
        actions.revoke(anchored)
    mine(node)
    node.waiting = None
    actions.revoke(anchored)
    assert actions.anchor(other).already


def test_what_the_node_lost_is_sent_again_as_it_was(anchored: Path, node: InProcessNode, home: Home):
    with pytest.raises(ChainError, match="repeat"):
        actions.revoke(anchored)
    [sent] = left(home).attempts
    node.waiting = {}
    with pytest.raises(ChainError, match="repeat"):
        actions.revoke(anchored)
    assert list(node.waiting.values()) == [sent.raw]
    mine(node)
    actions.revoke(anchored)
    assert withdrawals(anchored) == 1


def test_what_was_kept_and_never_sent_is_sent(anchored: Path, node: InProcessNode, home: Home):
    def die(method: str, params: Any) -> None:
        if method == "eth_sendRawTransaction":
            raise KeyboardInterrupt

    node.before = die
    with pytest.raises(KeyboardInterrupt):
        actions.revoke(anchored)
    node.before = node.waiting = None
    kept = left(home).attempts[0].digest
    withdrawn = actions.revoke(anchored)
    assert int(Web3(node).eth.get_transaction_receipt(HexBytes(kept))["blockNumber"]) == withdrawn.block


def test_what_blocks_pass_over_offers_more_under_the_same_nonce(
    anchored: Path, node: InProcessNode, home: Home, caplog: pytest.LogCaptureFixture
):
    offers: list[Any] = []

    def pass_over(method: str, params: Any) -> None:
        if method == "eth_sendRawTransaction":
            offers.append(TypedTransaction.from_bytes(HexBytes(params[0])).as_dict())
        if method == "eth_getTransactionReceipt" and offers:
            node.before = None
            if len(offers) < 3:
                held, node.waiting = node.waiting, {}
                mine(node)
                node.waiting, node.before = held, pass_over
            else:
                mine(node)

    node.before = pass_over
    actions.revoke(anchored)
    assert len({offer["nonce"] for offer in offers}) == 1
    for fee in ("maxFeePerGas", "maxPriorityFeePerGas"):
        for old, new in pairwise(offer[fee] for offer in offers):
            assert new >= old * 1.125
    assert len(offers) == 3
    texts = [record.getMessage() for record in caplog.records]
    assert sum("is in no block; it offers" in text for text in texts) == 2
    assert withdrawals(anchored) == 1


def test_no_more_is_offered_than_the_user_allows(
    anchored: Path, node: InProcessNode, home: Home, monkeypatch: pytest.MonkeyPatch
):
    before = transactions(node, home)
    monkeypatch.setenv("GRAPHOPT_MAX_FEE_GWEI", "0.5")
    with pytest.raises(
        ChainError, match=r"gas costs [\d.]+ gwei now, more than the 0\.5 that may be offered; wait, or"
    ):
        actions.revoke(anchored)
    assert left(home).block is not None
    assert transactions(node, home) == before
    base = Web3(node).eth.get_block("latest").get("baseFeePerGas", 0)
    monkeypatch.setenv("GRAPHOPT_MAX_FEE_GWEI", str((base + 10**9) / 10**9 + 0.1))
    with pytest.raises(ChainError, match="repeat"):
        actions.revoke(anchored)
    assert max(attempt.fees.most for attempt in left(home).attempts) <= base + 1.1 * 10**9


@pytest.mark.parametrize("text", ["much", "-1", "0", "nan", "inf", "1e99"])
def test_a_cap_that_is_no_number_is_one_sentence(anchored: Path, text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRAPHOPT_MAX_FEE_GWEI", text)
    with pytest.raises(ChainError, match="GRAPHOPT_MAX_FEE_GWEI is no number of gwei"):
        actions.revoke(anchored)


def test_who_has_too_little_is_told_what_he_needs(anchored: Path, node: InProcessNode, home: Home):
    web3: Any = Web3(node)
    key = load_member_key(home.member_key)
    account = Web3.to_checksum_address(key.account)
    private = key.private.private_numbers().private_value.to_bytes(32, "big")
    price = 2 * web3.eth.gas_price
    away = {"to": web3.eth.accounts[0], "value": web3.eth.get_balance(account) - 21000 * price - 10**9, "gas": 21000}
    away |= {"gasPrice": price, "nonce": web3.eth.get_transaction_count(account), "chainId": web3.eth.chain_id}
    node.waiting = None
    web3.eth.send_raw_transaction(web3.eth.account.sign_transaction(away, private).raw_transaction)
    sentence = rf"not sent; {account.lower()} pays for gas: it has 0\.000000001 ether; send it more"
    with pytest.raises(ChainError, match=sentence):
        actions.revoke(anchored)
    assert left(home).block is not None


def test_another_machine_with_the_same_key_is_noticed(anchored: Path, node: InProcessNode, home: Home):
    def overtake(method: str, params: Any) -> None:
        if method == "eth_getTransactionReceipt":
            node.before = None
            take_its_nonce(node, home)

    node.before = overtake
    with pytest.raises(ChainError, match=r"not done: another program uses account 0x.* let one machine alone pay"):
        actions.revoke(anchored)
    assert Outbox(home.folder).load() is None
    actions.revoke(anchored)
    assert withdrawals(anchored) == 1


def test_a_nonce_that_was_taken_after_the_process_died_is_replaced(
    anchored: Path, node: InProcessNode, home: Home, caplog: pytest.LogCaptureFixture
):
    with pytest.raises(ChainError, match="repeat"):
        actions.revoke(anchored)
    take_its_nonce(node, home)
    actions.revoke(anchored)
    assert any("let one machine alone pay" in record.getMessage() for record in caplog.records)
    assert withdrawals(anchored) == 1


def take_its_nonce(node: InProcessNode, home: Home) -> None:
    """Another transaction of the same account and nonce comes into a block."""
    web3: Any = Web3(node)
    key = load_member_key(home.member_key)
    private = key.private.private_numbers().private_value.to_bytes(32, "big")
    node.waiting = None
    other = {"to": web3.eth.accounts[0], "value": 1, "gas": 21000, "gasPrice": 2 * web3.eth.gas_price}
    other |= {"nonce": left(home).nonce, "chainId": web3.eth.chain_id}
    web3.eth.send_raw_transaction(web3.eth.account.sign_transaction(other, private).raw_transaction)


def test_what_would_be_turned_down_by_now_leaves_its_nonce_to_the_next(
    anchored: Path, node: InProcessNode, home: Home, monkeypatch: pytest.MonkeyPatch
):
    before = transactions(node, home)
    with pytest.raises(ChainError, match="repeat"):
        actions.revoke(anchored)
    kept = left(home)
    # lost by every node, and its deadline passes
    node.waiting = None
    node.answer_web3(RPCEndpoint("testing_timeTravel"), [int(time.time()) + 10**5])
    monkeypatch.setattr(time, "time", lambda: 2.0**31)
    actions.revoke(anchored)
    assert (withdrawals(anchored), transactions(node, home)) == (1, before + 1)
    mined = newest(node)
    assert mined["nonce"] == kept.nonce
    assert mined["maxFeePerGas"] >= kept.attempts[-1].fees.most * 1.125


def test_a_chain_that_has_gas_prices_takes_them(anchored: Path, node: InProcessNode):
    node.waiting, node.gas_prices = None, True
    actions.revoke(anchored)
    assert newest(node)["type"] == 0


def test_a_home_sends_one_transaction_at_a_time(anchored: Path, home: Home):
    with Outbox(home.folder).locked(0), pytest.raises(ChainError, match="another process sends from"):
        actions.revoke(anchored)


def test_a_node_of_another_chain_does_not_settle_what_was_sent(anchored: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ChainError, match="repeat"):
        actions.revoke(anchored)
    home_of_another = replace(left(Home.default()), chain=5)
    monkeypatch.setattr(Outbox, "load", lambda _: home_of_another)
    with pytest.raises(ChainError, match=r"was sent to chain 5 .* is on chain 131277322940537: .*or remove .*outbox"):
        actions.revoke(anchored)


def signed(fees: Fees, to: bytes | None, data: bytes) -> Outgoing:
    """A transaction of the test person 1, signed by eth-account."""
    fields: Any = {"data": data, "value": 0, "gas": 9, "nonce": 3, "chainId": 2**48} | fees.fields()
    fields |= {} if to is None else {"to": Web3.to_checksum_address(to)}
    raw = Account.sign_transaction(fields, (2).to_bytes(32, "big")).raw_transaction
    return Outgoing("it", 2**48, key(1).account, 3, to, data, 9, (Attempt(bytes(raw), fees),))


BASE = Action(Kind.SUSPEND, subject=digest("a"), epoch=3, nonce=7, deadline=100)


class Contract:
    """The storage of a contract, by the variables that are said; 0 for all others."""

    def __init__(self, **numbers: int) -> None:
        self._layout: dict[str, int] = artifact()["layout"]
        self._words = {self._layout[name]: number for name, number in numbers.items()}

    def put(self, variable: str, key: bytes, value: int) -> Contract:
        self._words[int.from_bytes(keccak(word(self._layout[variable]) + key), "big")] = value
        return self

    def record(self, status: Status, nonce: int, *, version: int = 1, model: bytes = b"\5" * 20) -> Contract:
        value = status | RecordKind.MANIFEST << 4 | nonce << 8 | version << 24 | int.from_bytes(model, "big") << 96
        return self.put("records", digest("a"), value)

    def slot(self, key: int) -> int:
        return self._words.get(key, 0)

    def expect(self, keys: Any) -> None:
        """Nothing."""

    def state(self) -> State:
        return State(self)


def same(kept: Action, asked: Action, contract: Contract, signatures: int = 1) -> bool:
    call = execution(kept, [bytes(65)])
    outgoing = Outgoing("it", 1, bytes(20), 0, bytes(20), call, 1, (Attempt(b"1", Fees(1, 1)),))
    return outgoing.does(bytes(20), execution(asked, [bytes(65)] * signatures), contract.state)


OPEN = Contract(epoch=3).record(Status.APPROVED, 7)
SUSPENDED = Contract(epoch=3).record(Status.SUSPENDED, 8)


@pytest.mark.parametrize(
    ("changes", "contract", "expected"),
    [
        ({}, OPEN, True),
        ({"deadline": 200}, OPEN, True),
        ({"deadline": 200}, SUSPENDED, True),
        # drawn up after it was done, and nothing was decided since
        ({"nonce": 8}, SUSPENDED, True),
        ({"nonce": 8, "epoch": 4}, Contract(epoch=4).record(Status.SUSPENDED, 8), True),
        ({"nonce": 8}, Contract(epoch=3).record(Status.APPROVED, 8), False),
        ({"nonce": 9}, Contract(epoch=3).record(Status.APPROVED, 9), False),
        ({"nonce": 10}, Contract(epoch=3).record(Status.SUSPENDED, 10), False),
        ({"epoch": 4}, Contract(epoch=4).record(Status.APPROVED, 7), False),
        ({"nonce": 6}, OPEN, False),
        ({"evidence": digest("why")}, SUSPENDED, False),
        ({"subject": digest("b")}, SUSPENDED, False),
        ({"kind": Kind.REVOKE}, SUSPENDED, False),
    ],
)
def test_the_same_thing_is_known_by_what_is_proven_to_stand(
    changes: dict[str, Any], contract: Contract, expected: bool
):
    assert same(BASE, replace(BASE, **changes), contract) is expected
    assert not same(BASE, replace(BASE, **changes), contract, signatures=0)


def test_a_second_cancellation_is_never_the_first():
    kept = Action(Kind.CANCEL, epoch=3, deadline=100)
    assert same(kept, kept, Contract(epoch=3))
    assert same(kept, replace(kept, deadline=200), Contract(epoch=4)), "drawn up before it was done"
    assert not same(kept, replace(kept, epoch=4), Contract(epoch=4))


def test_going_back_a_second_time_is_never_the_first():
    kept = replace(BASE, kind=Kind.ROLLBACK, amount=2)
    current, other = (
        Contract(epoch=3).record(Status.APPROVED, 8).put("models", b"\5" * 20 + bytes(12), at | 2 << 32)
        for at in (1, 2)
    )
    assert same(kept, replace(kept, deadline=200), current)
    assert not same(kept, replace(kept, nonce=8), current)
    assert not same(kept, replace(kept, nonce=8), other)
    assert not same(kept, kept, other), "it was done, and undone since"


def test_an_admission_that_waits_is_no_other_admissions():
    kept = Action(Kind.ADMIT, name=b"\7" * 20, amount=31, evidence=digest("key"), epoch=3, deadline=100)
    identity = kept.identity(Domain(1, bytes(20)))
    waits = Contract(epoch=3, delay=60).put("waiting", identity, 9)
    assert same(kept, kept, waits)
    assert not same(kept, replace(kept, deadline=200), waits), "only the ballot that waits is executed later"
    assert not same(kept, replace(kept, epoch=4), Contract(epoch=4, delay=60).put("waiting", identity, 9))
    assert not same(kept, replace(kept, epoch=4), Contract(epoch=4))


def test_what_was_signed_for_another_contract_or_creates_one_is_another_thing():
    call = execution(BASE, [bytes(65)])
    kept = Outgoing("it", 1, bytes(20), 0, bytes(20), call, 1, (Attempt(b"1", Fees(1, 1)),))
    assert not kept.does(bytes(19) + b"1", call, OPEN.state)
    assert not kept.does(None, call, OPEN.state)


@given(st.integers(0, 10**30), st.integers(0, 10**30), st.integers(0, 10**30), st.integers(0, 10**30))
def test_fees_that_replace_others_are_an_eighth_more(most: int, tip: int, old_most: int, old_tip: int):
    fees = Fees(most, tip).over(Fees(old_most, old_tip))
    assert fees.tip is not None
    assert fees.most >= max(most, fees.tip)
    assert fees.tip >= tip
    assert fees.most * 8 >= old_most * 9
    assert fees.tip * 8 >= old_tip * 9
    assert (fees.most > old_most, fees.tip > old_tip) == (True, True)


KEPT = [
    signed(Fees(10, 2), bytes(range(20)), execution(BASE, [bytes(65)])),
    signed(Fees(10, None), bytes(range(20)), execution(BASE)),
    signed(Fees(10, 0), None, b"code"),
]


@given(st.data())
def test_an_outbox_that_was_altered_is_one_sentence_or_another_transaction(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    outbox = Outbox(tmp_path_factory.mktemp("home"))
    kept = data.draw(st.sampled_from(KEPT))
    outbox.save(kept)
    assert outbox.load() == kept
    content = bytearray(outbox.path.read_bytes())
    at, change = data.draw(st.integers(0, len(content) - 1)), data.draw(st.binary(max_size=3))
    content[at : at + data.draw(st.integers(0, 3))] = change
    outbox.path.write_bytes(content)
    try:
        assert isinstance(outbox.load(), Outgoing)
    except GraphoptError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
