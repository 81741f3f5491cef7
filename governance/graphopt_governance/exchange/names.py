"""What this member calls the others, so that `2` reads `2 (east)`: kept in his own home, and nothing depends on it.

A name comes from a card or an invitation.  It is kept under the member's number, which is never given again, and until
the chain gives one, under the account that the card shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphopt import strict_json
from graphopt.errors import GraphoptError
from graphopt_governance.documents import Fields, read_document
from graphopt_governance.exchange.cards import Card, checked_name
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import replace_key_file
from graphopt_governance.protocol.contract import Member

FORMAT = "graphopt/names/v1"
_MAX_NAMES = 4096


@dataclass(frozen=True, slots=True)
class Names:
    """Names by number, and by account where no number is known yet."""

    numbers: Mapping[int, str] = field(default_factory=dict[int, str])
    accounts: Mapping[bytes, str] = field(default_factory=dict[bytes, str])

    @classmethod
    def of(cls, home: Home) -> Names:
        """The names kept in `home`; none where the file is not there or is not of this form: it is a convenience."""
        try:
            document = read_document(home.names, "the names")
            fields = Fields(document, FORMAT, {"numbers", "accounts"}, "the names")
            numbers = {number: checked_name(name) for number, name in fields.numbered("numbers", _MAX_NAMES).items()}
            named = fields.named("accounts", _MAX_NAMES)
            accounts = {bytes.fromhex(account): checked_name(name) for account, name in named.items()}
        except (GraphoptError, ValueError):
            return cls()
        return cls(numbers, accounts)

    def label(self, number: int) -> str:
        """A member in a sentence: `2 (east)`, or `2` where no name is known."""
        name = self.numbers.get(number)
        return f"{number} ({name})" if name else str(number)

    def with_cards(self, cards: Iterable[Card]) -> Names:
        """The same with the names on these cards."""
        return Names(self.numbers, {**self.accounts, **{card.account: card.name for card in cards}})

    def with_numbers(self, numbers: Mapping[int, str]) -> Names:
        """The same with these names; those that are known already stay."""
        return Names({**numbers, **self.numbers}, self.accounts)

    def with_members(self, members: Iterable[Member]) -> Names:
        """The same, where the name of an account has become that of its member's number."""
        waiting = dict(self.accounts)
        numbers = dict(self.numbers)
        for member in members:
            if (name := waiting.pop(member.account, None)) is not None:
                numbers[member.number] = name
        return Names(numbers, waiting)

    def keep(self, home: Home) -> None:
        """Write them to `home`."""
        document = {
            "format": FORMAT,
            "numbers": {str(number): name for number, name in self.numbers.items()},
            "accounts": {account.hex(): name for account, name in self.accounts.items()},
        }
        replace_key_file(home.names, strict_json.encode(document, "the names"))
