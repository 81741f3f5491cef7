"""Members with homes of their own, all three keys, and one embedded chain between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphopt_governance import actions
from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide import governing
from graphopt_governance.home import Home
from graphopt_governance.keys.sealing_key import load_sealing_key
from graphopt_governance.protocol.action import ALL_RIGHTS, Kind, Right
from graphopt_governance.protocol.contract import Founder


def card(home: Home, rights: Right = ALL_RIGHTS) -> Founder:
    """What the owner of `home` tells the others, his sealing key included."""
    return replace(governing.member_card(home, rights), sealing=load_sealing_key(home.sealing_key).recipient)


def homes(folder: Path, *names: str) -> list[Home]:
    """Homes in which nothing is yet."""
    return [Home(folder / name) for name in names]


def found(owners: Sequence[Home], quorum: int = 1) -> Chain:
    """A federation of the owners of these homes, on the first one's ledger."""
    return governing.found(owners[0], [card(owner) for owner in owners], quorum)


def decide(chain: Chain, voters: Sequence[Home], kind: Kind, **fields: Any) -> None:
    """Draft an action, have `voters` sign it, and relay it."""
    ballot = governing.draft(chain, kind, **fields)
    for voter in voters:
        ballot = governing.sign_ballot(ballot, chain, voter)
    governing.relay(ballot, chain)


def approve(bundle: Path, home: Home, model: str | None = None) -> bytes:
    """Sign and anchor a bundle alone, where one vote is a quorum; its digest."""
    actions.sign(bundle, home)
    return bytes.fromhex(actions.anchor(bundle, model, home=home).digest)
