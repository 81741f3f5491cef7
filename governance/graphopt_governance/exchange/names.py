"""What this member calls the others, so that `2` reads `2 (east)`: kept in his own home, and nothing depends on it.

A name comes from a card or an invitation.  It is kept under the member's number, which is never given again, and until
the chain gives one, under the account that the card shows.  Models that this home has proposed, approved or anchored
are kept too: the chain has a hash of a model's name, so a name that hashes to it is the right one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from graphopt import strict_json
from graphopt.errors import GraphoptError
from graphopt_governance.documents import Fields, read_document
from graphopt_governance.exchange.cards import Card, checked_name
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import replace_key_file
from graphopt_governance.protocol.action import model_id
from graphopt_governance.protocol.contract import Member

FORMAT = "graphopt/names/v1"
_MAX_NAMES = 4096


@dataclass(frozen=True, slots=True)
class Names:
    """Names of members by number, and by account where no number is known yet; and names of models."""

    numbers: Mapping[int, str] = field(default_factory=dict[int, str])
    accounts: Mapping[bytes, str] = field(default_factory=dict[bytes, str])
    models: tuple[str, ...] = ()

    @classmethod
    def of(cls, home: Home) -> Names:
        """The names kept in `home`; none where the file is not there or is not of this form: it is a convenience."""
        try:
            document = read_document(home.names, "the names")
            fields = Fields(document, FORMAT, {"numbers", "accounts", "models"}, "the names")
            numbers = {number: checked_name(name) for number, name in fields.numbered("numbers", _MAX_NAMES).items()}
            named = fields.named("accounts", _MAX_NAMES)
            accounts = {bytes.fromhex(account): checked_name(name) for account, name in named.items()}
            models = fields.texts("models", _MAX_NAMES)
        except (GraphoptError, ValueError):
            return cls()
        return cls(numbers, accounts, models)

    def label(self, number: int) -> str:
        """A member in a sentence: `2 (east)`, or `2` where no name is known."""
        name = self.numbers.get(number)
        return f"{number} ({name})" if name else str(number)

    def model(self, identity: bytes) -> str | None:
        """The name of the model that the 20 bytes of `identity` stand for; None where it is not known here."""
        return next((name for name in self.models if model_id(name) == identity), None)

    def model_label(self, identity: bytes) -> str:
        """A model in a sentence: its name, or `identity` in hexadecimal."""
        return self.model(identity) or identity.hex()

    def with_cards(self, cards: Iterable[Card]) -> Names:
        """The same with the names on these cards."""
        return replace(self, accounts={**self.accounts, **{card.account: card.name for card in cards}})

    def with_numbers(self, numbers: Mapping[int, str]) -> Names:
        """The same with these names; those that are known already stay."""
        return replace(self, numbers={**numbers, **self.numbers})

    def with_members(self, members: Iterable[Member]) -> Names:
        """The same, where the name of an account has become that of its member's number."""
        waiting = dict(self.accounts)
        numbers = dict(self.numbers)
        for member in members:
            if (name := waiting.pop(member.account, None)) is not None:
                numbers[member.number] = name
        return replace(self, numbers=numbers, accounts=waiting)

    def with_model(self, name: str) -> Names:
        """The same with this model's name, as long as there is room."""
        if name in self.models or len(self.models) == _MAX_NAMES:
            return self
        return replace(self, models=(*self.models, name))

    def keep(self, home: Home) -> None:
        """Write them to `home`."""
        document = {
            "format": FORMAT,
            "numbers": {str(number): name for number, name in self.numbers.items()},
            "accounts": {account.hex(): name for account, name in self.accounts.items()},
            "models": list(self.models),
        }
        replace_key_file(home.names, strict_json.encode(document, "the names"))


def remember_model(home: Home, name: str) -> None:
    """Keep a model's name in `home`, so that what the chain says of it can be told with its name."""
    known = Names.of(home)
    if (more := known.with_model(name)) is not known:
        more.keep(home)
