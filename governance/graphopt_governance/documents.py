"""What members keep and hand to each other, read strictly: canonical JSON with exactly the fields that its form has.

A number is text in decimal, because a chain's id may be larger than what readers of JSON agree on; bytes are lower-case
hexadecimal of a stated size.  So one meaning has one spelling, and what is signed over it is signed over that.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

from graphopt import files, strict_json
from graphopt_governance.errors import DocumentError

MAX_BYTES = 1 << 20
MAX_TEXT = 64
"""Characters of a name: it is shown on one line beside others."""


def read_document(path: Path, what: str) -> object:
    """The canonical JSON in the file at `path`; DocumentError or BundleError, about `what`, for anything else."""
    return strict_json.decode(read_file(path, what), f"{what} {path}")


def read_file(path: Path, what: str, most: int = MAX_BYTES) -> bytes:
    """The content of a plain file of at most `most` bytes; DocumentError, about `what`, for anything else.

    What a stranger handed over may be a FIFO, which would hang the reader, or a device, which never ends.
    """
    try:
        return files.read_file(path, most)
    except files.FileError as error:
        raise DocumentError(f"{what} {path} cannot be read: it {error.problem}") from error
    except OSError as error:
        raise DocumentError(f"{what} {path} cannot be read: {error.strerror}") from error


def write_document(path: Path, document: object, what: str) -> None:
    """Put the canonical JSON of `document` at `path`, beside and renamed: a reader sees the old one or this."""
    content = strict_json.encode(document, what)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Fields:
    """The fields of a document of the form `form`: each is asked for once, and is there, or DocumentError says so."""

    def __init__(self, document: object, form: str, names: set[str], what: str) -> None:
        self._what = what
        if not isinstance(document, dict):
            self.refuse("it is not an object")
        self._values = cast("dict[str, Any]", document)
        if (found := self._values.get("format")) != form:
            self.refuse(f"its format is {json.dumps(found)[:80]}, not {json.dumps(form)}")
        names = names | {"format"}
        if missing := sorted(names - self._values.keys()):
            self.refuse(f"the field {missing[0]!r} is missing")
        if more := sorted(self._values.keys() - names):
            self.refuse(f"it has the field {more[0][:80]!a}, which it should not")

    def bytes(self, name: str, size: int) -> bytes:
        """`size` bytes."""
        return self._bytes(self._values[name], size, name)

    def some_bytes(self, name: str, most: int) -> bytes:
        """At most `most` bytes."""
        value = self._values[name]
        return self._bytes(value, min(len(value) // 2 if isinstance(value, str) else 0, most), name)

    def number(self, name: str, limit: int = 2**256) -> int:
        """A number below `limit`."""
        value = self._values[name]
        plain = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 79
        number = int(cast(str, value)) if plain else -1
        if str(number) != value or number >= limit:
            self.refuse(f"{name} is {json.dumps(value)[:80]}, not a number below {limit} in decimal")
        return number

    def text(self, name: str, limit: int = MAX_TEXT) -> str:
        """Text of at most `limit` characters, each of which a terminal shows as it is."""
        return self._text(self._values[name], limit, name)

    def texts(self, name: str, most: int, limit: int = MAX_TEXT) -> tuple[str, ...]:
        """At most `most` texts."""
        return tuple(self._text(item, limit, name) for item in self._list(name, most))

    def named(self, name: str, most: int) -> dict[str, str]:
        """At most `most` texts by name."""
        value = self._values[name]
        if not isinstance(value, dict) or len(cast("dict[str, Any]", value)) > most:
            self.refuse(f"{name} is not an object of at most {most} fields")
        return {key: self._text(item, MAX_TEXT, name) for key, item in cast("dict[str, Any]", value).items()}

    def numbered(self, name: str, most: int) -> dict[int, str]:
        """At most `most` texts by number."""
        texts = self.named(name, most)
        if wrong := [key for key in texts if not re.fullmatch("[1-9][0-9]{0,8}", key)]:
            self.refuse(f"{name} has {wrong[0][:80]!a}, not a number")
        return {int(key): text for key, text in texts.items()}

    def has(self, name: str, check: Callable[[Any], bool], wanted: str) -> Any:
        """The field's value, for which `check` holds; it is `wanted`, in words."""
        value = self._values[name]
        if not check(value):
            self.refuse(f"{name} is {json.dumps(value)[:80]}, not {wanted}")
        return value

    def each_bytes(self, name: str, size: int, most: int) -> tuple[bytes, ...]:
        """At most `most` times `size` bytes."""
        return tuple(self._bytes(item, size, name) for item in self._list(name, most))

    def items(self, name: str) -> list[object]:
        """The items of a list, whatever they are."""
        return self._list(name, sys.maxsize)

    def refuse(self, why: str) -> NoReturn:
        """DocumentError: this is not what it should be."""
        raise DocumentError(f"{self._what} cannot be used: {why}")

    def _list(self, name: str, most: int) -> list[object]:
        value = self._values[name]
        if not isinstance(value, list) or len(cast("list[object]", value)) > most:
            self.refuse(f"{name} is not a list of at most {most}")
        return cast("list[object]", value)

    def _bytes(self, value: object, size: int, name: str) -> bytes:
        if not isinstance(value, str) or len(value) != 2 * size or set(value) - set("0123456789abcdef"):
            self.refuse(f"{name} has {json.dumps(value)[:80]}, not {size} bytes in lower-case hexadecimal")
        return bytes.fromhex(value)

    def _text(self, value: object, limit: int, name: str) -> str:
        if not isinstance(value, str) or len(value) > limit or not value.isprintable():
            self.refuse(f"{name} has {json.dumps(value)[:80]}, not a line of at most {limit} printable characters")
        return value
