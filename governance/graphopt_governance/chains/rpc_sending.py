"""Sending to an Ethereum chain: simulate, sign, keep, send through every node, and wait until it is proven to be done.

What is signed goes into the outbox before it goes to the nodes.  So at any moment there is at most one transaction that
may still be executed, and whoever comes next (this process, or one after it was killed) sees to that one first.

Done is what the chain proves: under a final header that enough nodes give alike, the account has used the transaction's
number, and the contract's storage is what the action leaves.  Receipts, of which enough must be alike, say the rest: in
which block, for how much gas, and what failed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3.types import TxParams, Wei

from graphopt_governance.chains.fees import CAP, Fees, capped, ether, fee_cap, gwei
from graphopt_governance.chains.outbox import MAX_ATTEMPTS, Attempt, Outbox, Outgoing
from graphopt_governance.chains.rpc_agreement import Agreed
from graphopt_governance.chains.rpc_endpoint import Endpoint, RefusedByNodeError
from graphopt_governance.chains.rpc_nodes import Mined, Nodes, TurnedDownError, is_too_little
from graphopt_governance.chains.rpc_polling import Poll
from graphopt_governance.chains.transaction import Transaction
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.keys.member_key import MemberKey
from graphopt_governance.protocol.contract import State

Payer = Callable[[], MemberKey]
"""Asked only when something is signed: the account that pays for it, which has no other part in the federation."""

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


@dataclass(frozen=True, slots=True)
class Done:
    """What was sent is proven to be done: in which block, that block's time, the gas it took, and where it did it.

    Where too few nodes give its receipt alike, `block` is the one under which it is proven, and `gas` is 0.
    """

    block: int
    time: int
    gas: int
    contract: bytes
    was_left: bool = False
    """Whether it is another thing than was asked for, that an earlier process had begun."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What is known of a transaction: what is proven under a final header, and what the nodes say became of it."""

    agreed: Agreed
    used: int
    """How many transactions of its account are final."""
    state: State | None
    """The contract, where the transaction's number is used."""
    receipts: Poll[Mined | None]
    receipt: Mined | None
    """The one that enough nodes give alike."""
    is_nowhere: bool
    """Whether enough nodes say that it is in no block."""

    @property
    def block(self) -> int:
        return self.agreed.told.header.number


@dataclass(slots=True)
class Sender:
    """Sends through `nodes` what `payer` pays for, keeps it in `outbox`, and waits `patience` seconds until it is done.

    `raise_after`: seconds after which what is in no block offers more; `pause`: seconds between two looks, at most.
    What happens meanwhile that the user should know is logged as a warning, in `graphopt.chain`.
    """

    nodes: Nodes
    outbox: Outbox
    payer: Payer
    patience: float = PATIENCE_SECONDS
    raise_after: float = RAISE_SECONDS
    pause: float = 5.0

    def send(self, to: bytes | None, data: bytes, what: str) -> Done:
        """Have a transaction executed, once, and return when that is proven.

        What an earlier process left in the outbox is seen to first; where it does the same, it is the answer, and where
        it founds another federation than is asked for as well (`was_left`).  ActionError, about `what`, when the
        contract turns it down; ChainError when the nodes do, or it is not proven in time: then the same call goes on
        waiting.
        """
        with self.outbox.locked(self.patience):
            nonce = after = None
            if (left := self.outbox.load()) is not None:
                same = self._is_same(left, to, data)
                try:
                    # what is final already matters only to who asks for the same
                    done = self._left(left) if same or not left.block else None
                except _NeverDoneError as error:
                    done, nonce, after = None, error.nonce, error.after
                if done is not None and (same or (to is None and left.to is None)):
                    return replace(done, was_left=not same)
            outgoing = self._prepared(to, data, what, nonce, after)
            self._first(outgoing)
            try:
                return self._finish(outgoing)
            except _NeverDoneError as error:
                raise ChainError(_taken(outgoing)) from error
            except ActionError:
                self.outbox.clear()
                raise

    def settle(self) -> None:
        """Return when what an earlier process left in the outbox is done, or will never be."""
        if self.outbox.is_empty:
            return
        with self.outbox.locked(self.patience):
            left = self.outbox.load()
            if left is not None and left.block is None:
                with suppress(_NeverDoneError):
                    self._left(left)

    def _is_same(self, left: Outgoing, to: bytes | None, data: bytes) -> bool:
        proven: list[State] = []

        def state() -> State:
            if not proven:
                found = self.nodes.state(self.nodes.header(), left.place)
                if found is None:
                    raise ChainError(
                        f"{self.nodes.enough} do not prove what became of {left.what}, which was sent before"
                    )
                proven.append(found)
            return proven[0]

        return left.chain == self.nodes.chain_id and left.does(to, data, state)

    def _left(self, left: Outgoing) -> Done | None:
        """What was left in the outbox, when it is done; None when it failed."""
        try:
            return self._finish(left)
        except ActionError as error:
            # its block is final, so this is the past; what is asked for now is simulated anew
            _log.warning("%s", error)
            self.outbox.clear()
            return None

    def _prepared(self, to: bytes | None, data: bytes, what: str, nonce: int | None, after: Fees | None) -> Outgoing:
        """The transaction, signed and not yet kept or sent."""
        payer = self.payer()
        account = payer.account
        try:
            fees = capped(*self.nodes.fees())
            if after is not None:
                fees = fees.over(after)
            gas = self._gas(_call(account, to, data), self.nodes.balance(account), fees)
            if nonce is None:
                # what is proven is the least: who says less has not seen it
                nonce = max(self.nodes.count(account, "pending"), self.nodes.used(self.nodes.header(), account))
        except TurnedDownError as error:
            raise ActionError(what, error.reason) from error
        except ChainError as error:
            raise ChainError(f"{what} was not sent; 0x{account.hex()} pays for gas: {error}") from error
        return _signed(Outgoing(what, self.nodes.chain_id, account, nonce, to, data, gas, ()), fees, payer)

    def _gas(self, call: TxParams, has: int, fees: Fees) -> int:
        """How much gas to offer, simulated; ChainError when the account, which has `has` wei, cannot pay for it."""
        short = f"it has {ether(has)} ether"
        try:
            gas = self.nodes.simulated(call) * 5 // 4
        except TurnedDownError:
            raise
        except ChainError as error:
            if has < _ROOM * fees.most:
                raise ChainError(f"{short}; send it more and repeat this ({error})") from error
            raise
        if gas * fees.most > has:
            raise ChainError(f"{short} and may need {ether(gas * fees.most)}; send it that much and repeat this")
        return gas

    def _first(self, outgoing: Outgoing) -> None:
        """Keep it, then send it; what enough nodes plainly refuse was not sent, and is not kept."""
        self.outbox.save(outgoing)
        failures = self.nodes.give(outgoing.attempts[-1].raw, self.nodes.endpoints)
        error = self._refusal(failures)
        if error is None or self._are_enough_knowing(outgoing):
            for failure in failures.values() if len(failures) == len(self.nodes.endpoints) else ():
                # it may have arrived all the same, and waiting will tell
                _log.warning("%s; waiting whether it took %s all the same", failure, outgoing.what)
            return
        self.outbox.clear()
        if is_too_little(error) or self.nodes.count(outgoing.account, "latest") > outgoing.nonce:
            raise ChainError(_taken(outgoing)) from error
        raise ChainError(f"{outgoing.what} was not sent; 0x{outgoing.account.hex()} pays for gas: {error}") from error

    def _finish(self, outgoing: Outgoing) -> Done:
        """Wait for what was sent to be done, send it again where it was lost, offer more where it is left lying.

        ActionError when it failed in its block.
        """
        if (served := self.nodes.chain_id) != outgoing.chain:
            raise ChainError(
                f"{outgoing.what} was sent to chain {outgoing.chain} and may not be final there; the federation here is"
                f" on chain {served}: repeat this with a node of that chain, or remove {self.outbox.path} if that chain"
                " is gone"
            )
        end = time.monotonic() + self.patience
        pause, foreign = 0.05, 0
        lying = time.monotonic(), self.nodes.height()
        while True:
            seen = self._look(outgoing)
            if (done := self._done(outgoing, seen)) is not None:
                self.outbox.save(replace(outgoing, block=done.block))
                return done
            if seen.used > outgoing.nonce:
                if seen.is_nowhere:
                    # asked twice: behind one address there may be nodes that do not all know the same
                    foreign += 1
                if foreign > 1:
                    _log.warning("%s", _taken(outgoing))
                    self.outbox.clear()
                    raise _NeverDoneError
            elif seen.is_nowhere:
                known = self.nodes.knowing(_hashes(outgoing))
                if lost := [node for node, knows in known.answers.items() if not knows]:
                    outgoing = self._again(outgoing, lost)
                elif time.monotonic() - lying[0] > self.raise_after and self.nodes.height() > lying[1]:
                    if self.nodes.count(outgoing.account, "latest") == outgoing.nonce:
                        outgoing = self._raised(outgoing)
                    lying = time.monotonic(), self.nodes.height()
            if time.monotonic() > end:
                raise ChainError(self._not_in_time(outgoing, seen))
            time.sleep(pause)
            pause = min(2 * pause, self.pause)

    def _look(self, outgoing: Outgoing) -> _Looked:
        # receipts are read after the header: what a reorganisation undid has none, or a later one
        agreed = self.nodes.header()
        used = self.nodes.used(agreed, outgoing.account)
        state = self.nodes.state(agreed, outgoing.place) if used > outgoing.nonce else None
        receipts = self.nodes.receipts(_hashes(outgoing))
        alike = receipts.alike(self.nodes.agree)
        return _Looked(
            agreed, used, state, receipts, alike[0] if alike else None, alike is not None and alike[0] is None
        )

    def _done(self, outgoing: Outgoing, seen: _Looked) -> Done | None:
        """That it is done, where that is proven; ActionError where it failed in a block that is final."""
        if seen.used <= outgoing.nonce:
            return None
        receipt = seen.receipt if seen.receipt is not None and seen.receipt.block <= seen.block else None
        is_there = seen.state is not None and outgoing.is_done(seen.state)
        if receipt is not None and not receipt.is_done and not is_there:
            raise ActionError(outgoing.what, f"it passed when simulated and failed in block {receipt.block}")
        if not is_there and receipt is not None and seen.state is not None:
            # somebody has decided about the same thing since then: that it was done is what enough nodes say alike
            is_there = outgoing.is_past(seen.state)
        if not is_there or (receipt is None and outgoing.to is None):
            # of a new federation the block must be known as well
            return None
        if receipt is None:
            return Done(seen.block, seen.agreed.told.header.time, 0, outgoing.place)
        return Done(receipt.block, self.nodes.time(receipt.block), receipt.gas, outgoing.place)

    def _not_in_time(self, outgoing: Outgoing, seen: _Looked) -> str:
        """What is to be said when patience ends: how far it is, and by whose word."""
        where = "is in no block"
        if seen.receipt is not None:
            where = f"is in block {seen.receipt.block}, which is not final"
            if seen.receipt.block <= seen.block:
                where = f"is in block {seen.receipt.block}, and what it does is not proven"
        elif alone := {node.name: mined.block for node, mined in seen.receipts.answers.items() if mined is not None}:
            who = ", ".join(f"{name} (block {block})" for name, block in alone.items())
            where = (
                f"is in a block by the word of {who} alone, which {self.nodes.enough} do not show: believe it not yet,"
            )
        elif (known := self.nodes.count(outgoing.account, "latest")) < outgoing.nonce:
            where += f", and later than the {known} that {self.nodes.enough} know of 0x{outgoing.account.hex()},"
        return (
            f"{outgoing.what} was sent (transaction 0x{outgoing.attempts[-1].digest.hex()}) and {where}"
            f" after {self.patience:.0f} s; repeat this to go on waiting: it is done and paid once"
        )

    def _again(self, outgoing: Outgoing, to: list[Endpoint]) -> Outgoing:
        """Send it to who does not know it; where it would be turned down by now, its nonce goes to something else."""
        try:
            if len(to) >= self.nodes.agree:
                self.nodes.simulated(_call(outgoing.account, outgoing.to, outgoing.data), gas=False)
        except TurnedDownError as error:
            receipts = self.nodes.receipts(_hashes(outgoing)).answers.values()
            if sum(mined is not None for mined in receipts) >= self.nodes.agree:
                # it is what turned itself down: it was done in this moment
                return outgoing
            _log.warning(
                "%s was signed and is in no block; by now it would be turned down: %s", outgoing.what, error.reason
            )
            raise _NeverDoneError(outgoing.nonce, outgoing.attempts[-1].fees) from error
        except ChainError as error:
            # too few answer, or they do not agree; they are asked again
            _log.warning("%s", error)
        error = self._refusal(self.nodes.give(outgoing.attempts[-1].raw, to))
        if error is None:
            return outgoing
        if is_too_little(error):
            return self._raised(outgoing)
        # clients word it each in their own way; what counts is whether it arrived, or its nonce is used
        if not self._are_enough_knowing(outgoing) and self.nodes.count(outgoing.account, "latest") <= outgoing.nonce:
            raise ChainError(f"{outgoing.what} is signed and cannot be sent: {error}") from error
        return outgoing

    def _raised(self, outgoing: Outgoing) -> Outgoing:
        """The transaction with the fees that are asked now, at least an eighth more than it offered, sent."""
        old = outgoing.attempts[-1].fees
        if len(outgoing.attempts) == MAX_ATTEMPTS:
            return outgoing
        fees = self.nodes.fees()[0].over(old)
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
        raised = _signed(outgoing, fees, payer)
        self.outbox.save(raised)
        _log.warning("%s is in no block; it offers %s gwei now, not %s", raised.what, gwei(fees.most), gwei(old.most))
        for failure in self.nodes.give(raised.attempts[-1].raw, self.nodes.endpoints).values():
            _log.warning("%s", failure)
        return raised

    def _refusal(self, failures: dict[Endpoint, ChainError]) -> RefusedByNodeError | None:
        """The word of one of those who plainly refuse a transaction, where these are enough."""
        refusals = [failure for failure in failures.values() if isinstance(failure, RefusedByNodeError)]
        return refusals[0] if len(refusals) >= self.nodes.agree else None

    def _are_enough_knowing(self, outgoing: Outgoing) -> bool:
        return sum(self.nodes.knowing(_hashes(outgoing)).answers.values()) >= self.nodes.agree


def _signed(outgoing: Outgoing, fees: Fees, payer: MemberKey) -> Outgoing:
    """The transaction with one signed form more."""
    form = Transaction(outgoing.chain, outgoing.nonce, outgoing.to, outgoing.data, outgoing.gas, fees)
    return replace(outgoing, attempts=(*outgoing.attempts, Attempt(form.signed(payer), fees)))


def _hashes(outgoing: Outgoing) -> list[bytes]:
    return [attempt.digest for attempt in reversed(outgoing.attempts)]


def _taken(outgoing: Outgoing) -> str:
    return (
        f"{outgoing.what} was not done: another program uses account 0x{outgoing.account.hex()} and took number"
        f" {outgoing.nonce} of its transactions; let one machine alone pay with this key, and repeat this"
    )


def _call(account: bytes, to: bytes | None, data: bytes) -> TxParams:
    fields: TxParams = {"from": to_checksum_address(account), "data": HexBytes(data), "value": Wei(0)}
    if to is not None:
        fields["to"] = to_checksum_address(to)
    return fields
