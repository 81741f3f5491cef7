"""Which chain a home is on, and how it is reached: a ledger's file or Ethereum nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphopt_governance.chains.floors import Floors
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, passphrase_from_environment

if TYPE_CHECKING:
    from graphopt_governance.chains.chain import Chain
    from graphopt_governance.chains.ledger import Ledger
    from graphopt_governance.chains.rpc import RpcChain
    from graphopt_governance.chains.where import Where
    from graphopt_governance.keys.member_key import MemberKey
    from graphopt_governance.protocol.contract import Founder


def open_chain(home: Home, passphrase: Passphrase = passphrase_from_environment) -> Chain | None:
    """The chain of the federation of `home`; None when there is none yet.

    `passphrase` opens the key that pays on an RPC chain, and is asked for only when something is sent.  Where this
    member changes his keys and the chain holds the new ones, the home goes on to them.
    """
    if not (home.next_keys.exists() or home.rekeyed.exists()):
        return _open_chain(home, passphrase)
    from graphopt_governance.keys.key_swap import finish

    finish(home)
    chain = _open_chain(home, passphrase)
    if chain is not None:
        settle_rotation(home, chain)
    return chain


def reach(where: Where, home: Home, passphrase: Passphrase = passphrase_from_environment) -> Ledger | RpcChain:
    """The chain of the federation that `where` names, reached as it says; ChainError when another one is there.

    What is read of it is not held against what the home has seen: `open_chain` is for that.
    """
    if where.endpoints:
        from graphopt_governance.chains.founding_account import CHAIN_IDS
        from graphopt_governance.chains.rpc import RpcChain
        from graphopt_governance.chains.rpc_endpoint import provider_at

        if where.domain.chain_id in CHAIN_IDS:
            # a node can serve any id, and run the founding of a ledger again
            raise ChainError(f"chain {where.domain.chain_id} is a ledger, and no node serves it")
        return RpcChain.open([provider_at(url) for url in where.endpoints], where, home, payer(home, passphrase))
    if where.ledger is None:
        raise ChainError("nothing says how the federation is reached: by a ledger's file, or by nodes")
    chain = _ledger(where.ledger)
    if chain is None:
        raise ChainError(f"there is no ledger at {where.ledger}")
    if chain.domain != where.domain:
        raise ChainError(
            f"the ledger at {where.ledger} is that of another federation: chain {chain.domain.chain_id}, not"
            f" {where.domain.chain_id}"
        )
    return chain


def deploy(home: Home, founders: Sequence[Founder], quorum: int, delay: int, passphrase: Passphrase) -> Chain:
    """A new federation on the chain that `home.chain` names; its place is kept in `home.federation`."""
    from graphopt_governance.chains.rpc import RpcChain
    from graphopt_governance.chains.rpc_endpoint import provider_at

    providers = [provider_at(url) for url in home.endpoints]
    chain = RpcChain.found(providers, home, founders, payer(home, passphrase), quorum=quorum, delay=delay)
    return chain.remembering(Floors(home.proofs))


def payer(home: Home, passphrase: Passphrase) -> Callable[[], MemberKey]:
    """What opens the key that pays on an RPC chain."""
    from graphopt_governance.keys.member_key import load_member_key

    return lambda: load_member_key(home.member_key, passphrase, make=False)


def settle_rotation(home: Home, chain: Chain) -> bool:
    """Whether the home has just gone on to its new keys, because the chain holds them now."""
    from graphopt_governance.keys.key_swap import decide
    from graphopt_governance.keys.member_key import account_at

    account = account_at(home.next_keys / home.member_key.name)
    old = account_at(home.member_key)
    if account is None or old is None or chain.snapshot().state.standing(account)[1] is None:
        return False
    decide(home, home.next_keys, keep=f"old-{old.hex()}")
    return True


def _open_chain(home: Home, passphrase: Passphrase) -> Chain | None:
    from graphopt_governance.chains.where import read_where

    where = read_where(home)
    if where is None and home.endpoints:
        from graphopt_governance.chains.rpc_endpoint import provider_at

        for url in home.endpoints:
            # a wrong URL is told now; a node is asked only when it is known which federation to ask about
            provider_at(url)
        return None
    if where is None:
        chain = _ledger(home.ledger)
    else:
        chain = reach(where.reached_instead_by(home.endpoints) if home.endpoints else where, home, passphrase)
    return chain.remembering(Floors(home.proofs)) if chain is not None else None


def _ledger(path: Path) -> Ledger | None:
    from graphopt_governance.chains.ledger import Ledger

    return Ledger.open(path) if Ledger.is_made(path) else None
