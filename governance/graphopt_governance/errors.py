"""What governance refuses or cannot do, one sentence each."""

from __future__ import annotations

from graphopt.errors import GraphoptError


class KeyFileError(GraphoptError):
    """A key cannot be read, made, or opened with the passphrase at hand."""


class DocumentError(GraphoptError):
    """What a member keeps or was handed (a card, an invitation, federation.json) is not of its form."""


class BallotError(GraphoptError):
    """A ballot is not well formed, is for another federation, or cannot be signed or relayed as it is."""


class ProposalError(GraphoptError):
    """A proposal's folder is not well formed, does not fit together, or cannot be written."""


class InclusionError(GraphoptError):
    """The file that shows a manifest to be in a batch is not well formed, or is for another manifest."""


class ChainError(GraphoptError):
    """A chain cannot be read or written, or is not the one that was asked for."""


class PolicyError(GraphoptError):
    """A policy cannot be read, or says what is not known."""


class UnreachableError(ChainError):
    """Nothing answers where a chain should be; what it would have said is not known."""


class ActionError(GraphoptError):
    """The contract turned an action down; `reason` is its word for why."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"the federation turned this down: {what}: {reason}")
        self.what = what
        self.reason = reason


class SealingError(GraphoptError):
    """A bundle cannot be sealed for those it is meant for, or a sealed file cannot be opened here."""


class StoreError(GraphoptError):
    """A store cannot be read or written, or does not hold what it should."""


class StoreTimeoutError(StoreError):
    """A store took longer than one waits for it; the next question would take as long."""
