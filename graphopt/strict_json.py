"""JSON that means one thing only: what is signed is read once, strictly, and from canonical bytes.

Two parsers that disagree about a document (duplicate keys, NaN, integers past 2**53, look-alike keys) are a way
around every signature.  So one form is read, RFC 8785, and a document that is not exactly that form is refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn, cast

import rfc8785

from graphopt.errors import BundleError

MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1

# a string that never ends is one token too: looked for anew from each quote in it, 80 kB took half a minute
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[][{}]', re.DOTALL)


def encode(value: object, where: str) -> bytes:
    """The RFC 8785 bytes of `value`; BundleError, with `where` in front, for what that form cannot hold."""
    _check(value, where)
    try:
        return rfc8785.dumps(cast(Any, value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise BundleError(f"{where} cannot be written as canonical JSON: {error}") from error


def decode(data: bytes, where: str, *, most_values: int | None = None) -> Any:
    """The value that the canonical `data` stands for; BundleError for any other JSON, and for what is not JSON.

    With `most_values`, what could hold more values and escaped characters than that is refused before any of it is
    parsed, as each takes some microseconds and there is room for millions in a few megabytes.
    """
    # each value but a first one in brackets follows a comma or a colon, of which there may be more, in texts
    if most_values is not None and sum(map(data.count, (b",", b":", b"\\"))) > most_values:
        _refuse(f"{where} may hold more than {most_values} values")
    if is_deeper(data, MAX_DEPTH):
        _refuse(f"{where} is nested deeper than {MAX_DEPTH} levels")
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(pairs, where),
            parse_constant=lambda name: _refuse(f"{where} holds {name}, which JSON does not have"),
            parse_int=lambda digits: _integer(digits, where),
        )
    except UnicodeDecodeError as error:
        raise BundleError(f"{where} is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise BundleError(f"{where} is not JSON: {error.msg} (character {error.pos})") from error
    if encode(value, where) != data:
        raise BundleError(f"{where} is not in canonical form (RFC 8785), so its meaning is not fixed")
    return value


def is_deeper(data: bytes, limit: int) -> bool:
    """Whether the JSON in `data` nests deeper than `limit`; to be asked before any of Python's parsers sees it.

    These recurse, and where a library raised the recursion limit (py-evm does) they crash instead of raising.
    """
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(data):
        if (token := match[0]) in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif token in b"]}":
            depth -= 1
    return False


def _refuse(sentence: str) -> NoReturn:
    raise BundleError(sentence)


def _object(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen = set[str]()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        _refuse(f"{where} gives the key {twice!a} twice")
    return value


def _integer(digits: str, where: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        _refuse(f"{where} holds an integer past 2**53 - 1, which readers of JSON do not agree on")
    return int(digits)


def _check(value: object, where: str) -> None:
    """Refuse what canonical JSON could hold but a signed document should not: depth, keys, sizes of integers."""
    todo: list[tuple[object, int]] = [(value, 1)]
    while todo:
        item, depth = todo.pop()
        if depth > MAX_DEPTH:
            _refuse(f"{where} is nested deeper than {MAX_DEPTH} levels")
        match item:
            case dict():
                for key, inner in cast("dict[object, object]", item).items():
                    if not isinstance(key, str) or not key.isascii() or not key.isprintable():
                        _refuse(f"{where} has the key {key!a}; keys are printable ASCII")
                    todo.append((inner, depth + 1))
            case list() | tuple():
                todo.extend((inner, depth + 1) for inner in cast("list[object]", item))
            case bool():
                pass
            case int() if abs(item) > MAX_INTEGER:
                _refuse(f"{where} holds an integer past 2**53 - 1, which readers of JSON do not agree on")
            case float() if item != item or item in (float("inf"), float("-inf")):
                _refuse(f"{where} holds a number that is not finite")
            case str() | int() | float() | None:
                pass
            case _:
                _refuse(f"{where} holds a {type(item).__name__}, which JSON does not have")
