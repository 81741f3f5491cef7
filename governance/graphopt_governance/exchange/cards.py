"""A member's card: his public keys, the rights that he asks for, and proof that the keys are his.

The card is signed by the key that votes and by the key that signs manifests, so nobody can pass off another's key as
his own (and have that member's signatures counted, or his bundles run, in his name).  A card is no secret; what has to
be known of it is that it came from him, for which comparing the account, by telephone say, is enough: all else on the
card is signed by that account.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

from graphopt.bundle import Signature
from graphopt_governance.documents import Fields, read_document, write_document
from graphopt_governance.errors import BallotError, DocumentError
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, passphrase_from_environment
from graphopt_governance.keys.member_key import MemberKey, load_member_key, recover
from graphopt_governance.keys.sealing_key import is_usable, load_sealing_key
from graphopt_governance.keys.signing_key import SigningKey, load_signing_key, signature_holds
from graphopt_governance.protocol.action import ALL_RIGHTS, Right, names_of, rights_named, word
from graphopt_governance.protocol.contract import Founder

FORMAT = "graphopt/card/v1"
_NAME = re.compile(r"\w[\w .-]{0,39}")
_MAX_DER = 80


@dataclass(frozen=True, slots=True)
class Card:
    """What a member shows of himself.  `name` is what he calls himself: it is for people, and the chain never sees it.

    `account`: 20 bytes; `signing`: SHA-256 of the signing key's PEM; `sealing`: an X25519 public key of 32 bytes.
    """

    name: str
    account: bytes
    rights: Right
    signing: bytes
    sealing: bytes
    member_proof: bytes = b""
    signing_proof: bytes = b""

    @property
    def founder(self) -> Founder:
        """The same as the contract takes it."""
        return Founder(self.account, self.rights, self.signing, self.sealing)

    def message(self) -> bytes:
        """What the signing key signs: everything that the card says.  No manifest's signature covers such bytes."""
        return _HEAD + self.account + word(self.rights) + self.signing + self.sealing + self.name.encode()

    def identity(self) -> bytes:
        """What the member key signs (32 bytes); no action and no ledger's head has such an identity."""
        return keccak(b"\x19" + self.message())

    def describe(self) -> list[str]:
        """What the card says, one line for each thing."""
        return [
            f"  name: {self.name}",
            f"  account: 0x{self.account.hex()}",
            f"  rights: {', '.join(names_of(self.rights)) or 'none'}",
            f"  signing key: {self.signing.hex()}",
            f"  sealing key: {self.sealing.hex()}",
        ]

    def check(self) -> None:
        """DocumentError unless whoever made the card has both signing keys, and things can be sealed to the third."""
        try:
            voter = recover(self.identity(), self.member_proof)
        except BallotError:
            voter = b""
        if voter != self.account:
            account = f"0x{self.account.hex()}"
            raise DocumentError(f"the card of {self.name!a} was not made with the key of account {account}")
        if not signature_holds(Signature(self.signing_proof, self.signing.hex()), self.message()):
            raise DocumentError(f"the card of {self.name!a} was not made with the signing key that it shows")
        if not is_usable(self.sealing):
            raise DocumentError(f"the card of {self.name!a} has a sealing key to which nothing can be sealed")

    def to_json(self) -> dict[str, Any]:
        """The card as data."""
        return {
            "format": FORMAT,
            "name": self.name,
            "account": self.account.hex(),
            "rights": names_of(self.rights),
            "signing_key": self.signing.hex(),
            "sealing_key": self.sealing.hex(),
            "member_proof": self.member_proof.hex(),
            "signing_proof": self.signing_proof.hex(),
        }

    def save(self, path: Path) -> None:
        """Write the card's file."""
        write_document(path, self.to_json(), "the card")

    @classmethod
    def load(cls, path: Path) -> Card:
        """The card in the file at `path`, checked; GraphoptError for anything that is no card of who made it."""
        return cls.from_json(read_document(path, "the card"), f"the card {path}")

    @classmethod
    def from_json(cls, document: object, what: str = "the card") -> Card:
        """Read what `to_json` gives, and check it."""
        names = {"name", "account", "rights", "signing_key", "sealing_key", "member_proof", "signing_proof"}
        fields = Fields(document, FORMAT, names, what)
        listed = fields.texts("rights", len(Right))
        try:
            rights = rights_named(listed)
        except KeyError:
            fields.refuse("it asks for a right that there is not")
        if list(listed) != names_of(rights):
            fields.refuse("its rights are not in their order")
        card = cls(
            checked_name(fields.text("name")),
            fields.bytes("account", 20),
            rights,
            fields.bytes("signing_key", 32),
            fields.bytes("sealing_key", 32),
            fields.bytes("member_proof", 65),
            fields.some_bytes("signing_proof", _MAX_DER),
        )
        card.check()
        return card


def checked_name(name: str) -> str:
    """`name`, when it can stand for a member in a sentence and in a file's name; DocumentError when not."""
    if not _NAME.fullmatch(name):
        raise DocumentError(
            f"{name[:80]!a} cannot be a member's name: letters, digits, spaces and ._- only, 40 at most, a letter or"
            " digit first"
        )
    return name


@dataclass(frozen=True, slots=True)
class UnsignedCard:
    """A card and the two keys that will sign it, once its owner has seen what it says."""

    card: Card
    member: MemberKey
    signing: SigningKey

    def signed(self) -> Card:
        """The card with the proofs of both keys."""
        proof = self.signing.sign(self.card.message()).value
        return replace(self.card, member_proof=self.member.sign(self.card.identity()), signing_proof=proof)


def prepare_card(
    home: Home,
    name: str | None = None,
    rights: Right = ALL_RIGHTS,
    passphrase: Passphrase = passphrase_from_environment,
) -> UnsignedCard:
    """The card of the member whose keys are in `home`, which are made on first use; not signed yet."""
    member, signing = load_member_key(home.member_key, passphrase), load_signing_key(home.signing_key, passphrase)
    sealing = load_sealing_key(home.sealing_key, passphrase).recipient
    return UnsignedCard(Card(own_name(home, name), member.account, rights, signing.hint, sealing), member, signing)


def make_card(
    home: Home,
    name: str | None = None,
    rights: Right = ALL_RIGHTS,
    passphrase: Passphrase = passphrase_from_environment,
) -> Card:
    """The signed card of the member whose keys are in `home`, which are made on first use."""
    return prepare_card(home, name, rights, passphrase).signed()


def own_name(home: Home, name: str | None = None) -> str:
    """What the member of `home` is called: `name`, else as the home's folder is."""
    if name is not None:
        return checked_name(name)
    folder = home.folder.absolute().name
    return folder if _NAME.fullmatch(folder) else "member"


_HEAD = b"graphopt member card\0"
