"""What a transaction offers for its gas: room for a base fee that doubles, the tip that the node suggests, a cap."""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from graphopt_governance.errors import ChainError

CAP = "GRAPHOPT_MAX_FEE_GWEI"
"""Names the most that is ever offered for one unit of gas, in gwei."""

_CAP_GWEI = 200
_GWEI = 10**9


@dataclass(frozen=True, slots=True)
class Fees:
    """What one unit of gas may cost in all, and the tip of it, in wei; `tip` is None on a chain that has gas prices."""

    most: int
    tip: int | None

    def fields(self) -> dict[str, int]:
        """The fees as fields of a transaction."""
        if self.tip is None:
            return {"gasPrice": self.most}
        return {"maxFeePerGas": self.most, "maxPriorityFeePerGas": self.tip}

    def over(self, old: Fees) -> Fees:
        """These fees, or as much more as nodes ask of what replaces a transaction that offered `old`: an eighth."""
        tip = None if self.tip is None else max(self.tip, _eighth_more(old.tip or 0))
        return Fees(max(self.most, _eighth_more(old.most), tip or 0), tip)


def fees_asked(eth: Any) -> tuple[Fees, int]:
    """What a transaction should offer now, and what a block would take of it now.

    `eth` is web3's; both are in wei for one unit of gas.
    """
    base = eth.get_block("latest").get("baseFeePerGas")
    if base is None:
        price = int(eth.gas_price)
        return Fees(price, None), price
    tip = int(eth.max_priority_fee)
    return Fees(2 * int(base) + tip, tip), int(base) + tip


def capped(fees: Fees, least: int) -> Fees:
    """The fees within the cap; ChainError when it is below `least`, what a block takes."""
    cap = fee_cap()
    if least > cap:
        raise ChainError(
            f"gas costs {gwei(least)} gwei now, more than the {gwei(cap)} that may be offered; wait, or raise {CAP}"
        )
    return Fees(min(fees.most, cap), fees.tip)


def fee_cap() -> int:
    """The most that is offered for one unit of gas, in wei; ChainError when the environment names no number."""
    text = os.environ.get(CAP) or str(_CAP_GWEI)
    try:
        cap = int(Decimal(text) * _GWEI)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise ChainError(f"{CAP} is no number of gwei: {text[:40]!a}") from error
    if not 0 < cap < 2**128:
        raise ChainError(f"{CAP} is no number of gwei that can be offered: {text[:40]!a}")
    return cap


def gwei(wei: int) -> str:
    """An amount for people, in gwei."""
    return _plain(Decimal(wei) / _GWEI)


def ether(wei: int) -> str:
    """An amount for people, in ether (or what the chain's coin is called)."""
    return _plain(Decimal(wei) / 10**18)


def _plain(amount: Decimal) -> str:
    return f"{amount:.9f}".rstrip("0").rstrip(".")


def _eighth_more(amount: int) -> int:
    return max(amount + 1, -(-amount * 9 // 8))
