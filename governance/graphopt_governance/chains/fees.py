"""What a transaction offers for its gas: room for a base fee that doubles, the tip that nodes suggest, a cap."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

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


@dataclass(frozen=True, slots=True)
class Asked:
    """What one node says that gas costs: a block's base fee and the tip, or, without a base fee, the price of gas."""

    base: int | None
    tip: int


def fees_between(asked: Sequence[Asked], agree: int) -> tuple[Fees, int] | None:
    """What a transaction should offer, and what a block would take of it, both in wei for one unit of gas.

    By what several nodes ask, of which fewer than `agree` make it up: both are then no more and no less than what
    honest ones ask, where these are as many.  None where fewer than `agree` ask in the same manner.
    """
    with_base = [(one.base, one.tip) for one in asked if one.base is not None]
    if len(with_base) >= agree:
        base, tip = (sorted(values)[agree - 1] for values in zip(*with_base, strict=True))
        return Fees(2 * base + tip, tip), base + tip
    prices = sorted(one.tip for one in asked if one.base is None)
    if len(prices) >= agree:
        return Fees(prices[agree - 1], None), prices[agree - 1]
    return None


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
