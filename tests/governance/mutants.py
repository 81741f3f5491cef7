"""Mutants of the contract: its source with one small mistake in it each, of the kinds that people make."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_OTHER = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "+": "-",
    "-": "+",
    "+=": "-=",
    "-=": "+=",
    "and": "or",
    "or": "and",
    "True": "False",
    "False": "True",
    # rights
    "PROPOSES": "REPORTS",
    "REPORTS": "PROPOSES",
    "APPROVES": "REVOKES",
    "REVOKES": "APPROVES",
    "ALL_RIGHTS": "15",
    # what a record says
    "NOT_ANCHORED": "APPROVED",
    "APPROVED": "SUSPENDED",
    "SUSPENDED": "REVOKED",
    "REVOKED": "SUSPENDED",
    "KIND_MANIFEST": "KIND_BATCH",
    "KIND_BATCH": "KIND_MANIFEST",
    # kinds of action
    "PROPOSE": "REPORT",
    "ANCHOR": "BATCH",
    "BATCH": "ROLLBACK",
    "ROLLBACK": "RESTORE",
    "REVOKE": "RESTORE",
    "SUSPEND": "RESTORE",
    "RESTORE": "SUSPEND",
    "REPORT": "RESTORE",
    "ADMIT": "CANCEL",
    "CHANGE": "CANCEL",
    "REMOVE": "QUORUM",
    "QUORUM": "CANCEL",
    "DELAY": "CANCEL",
    "CANCEL": "DELAY",
}
_LIMITS = ("MAX_MEMBERS", "MAX_PROOF", "MAX_DELAY", "HALF_ORDER")


@dataclass(frozen=True)
class Mutant:
    """A contract's source with one change, on one line (from 1), in words."""

    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of `source`, in the order of its lines; some do not compile."""
    lines = source.splitlines(keepends=True)
    for statement in _statements(source):
        first = statement[0]
        text = lines[first.start[0] - 1].strip()
        if first.string in ("self", "log", "assert"):
            yield _changed(lines, first, statement[-1], "pass", f"without: {text}")
        for token in statement:
            if (other := _OTHER.get(token.string)) is not None:
                yield _changed(lines, token, token, other, f"{token.string} → {other}: {text}")
            elif token.type == tokenize.NUMBER and token.string.isdigit():
                more = str(int(token.string) + 1)
                yield _changed(lines, token, token, more, f"{token.string} → {more}: {text}")
        if first.string == "log":
            yield from _swapped(lines, statement)


def _statements(source: str) -> Iterator[list[tokenize.TokenInfo]]:
    """The statements that do something, and the constants that limit: their tokens."""
    statement: list[tokenize.TokenInfo] = []
    running = False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.COMMENT):
            continue
        if token.type != tokenize.NEWLINE:
            statement.append(token)
            continue
        running = running or statement[0].string == "@"
        is_text = all(part.type == tokenize.STRING for part in statement)
        is_head = statement[0].string in ("@", "def")
        if (running and not is_text and not is_head) or statement[0].string in _LIMITS:
            yield statement
        statement = []


def _swapped(lines: list[str], statement: list[tokenize.TokenInfo]) -> Iterator[Mutant]:
    """With the values of neighbouring fields of an event exchanged."""
    depth, starts = 0, list[int]()
    for index, token in enumerate(statement):
        depth += (token.string in "([{") - (token.string in ")]}")
        if depth == 1 and token.string == "=":
            starts.append(index + 1)
    spans = [(start, _end(statement, start)) for start in starts]
    for (left, left_end), (right, right_end) in pairwise(spans):
        first, second = (_text(lines, statement[a], statement[b]) for a, b in ((left, left_end), (right, right_end)))
        # the later one first, so that the earlier one is still where it was
        partly = _replaced(lines, statement[right], statement[right_end], first)
        whole = _replaced(partly.splitlines(keepends=True), statement[left], statement[left_end], second)
        yield Mutant(statement[0].start[0], f"fields exchanged: {first}, {second}", whole)


def _end(statement: list[tokenize.TokenInfo], start: int) -> int:
    depth = 0
    for index in range(start, len(statement)):
        text = statement[index].string
        if depth == 0 and text in (",", ")"):
            return index - 1
        depth += (text in "([{") - (text in ")]}")
    raise ValueError("an event without an end")


def _changed(
    lines: list[str], first: tokenize.TokenInfo, last: tokenize.TokenInfo, instead: str, change: str
) -> Mutant:
    return Mutant(first.start[0], change, _replaced(lines, first, last, instead))


def _replaced(lines: list[str], first: tokenize.TokenInfo, last: tokenize.TokenInfo, instead: str) -> str:
    (top, left), (bottom, right) = first.start, last.end
    before, after = "".join(lines[: top - 1]) + lines[top - 1][:left], lines[bottom - 1][right:]
    # as many lines as before, so that later places stay where they were
    return before + instead + after + "\n" * (bottom - top) + "".join(lines[bottom:])


def _text(lines: list[str], first: tokenize.TokenInfo, last: tokenize.TokenInfo) -> str:
    return lines[first.start[0] - 1][first.start[1] : last.end[1]]
