"""Text from others as it may be shown: what a terminal would obey, and not show, is written as an escape."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with every character that is no letter, digit, sign or blank written as an escape, `\x1b` or `\u202e`.

    Names in a model, a bundle or a federation are anybody's; none of them may move the cursor, colour the screen, begin
    a line, or turn round the order in which a line is read.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def one_sentence(error: BaseException) -> str:
    """An error's message on one line, safe for a terminal; its class where it has no message."""
    return printable(" ".join(str(error).split())) or type(error).__name__
