"""Founding a federation of several, and joining one: what ties a member's home to the federation that he means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graphopt_governance.chains.chain import Chain, Checkpoint
from graphopt_governance.chains.floors import Floors, Seen
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.looking import look_at
from graphopt_governance.chains.opening import deploy, open_chain, reach
from graphopt_governance.chains.where import Where, read_where
from graphopt_governance.decide.able import check_founding
from graphopt_governance.decide.governing import MAX_DELAY, MAX_MEMBERS, Standing, found, standing
from graphopt_governance.errors import BallotError, ChainError
from graphopt_governance.exchange.cards import Card
from graphopt_governance.exchange.invitation import Invitation
from graphopt_governance.exchange.names import Names
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, passphrase_from_environment
from graphopt_governance.keys.member_key import account_at
from graphopt_governance.protocol.action import Domain, Right
from graphopt_governance.protocol.contract import Member


@dataclass(frozen=True, slots=True)
class Charter:
    """A federation that is to be founded: its members in the order of their numbers, and its rules.

    `quorum`: how many approvals a decision takes.  `delay`: seconds for which changes that give power wait.
    """

    cards: tuple[Card, ...]
    quorum: int
    delay: int = 0

    def check(self) -> None:
        """BallotError for a federation that the contract would not make, or that could not do what it is for."""
        if not 1 <= len(self.cards) <= MAX_MEMBERS:
            raise BallotError(f"a federation has 1 to {MAX_MEMBERS} members, not {len(self.cards)}")
        for what in ("account", "signing"):
            of_each = [getattr(card, what) for card in self.cards]
            if twice := [card.name for card in self.cards if of_each.count(getattr(card, what)) > 1]:
                raise BallotError(f"the cards of {twice[0]!a} and {twice[1]!a} show the same {_WORDS[what]}")
        voters = sum(1 for card in self.cards if card.rights & Right.APPROVE)
        if not 1 <= self.quorum <= voters:
            raise BallotError(f"a quorum of {self.quorum} cannot be: {voters} of the members may approve")
        check_founding([card.rights for card in self.cards], self.quorum)
        if not 0 <= self.delay <= MAX_DELAY:
            raise BallotError(f"a delay is 0 to {MAX_DELAY} seconds, not {self.delay}")

    def describe(self) -> list[str]:
        """What will be founded, one line for each thing."""
        lines = [f"found a federation of {len(self.cards)}"]
        lines.append(f"  approvals needed: {self.quorum}")
        lines.append(f"  changes that give power wait: {self.delay} seconds")
        for number, card in enumerate(self.cards, 1):
            lines.append(f"  member {number}:")
            lines += [f"  {line}" for line in card.describe()]
        return lines


def found_federation(
    home: Home,
    charter: Charter,
    ledger: Path | None = None,
    passphrase: Passphrase = passphrase_from_environment,
) -> Chain:
    """Make the federation, on the chain that `home.chain` names, else on the embedded one, and tie `home` to it.

    `ledger`: where the embedded chain's file is to be; in the home where None.  BallotError or ChainError when the home
    has a federation already, or another process founds one there at the same time.
    """
    charter.check()
    require_none(home, ledger)
    founders = [card.founder for card in charter.cards]
    if home.endpoints:
        chain = deploy(home, founders, charter.quorum, charter.delay, passphrase)
    else:
        # relative: a ledger in the home moves with it
        place = Path(home.ledger.name) if ledger is None else ledger.absolute()
        # before it is made: a federation whose place cannot be written down could be joined by nobody
        Where(Domain(0, bytes(20)), 0, place).check(home)
        chain = found(home, founders, charter.quorum, charter.delay, ledger)
        Where(chain.domain, _first_block(chain), place).write(home)
    names = {number: card.name for number, card in enumerate(charter.cards, 1)}
    Names(names).keep(home)
    return chain


def require_none(home: Home, ledger: Path | None = None) -> None:
    """Return when `home` is in no federation yet, and none is in the file `ledger`; BallotError when there is one.

    ChainError where the home was in one, and its ledger is gone.
    """
    where = read_where(home)
    if where is not None:
        raise BallotError(f"this home is in a federation already, on chain {where.domain.chain_id} ({home.federation})")
    if home.endpoints and ledger is not None:
        raise ChainError("a federation is on a chain or in a ledger's file, not both")
    place = ledger or home.ledger
    if not home.endpoints and Ledger.is_made(place):
        raise BallotError(f"there is a federation at {place} already")
    Floors(home.proofs).require_none()


def own_federation(home: Home, passphrase: Passphrase = passphrase_from_environment) -> Chain:
    """The chain of the federation of `home`; BallotError when it is in none."""
    chain = open_chain(home, passphrase)
    if chain is None:
        Floors(home.proofs).require_none()
        raise BallotError(
            f"there is no federation at {home.folder}: `graphopt fed init` founds one, `graphopt fed join` joins one"
        )
    return chain


def invitation_to(home: Home) -> Invitation:
    """The invitation to the federation of `home`; BallotError when there is none."""
    where, names = read_where(home), Names.of(home).numbers
    if where is not None:
        return Invitation(where.domain, where.first_block, names)
    chain = own_federation(home)
    return Invitation(chain.domain, _first_block(chain), names)


@dataclass(frozen=True, slots=True)
class Joining:
    """What a member finds who is about to join: the federation as its chain shows it, and himself in it, if he is."""

    where: Where
    invitation: Invitation
    standing: Standing
    own: Member | None
    basis: str
    replayed: bool | None = None
    """Of a ledger: whether its history was executed again, or there is no virtual machine here to do so."""

    def describe(self) -> list[str]:
        """The federation, one line for each thing."""
        now, names = self.standing, Names(self.invitation.names)
        lines = [f"join the federation 0x{self.where.domain.contract.hex()} on chain {self.where.domain.chain_id}"]
        lines.append(f"  read from: {self.basis}")
        if self.replayed is not None:
            how = "executed again from its founding, block for block" if self.replayed else _NOT_REPLAYED
            lines.append(f"  its history: {how}")
        lines.append(f"  approvals needed: {now.quorum} of {len(now.members)} members")
        lines.append(f"  changes that give power wait: {now.delay} seconds")
        for member in now.members:
            own = ", which is you" if self.own is not None and member.number == self.own.number else ""
            lines.append(f"  member {names.label(member.number)}: account 0x{member.account.hex()}{own}")
        if self.own is None:
            lines.append("  none of these accounts is yours: you can check what they approve, and be admitted later")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "chain": str(self.where.domain.chain_id),
            "contract": "0x" + self.where.domain.contract.hex(),
            "member": self.own.number if self.own is not None else None,
            "ledger": self.basis,
            **self.standing.to_json(),
        }

    def keep(self, home: Home, *, instead: bool = False) -> None:
        """Tie `home` to the federation; ChainError when it is tied to another, unless this comes `instead`."""
        before = read_where(home)
        same = before is not None and before.domain == self.where.domain
        self.where.write(home, instead=instead or same)
        names = Names.of(home) if same else Names()
        names.with_numbers(self.invitation.names).with_members(self.standing.members).keep(home)


def prepare_to_join(
    home: Home,
    invitation: Invitation,
    ledger: Path | None = None,
    agree: int | None = None,
    checkpoint: Checkpoint | None = None,
    *,
    instead: bool = False,
    passphrase: Passphrase = passphrase_from_environment,
) -> Joining:
    """Find the federation that `invitation` names, in the file `ledger` or behind the nodes of `home.chain`.

    `checkpoint`: a block that every one of those nodes must have.  Nothing is kept yet.  The chain's id, the contract's
    address and the hash of its code are checked.  ChainError when another federation is there, or `home` is in another
    one and this does not come `instead`.
    """
    where = Where(invitation.domain, invitation.first_block)
    before = read_where(home)
    if ledger is not None:
        where = Where(invitation.domain, invitation.first_block, ledger.absolute())
    elif home.endpoints:
        known = before if before is not None and before.domain == where.domain else where
        if agree is not None:
            reached = where.reached_by(home.endpoints, agree)
        else:
            reached = replace(where, agree=known.agree).reached_instead_by(home.endpoints)
        where = replace(reached, checkpoint=checkpoint or known.checkpoint)
    elif before is not None and before.domain == where.domain:
        where = before
    else:
        raise ChainError("say how the federation is reached: --ledger FILE, or --chain URL")
    domain = before.domain if before is not None else _own_ledger(home)
    if domain is not None and domain != where.domain and not instead:
        raise ChainError(f"this home is in another federation, on chain {domain.chain_id}; --replace leaves that one")
    if domain is not None and not instead and (other := _other_place(home, before, where)) is not None:
        raise ChainError(
            f"this home has this federation at {other}: another place can show another history of it, so it is taken"
            " only with --replace"
        )
    if where.ledger is not None:
        chain, replayed = look_at(home.folder / where.ledger, where.domain)
    else:
        chain, replayed = reach(where, home, passphrase), None
    snapshot, floors = chain.snapshot(), Floors(home.proofs)
    seen = floors.read(where.domain)
    floors.refuse_less(where.domain, seen, Seen.of(snapshot), "the chain", newest=True, ancestor=snapshot.ancestor)
    now = standing(chain)
    account = account_at(home.member_key)
    own = next((member for member in now.members if member.account == account), None)
    return Joining(where, invitation, now, own, chain.basis, replayed)


def _own_ledger(home: Home) -> Any:
    chain = open_chain(Home(home.folder))
    return chain.domain if chain is not None else None


def _other_place(home: Home, before: Where | None, where: Where) -> str | None:
    """The place at which a home has a federation, where `where` is another one."""
    if before is None:
        before = replace(where, ledger=home.ledger, endpoints=())
    if where.endpoints or before.endpoints:
        return None if set(where.endpoints) == set(before.endpoints) else _named(before)
    ledgers = [(home.folder / place.ledger).resolve() for place in (before, where) if place.ledger is not None]
    return None if len(set(ledgers)) == 1 else _named(before)


def _named(place: Where) -> str:
    # a URL may hold the key of an account
    return str(place.ledger) if place.ledger is not None else f"{len(place.endpoints)} nodes that it names"


def _first_block(chain: Chain) -> int:
    return chain.events("RulesChanged")[0].block


_NOT_REPLAYED = "NOT EXECUTED AGAIN, as there is no virtual machine here: what it shows is its keeper's word"
_WORDS = {"account": "account", "signing": "signing key"}
