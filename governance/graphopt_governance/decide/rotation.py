"""A member goes on with new keys; until it is done, the old ones work.

New keys wait in `keys/next` while the federation decides.  As soon as the chain holds them, the home swaps them in
(`opening.settle_rotation`, which every command that asks the chain does first) and keeps the old ones in a folder
named after their account: what was sealed to them opens with nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphopt_governance.chains.chain import Chain
from graphopt_governance.decide.changes import draft_rotation
from graphopt_governance.decide.governing import now_on
from graphopt_governance.errors import BallotError
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.exchange.cards import Card
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import (
    Passphrase,
    passphrase_from_environment,
)
from graphopt_governance.keys.member_key import MemberKey, load_member_key
from graphopt_governance.keys.sealing_key import load_sealing_key
from graphopt_governance.keys.signing_key import load_signing_key
from graphopt_governance.protocol.action import Right


@dataclass(frozen=True, slots=True)
class Rotation:
    """A ballot that gives a member new keys, and the key with which he may vote for it: his old one."""

    ballot: Ballot
    member: int
    account: bytes
    voter: MemberKey | None

    def signed(self, chain: Chain) -> Ballot:
        """The ballot with the member's own vote, if he has one: by it the others know that he asks for it himself."""
        if self.voter is None:
            return self.ballot
        snapshot = chain.snapshot()
        return self.ballot.signed(self.voter, snapshot.state, now_on(snapshot))


def prepare_rotation(home: Home, chain: Chain, passphrase: Passphrase = passphrase_from_environment) -> Rotation:
    """Make new keys, or take those that an earlier try made, and draft their ballot; nothing is signed yet."""
    old = load_member_key(home.member_key, passphrase, make=False)
    number, rights = chain.snapshot().state.standing(old.account)
    if rights is None:
        raise BallotError(f"0x{old.account.hex()} is not a member's account, so there is nothing to rotate")
    new = home.next_keys
    member = load_member_key(new / home.member_key.name, passphrase)
    signing = load_signing_key(new / home.signing_key.name, passphrase)
    sealing = load_sealing_key(new / home.sealing_key.name, passphrase)
    card = Card("next", member.account, rights, signing.hint, sealing.recipient)
    voter = old if rights & Right.APPROVE else None
    return Rotation(draft_rotation(chain, number, card), number, member.account, voter)
