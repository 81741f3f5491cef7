"""A member goes on with new keys, or the passphrase of his keys changes; until it is done, what he had works.

New keys wait in `keys/next` while the federation decides.  As soon as the chain holds them, the home swaps them in
(`settle_rotation`, which every command that asks the chain does first) and keeps the old ones in a folder named after
their account: what was sealed to them opens with nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from graphopt_governance.action import Right
from graphopt_governance.ballot import Ballot
from graphopt_governance.cards import Card
from graphopt_governance.chain import Chain
from graphopt_governance.changes import draft_rotation
from graphopt_governance.errors import BallotError, KeyFileError
from graphopt_governance.home import Home
from graphopt_governance.key_files import (
    Passphrase,
    create_key_file,
    passphrase_for_new_key,
    passphrase_from_environment,
)
from graphopt_governance.key_swap import alone, decide, finish
from graphopt_governance.member_key import MemberKey, account_at, encode_member_key, load_member_key
from graphopt_governance.sealing_key import encode_sealing_key, load_sealing_key
from graphopt_governance.signing_key import encode_signing_key, load_signing_key


@dataclass(frozen=True, slots=True)
class Rotation:
    """A ballot that gives a member new keys, and the key with which he may vote for it: his old one."""

    ballot: Ballot
    member: int
    account: bytes
    voter: MemberKey | None

    def signed(self, chain: Chain) -> Ballot:
        """The ballot with the member's own vote, if he has one: by it the others know that he asks for it himself."""
        return self.ballot.signed(self.voter, chain.snapshot().state) if self.voter is not None else self.ballot


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


def settle_rotation(home: Home, chain: Chain) -> bool:
    """Whether the home has just gone on to its new keys, because the chain holds them now."""
    account = account_at(home.next_keys / home.member_key.name)
    old = account_at(home.member_key)
    if account is None or old is None or chain.snapshot().state.standing(account)[1] is None:
        return False
    decide(home, home.next_keys, keep=f"old-{old.hex()}")
    return True


def change_passphrase(home: Home, old: Passphrase, new: Passphrase) -> int:
    """Encrypt the key files of `home` under another passphrase ("" or None: not at all); how many there are.

    Those that a rotation left behind are among them, where they open with the same passphrase.

    `new` is asked after the keys were opened with `old`.  KeyFileError when a key does not open, or a rotation is under
    way.
    """
    finish(home)
    if (home.next_keys / home.member_key.name).exists():
        raise KeyFileError(f"a rotation of keys is under way ({home.next_keys}); end that first")
    with alone(home):
        opened = _opened(home, home.keys, old)
        if not opened:
            raise KeyFileError(f"there are no keys at {home.keys} yet; `graphopt fed card` makes them")
        for folder in sorted(home.keys.glob("old-*")):
            # one that is under yet another passphrase stays so
            with suppress(KeyFileError):
                opened += _opened(home, folder, old)
        secret = passphrase_for_new_key(new)
        # left by a process that was killed before it decided
        shutil.rmtree(home.rekeyed, ignore_errors=True)
        for path, encode in opened:
            create_key_file(home.rekeyed / path.relative_to(home.keys), encode(secret))
        decide(home, home.rekeyed)
    return len(opened)


def _opened(home: Home, folder: Path, passphrase: Passphrase) -> list[tuple[Path, Callable[[str | None], bytes]]]:
    """Each key file in a folder, and what writes its key under another passphrase."""
    opened: list[tuple[Path, Callable[[str | None], bytes]]] = []
    if (path := folder / home.member_key.name).exists():
        opened.append((path, partial(encode_member_key, load_member_key(path, passphrase, make=False))))
    if (path := folder / home.signing_key.name).exists():
        opened.append((path, partial(encode_signing_key, load_signing_key(path, passphrase, make=False))))
    if (path := folder / home.sealing_key.name).exists():
        opened.append((path, partial(encode_sealing_key, load_sealing_key(path, passphrase, make=False))))
    return opened
