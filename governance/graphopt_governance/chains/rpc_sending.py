"""Sending to an Ethereum chain: simulate, sign, keep, send, and wait until what was sent is final.

What is signed goes into the outbox before it goes to the node.  So at any moment there is at most one transaction that
may still be executed, and whoever comes next (this process, or one after it was killed) sees to that one first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError

from graphopt_governance.chains.fees import CAP, Fees, capped, ether, fee_cap, fees_asked, gwei
from graphopt_governance.chains.outbox import MAX_ATTEMPTS, Attempt, Outbox, Outgoing
from graphopt_governance.chains.rpc_node import Node
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.keys.member_key import MemberKey
from graphopt_governance.protocol.contract import revert_reason

Payer = Callable[[], MemberKey]
"""Asked only when something is signed: the account that pays for it, which has no other part in the federation."""

Mined = Mapping[str, Any]
"""A transaction's receipt, as the node gives it."""

PATIENCE_SECONDS = 1800.0
"""How long is waited for what was sent to be final; on Ethereum that takes some 15 minutes."""

RAISE_SECONDS = 90.0
"""How long a transaction waits for a block, while blocks come, before it offers more."""

_ROOM = 10**7
"""More gas than anything here takes."""

_log = logging.getLogger("graphopt.chain")


class _NeverDoneError(Exception):
    """What was in the outbox was not done, and will not be; `after` are the fees that its nonce's next one must top."""

    def __init__(self, nonce: int | None = None, after: Fees | None = None) -> None:
        super().__init__()
        self.nonce = nonce
        self.after = after


@dataclass(slots=True)
class Sender:
    """Sends through `node` what `payer` pays for, keeps it in `outbox`, and waits `patience` seconds until it is final.

    `raise_after`: seconds after which what is in no block offers more; `pause`: seconds between two looks, at most.
    What happens meanwhile that the user should know is logged as a warning, in `graphopt.chain`.
    """

    node: Node
    outbox: Outbox
    payer: Payer
    patience: float = PATIENCE_SECONDS
    raise_after: float = RAISE_SECONDS
    pause: float = 5.0

    def send(self, to: bytes | None, data: bytes, what: str, mined: Callable[[Mined], None] | None = None) -> Mined:
        """Have a transaction executed, once: its receipt, when that is final.

        What an earlier process left in the outbox is seen to first; where it does the same, its receipt is the answer.
        `mined` is called with the receipt as soon as there is one, which may be more than once.  ActionError, about
        `what`, when the contract turns it down; ChainError when the node does, or it is not final in time: then the
        same call goes on waiting.
        """
        with self.outbox.locked(self.patience):
            nonce = after = None
            if (left := self.outbox.load()) is not None:
                same = left.does(to, data)
                try:
                    # what is final already matters only to who asks for the same
                    receipt = self._left(left, mined if left.to is None else None) if same or not left.block else None
                except _NeverDoneError as error:
                    receipt, nonce, after = None, error.nonce, error.after
                if receipt is not None and same:
                    return receipt
                if receipt is not None and to is None and left.to is None:
                    raise ChainError(f"{left.what} that was begun before is made now, with other members or rules")
            outgoing = self._prepared(to, data, what, nonce, after)
            self._first(outgoing)
            try:
                return self._finish(outgoing, mined)
            except _NeverDoneError as error:
                raise ChainError(_taken(outgoing)) from error
            except ActionError:
                self.outbox.clear()
                raise

    def settle(self) -> None:
        """Return when what an earlier process left in the outbox is final, or will never be."""
        if self.outbox.is_empty:
            return
        with self.outbox.locked(self.patience):
            left = self.outbox.load()
            if left is not None and left.block is None:
                with suppress(_NeverDoneError):
                    self._left(left, None)

    def _left(self, left: Outgoing, mined: Callable[[Mined], None] | None) -> Mined | None:
        """The receipt of what was left in the outbox, when it is final; None when it failed."""
        try:
            return self._finish(left, mined)
        except ActionError as error:
            # its block is final, so this is the past; what is asked for now is simulated anew
            _log.warning("%s", error)
            self.outbox.clear()
            return None

    def _prepared(self, to: bytes | None, data: bytes, what: str, nonce: int | None, after: Fees | None) -> Outgoing:
        """The transaction, signed and not yet kept or sent."""
        payer = self.payer()
        account = Web3.to_checksum_address(payer.account)
        call = _call(payer.account, to, data)
        try:
            with self.node.asked() as eth:
                chain = int(eth.chain_id)
                fees, least = fees_asked(eth)
                fees = capped(fees, least)
                if after is not None:
                    fees = fees.over(after)
                has = int(eth.get_balance(account, "latest"))
                gas = self._gas(call, has, fees)
                if nonce is None:
                    nonce = int(eth.get_transaction_count(account, "pending"))
        except ContractLogicError as error:
            raise ActionError(what, _reason(error)) from error
        except ChainError as error:
            raise ChainError(f"{what} was not sent; 0x{payer.account.hex()} pays for gas: {error}") from error
        return self._signed(Outgoing(what, chain, payer.account, nonce, to, data, gas, ()), fees, payer)

    def _gas(self, call: dict[str, Any], has: int, fees: Fees) -> int:
        """How much gas to offer, simulated; ChainError when the account, which has `has` wei, cannot pay for it."""
        short = f"it has {ether(has)} ether"
        try:
            with self.node.asked() as eth:
                eth.call(call, "latest")
                gas = int(eth.estimate_gas(call)) * 5 // 4
        except ChainError as error:
            if has < _ROOM * fees.most:
                raise ChainError(f"{short}; send it more and repeat this ({error})") from error
            raise
        if gas * fees.most > has:
            raise ChainError(f"{short} and may need {ether(gas * fees.most)}; send it that much and repeat this")
        return gas

    def _signed(self, outgoing: Outgoing, fees: Fees, payer: MemberKey) -> Outgoing:
        """The transaction with one signed form more."""
        fields = _call(payer.account, outgoing.to, outgoing.data) | fees.fields()
        fields |= {"gas": outgoing.gas, "chainId": outgoing.chain, "nonce": outgoing.nonce}
        private = payer.private.private_numbers().private_value.to_bytes(32, "big")
        with self.node.asked() as eth:
            raw = bytes(eth.account.sign_transaction(fields, private).raw_transaction)
        return replace(outgoing, attempts=(*outgoing.attempts, Attempt(raw, fees)))

    def _first(self, outgoing: Outgoing) -> None:
        """Keep it, then send it; what the node plainly refuses was never sent, and is not kept."""
        self.outbox.save(outgoing)
        try:
            self._give(outgoing)
        except ChainError as error:
            if isinstance(error.__cause__, Web3RPCError) and not self._is_known(outgoing):
                self.outbox.clear()
                if _is_too_little(error) or self._count(outgoing, "latest") > outgoing.nonce:
                    raise ChainError(_taken(outgoing)) from error
                raise ChainError(
                    f"{outgoing.what} was not sent; 0x{outgoing.account.hex()} pays for gas: {error}"
                ) from error
            # it may have arrived all the same, and waiting will tell
            _log.warning("%s; waiting whether it took %s all the same", error, outgoing.what)

    def _give(self, outgoing: Outgoing) -> None:
        with self.node.asked() as eth:
            eth.send_raw_transaction(outgoing.attempts[-1].raw)

    def _finish(self, outgoing: Outgoing, mined: Callable[[Mined], None] | None) -> Mined:
        """Wait for what was sent to be final, send it again where it was lost, offer more where it is left lying.

        Its receipt; ActionError when it failed in its block.
        """
        if (served := self.node.chain_id) != outgoing.chain:
            raise ChainError(
                f"{outgoing.what} was sent to chain {outgoing.chain} and may not be final there; the node at"
                f" {self.node.name} serves chain {served}: repeat this with a node of that chain, or remove"
                f" {self.outbox.path} if that chain is gone"
            )
        end = time.monotonic() + self.patience
        pause, foreign = 0.05, 0
        lying = time.monotonic(), self._height()
        while True:
            # receipts are read after the block that counts: what a reorganisation undid has none, or a later one
            newest = self.node.newest()[1]
            used = self._count(outgoing, newest)
            receipt = self._receipt(outgoing)
            if receipt is not None:
                if mined is not None:
                    mined(receipt)
                if int(receipt["blockNumber"]) <= newest:
                    break
            elif used > outgoing.nonce:
                # asked twice: behind one address there may be nodes that do not all know the same
                foreign += 1
                if foreign > 1:
                    _log.warning("%s", _taken(outgoing))
                    self.outbox.clear()
                    raise _NeverDoneError
            elif not self._is_known(outgoing):
                outgoing = self._again(outgoing)
            elif time.monotonic() - lying[0] > self.raise_after and self._height() > lying[1]:
                if self._count(outgoing, "latest") == outgoing.nonce:
                    outgoing = self._raised(outgoing)
                lying = time.monotonic(), self._height()
            if time.monotonic() > end:
                where = "in no block" if receipt is None else f"in block {receipt['blockNumber']}, which is not final"
                if receipt is None and (known := self._count(outgoing, "latest")) < outgoing.nonce:
                    where += f", and later than the {known} that the node knows of 0x{outgoing.account.hex()},"
                raise ChainError(
                    f"{outgoing.what} was sent (transaction 0x{outgoing.attempts[-1].digest.hex()}) and is {where}"
                    f" after {self.patience:.0f} s; repeat this to go on waiting: it is done and paid once"
                )
            time.sleep(pause)
            pause = min(2 * pause, self.pause)
        if receipt["status"] != 1:
            raise ActionError(outgoing.what, f"it passed when simulated and failed in block {receipt['blockNumber']}")
        self.outbox.save(replace(outgoing, block=int(receipt["blockNumber"])))
        return receipt

    def _again(self, outgoing: Outgoing) -> Outgoing:
        """Send what the node does not know; where it would be turned down by now, its nonce goes to something else."""
        try:
            with self.node.asked() as eth:
                eth.call(_call(outgoing.account, outgoing.to, outgoing.data), "latest")
        except ContractLogicError as error:
            if self._receipt(outgoing) is not None:
                # it is what turned itself down: it was done in this moment
                return outgoing
            _log.warning(
                "%s was signed and is in no block; by now it would be turned down: %s", outgoing.what, _reason(error)
            )
            raise _NeverDoneError(outgoing.nonce, outgoing.attempts[-1].fees) from error
        try:
            self._give(outgoing)
        except ChainError as error:
            if _is_too_little(error):
                return self._raised(outgoing)
            # clients word it each in their own way; what counts is whether it arrived, or its nonce is used
            if not self._is_known(outgoing) and self._count(outgoing, "latest") <= outgoing.nonce:
                raise ChainError(f"{outgoing.what} is signed and cannot be sent: {error}") from error
        return outgoing

    def _raised(self, outgoing: Outgoing) -> Outgoing:
        """The transaction with the fees that are asked now, at least an eighth more than it offered, sent."""
        old = outgoing.attempts[-1].fees
        if len(outgoing.attempts) == MAX_ATTEMPTS:
            return outgoing
        with self.node.asked() as eth:
            fees = fees_asked(eth)[0].over(old)
        if fees.most > fee_cap():
            _log.warning(
                "%s offers %s gwei and is in no block; it would have to offer %s, more than %s allows",
                *(outgoing.what, gwei(old.most), gwei(fees.most), CAP),
            )
            return outgoing
        payer = self.payer()
        if payer.account != outgoing.account:
            _log.warning("0x%s paid for %s and its key is gone: it waits", outgoing.account.hex(), outgoing.what)
            return outgoing
        raised = self._signed(outgoing, fees, payer)
        self.outbox.save(raised)
        _log.warning("%s is in no block; it offers %s gwei now, not %s", raised.what, gwei(fees.most), gwei(old.most))
        try:
            self._give(raised)
        except ChainError as error:
            _log.warning("%s", error)
        return raised

    def _receipt(self, outgoing: Outgoing) -> Mined | None:
        for attempt in reversed(outgoing.attempts):
            with self.node.asked() as eth:
                try:
                    return eth.get_transaction_receipt(attempt.digest)
                except TransactionNotFound:
                    pass
        return None

    def _is_known(self, outgoing: Outgoing) -> bool:
        """Whether the node has it, in a block or waiting for one."""
        for attempt in reversed(outgoing.attempts):
            with self.node.asked() as eth:
                try:
                    eth.get_transaction(attempt.digest)
                    return True
                except TransactionNotFound:
                    pass
        return False

    def _count(self, outgoing: Outgoing, block: int | str) -> int:
        with self.node.asked() as eth:
            return int(eth.get_transaction_count(Web3.to_checksum_address(outgoing.account), block))

    def _height(self) -> int:
        with self.node.asked() as eth:
            return int(eth.block_number)


def _is_too_little(error: ChainError) -> bool:
    text = str(error).lower()
    return "underpriced" in text or "fee too low" in text or "base fee" in text


def _taken(outgoing: Outgoing) -> str:
    return (
        f"{outgoing.what} was not done: another program uses account 0x{outgoing.account.hex()} and took number"
        f" {outgoing.nonce} of its transactions; let one machine alone pay with this key, and repeat this"
    )


def _call(account: bytes, to: bytes | None, data: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {"from": Web3.to_checksum_address(account), "data": "0x" + data.hex(), "value": 0}
    return fields if to is None else fields | {"to": Web3.to_checksum_address(to)}


def _reason(error: ContractLogicError) -> str:
    data = error.data
    if isinstance(data, str) and data.startswith("0x08c379a0"):
        return revert_reason(bytes.fromhex(data[2:]))
    # a node that gives no data says it in its message, before which web3 puts those words once more
    return str(error.message or "").rpartition("execution reverted: ")[2] or "no reason given"
