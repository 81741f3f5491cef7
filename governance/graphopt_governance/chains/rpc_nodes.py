"""What sending asks of nodes and cannot have proven: all are asked, and as many must agree as for a header.

So fewer than `agree` that lie together neither make up a receipt, nor a refusal, nor a fee; and one that keeps silent
is not waited for.  What is believed in the end is proven (`rpc_sending`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3.eth import Eth
from web3.types import TxParams

from graphopt_governance.chains.block_header import quantity
from graphopt_governance.chains.fees import Asked, Fees, fees_between
from graphopt_governance.chains.rpc_agreement import Agreed, Agreement
from graphopt_governance.chains.rpc_endpoint import Endpoint, RefusedByNodeError
from graphopt_governance.chains.rpc_polling import Poll, poll
from graphopt_governance.chains.rpc_reading import Reader, proven_nonce
from graphopt_governance.chains.rpc_web3 import asked
from graphopt_governance.errors import ChainError
from graphopt_governance.protocol.action import Domain
from graphopt_governance.protocol.contract import State, revert_reason

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction's receipt: the block that it is in, whether it did what it should, and the gas that it took."""

    block: int
    block_hash: bytes
    is_done: bool
    gas: int


class TurnedDownError(ChainError):
    """The contract turns a call down, by what enough nodes say who simulated it; `reason` is its word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"it would be turned down: {reason}")
        self.reason = reason


class Nodes:
    """The nodes that `agreement` is between, as who sends asks them."""

    def __init__(self, agreement: Agreement) -> None:
        self.agreement = agreement
        self.endpoints = agreement.endpoints
        self.agree = agreement.agree
        self.chain_id = agreement.chain_id

    @property
    def enough(self) -> str:
        """How many must agree, in words."""
        return f"{self.agree} of {len(self.endpoints)} nodes"

    def header(self) -> Agreed:
        """The newest final header that enough nodes give alike."""
        return self.agreement.header()

    def used(self, agreed: Agreed, account: bytes) -> int:
        """How many transactions of an account are final under a header: proven."""
        return proven_nonce(agreed, account)

    def state(self, agreed: Agreed, contract: bytes) -> State | None:
        """The federation at an address under a header: proven; None where there is none yet, or something else."""
        try:
            return Reader(self.endpoints, self.agreement, Domain(self.chain_id, contract), 0).under(agreed).state
        except ChainError:
            # what cannot be proven is not there
            return None

    def time(self, block: int) -> int:
        """The time of a block that enough nodes give alike."""
        return self.agreement.at(block).time

    def fees(self) -> tuple[Fees, int]:
        """What a transaction should offer now, and what a block would take of it, in wei for one unit of gas."""

        def ask(endpoint: Endpoint) -> Asked:
            base = _field(endpoint, asked(endpoint, lambda eth: eth.get_block("latest")), "baseFeePerGas")
            if base is None:
                return Asked(None, _number(endpoint, asked(endpoint, lambda eth: eth.gas_price)))
            return Asked(_number(endpoint, base), _number(endpoint, asked(endpoint, lambda eth: eth.max_priority_fee)))

        heard = self._enough_to_rank(ask)
        found = fees_between(list(heard.answers.values()), self.agree)
        if found is None:
            raise heard.failure(f"{self.enough} do not say alike how gas is paid for: ")
        return found

    def balance(self, account: bytes) -> int:
        """What an account has, in wei."""
        return self._ranked(lambda eth: eth.get_balance(to_checksum_address(account)))

    def count(self, account: bytes, which: Literal["latest", "pending"]) -> int:
        """How many transactions an account has in blocks (`latest`), or in blocks and waiting (`pending`)."""
        return self._ranked(lambda eth: eth.get_transaction_count(to_checksum_address(account), which))

    def height(self) -> int:
        """The newest block, final or not."""
        return self._ranked(lambda eth: eth.block_number)

    def simulated(self, call: TxParams, *, gas: bool = True) -> int:
        """How much gas a call takes, 0 where that is not asked for; TurnedDownError when it would be turned down."""

        def ask(endpoint: Endpoint) -> int | str:
            try:
                asked(endpoint, lambda eth: eth.call(call))
                return _number(endpoint, asked(endpoint, lambda eth: eth.estimate_gas(call))) if gas else 0
            except RefusedByNodeError as error:
                if not _is_revert(error):
                    raise
                return _reason(error)

        def passes(heard: Poll[int | str]) -> list[int]:
            return sorted(answer for answer in heard.answers.values() if isinstance(answer, int))

        def is_enough(heard: Poll[int | str]) -> bool:
            return len(passes(heard)) >= 2 * self.agree - 1 or len(heard.answers) - len(passes(heard)) >= self.agree

        heard = poll(self.endpoints, self.agree, ask, is_enough)
        reasons = [answer for answer in heard.answers.values() if isinstance(answer, str)]
        if len(reasons) >= self.agree:
            raise TurnedDownError(max(reasons, key=reasons.count))
        if len(needed := passes(heard)) >= self.agree:
            return needed[self.agree - 1]
        if not reasons:
            raise heard.failure()
        raise ChainError(
            f"{self.enough} must agree whether this would be turned down, and do not: {len(reasons)} say that it would,"
            f" for {reasons[0]!a}"
        )

    def give(self, raw: bytes, to: Sequence[Endpoint]) -> dict[Endpoint, ChainError]:
        """Send a transaction's bytes through all these nodes; what those said who did not take it."""

        def send(endpoint: Endpoint) -> None:
            try:
                asked(endpoint, lambda eth: eth.send_raw_transaction(raw))
            except RefusedByNodeError as error:
                if not _has_it(error):
                    raise

        # all of them: one that takes it and forgets it must not be the only one that has it
        return poll(to, self.agree, send, lambda heard: len(heard.answers) == len(to)).failures

    def receipts(self, digests: Sequence[bytes]) -> Poll[Mined | None]:
        """What each node says became of the transaction that has one of these hashes; None: it is in no block."""

        def ask(endpoint: Endpoint) -> Mined | None:
            for digest in digests:
                receipt = asked(endpoint, lambda eth, digest=digest: eth.get_transaction_receipt(HexBytes(digest)))
                if receipt is not None and (mined := _mined(endpoint, receipt)) is not None:
                    return mined
            return None

        return poll(self.endpoints, self.agree, ask)

    def knowing(self, digests: Sequence[bytes]) -> Poll[bool]:
        """Whether each node has the transaction that has one of these hashes, in a block or waiting for one."""

        def ask(endpoint: Endpoint) -> bool:
            return any(
                asked(endpoint, lambda eth, digest=digest: eth.get_transaction(HexBytes(digest))) is not None
                for digest in digests
            )

        return poll(self.endpoints, self.agree, ask, lambda heard: len(heard.answers) == len(self.endpoints))

    def _ranked(self, ask: Callable[[Eth], object]) -> int:
        """The number that `agree` − 1 nodes are below: with as many honest ones, it is between what two of them say."""
        heard = self._enough_to_rank(lambda endpoint: _number(endpoint, asked(endpoint, ask)))
        if len(heard.answers) < self.agree:
            raise heard.failure()
        return sorted(heard.answers.values())[self.agree - 1]

    def _enough_to_rank(self, ask: Callable[[Endpoint], _T]) -> Poll[_T]:
        return poll(self.endpoints, self.agree, ask, lambda heard: len(heard.answers) >= 2 * self.agree - 1)


def chain_of(endpoints: Sequence[Endpoint], agree: int) -> int:
    """The id of the chain that enough of these nodes serve; ChainError when they do not agree on one."""
    heard = poll(endpoints, agree, lambda endpoint: endpoint.chain_id)
    found = heard.alike(agree)
    if found is None:
        served = ", ".join(f"{endpoint.name} serves {chain}" for endpoint, chain in heard.answers.items())
        what = f"{agree} of {len(endpoints)} nodes must serve one chain, and do not: "
        raise heard.failure(what + (served + "; " if served and heard.failures else served))
    return found[0]


def is_too_little(error: ChainError) -> bool:
    """Whether a node refused a transaction because it offers less than it takes."""
    text = str(error).lower()
    return "underpriced" in text or "fee too low" in text or "base fee" in text


def _has_it(error: RefusedByNodeError) -> bool:
    text = error.message.lower()
    return "already known" in text or "already imported" in text or "known transaction" in text


def _is_revert(error: RefusedByNodeError) -> bool:
    return error.code == 3 or "revert" in error.message.lower()


def _reason(error: RefusedByNodeError) -> str:
    """Why the contract turned a call down: what it returned, else what the node says."""
    if isinstance(error.data, str) and error.data.startswith("0x08c379a0"):
        try:
            return revert_reason(bytes.fromhex(error.data[2:]))
        except ValueError:
            pass
    return error.message.rpartition("execution reverted: ")[2] or "no reason given"


def _mined(endpoint: Endpoint, answer: object) -> Mined | None:
    block = _field(endpoint, answer, "blockNumber")
    if block is None:
        return None
    status, gas = (_number(endpoint, _field(endpoint, answer, name)) for name in ("status", "gasUsed"))
    try:
        digest = bytes(HexBytes(cast("str", _field(endpoint, answer, "blockHash"))))
    except (ValueError, TypeError) as error:
        raise endpoint.answers_wrongly() from error
    if len(digest) != 32:
        raise endpoint.answers_wrongly()
    return Mined(_number(endpoint, block), digest, status == 1, gas)


def _field(endpoint: Endpoint, answer: object, name: str) -> object:
    if not isinstance(answer, Mapping):
        raise endpoint.answers_wrongly()
    return cast("Mapping[str, object]", answer).get(name)


def _number(endpoint: Endpoint, value: object) -> int:
    # some write plain numbers
    if type(value) is int and 0 <= value < 2**256:
        return value
    try:
        return quantity(value)
    except ValueError as error:
        raise endpoint.answers_wrongly() from error
