"""The passphrase of a member's keys: from a file, the environment or the terminal, and never from an argument."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from graphopt.cli.failure import warn
from graphopt.errors import GraphoptError

if TYPE_CHECKING:
    from graphopt_governance.keys.key_files import Passphrase

_UNPROTECTED = (
    "the new key files have no passphrase and protect nothing: whoever reads them can sign; `graphopt fed passphrase`"
    " sets one"
)


_taken: dict[str, str] = {}


def keep_from_children() -> None:
    """Take passphrases out of the environment into this process alone: no program that it starts inherits them."""
    for name in ("GRAPHOPT_PASSPHRASE", "GRAPHOPT_NEW_PASSPHRASE"):
        if (value := os.environ.pop(name, None)) is not None:
            _taken[name] = value


def _given(variable: str) -> str | None:
    from graphopt_governance.keys.key_files import passphrase_from_environment

    given = passphrase_from_environment(variable)
    return _taken.get(variable) if given is None else given


class PassphraseError(GraphoptError):
    """No passphrase was typed, or twice and not the same."""


def prompted() -> Passphrase:
    """What asks for the passphrase of the keys when one is needed, once for all keys that one command opens or makes.

    $GRAPHOPT_PASSPHRASE_FILE and $GRAPHOPT_PASSPHRASE come first.  Without them a person at a terminal is asked, twice
    when keys are made, where nothing typed means keys that are not encrypted.  Without a terminal there is none.
    """
    return _Asked()


def prompted_anew(*, none: bool) -> Passphrase:
    """What asks for the passphrase under which keys are to be encrypted from now on; with `none`, none.

    $GRAPHOPT_NEW_PASSPHRASE_FILE and $GRAPHOPT_NEW_PASSPHRASE come first, then the terminal; PassphraseError without.
    """

    def ask() -> str | None:
        if none:
            warn(_UNPROTECTED)
            return None
        given = _given("GRAPHOPT_NEW_PASSPHRASE")
        if given is None and _at_terminal():
            given = _typed_twice("New passphrase for your keys: ")
        if not given:
            raise PassphraseError(
                "there is no new passphrase: type one, or name a file with it in GRAPHOPT_NEW_PASSPHRASE_FILE; --none"
                " takes the encryption away"
            )
        return given

    return ask


class _Asked:
    """Remembers the answer; shows nothing of it."""

    def __init__(self) -> None:
        self._known = False
        self._answer: str | None = None
        self._said = False

    def __call__(self) -> str | None:
        return self._once(again=False)

    def for_new_key(self) -> str | None:
        answer = self._once(again=True)
        if not answer:
            self._say_that_nothing_is_protected()
        return answer

    def _once(self, *, again: bool) -> str | None:
        if not self._known:
            self._answer = _answer(again=again)
            self._known = True
        return self._answer

    def _say_that_nothing_is_protected(self) -> None:
        if not self._said:
            self._said = True
            warn(_UNPROTECTED)


def _answer(*, again: bool) -> str | None:
    given = _given("GRAPHOPT_PASSPHRASE")
    if given is not None or not _at_terminal():
        return given
    if not again:
        return _typed("Passphrase of your keys: ")
    return _typed_twice("Passphrase for your new keys (nothing: they are not encrypted): ")


def _typed_twice(question: str) -> str:
    first = _typed(question)
    if _typed("The same again: ") != first:
        raise PassphraseError("the two passphrases differ; nothing was made")
    return first


def _typed(question: str) -> str:
    import getpass

    from graphopt.cli.progress import paused

    try:
        with paused():
            return getpass.getpass(question)
    except EOFError:
        raise PassphraseError("no passphrase was typed") from None


def _at_terminal() -> bool:
    # getpass falls back to echoing what is typed where it finds no terminal
    if not sys.stderr.isatty():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
